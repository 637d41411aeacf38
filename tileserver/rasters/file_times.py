"""Acquisition times of rasters by their tags or names, if neither sidecar nor catalogue has one.

Patterns of names, of which the first in this order counts, and of one pattern the leftmost:

- a day and a time: 20250601T101559, 2025-06-01T10:15:59, 20250601_101559, 20250601101559;
- a day: 2025-06-01, 2025_06_01, 2025.06.01, 20250601;
- a day of the year: 2025152 (1 June), as in MODIS names;
- Landsat's old scene ids: LE70380322000212EDC00;
- a month: 2025-06.

No other digit may stand beside them, and each part must be valid, the year from 1900 to 2100: so a
number of ten digits has no date in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

_YEAR = r"(?<!\d)((?:19|20)\d\d)"
_CLOCK = r"([01]\d|2[0-3]):?([0-5]\d):?([0-5]\d)"
_DAY_AND_TIME = (
    re.compile(rf"{_YEAR}-?(\d\d)-?(\d\d)[Tt]{_CLOCK}(?!\d)", re.ASCII),
    re.compile(rf"{_YEAR}(\d\d)(\d\d)[_-]{_CLOCK}(?!\d)", re.ASCII),
    re.compile(rf"{_YEAR}(\d\d)(\d\d){_CLOCK}(?!\d)", re.ASCII),
)
_DAY = (
    re.compile(rf"{_YEAR}([-_.])(\d\d)\2(\d\d)(?!\d)", re.ASCII),
    re.compile(rf"{_YEAR}()(\d\d)(\d\d)(?!\d)", re.ASCII),
)
_DAY_OF_YEAR = re.compile(rf"{_YEAR}(\d\d\d)(?!\d)", re.ASCII)
_LANDSAT = re.compile(r"(?<![A-Za-z0-9])L[A-Z]\d\d{6}((?:19|20)\d\d)(\d\d\d)[A-Z]{3}\d\d", re.ASCII)
_MONTH = re.compile(rf"{_YEAR}-(\d\d)(?![\d-])", re.ASCII)
_TAG = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_MAX_NAME = 1000

Made = Callable[..., datetime]


def time_of_file(tags: Mapping[str, str], name: str) -> str | None:
    """Return when a raster was taken, in the form of Earth Engine, in UTC; None if nothing tells.

    Args:
        tags: of the file; TIFFTAG_DATETIME goes before the name.
        name: of its asset or file; the last part counts.
    """
    found = _of_tag(tags.get("TIFFTAG_DATETIME", "")) or time_in_name(name)
    return None if found is None else found.strftime("%Y-%m-%dT%H:%M:%SZ")


def time_in_name(name: str) -> datetime | None:
    """Return the time in the name of a file, in UTC, or None.

    >>> str(time_in_name("S2A_MSIL1C_20250601T101559_N0511_R065_T32UQD_20250601T140000"))
    '2025-06-01 10:15:59+00:00'
    >>> time_in_name("tile_2025060112")
    """
    text = name.rpartition("/")[2][:_MAX_NAME]
    for pattern in _DAY_AND_TIME:
        if found := _first(pattern, text, datetime):
            return found
    for pattern in _DAY:
        if found := _first(pattern, text, lambda year, _, month, day: datetime(year, month, day)):
            return found
    for pattern in (_DAY_OF_YEAR, _LANDSAT):
        if found := _first(pattern, text, _day_of_year):
            return found
    return _first(_MONTH, text, lambda year, month: datetime(year, month, 1))


def _first(pattern: re.Pattern[str], text: str, make: Made) -> datetime | None:
    """Return the first match of a pattern that is a valid time."""
    for match in pattern.finditer(text):
        try:
            found = make(*(int(each) if each.isdigit() else 0 for each in match.groups()))
        except ValueError:
            continue
        if 1900 <= found.year <= 2100:
            return found.replace(tzinfo=UTC)
    return None


def _day_of_year(year: int, day: int) -> datetime:
    found = datetime(year, 1, 1) + timedelta(days=day - 1)
    if found.year != year:
        raise ValueError("no day of this year")
    return found


def _of_tag(text: str) -> datetime | None:
    match = _TAG.match(text.strip())
    try:
        return datetime(*map(int, match.groups()), tzinfo=UTC) if match else None  # type: ignore[misc, arg-type]
    except ValueError:
        return None
