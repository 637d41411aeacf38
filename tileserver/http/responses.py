"""HTTP responses: headers for caches, the queue of each client, the count of responses."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tileserver import metrics
from tileserver.concurrency.threads import on_behalf_of
from tileserver.http.clients import client_of

IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of a URL with the current version token."""
DOCUMENT = "private, max-age=60"
"""Cache-Control of a document that repeats the Host header: no shared cache may keep it."""
COMMON_HEADERS = "common_headers"
"""Key of `scope["state"]` for the headers of every response to the request."""
QUERY_KEY = "query_key"
"""Key of `scope["state"]` for an API key that came in the query."""
_REST_PATH = re.compile(r"/+((?:\$discovery|v1(?:alpha|beta)?)(?:/.*)?)", re.DOTALL)


def rest_path(scope: Scope) -> str | None:
    """Return the path within the Earth Engine-compatible API, or None outside it.

    >>> rest_path({"path": "//v1/projects/p/algorithms"})
    'v1/projects/p/algorithms'
    """
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    match = _REST_PATH.fullmatch(path)
    return match[1] if match else None


def bytes_response(
    request: Request,
    body: bytes,
    media_type: str,
    cache_control: str,
    extra: Mapping[str, str] | None = None,
) -> Response:
    """Return a body with a strong ETag, or 304 if If-None-Match has it."""
    # SHA-256 has processor instructions: three times as fast as BLAKE2 here.
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"etag": etag, "cache-control": cache_control, **(extra or {})}
    if etag_matches(request.scope["headers"], etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def etag_matches(request_headers: Iterable[tuple[bytes, bytes]], etag: str) -> bool:
    """Return whether If-None-Match has a strong ETag, or is "*"; of several the first counts.

    >>> etag_matches([(b"if-none-match", b'"a", W/"b"')], '"b"')
    True
    """
    for name, value in request_headers:
        if name == b"if-none-match":
            etags = (each.strip().removeprefix("W/") for each in value.decode("latin-1").split(","))
            return any(each in (etag, "*") for each in etags)
    return False


def json_response(request: Request, document: Any, cache_control: str = DOCUMENT) -> Response:
    """Return a document as JSON."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return bytes_response(request, body.encode(), "application/json", cache_control)


class ByClient:
    """Put the work that a request starts into the queue of its client."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with on_behalf_of(client_of(scope)):
            await self.app(scope, receive, send)


class Counted:
    """Count every response by its route and status."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; one without a response is a crash."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            # The pattern of the route, not the path: labels must be few.
            route = getattr(scope.get("route"), "path", None)
            metrics.REQUESTS.labels(route or "other", status).inc()
