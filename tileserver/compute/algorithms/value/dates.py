"""Dates and ranges of dates."""

from __future__ import annotations

import math
from typing import Any

from tileserver.compute.coercion import to_date, to_date_range
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.text.calendar import (
    UNIT_MILLIS,
    added,
    advanced,
    field,
    floored,
    fraction,
    relative,
    unit_of,
    updated,
)
from tileserver.compute.text.dates import ISO, read, written
from tileserver.compute.values.date import (
    MAX_MILLIS,
    MIN_MILLIS,
    Date,
    DateRange,
    millis_of,
    parse_date,
)
from tileserver.errors import InvalidRequest, shown

_ZONE = "timeZone: String = null"


@algorithm(f"Date(value: Object, {_ZONE}) -> Date")
def date(context: Context, value: Any, zone: str | None) -> Date:
    """Return the date of a text, or of milliseconds since 1970."""
    found = parse_date(value, zone) if isinstance(value, str) else to_date(value, context)
    if found is None:
        raise InvalidRequest(f"Expected a date, its text or milliseconds, got {shown(value)}.")
    return found


@algorithm(f"Date.advance(date: Date, delta: Float, unit: String, {_ZONE}) -> Date")
def advance(start: Date, delta: float, unit: str, zone: str | None) -> Date:
    """Return a date so many units later; a fraction is that share of the next unit."""
    return advanced(start, delta, unit_of(unit), zone)


@algorithm("Date.difference(date: Date, start: Date, unit: String) -> Float")
def difference(end: Date, start: Date, unit: str) -> float:
    """Return how many units of average length lie between two dates."""
    return (end.millis - start.millis) / UNIT_MILLIS[unit_of(unit)]


@algorithm(f"Date.format(date: Date, format: String = null, {_ZONE}) -> String")
def format_date(value: Date, pattern: str | None, zone: str | None) -> str:
    """Return a date as text, after a pattern in the letters of Joda-Time."""
    return written(value.moment(zone), pattern or ISO)


@algorithm(f"Date.fromYMD(year: Integer, month: Integer, day: Integer, {_ZONE}) -> Date")
def from_ymd(year: int, month: int, day: int, zone: str | None) -> Date:
    """Return the beginning of a day."""
    start = parse_date("2000-01-01", zone).moment(zone)
    return Date(millis_of(updated(start, {"year": year, "month": month, "day": day})))


@algorithm(f"Date.get(date: Date, unit: String, {_ZONE}) -> Long")
def get(value: Date, unit: str, zone: str | None) -> int:
    """Return a unit of a date; months and weeks begin with 1."""
    return field(value.moment(zone), unit_of(unit))


@algorithm(f"Date.getFraction(date: Date, unit: String, {_ZONE}) -> Float")
def get_fraction(value: Date, unit: str, zone: str | None) -> float:
    """Return how much of a unit has gone by, 0 to 1."""
    return fraction(value, unit_of(unit), zone)


@algorithm(f"Date.getRange(date: Date, unit: String, {_ZONE}) -> DateRange")
def get_range(value: Date, unit: str, zone: str | None) -> DateRange:
    """Return the unit that a date lies in, as a range."""
    start = floored(value.moment(zone), unit_of(unit))
    end = added(start, 1, unit_of(unit))
    return DateRange(Date(millis_of(start)), Date(millis_of(end)))


@algorithm(f"Date.getRelative(date: Date, unit: String, inUnit: String, {_ZONE}) -> Long")
def get_relative(value: Date, unit: str, within: str, zone: str | None) -> int:
    """Return how many units have gone by since a larger one began; 0 if it is not larger."""
    return relative(value.moment(zone), unit_of(unit), unit_of(within))


@algorithm("Date.millis(date: Date) -> Long")
def millis(value: Date) -> int:
    """Return the milliseconds since 1970."""
    return int(value.millis)


@algorithm(f"Date.parse(format: String, date: String, {_ZONE}) -> Date")
def parse(pattern: str, text: str, zone: str | None) -> Date:
    """Return the date of a text, after a pattern in the letters of Joda-Time."""
    return Date(millis_of(read(text, pattern, zone)))


