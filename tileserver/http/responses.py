"""HTTP responses: headers for caches, browsers and QGIS, and the form of errors."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tileserver import metrics
from tileserver.concurrency.threads import on_behalf_of
from tileserver.errors import (
    AccessDenied,
    AssetNotFound,
    DeadlineExceeded,
    InvalidRequest,
    KeyRequired,
    NotFound,
    Overloaded,
    TileserverError,
    UnreadableRaster,
    UpstreamError,
)
from tileserver.http.clients import client_of

log = logging.getLogger(__name__)

STATUS: Mapping[type[TileserverError], int] = {
    InvalidRequest: 400,
    KeyRequired: 401,
    AccessDenied: 403,
    NotFound: 404,
    UnreadableRaster: 502,
    DeadlineExceeded: 504,
    Overloaded: 503,
    UpstreamError: 502,
    TileserverError: 500,
}
"""HTTP status of an error, looked up along its class's MRO."""

IMMUTABLE = "public, max-age=31536000, immutable"
"""Cache-Control of a URL with the current version token."""
DOCUMENT = "private, max-age=60"
"""Cache-Control of a document that repeats the Host header: no shared cache may keep it."""
COMMON_HEADERS = "common_headers"
"""Key of `scope["state"]` for the headers of every response to the request."""
QUERY_KEY = "query_key"
"""Key of `scope["state"]` for an API key that came in the query."""
_IMAGE_ROUTES = ("/tiles/", "/preview/", "/legend/")
_FORMS = {
    "/tiles/": "/tiles/{layer}/{z}/{x}/{y}.png",
    "/tilejson/": "/tilejson/{layer}.json",
    "/legend/": "/legend/{layer}.svg",
}
"""The form of a path, by its prefix, for error messages."""
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
    if _matches(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _matches(if_none_match: str, etag: str) -> bool:
    etags = (each.strip().removeprefix("W/") for each in if_none_match.split(","))
    return any(each in (etag, "*") for each in etags)


def json_response(request: Request, document: Any, cache_control: str = DOCUMENT) -> Response:
    """Return a document as JSON."""
    body = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return bytes_response(request, body.encode(), "application/json", cache_control)


def error_response(
    request: Request, status: int, message: str, retry_after_s: float | None = None
) -> Response:
    """Return an error: a line of text for image routes, which QGIS displays, else JSON."""
    message = " ".join(message.split())
    headers = {"cache-control": "no-store"}
    if status in (429, 503):
        headers["retry-after"] = str(math.ceil(retry_after_s or 1))
    if request.scope["path"].startswith(_IMAGE_ROUTES):
        return PlainTextResponse(message, status, headers)
    body = json.dumps({"error": {"status": status, "message": message}}, ensure_ascii=False)
    return Response(body, status, headers, media_type="application/json")


async def on_error(request: Request, exc: Exception) -> Response:
    """Return the response to an error of ours."""
    assert isinstance(exc, TileserverError)
    status = next(STATUS[each] for each in type(exc).__mro__ if each in STATUS)
    # Refusals under overload are counted in `metrics`; they would flood the log.
    if status >= 500 and type(exc) is not Overloaded:
        log.warning("%s: %s", request.scope["path"][:200], exc)
    hint = " /layers lists the layers." if isinstance(exc, AssetNotFound) else ""
    retry_after_s = exc.retry_after_s if isinstance(exc, Overloaded) else None
    return error_response(request, status, f"{exc}{hint}", retry_after_s)


async def on_client_gone(request: Request, exc: Exception) -> Response:
    """Return status 499, as nginx does, for a client that disconnected."""
    return Response(status_code=499)


async def on_http_error(request: Request, exc: Exception) -> Response:
    """Return the response to an error of the router: 404 or 405."""
    status = getattr(exc, "status_code", 500)
    if status == 405:
        response = error_response(request, 405, "method not allowed; expected GET or HEAD")
        response.headers["allow"] = "GET, HEAD, OPTIONS"
        return response
    path: str = request.scope["path"]
    forms = (form for start, form in _FORMS.items() if path.startswith(start))
    expected = next((f"expected {form}" for form in forms), "/ is the map")
    return error_response(request, status, f"no such page; {expected}, /layers lists the layers")


async def on_crash(request: Request, exc: Exception) -> Response:
    """Return the response to an unexpected exception, without its details."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    message = f"internal error, reported under request id {request_id}"
    response = error_response(request, 500, message)
    # Starlette responds to a crash outside of the gate.
    response.raw_headers.extend(request.scope.get("state", {}).get(COMMON_HEADERS, ()))
    return response


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
