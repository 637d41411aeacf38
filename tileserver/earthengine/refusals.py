"""Error responses of Earth Engine, translated into our errors.

Pure functions over statuses, headers and bodies. Most failures differ by their text alone; the
texts are those of https://developers.google.com/earth-engine/guides/debugging and
of public reports.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tileserver.errors import (
    AssetNotFound,
    AuthenticationFailed,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamError,
)

LOGIN = "gcloud auth application-default login"
"""The command that creates or renews a user's credentials."""

_MAX_TEXT = 500

_DAILY = re.compile(r"daily_eecu|custom quota|per day\b", re.IGNORECASE)
_RATE_REASONS = frozenset(
    {"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED"}
)
_TOO_BUSY = re.compile(r"too many concurrent|too many requests|rate limit|quota exceeded", re.I)
_TOO_COMPLEX = re.compile(
    r"memory limit exceeded|memory capacity exceeded|computation timed out|deadline exceeded", re.I
)
_TRANSIENT = re.compile(
    r"engine capacity exceeded|internal error has occurred|service is currently unavailable", re.I
)
_NOT_FOUND = re.compile(
    r"\basset\b.* not found|does not exist or (caller does not have access|doesn't allow)", re.I
)
_TOO_LARGE = re.compile(
    r"total request size|pixel grid dimensions|payload size exceeds"
    r"|number of bands .*must be less than or equal to",
    re.I,
)

_SECRETS = re.compile(
    r"ya29\.\S+|\b1//\S+|\beyJ[\w-]+\.[\w.-]+|\bBearer\s+\S+|-----BEGIN.*?(-----END[^-]*-----|$)"
    r"|\b[A-Za-z0-9_+/=-]{60,}",
    re.IGNORECASE | re.DOTALL,
)
_OPERATORS_OWN = re.compile(r"project_number:\d+|[\w.+-]+@[\w-]+(\.[\w-]+)+")

_REMEDIES = (
    (
        r"SERVICE_DISABLED|has not been used in project|it is disabled",
        "Enable the Earth Engine API for the project: "
        "gcloud services enable earthengine.googleapis.com",
    ),
    (
        r"USER_PROJECT_DENIED|permission to use project",
        "Grant the credentials the role roles/serviceusage.serviceUsageConsumer in the "
        "project that [earth_engine] project names, or name another project.",
    ),
    (r"CONSUMER_INVALID|project .* not found", "Correct [earth_engine] project."),
    (r"BILLING|billing", "Enable billing for the project."),
    (
        r"not registered",
        "Register the project for Earth Engine: https://code.earthengine.google.com/register",
    ),
    (
        r"SCOPE|scopes",
        f"Run `{LOGIN} --scopes=https://www.googleapis.com/auth/cloud-platform`.",
    ),
)
"""What to do about a 403, by a pattern of its reasons and message."""


class AssetRefused(AssetNotFound):
    """Earth Engine refuses the asset to these credentials; clients get "not found"."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name)
        self.reason = reason
        """Message and remedy for the operator, not for clients."""


@dataclass(frozen=True, slots=True)
class _ErrorBody:
    """The message and reasons in an error body."""

    text: str
    reasons: frozenset[str]


def error_of(status: int, headers: Mapping[str, str], body: bytes, name: str) -> TileserverError:
    """Return our error for a response other than 200.

    Args:
        status: of the response.
        headers: looked up by names in lower case.
        body: Google's JSON, or anything.
        name: of the requested asset, for messages.
    """
    error = _read_error(body)
    text = error.text if error else f"HTTP status {status}"
    shown = f"{name}: Earth Engine says: {for_clients(text)}"
    wait_s = retry_after_s(headers)
    if error and 400 <= status < 500 and _is_used_up(error):
        return QuotaExhausted(shown, wait_s)
    if status == 429 or (error and status == 403 and _is_rate_limit(error)):
        return RateLimited(shown, wait_s)
    if status >= 500 or status == 408:
        return TransientError(shown, wait_s)
    if status == 401:
        return AuthenticationFailed(f"Earth Engine does not accept the credentials: {shown}")
    if error and status == 403:
        return AssetRefused(name, _remedy(error))
    if error and status == 404:
        return AssetNotFound(name)
    if error and status in (400, 413):
        return _refusal(error.text, shown, name, wait_s)
    return UpstreamError(f"{name}: Earth Engine's endpoint gave an unexpected answer, {status}.")


def _refusal(text: str, shown: str, name: str, wait_s: float | None) -> TileserverError:
    """Return our error for a 400, by its text."""
    if _TOO_BUSY.search(text):
        return RateLimited(shown, wait_s)
    if _TOO_COMPLEX.search(text):
        return TooComplex(shown)
    if _TRANSIENT.search(text):
        return TransientError(shown, wait_s)
    if _TOO_LARGE.search(text):
        return RequestTooLarge(for_clients(text))
    if _NOT_FOUND.search(text):
        return AssetRefused(name, without_secrets(text))
    return InvalidRequest(for_clients(text))


def _read_error(body: bytes) -> _ErrorBody | None:
    """Return the message and reasons of Google's JSON; None if the body is anything else."""
    try:
        document = json.loads(body)
        error = (document[0] if isinstance(document, list) else document)["error"]
        message, more = error["message"], [*error.get("details", ()), *error.get("errors", ())]
        reasons = frozenset(str(each.get("reason", "")) for each in more)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return _ErrorBody(message, reasons) if isinstance(message, str) else None


def _is_used_up(error: _ErrorBody) -> bool:
    return "dailyLimitExceeded" in error.reasons or bool(_DAILY.search(error.text))


def _is_rate_limit(error: _ErrorBody) -> bool:
    return bool(error.reasons & _RATE_REASONS) or bool(_TOO_BUSY.search(error.text))


def _remedy(error: _ErrorBody) -> str:
    """Return the remedy for a 403, followed by its message."""
    evidence = " ".join((*sorted(error.reasons), error.text))
    remedy = next(
        (remedy for pattern, remedy in _REMEDIES if re.search(pattern, evidence)),
        "Share the asset with the credentials, or grant them the role roles/earthengine.viewer.",
    )
    return f"{remedy} Earth Engine says: {without_secrets(error.text)}"


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After, from now; None if it is missing or malformed.

    A date is compared with the response's own Date, so that a wrong local clock does not matter.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    until_s = _timestamp(value)
    if until_s is None:
        return None
    now_s = _timestamp(headers.get("date", ""))
    return max(0.0, until_s - (time.time() if now_s is None else now_s))


def _timestamp(http_date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(http_date).timestamp()
    except (ValueError, OverflowError):
        return None


def without_secrets(text: str) -> str:
    """Return an external text as one short line, without anything that looks like a secret."""
    line = " ".join(_SECRETS.sub("[…]", text[: 4 * _MAX_TEXT]).split())
    return "".join(c for c in line if c.isprintable())[:_MAX_TEXT]


def for_clients(text: str) -> str:
    """Return an external text without secrets, accounts and project numbers."""
    return _OPERATORS_OWN.sub("[…]", without_secrets(text))
