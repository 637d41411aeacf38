"""Values without rasters: geometries, dates, lists, dictionaries, numbers, strings."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from tests.clients.rasters import millis
from tests.clients.values import Value

RADIUS_M = 6371008.8
"""Of a sphere as large as the Earth; enough to a third of a percent."""
DEGREE_M = math.pi / 180 * RADIUS_M
JUNE = millis(datetime(2020, 6, 1, tzinfo=UTC))

GEOMETRIES = (
    Value(
        "a point",
        lambda ee: ee.Geometry.Point(-121.5, 38.0),
        {"type": "Point", "coordinates": [-121.5, 38]},
    ),
    Value(
        "corners",
        lambda ee: ee.Geometry.LineString([[0, 1], [2, 3]]).bounds().coordinates(),
        [[[0, 1], [2, 1], [2, 3], [0, 3], [0, 1]]],
    ),
    Value(
        "contains",
        lambda ee: ee.Geometry.Rectangle([0, 0, 2, 2]).contains(ee.Geometry.Point(1, 1), 1),
        True,
    ),
    Value(
        "intersection's type",
        lambda ee: (
            ee.Geometry.Rectangle([0, 0, 2, 2])
            .intersection(ee.Geometry.Rectangle([1, 1, 3, 3]), 1)
            .type()
        ),
        "Polygon",
    ),
    Value(
        "in the plane",
        lambda ee: ee.Geometry.Rectangle([0, 0, 30, 40], "EPSG:32612", False).area(1, "EPSG:32612"),
        1200,
    ),
    Value(
        "a feature",
        lambda ee: ee.Feature(ee.Geometry.Point(1, 2), {"a": 1}).set("b", "x").toDictionary(),
        {"a": 1, "b": "x"},
    ),
)
NEAR = (
    Value(
        "distance",
        lambda ee: ee.Geometry.Point(0, 0).distance(ee.Geometry.Point(0, 1), 1),
        DEGREE_M,
    ),
    Value(
        "area",
        lambda ee: ee.Geometry.Rectangle([0, 0, 1, 1]).area(1),
        RADIUS_M**2 * math.radians(1) * math.sin(math.radians(1)),
    ),
    Value(
        "area of a disc",
        lambda ee: ee.Geometry.Point(-112, 40.6).buffer(1000).area(1),
        math.pi * 1e6,
    ),
)
"""To one percent: the Earth is no sphere, and a disc is a polygon."""
DATES = (
    Value("a date", lambda ee: ee.Date("2020-06-01"), {"type": "Date", "value": JUNE}),
    Value(
        "advance",
        lambda ee: ee.Date("2020-01-31").advance(1, "month").format("YYYY-MM-dd"),
        "2020-02-29",
    ),
    Value(
        "difference", lambda ee: ee.Date("2020-03-01").difference(ee.Date("2020-02-01"), "day"), 29
    ),
    Value("get", lambda ee: ee.Date("2020-06-15").get("month"), 6),
    Value("millis", lambda ee: ee.Date.fromYMD(2020, 6, 1).millis(), JUNE),
    Value("range", lambda ee: ee.Date("2020-06-15").getRange("month").start().format("dd"), "01"),
)
LISTS = (
    Value("sequence", lambda ee: ee.List.sequence(1, 9, 2), [1, 3, 5, 7, 9]),
    Value("map", lambda ee: ee.List([1, 2, 3]).map(lambda n: ee.Number(n).multiply(n)), [1, 4, 9]),
    Value("sort and slice", lambda ee: ee.List([3, 1, 2]).sort().slice(1), [2, 3]),
    Value("zip", lambda ee: ee.List([1, 2]).zip(ee.List(["a", "b"])), [[1, "a"], [2, "b"]]),
    Value("reduce", lambda ee: ee.List([1, 2, 6]).reduce(ee.Reducer.mean()), 3),
    Value(
        "reduce pairs",
        lambda ee: ee.List([[1, 3], [2, 5], [3, 7]]).reduce(ee.Reducer.linearFit()),
        {"scale": 2.0, "offset": 1.0},
    ),
    Value("get from behind", lambda ee: ee.List([1, 2, 3]).get(-1), 3),
)
DICTIONARIES = (
    Value("keys", lambda ee: ee.Dictionary({"b": 1, "a": 2}).keys(), ["a", "b"]),
    Value(
        "combine",
        lambda ee: ee.Dictionary({"a": 1}).combine({"a": 5, "b": 2}, False),
        {"a": 1, "b": 2},
    ),
    Value(
        "map",
        lambda ee: ee.Dictionary({"a": 1, "b": 2}).map(lambda _, v: ee.Number(v).add(1)),
        {"a": 2, "b": 3},
    ),
)
NUMBERS = (
    Value("arithmetic", lambda ee: ee.Number(7).divide(2).floor().pow(2), 9),
    Value("modulus", lambda ee: ee.Number(-7).mod(3), -1),
    Value("format", lambda ee: ee.Number(3.14159).format("%.2f"), "3.14"),
    Value("a condition", lambda ee: ee.Algorithms.If(ee.Number(1).gt(2), "yes", "no"), "no"),
)
STRINGS = (
    Value("cat", lambda ee: ee.String("a").cat("b").toUpperCase(), "AB"),
    Value("split", lambda ee: ee.String("2020_06_01").split("_"), ["2020", "06", "01"]),
    Value("replace", lambda ee: ee.String("B4_mean").replace("_mean$", ""), "B4"),
)
EXACT = (*GEOMETRIES, *DATES, *LISTS, *DICTIONARIES, *NUMBERS, *STRINGS)
