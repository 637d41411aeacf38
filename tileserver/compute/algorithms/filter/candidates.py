"""Which elements of a secondary collection may match one of a primary one, without trying all.

An index returns places in ascending order, perhaps too many and never too few: the filter itself
decides. Equal values are found in a dictionary, close numbers in a sorted list, geometries in a
tree of boxes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from tileserver.compute.values.date import plain
from tileserver.compute.values.feature import Element
from tileserver.compute.values.filter import Candidates

Operand = Callable[[Element], Any]
Index = Callable[[Sequence[Element]], Candidates]
_OTHER = object()
_DEGREE_M = 110_000.0
"""Less than the metres of any degree of latitude."""


def _key(value: Any) -> Any:
    """Return a key that is the same for values that may be equal."""
    value = plain(value)
    return value if isinstance(value, str | int | float) and value == value else _OTHER


def _members(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list | tuple) else ()


def _equal(left: Operand, right: Operand) -> Index:
    return _by_keys(lambda each: (_key(left(each)),), lambda each: (_key(right(each)),))


def _in_list(left: Operand, right: Operand) -> Index:
    return _by_keys(
        lambda each: (_key(left(each)),), lambda each: {_key(v) for v in _members(right(each))}
    )


def _list_contains(left: Operand, right: Operand) -> Index:
    return _by_keys(
        lambda each: {_key(v) for v in _members(left(each))}, lambda each: (_key(right(each)),)
    )


def _by_keys(
    left_keys: Callable[[Element], Iterable[Any]], right_keys: Callable[[Element], Iterable[Any]]
) -> Index:
    def index(elements: Sequence[Element]) -> Candidates:
        places: dict[Any, list[int]] = {}
        for place, each in enumerate(elements):
            for key in right_keys(each):
                places.setdefault(key, []).append(place)

        def find(element: Element) -> Iterable[int]:
            lists = [places[key] for key in left_keys(element) if key in places]
            return lists[0] if len(lists) == 1 else sorted({p for each in lists for p in each})

        return find

    return index


INDEXES: dict[str, Callable[[Operand, Operand], Index]] = {
    "equals": _equal,
    "eq": _equal,
    "inList": _in_list,
    "listContains": _list_contains,
}
"""Indexes by the name of the filter, made of its two operands."""


def near(left: Operand, right: Operand, difference: float) -> Index:
    """Return the index of numbers that are no further apart than a difference."""

    def index(elements: Sequence[Element]) -> Candidates:
        pairs = [(plain(right(each)), place) for place, each in enumerate(elements)]
        known = sorted((v, p) for v, p in pairs if isinstance(v, int | float) and v == v)
        values = [value for value, _ in known]

        def find(element: Element) -> Iterable[int]:
            value = plain(left(element))
            if not isinstance(value, int | float) or value != value:
                return ()
            # One step more to either side, against the rounding of the ends.
            reach = difference + abs(value) * 1e-12
            first, last = bisect_left(values, value - reach), bisect_right(values, value + reach)
            return sorted(place for _, place in known[first:last])

        return find

    return index


def either(indexes: Sequence[Index]) -> Index:
    """Return the index of what any of several may find."""

    def index(elements: Sequence[Element]) -> Candidates:
        parts = [each(elements) for each in indexes]
        return lambda element: sorted({place for part in parts for place in part(element)})

    return index


def nearby(
    left: Callable[[Element], BaseGeometry | None],
    right: Callable[[Element], BaseGeometry | None],
    reach_m: float,
) -> Index:
    """Return the index of geometries in degrees whose boxes lie within a distance.

    Elements without a geometry are unbounded: they may match all others.
    """

    def index(elements: Sequence[Element]) -> Candidates:
        shapes = [right(each) for each in elements]
        endless = [place for place, shape in enumerate(shapes) if shape is None]
        known = [(place, shape) for place, shape in enumerate(shapes) if shape is not None]
        bounded = [place for place, _ in known]
        tree = shapely.STRtree([shape for _, shape in known])
        everywhere = range(len(elements))

        def find(element: Element) -> Iterable[int]:
            shape = left(element)
            if shape is None:
                return everywhere
            if shape.is_empty:
                return endless
            found = np.concatenate([tree.query(box) for box in _boxes(shape, reach_m)])
            return sorted({*endless, *(bounded[place] for place in found.tolist())})

        return find

    return index


def _boxes(shape: BaseGeometry, reach_m: float) -> list[BaseGeometry]:
    """Return the box around a shape, widened by a distance, and both a turn further."""
    west, south, east, north = shape.bounds
    up = reach_m / _DEGREE_M
    furthest = max(abs(south - up), abs(north + up))
    across = 360.0 if furthest >= 89 else up / math.cos(math.radians(furthest))
    box = shapely.box(west - across, south - up, east + across, north + up)
    return [shapely.affinity.translate(box, turn) for turn in (-360.0, 0.0, 360.0)]
