"""The responses to errors: status, headers, and text or JSON by the route."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

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
from tileserver.http import ows_errors
from tileserver.http.responses import COMMON_HEADERS
from tileserver.http.routes import no_such_page, row_of

log = logging.getLogger(__name__)

STATUS: Mapping[type[TileserverError], int] = {
    ows_errors.OperationNotSupported: 501,
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


def error_response(
    request: Request,
    status: int,
    message: str,
    retry_after_s: float | None = None,
    exc: TileserverError | None = None,
) -> Response:
    """Return an error: a line of text for image routes, which QGIS displays, else JSON.

    Routes of OGC's web services have an exception report, whose code `exc` decides.
    """
    message = " ".join(message.split())
    headers = {"cache-control": "no-store"}
    if status in (429, 503):
        headers["retry-after"] = str(math.ceil(retry_after_s or 1))
    row = row_of(request.scope["path"])
    if row and row.has_text_errors:
        return PlainTextResponse(message, status, headers)
    if row and row.has_xml_errors:
        report = ows_errors.report(message, exc)
        return Response(report, status, headers, media_type=ows_errors.MEDIA_TYPE)
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
    return error_response(request, status, f"{exc}{hint}", retry_after_s, exc)


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
    return error_response(request, status, no_such_page(request.scope["path"]))


async def on_crash(request: Request, exc: Exception) -> Response:
    """Return the response to an unexpected exception, without its details."""
    request_id = request.scope.get("state", {}).get("request_id", "")
    message = f"internal error, reported under request id {request_id}"
    response = error_response(request, 500, message)
    # Starlette responds to a crash outside of the gate.
    response.raw_headers.extend(request.scope.get("state", {}).get(COMMON_HEADERS, ()))
    return response
