"""Errors as Google API errors: `{"error": {"code", "message", "status"}}`.

The official client raises the message of such a body, and "Ok" for any other. It retries 429 and
every 5xx five times, over a minute, and looks for another token after 401. So a request that
would fail again gets a 4xx, and 401 only if the client's own key is wrong:

- a file that cannot be read is a failed precondition, 400;
- a computation that takes too long is "Computation timed out.", 400, as in Earth Engine;
- server credentials that Google refuses are 403;
- a daily quota that is used up, and an engine that is down, come with Retry-After.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from tileserver.errors import (
    AccessDenied,
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidRequest,
    KeyRequired,
    NotFound,
    Overloaded,
    QuotaExhausted,
    RasterUnreachable,
    RateLimited,
    StoreFull,
    TileserverError,
    TooComplex,
    UnreadableRaster,
    UpstreamError,
)

_CODES: Mapping[type[TileserverError], tuple[int, str]] = {
    InvalidRequest: (400, "INVALID_ARGUMENT"),
    KeyRequired: (401, "UNAUTHENTICATED"),
    AccessDenied: (403, "PERMISSION_DENIED"),
    NotFound: (404, "NOT_FOUND"),
    RasterUnreachable: (502, "UNAVAILABLE"),
    UnreadableRaster: (400, "FAILED_PRECONDITION"),
    DeadlineExceeded: (400, "INVALID_ARGUMENT"),
    TooComplex: (400, "INVALID_ARGUMENT"),
    RateLimited: (429, "RESOURCE_EXHAUSTED"),
    QuotaExhausted: (429, "RESOURCE_EXHAUSTED"),
    StoreFull: (429, "RESOURCE_EXHAUSTED"),
    Overloaded: (503, "UNAVAILABLE"),
    AuthenticationFailed: (403, "PERMISSION_DENIED"),
    UpstreamError: (502, "UNAVAILABLE"),
    TileserverError: (500, "INTERNAL"),
}
"""HTTP status and Earth Engine's word for it, looked up along the error's MRO."""
_TIMED_OUT = "Computation timed out."
_UNKNOWN_NAME = re.compile(
    r"""Invalid JSON payload received\. Unknown name "[^"]*"(?: at '(?P<field>[^']*)')?:"""
    r" Cannot find field\."
)


def error_body(code: int, status: str, message: str) -> dict[str, Any]:
    """Return an error as JSON; an unknown member is in `details` too, as in Earth Engine."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    unknown = _UNKNOWN_NAME.match(message)
    if unknown:
        violation = {"field": unknown["field"] or "", "description": unknown[0]}
        error["details"] = [
            {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        ]
    return {"error": error}


def refuse(code: int, status: str, message: str, **headers: str) -> Response:
    """Return an error response."""
    lines = (" ".join(line.split()) for line in message.splitlines())
    body = json.dumps(error_body(code, status, "\n".join(lines)))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(
        body, code, {"cache-control": "no-store", **names}, media_type="application/json"
    )


def answer_error(exc: TileserverError) -> Response:
    """Return the response for an exception."""
    code, status = next(_CODES[each] for each in type(exc).__mro__ if each in _CODES)
    message = str(exc)
    if isinstance(exc, DeadlineExceeded):
        message = f"{_TIMED_OUT} {message}"
    if code in (429, 503):
        after_s = exc.retry_after_s if isinstance(exc, Overloaded) else None
        return refuse(code, status, message, retry_after=str(math.ceil(after_s or 1)))
    return refuse(code, status, message)
