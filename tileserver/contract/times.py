"""Times as seconds since 1970, and ranges of them, from their texts."""

from __future__ import annotations

import calendar
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tileserver.errors import InvalidRequest

_EXPECTED = (
    "expected a time such as 2025-06-01 or 2025-06-01T10:00:00Z, or two with a slash between, the "
    "second excluded, such as 2025-06-01/2025-07-01; .. is an open end"
)
_TEXT = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d{1,9})?)?"
    r"(?P<offset>[Zz]|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_SECOND_S = 1.0
_SMALLEST_S = 1e-6


@dataclass(frozen=True, slots=True)
class TimeRange:
    """The times from a start on, before an end."""

    start_s: float = -math.inf
    """Seconds since 1970."""
    end_s: float = math.inf
    """Excluded."""


def epoch_s(text: str | None) -> float:
    """Return the time of an ISO 8601 text in seconds since 1970; NaN for None or no time.

    Without an offset it is in UTC.

    >>> epoch_s("1970-01-02"), epoch_s("1970-01-01T01:00:00+01:00"), epoch_s("soon")
    (86400.0, 0.0, nan)
    """
    try:
        found = datetime.fromisoformat(text or "")
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return aware.timestamp()
    except (ValueError, OverflowError):
        return math.nan


def time_text(seconds: float) -> str | None:
    """Return a time in the form of Earth Engine; None for NaN.

    >>> time_text(86400.5)
    '1970-01-02T00:00:00.500000Z'
    """
    if not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        return None


def parse_time_range(text: str) -> TimeRange:
    """Return the range of a text: a time as long as it says, or two of them.

    A year, month, day, minute or second is all of it; between two the second is excluded, as in
    `ee.ImageCollection.filterDate`.

    Raises:
        InvalidRequest: it is none.

    >>> parse_time_range("1970-01-01") == parse_time_range("1970-01-01/1970-01-02")
    True
    """
    first, slash, second = text.partition("/")
    if not slash:
        return _span(first, text)
    start_s = -math.inf if first in ("", "..") else _span(first, text).start_s
    end_s = math.inf if second in ("", "..") else _span(second, text).start_s
    if math.isinf(start_s) and math.isinf(end_s):
        raise InvalidRequest(f"time: {_EXPECTED}; got {text[:80]!r}, both of whose ends are open")
    if start_s >= end_s:
        raise InvalidRequest(
            f"time: expected a start before its end, got {text[:80]!r}; the end is excluded"
        )
    return TimeRange(start_s, end_s)


def _span(text: str, whole: str) -> TimeRange:
    match = _TEXT.fullmatch(text)
    try:
        if match is None:
            raise ValueError("it has another form")
        start = _start(match)
        return TimeRange(start, start + _length_s(match))
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest(f"time: {_EXPECTED}; got {whole[:80]!r}") from exc


def _start(match: re.Match[str]) -> float:
    names = ("year", "month", "day", "hour", "minute", "second")
    defaults = (0, 1, 1, 0, 0, 0)
    parts = [int(match[name] or least) for name, least in zip(names, defaults, strict=True)]
    local = datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]
    offset = match["offset"]
    if offset and offset not in "Zz":
        hours, minutes = int(offset[1:3]), int(offset[4:6])
        if hours > 23 or minutes > 59:
            raise ValueError("no offset")
        shift = timedelta(hours=hours, minutes=minutes)
        local = local - shift if offset[0] == "+" else local + shift
    return local.timestamp() + float(match["fraction"] or 0)


def _length_s(match: re.Match[str]) -> float:
    """Return the length of the period that a text names: a year, a month and so on."""
    if match["fraction"]:
        return _SMALLEST_S
    if match["second"]:
        return _SECOND_S
    if match["minute"]:
        return 60.0
    if match["day"]:
        return 86400.0
    year = int(match["year"])
    if match["month"]:
        return 86400.0 * calendar.monthrange(year, int(match["month"]))[1]
    return 86400.0 * (366 if calendar.isleap(year) else 365)
