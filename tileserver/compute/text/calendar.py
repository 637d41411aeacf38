"""Calendar arithmetic: units of time, added, counted and cut off, in a time zone."""

from __future__ import annotations

import calendar
import math
from datetime import UTC, datetime, timedelta
from typing import Any

from tileserver.compute.values.date import Date, millis_of
from tileserver.errors import InvalidRequest, shown

UNIT_MILLIS: dict[str, int] = {
    "year": 31_556_952_000,
    "month": 2_629_746_000,
    "week": 604_800_000,
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1000,
}
"""Average lengths, of the Gregorian calendar's 400 years."""
_FIELDS = ("year", "month", "day", "hour", "minute", "second")


def unit_of(name: str) -> str:
    """Return a unit by its name in the singular or plural.

    Raises:
        InvalidRequest: there is none of that name.
    """
    found = name.lower().removesuffix("s")
    if found not in UNIT_MILLIS:
        raise InvalidRequest(f"Unit {shown(name)} is none of {', '.join(UNIT_MILLIS)}.")
    return found


def zoned(*fields: int, like: datetime) -> datetime:
    """Return the datetime of year, month, day … in the time zone of another."""
    try:
        return datetime(*fields, tzinfo=like.tzinfo)  # type: ignore[arg-type, misc]
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest(f"There is no date {'-'.join(map(str, fields))}.") from exc


def floored(moment: datetime, unit: str) -> datetime:
    """Return the beginning of the unit that a moment lies in; weeks begin on Monday."""
    if unit == "week":
        day = floored(moment, "day").date() - timedelta(days=moment.weekday())
        return zoned(day.year, day.month, day.day, like=moment)
    kept = _FIELDS.index(unit) + 1
    fields = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    first = (1, 1, 1, 0, 0, 0)
    found = zoned(*fields[:kept], *first[kept:], like=moment)
    return found.replace(fold=moment.fold) if unit in ("hour", "minute", "second") else found


def added(moment: datetime, count: int, unit: str) -> datetime:
    """Return a moment so many units later: as the calendar counts days and more, else exact."""
    try:
        if unit in ("year", "month"):
            months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "year" else 1)
            year, month = divmod(months, 12)
            day = min(moment.day, calendar.monthrange(year, month + 1)[1])
            return moment.replace(year=year, month=month + 1, day=day)
        if unit in ("week", "day"):
            return moment + timedelta(days=count * (7 if unit == "week" else 1))
        exact = moment.astimezone(UTC) + timedelta(milliseconds=count * UNIT_MILLIS[unit])
        return exact.astimezone(moment.tzinfo)
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest("The date lies outside the years 1 to 9999.") from exc


def advanced(date: Date, delta: float, unit: str, zone: str | None) -> Date:
    """Return a date later by units, or earlier; a fraction is that share of the next one."""
    if not math.isfinite(delta):
        raise InvalidRequest(f"Expected a finite number of units, got {delta}.")
    moment = date.moment(zone)
    millis = date.millis - millis_of(moment)
    whole = math.floor(delta)
    start = added(moment, whole, unit)
    found = millis_of(start)
    if share := delta - whole:
        found += share * (millis_of(added(start, 1, unit)) - found)
    return Date(round(found + millis))


def fraction(date: Date, unit: str, zone: str | None) -> float:
    """Return how much of the unit that a date lies in has gone by, 0..1."""
    start = floored(date.moment(zone), unit)
    begin, end = millis_of(start), millis_of(added(start, 1, unit))
    return (date.millis - begin) / (end - begin)


def field(moment: datetime, unit: str) -> int:
    """Return a unit of a moment, months and weeks counted from 1; weeks are ISO 8601's."""
    if unit == "week":
        return moment.isocalendar().week
    found: int = getattr(moment, unit)
    return found


def relative(moment: datetime, unit: str, within: str) -> int:
    """Return how many units have gone by since a larger one began; 0 of one that is not larger."""
    order = list(UNIT_MILLIS)
    if order.index(unit) <= order.index(within):
        return 0
    start = floored(moment, within)
    if unit == "month":
        return moment.month - 1
    if unit in ("week", "day"):
        return (moment.date() - start.date()).days // (7 if unit == "week" else 1)
    return int((millis_of(moment) - millis_of(start)) // UNIT_MILLIS[unit])


def updated(moment: datetime, changes: dict[str, Any]) -> datetime:
    """Return a moment with other fields."""
    try:
        return moment.replace(**changes)
    except (ValueError, OverflowError, TypeError) as exc:
        fields = ", ".join(f"{name} {value}" for name, value in changes.items())
        raise InvalidRequest(f"There is no date of {fields}.") from exc
