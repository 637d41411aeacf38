"""Dates and ranges of dates: milliseconds since 1970, UTC unless a zone is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tileserver.errors import InvalidRequest, shown

_LENIENT = re.compile(
    r"(\d{4})(?:-(?:(\d{1,2})(?:-(\d{1,2}))?|(\d{3})))?(?:[T ](\d{1,2})((?:\D.*)?))?",
    re.ASCII | re.DOTALL,
)
"""Year, month, day, day of the year, hour, and the rest of the time."""
_LONGEST = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_MILLIS, MAX_MILLIS = -62135596800000, 253402300800000
"""The years 1 and 10000."""


@dataclass(frozen=True, slots=True)
class Date:
    """An instant."""

    millis: float
    """Since 1970."""

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {"type": "Date", "value": _whole(self.millis)}

    def moment(self, zone: str | None = None) -> datetime:
        """Return it as a datetime in a time zone.

        Raises:
            InvalidRequest: there is no such zone, or no such year in the calendar.
        """
        if not MIN_MILLIS <= self.millis < MAX_MILLIS:
            raise InvalidRequest(f"Date {self.millis:g} lies outside the years 1 to 9999.")
        return (_EPOCH + timedelta(milliseconds=self.millis)).astimezone(zone_of(zone))


@dataclass(frozen=True, slots=True)
class DateRange:
    """From an instant to just before another."""

    start: Date
    end: Date

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {
            "type": "DateRange",
            "dates": [_whole(self.start.millis), _whole(self.end.millis)],
        }

    def holds(self, millis: float) -> bool:
        """Tell whether an instant lies within."""
        return self.start.millis <= millis < self.end.millis


def plain(value: Any) -> Any:
    """Return a value to compare: a date is its milliseconds."""
    return value.millis if isinstance(value, Date) else value


def zone_of(name: str | None) -> tzinfo:
    """Return a time zone by its name; None is UTC.

    Raises:
        InvalidRequest: there is none of that name.
    """
    if name is None or name.upper() in ("UTC", "GMT", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidRequest(f"Unknown time zone {shown(name)}.") from exc


def millis_of(moment: datetime) -> float:
    """Return a datetime as milliseconds since 1970."""
    return float(round((moment - _EPOCH) / timedelta(milliseconds=1)))


def parse_date(text: str, zone: str | None = None) -> Date:
    """Return the date in a text of ISO 8601, such as 2020-04, 2020-04-01 or 2020-04-01T12:00:00.

    As in Earth Engine, fields may lack their leading zeros (2021-4-30), and a day may be that of
    the year (1996-001).

    Raises:
        InvalidRequest: it is none.
    """
    try:
        moment = datetime.fromisoformat(_padded(text[:_LONGEST]))
    except (OverflowError, ValueError):
        raise InvalidRequest(
            f"Invalid date {shown(text)}; expected one such as 2020-04-01T12:00:00."
        ) from None
    return Date(millis_of(moment if moment.tzinfo else moment.replace(tzinfo=zone_of(zone))))


def _padded(text: str) -> str:
    """Return a date as `datetime` reads it; another text as it is."""
    found = _LENIENT.fullmatch(text)
    if found is None:
        return text
    year, month, day, ordinal, hours, rest = found.groups()
    if ordinal is not None:
        first = datetime(int(year), 1, 1)
        moment = first + timedelta(days=int(ordinal) - 1)
        if not int(ordinal) >= 1 or moment.year != first.year:
            raise ValueError(text)
        date = f"{moment:%Y-%m-%d}"
    else:
        date = f"{year}-{int(month or 1):02d}-{int(day or 1):02d}"
    return date if hours is None else f"{date}T{int(hours):02d}{rest}"


def _whole(millis: float) -> float:
    return int(millis) if millis == int(millis) else millis
