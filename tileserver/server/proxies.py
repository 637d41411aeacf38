"""Requests that come through proxies: which proxies are trusted, and the client behind them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from tileserver.http.addresses import TRUSTED_PROXY

_OWN_MACHINE = "127.0.0.1", "::1"


class TrustedProxies:
    """ASGI middleware that believes the headers of some proxies, and of nobody else.

    Of a request from one of them the client is that of `X-Forwarded-For`, the scheme that of
    `X-Forwarded-Proto`; `http.addresses` uses the other headers. Without any, this machine's own
    are believed these two, which lead no client elsewhere.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        """`trusted` are addresses and networks, such as "127.0.0.1" and "10.0.0.0/8"."""
        self.app = app
        # As a list: uvicorn takes a single text for several with commas between them.
        believed = list(trusted or _OWN_MACHINE)
        self._uvicorns = ProxyHeadersMiddleware(app, believed)  # type: ignore[arg-type]
        self._trusted = self._uvicorns.trusted_hosts
        self._is_configured = bool(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        peer = scope.get("client")
        if scope["type"] == "http" and peer and peer[0] in self._trusted:
            scope.setdefault("state", {})[TRUSTED_PROXY] = self._is_configured
            await self._uvicorns(scope, receive, send)  # type: ignore[arg-type]
        else:
            await self.app(scope, receive, send)
