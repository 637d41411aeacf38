"""Filters of collections by the properties, time and geometry of an element.

One operand is a field of the element, the other a value or another field. An element without the
property does not pass any comparison; `not` lets it pass. Numbers compare with numbers (a date is
its milliseconds), texts with texts. Other pairs are not equal and do not pass.

Clients leave out an argument that is null, so equality of a field alone compares it with null:
`ee.Filter.neq("x", None)`, as Google's guide of grouped reductions has it, keeps those with x.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from tileserver.compute.algorithms.filter.candidates import INDEXES, either, near
from tileserver.compute.algorithms.filter.narrowing import (
    narrowed,
    narrowed_by_all,
    narrowed_by_any,
)
from tileserver.compute.coercion import object_type, to_date, to_date_range, type_of
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.date import Date, plain
from tileserver.compute.values.equality import is_same
from tileserver.compute.values.feature import Element, geometry_of, property_of
from tileserver.compute.values.filter import Filter, Measure
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import TIME_START
from tileserver.errors import InvalidRequest, shown

OPERANDS = (
    "leftField: String = null, rightValue: Object = null,"
    " rightField: String = null, leftValue: Object = null"
)
_PLACES = (".all", ".geo")
_EQUALITIES = ("equals", "eq", "notEquals", "neq")
_MAX_DEPTH, _MAX_SIZE = 100, 10_000
Operand = Callable[[Element], Any]
Test = Callable[[Any, Any], bool]


def value_of(element: Element, field: str) -> Any:
    """Return a property of an element, or its geometry; None if it has none."""
    if field in _PLACES:
        return geometry_of(element)
    return property_of(element, field)


def compared(
    name: str, test: Test, *operands: Any, measure: Callable[[Any, Any], Any] | None = None
) -> Filter:
    """Return the filter of elements that pass a test of two operands, neither of them null.

    Raises:
        InvalidRequest: an operand is missing, or given twice.
    """
    left_field, right_value, right_field, left_value = operands
    if name in _EQUALITIES and left_field is not None and operands[1:] == (None, None, None):
        wants_null = not name.startswith("n")
        return Filter(lambda first, _: (value_of(first, left_field) is None) is wants_null, name)
    left = _operand(left_field, left_value, "left")
    right = _operand(right_field, right_value, "right")

    def passes(first: Element, second: Element) -> bool:
        a, b = left(first), right(second)
        return a is not None and b is not None and bool(test(a, b))

    index = INDEXES.get(name)
    candidates = None if index is None or None in (left_field, right_field) else index(left, right)
    apart = None if measure is None else (lambda x, y: measure(left(x), right(y)))
    is_of_column = left_field is not None and right_value is not None
    narrow = narrowed(name, left_field, right_value) if is_of_column else None
    return Filter(passes, name, measure=apart, candidates=candidates, narrow=narrow)


def _operand(field: str | None, value: Any, side: str) -> Operand:
    if (field is None) == (value is None):
        raise InvalidRequest(f"Expected either {side}Field or {side}Value.")
    if field is None:
        return lambda element: value
    return lambda element: value_of(element, field)


def _comparable(a: Any, b: Any) -> bool:
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    return numbers or (isinstance(a, str) and isinstance(b, str))


def _ordered(test: Test) -> Test:
    def compare(a: Any, b: Any) -> bool:
        a, b = plain(a), plain(b)
        return _comparable(a, b) and test(a, b)

    return compare


def _equal(a: Any, b: Any) -> bool:
    a, b = plain(a), plain(b)
    if _comparable(a, b):
        return bool(a == b)
    # Lists of lists that share their parts have no end for Python's own comparison.
    return is_same(a, b)


def _in(values: Any, value: Any) -> bool:
    return isinstance(values, list | tuple) and any(_equal(each, value) for each in values)


def _texts(test: Callable[[str, str], bool]) -> Test:
    return lambda a, b: isinstance(a, str) and isinstance(b, str) and test(a, b)


def _has_type(value: Any, name: Any) -> bool:
    """Tell whether a value is of a type; a geometry has that of its shape too, as `Point`."""
    kinds = {type_of(value), object_type(value), "Object"}
    if isinstance(value, Geometry):
        kinds.add(str(value.to_json()["type"]))
    if hasattr(value, "properties"):
        kinds.add("Element")
    return name in kinds


COMPARISONS: dict[str, tuple[Test, str]] = {
    "equals": (_equal, "are equal"),
    "eq": (_equal, "are equal"),
    "notEquals": (lambda a, b: not _equal(a, b), "differ"),
    "neq": (lambda a, b: not _equal(a, b), "differ"),
    "lessThan": (_ordered(lambda a, b: a < b), "are in order, the left one smaller"),
    "lt": (_ordered(lambda a, b: a < b), "are in order, the left one smaller"),
    "lessThanOrEquals": (_ordered(lambda a, b: a <= b), "are in order or equal"),
    "lte": (_ordered(lambda a, b: a <= b), "are in order or equal"),
    "greaterThan": (_ordered(lambda a, b: a > b), "are in order, the left one greater"),
    "gt": (_ordered(lambda a, b: a > b), "are in order, the left one greater"),
    "greaterThanOrEquals": (_ordered(lambda a, b: a >= b), "are in reverse order or equal"),
    "gte": (_ordered(lambda a, b: a >= b), "are in reverse order or equal"),
    "stringContains": (_texts(lambda a, b: b in a), "are texts, the right one in the left one"),
    "stringStartsWith": (_texts(str.startswith), "are texts, the left one beginning so"),
    "stringEndsWith": (_texts(str.endswith), "are texts, the left one ending so"),
    "listContains": (_in, "are a list and one of its members"),
    "inList": (lambda a, b: _in(b, a), "are a member and its list"),
    "hasType": (_has_type, "are a value and the name of its type"),
}
"""Filters of two operands by Earth Engine's name: the test, and its condition in words."""


