"""Filters of collections by the geometry of elements.

Geometries are compared in longitude and latitude, with great circles followed to a metre; distances
are metres on the sphere, as those of `Geometry.distance`. `maxError` is ignored. An element without
a geometry, such as a constant image, is unbounded. Footprints may reach past 180 degrees;
longitudes that differ by 360 degrees are the same place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from tileserver.compute.algorithms.filter.candidates import nearby
from tileserver.compute.algorithms.filter.filters import OPERANDS, value_of
from tileserver.compute.algorithms.filter.narrowing import narrowed_by_place
from tileserver.compute.coercion import to_geometry
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.antimeridian import beside, leaves_map, on_map, related
from tileserver.compute.values.feature import Element, Feature
from tileserver.compute.values.filter import Filter
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.geometry_limits import check_pairs
from tileserver.compute.values.sphere import area_m2, length_m
from tileserver.errors import InvalidRequest, shown

Relation = Callable[[BaseGeometry, BaseGeometry], bool]
_ERROR = 'ErrorMargin = {"type": "ErrorMargin", "unit": "meters", "value": 0.1}'
_TURN = 360.0


def meeting(relation: Relation, a: BaseGeometry, b: BaseGeometry) -> bool:
    """Tell whether a relation holds between two shapes in degrees, or 360 degrees apart."""
    if relation(a, b):
        return True
    reach = [*a.bounds[::2], *b.bounds[::2]]
    if not any(abs(x) > 180 for x in reach):
        return False
    return any(relation(_turned(a, by), b) for by in (-_TURN, _TURN))


def _turned(shape: BaseGeometry, by: float) -> BaseGeometry:
    return shapely.transform(shape, lambda points: points + np.array([by, 0.0]))


def _related(
    name: str, relation: Relation, everywhere: bool, *operands: Any, reach_m: float = 0.0
) -> Filter:
    """Return the filter of two geometries; `everywhere` is the result for an unbounded one.

    `reach_m` is how far apart two geometries may be that have the relation.
    """
    left_field, right_value, right_field, left_value, context = operands
    left = _place(context, left_field, left_value, "left")
    right = _place(context, right_field, right_value, "right")

    def passes(first: Element, second: Element) -> bool:
        a, b = left(first), right(second)
        return everywhere if a is None or b is None else meeting(relation, a, b)

    is_join = None not in (left_field, right_field)
    is_of_place = left_field in (".geo", ".all") and right_value is not None and not reach_m
    shape = right(Feature(None)) if is_of_place else None
    return Filter(
        passes,
        name,
        candidates=nearby(left, right, reach_m) if is_join else None,
        # None of the relations holds between shapes that are apart.
        narrow=None if shape is None else narrowed_by_place(shape),
    )


def _place(
    context: Context, field: str | None, value: Any, side: str
) -> Callable[[Element], BaseGeometry | None]:
    if (field is None) == (value is None):
        raise InvalidRequest(f"Expected either {side}Field or {side}Value.")
    if field is None:
        shape = _constant_shape(context, value)
        return lambda element: shape

    def of_element(element: Element) -> BaseGeometry | None:
        context.budget.check_time()
        found = value_of(element, field)
        return _shape(to_geometry(found, context))

    return of_element


def _constant_shape(context: Context, value: Any) -> BaseGeometry | None:
    shape = _shape(to_geometry(value, context))
    if shape is None and not hasattr(value, "properties"):
        raise InvalidRequest(f"Expected a geometry, got {shown(value)}.")
    if shape is not None:
        shapely.prepare(shape)
    return shape


def _shape(geometry: Geometry | None) -> BaseGeometry | None:
    return None if geometry is None else on_map(geometry.in_degrees(), 360.0)


def _meets(a: BaseGeometry, b: BaseGeometry) -> bool:
    """Tell whether two shapes on the map meet, at the antimeridian too."""
    if shapely.intersects(b, a):
        return True
    if not (leaves_map(a, 360.0) and leaves_map(b, 360.0)):
        return False
    return any(shapely.intersects(b, translate(a, turn)) for turn in (-360.0, 360.0))


def _holds(a: BaseGeometry, b: BaseGeometry) -> bool:
    if b.is_empty:
        return False
    if shapely.covers(a, b):
        return True
    return leaves_map(b, 360.0) and related("covers", a, b, 360.0)


RELATIONS: dict[str, tuple[Relation, bool, str]] = {
    "intersects": (_meets, True, "meets the right one"),
    "contains": (_holds, True, "holds the right one"),
    "isContained": (lambda a, b: _holds(b, a), False, "lies within the right one"),
}
"""Filters of two geometries: relation, result if one is unbounded, and condition in words."""


def _register(name: str, relation: Relation, everywhere: bool, when: str) -> None:
    @algorithm(
        f"Filter.{name}({OPERANDS}, maxError: {_ERROR}) -> Filter",
        f"Return the filter that passes if the left geometry {when}.",
    )
    def build(context: Context, *operands: Any) -> Filter:
        return _related(name, relation, everywhere, *operands[:4], context)


for _name, _entry in RELATIONS.items():
    _register(_name, *_entry)


@algorithm(f"Filter.disjoint({OPERANDS}, maxError: {_ERROR}) -> Filter")
def disjoint(context: Context, *operands: Any) -> Filter:
    """Return the filter that passes if the geometries have no point in common."""
    met = _related("disjoint", RELATIONS["intersects"][0], True, *operands[:4], context)
    return Filter(lambda left, right: not met.passes(left, right), "disjoint")


@algorithm(f"Filter.withinDistance(distance: Float, {OPERANDS}, maxError: {_ERROR}) -> Filter")
def within_distance(context: Context, distance: float, *operands: Any) -> Filter:
    """Return the filter that passes if the geometries are so many metres apart, or fewer."""

    def apart(a: BaseGeometry, b: BaseGeometry) -> float:
        if a.is_empty or b.is_empty:
            return math.inf
        check_pairs(a, b)
        return length_m(shapely.shortest_line(a, beside(a, b, 360.0)), True)

    left = _place(context, operands[0], operands[3], "left")
    right = _place(context, operands[2], operands[1], "right")

    def measure(first: Element, second: Element) -> float | None:
        a, b = left(first), right(second)
        return None if a is None or b is None else apart(a, b)

    found = _related(
        "withinDistance",
        lambda a, b: apart(a, b) <= distance,
        True,
        *operands[:4],
        context,
        reach_m=distance,
    )
    return replace(found, measure=measure)


@algorithm(
    "Filter.area(min: Float, max: Float, maxError: ErrorMargin = null,"
    " geometrySelector: String = null) -> Filter"
)
def area(low: float, high: float, error: Any, field: str | None) -> Filter:
    """Return the filter that passes if the geometry has so many square metres."""

    def passes(element: Element, _: Element) -> bool:
        found = _shape(value_of(element, field or ".geo"))
        return found is not None and low <= area_m2(found, False) <= high

    return Filter(passes, "area")
