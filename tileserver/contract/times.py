"""Times as seconds since 1970, from their texts."""

from __future__ import annotations

import math
from datetime import UTC, datetime


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
