"""The HTTP client for Earth Engine: httpx over the connections of aiohttp.

httpx's own transport (httpcore 1.0) loses a connection from its pool whenever a request is
cancelled while it waits for one, opens one or closes one. Maps that are panned cancel requests all
day, and there are only as many connections as Earth Engine grants concurrent requests. aiohttp's
pool survives cancellation, and a request over it costs less.
"""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

_CONNECT_S = 3.0
_KEEPALIVE_S = 60.0


def make_client(
    auth: httpx.Auth | None, concurrency: int, tls: ssl.SSLContext | None = None
) -> httpx.AsyncClient:
    """Return a client that never has more than `concurrency` requests in flight.

    Certificates are always verified, redirects never followed: either could give a token away.
    Cookies are ignored, and so are the proxies that the environment names.

    Args:
        auth: signs the requests; None leaves them unsigned.
        concurrency: connections, each with one request at a time.
        tls: the trusted authorities; None is those that browsers trust.
    """
    trust = httpx.create_ssl_context(trust_env=False) if tls is None else tls

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=concurrency, keepalive_timeout=_KEEPALIVE_S, ssl=trust
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return httpx.AsyncClient(
        transport=AiohttpTransport(verify=trust, trust_env=False, client=session),
        auth=auth,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        headers={"user-agent": f"ee-tileserver/{version('ee-tileserver')}"},
        # Reads and writes lie within the deadline of the whole request; a timer each costs more.
        # `Limited` has no more slots than there are connections, so none waits for one.
        timeout=httpx.Timeout(None, connect=_CONNECT_S),
        trust_env=False,
    )