@algorithm("Date.unitRatio(numerator: String, denominator: String) -> Float")
def unit_ratio(numerator: str, denominator: str) -> float:
    """Return how many of a unit another has on average."""
    return UNIT_MILLIS[unit_of(numerator)] / UNIT_MILLIS[unit_of(denominator)]


@algorithm(
    "Date.update(date: Date, year: Integer = null, month: Integer = null, day: Integer = null,"
    f" hour: Integer = null, minute: Integer = null, second: Number = null, {_ZONE}) -> Date"
)
def update(
    value: Date,
    year: int | None,
    month: int | None,
    day: int | None,
    hour: int | None,
    minute: int | None,
    second: float | None,
    zone: str | None,
) -> Date:
    """Return a date with other years, months, days, hours, minutes or seconds."""
    names = ("year", "month", "day", "hour", "minute")
    given = zip(names, (year, month, day, hour, minute), strict=True)
    changes: dict[str, Any] = {name: number for name, number in given if number is not None}
    if second is not None:
        if not math.isfinite(second):
            raise InvalidRequest(f"Expected a finite number of seconds, got {second}.")
        whole = int(second // 1)
        changes |= {"second": whole, "microsecond": int((second - whole) * 1000) * 1000}
    return Date(millis_of(updated(value.moment(zone), changes)))


@algorithm(f"DateRange(start: Object, end: Object = null, {_ZONE}) -> DateRange")
def date_range(context: Context, start: Any, end: Any, zone: str | None) -> DateRange:
    """Return the range from a date to just before another, or to the next millisecond.

    A range in place of the first date is the range itself: `filterDate` hands it over so.
    """
    if isinstance(start, DateRange) and end is None:
        return start
    first = date(context, start, zone)
    last = Date(first.millis + 1) if end is None else date(context, end, zone)
    return DateRange(first, last)


@algorithm("DateRange.unbounded() -> DateRange")
def unbounded() -> DateRange:
    """Return the range of all dates."""
    return DateRange(Date(MIN_MILLIS), Date(MAX_MILLIS))


@algorithm("DateRange.start(dateRange: DateRange) -> Date")
def start_of(value: DateRange) -> Date:
    """Return when a range begins."""
    return value.start


@algorithm("DateRange.end(dateRange: DateRange) -> Date")
def end_of(value: DateRange) -> Date:
    """Return when a range is over."""
    return value.end


@algorithm("DateRange.contains(dateRange: DateRange, other: Object) -> Boolean")
def contains(context: Context, value: DateRange, other: Any) -> bool:
    """Tell whether a date or a range lies within."""
    found = to_date_range(other, context)
    if found is None:
        raise InvalidRequest(f"Expected a Date or a DateRange, got {shown(other)}.")
    if is_empty(found):
        return True
    return value.start.millis <= found.start.millis and found.end.millis <= value.end.millis


@algorithm("DateRange.intersects(dateRange: DateRange, other: DateRange) -> Boolean")
def intersects(value: DateRange, other: DateRange) -> bool:
    """Tell whether two ranges have dates in common."""
    return not is_empty(intersection(value, other))


@algorithm("DateRange.intersection(dateRange: DateRange, other: DateRange) -> DateRange")
def intersection(value: DateRange, other: DateRange) -> DateRange:
    """Return the dates that two ranges have in common."""
    start = max(value.start.millis, other.start.millis)
    end = min(value.end.millis, other.end.millis)
    return DateRange(Date(start), Date(max(start, end)))


@algorithm("DateRange.union(dateRange: DateRange, other: DateRange) -> DateRange")
def union(value: DateRange, other: DateRange) -> DateRange:
    """Return the range of all dates from the first to the last of two ranges."""
    if is_empty(value) or is_empty(other):
        return other if is_empty(value) else value
    start = min(value.start.millis, other.start.millis)
    end = max(value.end.millis, other.end.millis)
    return DateRange(Date(start), Date(end))


@algorithm("DateRange.isEmpty(dateRange: DateRange) -> Boolean")
def is_empty(value: DateRange) -> bool:
    """Tell whether a range has no dates."""
    return value.end.millis <= value.start.millis


@algorithm("DateRange.isUnbounded(dateRange: DateRange) -> Boolean")
def is_unbounded(value: DateRange) -> bool:
    """Tell whether a range has no beginning or no end."""
    return value.start.millis <= MIN_MILLIS or value.end.millis >= MAX_MILLIS
