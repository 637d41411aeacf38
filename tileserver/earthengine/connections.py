"""Connections to Earth Engine, kept open: httpx without what an API has no use for.

Of the time that `httpx.AsyncClient` takes for a request, a quarter goes into cookies, redirects and
the like, and another into anyio's streams. Its transport is used without either; what it raises is
httpx's own.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from types import TracebackType
from typing import Self

import httpcore
import httpx

from tileserver.earthengine.network import Network

_CONNECT_S = 3.0
_POOL_S = 5.0
_KEEPALIVE_S = 60.0


class Connections:
    """Sends requests, signed; `async with` closes all at the end."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        auth: httpx.Auth | None,
        timeout: httpx.Timeout,
        headers: Mapping[str, str],
    ) -> None:
        """Send through a transport.

        Args:
            transport: what speaks HTTP.
            auth: signs the requests; None leaves them unsigned.
            timeout: of each step of a request.
            headers: of every request.
        """
        self.transport = transport
        self.auth = auth
        self.timeout = timeout
        self.headers = headers

    async def __aenter__(self) -> Self:
        """Open nothing: connections are made when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them all."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close them all."""
        await self.transport.aclose()

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Return an answer whose body is still to be read; it must be closed.

        Raises:
            httpx.HTTPError: there is none.
            httpx.InvalidURL: the URL is none.
        """
        request = httpx.Request(
            method,
            _parsed(url),
            headers={**self.headers, **headers},
            content=content,
            params=params,
            extensions={"timeout": self.timeout.as_dict()},
        )
        if self.auth is None:
            return await self._answer(request)
        return await self._signed(self.auth, request)

    async def _signed(self, auth: httpx.Auth, request: httpx.Request) -> httpx.Response:
        """Return the answer to a request once it is signed, as often as `auth` wants it sent."""
        flow = auth.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                response = await self._answer(request)
                try:
                    request = await flow.asend(response)
                    await response.aread()
                except StopAsyncIteration:
                    return response
                except BaseException:
                    await response.aclose()
                    raise
        finally:
            await flow.aclose()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self.transport.handle_async_request(request)
        response.request = request
        return response


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's transport over a network of our own, for which it has no parameter."""

    def __init__(self, trust: ssl.SSLContext, connections: int, keepalive_s: float) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=keepalive_s,
            network_backend=Network(),
        )


@lru_cache(maxsize=1024)
def _parsed(url: str) -> httpx.URL:
    return httpx.URL(url)


def make_client(
    auth: httpx.Auth | None, concurrency: int, tls: ssl.SSLContext | None = None
) -> Connections:
    """Return connections that never have more than `concurrency` requests in flight.

    Certificates are always verified, redirects never followed: either could give a token away.

    Args:
        auth: signs the requests; None leaves them unsigned.
        concurrency: connections, each with one request at a time.
        tls: whom to trust; None is the authorities that browsers trust.
    """
    trust = httpx.create_ssl_context(trust_env=False) if tls is None else tls
    transport = _Transport(trust, concurrency, _KEEPALIVE_S)
    # Each read and write lies within the deadline of the whole request; a timer each costs more.
    timeout = httpx.Timeout(None, connect=_CONNECT_S, pool=_POOL_S)
    agent = f"ee-tileserver/{version('ee-tileserver')}"
    return Connections(transport, auth, timeout, {"accept": "*/*", "user-agent": agent})