for _name, (_test, _when) in COMPARISONS.items():
    algorithm(
        f"Filter.{_name}({OPERANDS}) -> Filter",
        f"Return the filter that passes if the operands {_when}.",
    )(partial(compared, _name, _test))


@algorithm(f"Filter.maxDifference(difference: Float, {OPERANDS}) -> Filter")
def max_difference(difference: float, *operands: Any) -> Filter:
    """Return the filter that passes if the operands are no further apart than that."""
    within = _ordered(lambda a, b: not isinstance(a, str) and abs(a - b) <= difference)
    found = compared(
        "maxDifference", within, *operands, measure=lambda a, b: abs(plain(a) - plain(b))
    )
    if operands[0] is None or operands[2] is None:
        return found
    left, right = (_operand(operands[place], None, "") for place in (0, 2))
    return replace(found, candidates=near(left, right, difference))


@algorithm(f"Filter.dateRangeContains({OPERANDS}) -> Filter")
def date_range_contains(
    context: Context, left_field: Any, right_value: Any, right_field: Any, left_value: Any
) -> Filter:
    """Return the filter that passes if the left range of dates holds the right date."""

    def holds(span: Any, moment: Any) -> bool:
        date = None if isinstance(moment, str) else to_date(moment, context)
        found = to_date_range(span, context)
        return found is not None and date is not None and found.holds(date.millis)

    if left_value is not None and to_date_range(left_value, context) is None:
        raise InvalidRequest(f"Expected a range of dates, got {shown(left_value)}.")
    return compared("dateRangeContains", holds, left_field, right_value, right_field, left_value)


@algorithm("Filter.rangeContains(field: String, minValue: Object, maxValue: Object) -> Filter")
def range_contains(field: str, low: Any, high: Any) -> Filter:
    """Return the filter that passes if a property lies in a range, its ends included."""
    within = _ordered(lambda a, b: a <= b)
    ends = [narrowed("gte", field, low), narrowed("lte", field, high)]
    return Filter(
        lambda element, _: (
            within(low, value_of(element, field)) and within(value_of(element, field), high)
        ),
        "rangeContains",
        narrow=narrowed_by_all(ends),
    )


@algorithm("Filter.notNull(properties: List) -> Filter")
def not_null(names: list[Any]) -> Filter:
    """Return the filter that passes if the element has all these properties."""
    fields = [name for name in names if isinstance(name, str)]
    return Filter(
        lambda element, _: all(value_of(element, field) is not None for field in fields), "notNull"
    )


