"""Aggregates of a collection's properties: counted, summed, reduced, put in a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.algorithms.filter.filters import value_of
from tileserver.compute.algorithms.reducer.simple import SIMPLE
from tileserver.compute.algorithms.reducer.tables import frequencies
from tileserver.compute.coercion import collection_geometry
from tileserver.compute.context import Context, check_elements, check_length, check_scanned
from tileserver.compute.registry import algorithm
from tileserver.compute.values.date import plain
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.geometry import UNBOUNDED, Geometry, rectangle
from tileserver.compute.values.image import Projection
from tileserver.compute.values.reducer import Column, Reducer, column_of, weighed
from tileserver.errors import InvalidRequest


def columns_of(collection: Collection, fields: Sequence[str]) -> list[Column]:
    """Return properties of all elements as columns."""
    check_scanned(collection.elements)
    return [
        column_of(plain(value_of(each, field)) for each in collection.elements) for field in fields
    ]


def _simple(reducer: str) -> Callable[[Column], Any]:
    (output,) = SIMPLE[reducer][0]
    return lambda column: output.reduce_columns([column])


def _array(column: Column) -> list[Any]:
    found: list[Any] = column.values[column.valid].tolist()
    return found


def _end(is_last: bool) -> Callable[[Column], Any]:
    def find(column: Column) -> Any:
        values = _array(column)
        if not values:
            return None
        if len({isinstance(value, str) for value in values}) > 1:
            raise InvalidRequest("Numbers and texts cannot be compared.")
        return max(values) if is_last else min(values)

    return find


def _first(column: Column) -> Any:
    return column.values[:1].tolist()[0] if len(column.valid) and column.valid[0] else None


def _stats(column: Column) -> dict[str, Any]:
    values = column.values[column.valid]
    if values.dtype == object:
        raise InvalidRequest("Expected numbers.")
    count = len(values)
    return {
        "max": values.max().item() if count else None,
        "mean": _simple("mean")(column),
        "min": values.min().item() if count else None,
        "sample_sd": _simple("sampleStdDev")(column),
        "sample_var": _simple("sampleVariance")(column),
        "sum": float(values.sum()),
        "sum_sq": float((values.astype(np.float64) ** 2).sum()),
        "total_count": len(column.valid),
        "total_sd": _simple("stdDev")(column),
        "total_var": _simple("variance")(column),
        "valid_count": count,
        "weight_sum": float(count),
        "weighted_sum": float(values.sum()),
    }


AGGREGATES: dict[str, tuple[Callable[[Column], Any], str, str]] = {
    "array": (_array, "List", "the values of a property, null left out"),
    "first": (_first, "<any>", "the property of the first element"),
    "count": (_simple("count"), "Number", "how many elements have a property"),
    "count_distinct": (_simple("countDistinct"), "Number", "how many different values there are"),
    "min": (_end(False), "<any>", "the smallest value of a property"),
    "max": (_end(True), "<any>", "the greatest value of a property"),
    "mean": (_simple("mean"), "Number", "the mean of a property"),
    "sum": (_simple("sum"), "Number", "the sum of a property"),
    "product": (_simple("product"), "Number", "the product of a property"),
    "sample_sd": (_simple("sampleStdDev"), "Number", "the standard deviation of a sample"),
    "sample_var": (_simple("sampleVariance"), "Number", "the variance of a sample"),
    "total_sd": (_simple("stdDev"), "Number", "the standard deviation of a property"),
    "total_var": (_simple("variance"), "Number", "the variance of a property"),
    "stats": (_stats, "Dictionary", "the usual statistics of a property"),
    "histogram": (
        lambda column: frequencies([column]),
        "Dictionary",
        "how often each value of a property comes up",
    ),
}
"""Aggregates by Earth Engine's name: function of a column, type and meaning of the result."""


def _aggregate(reduce: Callable[[Column], Any], collection: Collection, name: str) -> Any:
    return reduce(columns_of(collection, [name])[0])


for _name, (_reduce, _returns, _result) in AGGREGATES.items():
    algorithm(
        f"AggregateFeatureCollection.{_name}(collection: FeatureCollection, property: String)"
        f" -> {_returns}",
        f"Return {_result}.",
    )(partial(_aggregate, _reduce))


@algorithm(
    "Collection.reduceColumns(collection: FeatureCollection, reducer: Reducer, selectors: List,"
    " weightSelectors: List = null) -> Dictionary"
)
def reduce_columns(
    collection: Collection, reducer: Reducer, names: list[Any], weights: list[Any] | None
) -> dict[str, Any]:
    """Return a reducer's results over properties, one for each of its inputs."""
    check_length(len(names), 1000, "selectors")
    columns = columns_of(collection, [str(name) for name in names])
    if weights:
        columns = _with_weights(columns, reducer, collection, weights)
    return reducer.results(columns)


def _with_weights(
    columns: list[Column], reducer: Reducer, collection: Collection, names: list[Any]
) -> list[Column]:
    """Return columns with weights from other properties, one for each weighted input."""
    places = reducer.weighted_inputs
    if len(names) != len(places) or len(columns) < reducer.inputs:
        raise InvalidRequest(
            f"The reducer {reducer.name} has {len(places)} weighted inputs, "
            f"there are {len(names)} weightSelectors."
        )
    found = columns_of(collection, [str(name) for name in names])
    of_place = dict(zip(places, found, strict=True))
    return [
        weighed(column, of_place[place]) if place in of_place else column
        for place, column in enumerate(columns)
    ]


_NO_ERROR = 'ErrorMargin = {"type": "ErrorMargin", "unit": "meters", "value": 0.0}'
_DEGREES = (
    'Projection = {"type": "Projection", "crs": "EPSG:4326",'
    ' "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}'
)


@algorithm(f"Collection.geometry(collection: FeatureCollection, maxError: {_NO_ERROR}) -> Geometry")
def geometry(context: Context, collection: Collection, error: Any) -> Geometry:
    """Return the union of the elements' geometries; the world if one is unbounded."""
    check_elements(len(collection.elements))
    return collection_geometry(collection) or UNBOUNDED


@algorithm(
    f"Collection.bounds(collection: FeatureCollection, maxError: {_NO_ERROR},"
    f" proj: {_DEGREES}) -> Geometry"
)
def bounds(context: Context, collection: Collection, error: Any, projection: Projection) -> Any:
    """Return the bounding rectangle of the elements' geometries, in a projection."""
    whole = geometry(context, collection, error)
    if whole.shape.is_empty:
        return whole
    return rectangle(*whole.in_projection(projection).shape.bounds, projection)