_FIELDS: Mapping[str, Callable[[datetime], int]] = {
    "year": lambda t: t.year,
    "month": lambda t: t.month,
    "hour": lambda t: t.hour,
    "minute": lambda t: t.minute,
    "day_of_year": lambda t: t.timetuple().tm_yday,
    "day_of_month": lambda t: t.day,
    "day_of_week": lambda t: t.isoweekday(),
}


@algorithm(
    "Filter.calendarRange(start: Integer, end: Integer = null,"
    ' field: String = "day_of_year") -> Filter'
)
def calendar_range(start: int, end: int | None, field: str) -> Filter:
    """Return the filter that passes if a part of the element's UTC time lies in a range.

    Both ends are included; a range that ends before it starts wraps around.
    """
    part = _FIELDS.get(field)
    if part is None:
        raise InvalidRequest(f"field must be one of {', '.join(_FIELDS)}, got {shown(field)}.")
    last = start if end is None else end

    def passes(element: Element, _: Element) -> bool:
        millis = plain(element.properties.get(TIME_START))
        if not isinstance(millis, int | float):
            return False
        value = part(Date(millis).moment())
        return start <= value <= last if start <= last else value >= start or value <= last

    return Filter(passes, "calendarRange")


@algorithm("Filter.dayOfYear(start: Integer, end: Integer) -> Filter")
def day_of_year(start: int, end: int) -> Filter:
    """Return the filter that passes if the element's day of the year lies in a range."""
    return calendar_range(start, end, "day_of_year")


@algorithm("Filter.and(filters: List) -> Filter")
def all_of(filters: list[Any]) -> Filter:
    """Return the filter that passes if all of these do."""
    found = _joined("and", all, filters)
    pairs = next((f.candidates for f in filters if f.candidates), None)
    narrow = narrowed_by_all([each.narrow for each in filters])
    return replace(found, candidates=pairs, narrow=narrow)


@algorithm("Filter.or(filters: List) -> Filter")
def any_of(filters: list[Any]) -> Filter:
    """Return the filter that passes if one of these does."""
    found = _joined("or", any, filters)
    parts = [each.candidates for each in filters if each.candidates is not None]
    pairs = either(parts) if len(parts) == len(filters) else None
    narrow = narrowed_by_any([each.narrow for each in filters])
    return replace(found, candidates=pairs, narrow=narrow)


@algorithm("Filter.not(filter: Filter) -> Filter")
def not_(other: Filter) -> Filter:
    """Return the filter that passes if another does not."""
    return replace(_joined("not", lambda answers: not all(answers), [other]), measure=None)


def _joined(name: str, join: Callable[[Iterable[bool]], bool], filters: list[Any]) -> Filter:
    if wrong := [each for each in filters if not isinstance(each, Filter)]:
        raise InvalidRequest(f"Expected filters, got {type_of(wrong[0])}.")
    if not filters:
        raise InvalidRequest("Expected one filter or more.")
    depth = 1 + max(each.depth for each in filters)
    size = 1 + sum(each.size for each in filters)
    if depth > _MAX_DEPTH or size > _MAX_SIZE:
        raise InvalidRequest("Filters are nested too deeply.")

    def passes(left: Element, right: Element) -> bool:
        return join(each.passes(left, right) for each in filters)

    return Filter(passes, name, depth, size, _measured(filters))


def _measured(filters: list[Filter]) -> Measure | None:
    """Return the measure of the first filter that has one and passes."""
    able = [each for each in filters if each.measure is not None]

    def measure(left: Element, right: Element) -> float | None:
        for each in able:
            if each.measure is not None and each.passes(left, right):
                return each.measure(left, right)
        return None

    return measure if able else None


@algorithm("Filter.always() -> Filter", hidden=True)
def always() -> Filter:
    """Return the filter that passes everything."""
    return Filter(lambda left, right: True, "always")


@algorithm("Filter.never() -> Filter", hidden=True)
def never() -> Filter:
    """Return the filter that passes nothing."""
    return Filter(lambda left, right: False, "never")


@algorithm("Filter.hasGeometry() -> Filter", hidden=True)
def has_geometry() -> Filter:
    """Return the filter of elements that have a geometry."""
    return Filter(lambda element, _: geometry_of(element) is not None, "hasGeometry")
