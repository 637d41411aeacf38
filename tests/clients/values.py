"""Values the official client asks for, and what they are by NumPy, shapely's arithmetic or hand."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tests.clients.rasters import (
    CLOUD_BIT,
    COUNT,
    GRID,
    HEIGHTS,
    HOLES,
    SCENE,
    SERIES,
    SIDE,
    heights,
    holes,
    millis,
    scene,
    series,
    start_of,
)

WEST, NORTH = GRID.transform.translate_x, GRID.transform.translate_y
UTM = "EPSG:32612"
RED, NIR = scene()[2], scene()[3]
S, HOLE, HIGH = series(), holes(), heights()


class Value(NamedTuple):
    """What is asked, and what it must be."""

    name: str
    build: Callable[[ModuleType], Any]
    expected: Any


def box(ee: ModuleType, left: int, top: int, right: int, bottom: int) -> Any:
    """Return a rectangle of GRID's pixels as a geometry."""
    x = [WEST + 30 * left, WEST + 30 * right]
    y = [NORTH - 30 * bottom, NORTH - 30 * top]
    return ee.Geometry.Rectangle([x[0], y[0], x[1], y[1]], UTM, False)


def whole(ee: ModuleType) -> Any:
    """Return all of GRID as a geometry."""
    return box(ee, 0, 0, SIDE, SIDE)


def reduced(
    reducer: str | Callable[[ModuleType], Any], asset: str, *band: str
) -> Callable[[ModuleType], Any]:
    """Return what asks for a reducer over a part of an image."""

    def build(ee: ModuleType) -> Any:
        chosen = getattr(ee.Reducer, reducer)() if isinstance(reducer, str) else reducer(ee)
        image = ee.Image(asset).select(list(band)) if band else ee.Image(asset)
        return image.reduceRegion(reducer=chosen, geometry=box(ee, 10, 20, 50, 40), scale=30)

    return build


def part(values: Any) -> Any:
    """Return of an array (height, width) what `reduced` covers."""
    return values[20:40, 10:50]


def mean_of_each(ee: ModuleType) -> Any:
    """Return the mean of each image's clear pixels, computed in a map."""

    def tell(image: Any) -> Any:
        clear = image.updateMask(image.select("QA60").bitwiseAnd(CLOUD_BIT).eq(0))
        found = clear.select("B4").reduceRegion(ee.Reducer.mean(), whole(ee), 30)
        return image.set("clear_mean", found.get("B4"))

    return ee.ImageCollection(SERIES).map(tell).aggregate_array("clear_mean")


CLEAR_MEANS = [float(S[i, 0][(S[i, 2] & CLOUD_BIT) == 0].mean()) for i in range(COUNT)]

IMAGES = (
    Value("band names", lambda ee: ee.Image(SCENE).bandNames(), ["B2", "B3", "B4", "B8"]),
    Value("a property", lambda ee: ee.Image(SCENE).get("CLOUD_COVER"), 3.25),
    Value(
        "several properties",
        lambda ee: ee.Image(SCENE).toDictionary(["SENSOR", "CLOUD_COVER"]),
        {"SENSOR": "made up", "CLOUD_COVER": 3.25},
    ),
    Value(
        "when it was taken",
        lambda ee: ee.Image(SCENE).date().format("YYYY-MM-dd HH:mm:ss"),
        "2020-06-01 18:49:19",
    ),
    Value("its index", lambda ee: ee.Image(SCENE).get("system:index"), "scene"),
    Value("its id", lambda ee: ee.Image(SCENE).id(), "scene"),
    Value(
        "its projection",
        lambda ee: ee.Image(SCENE).projection(),
        {"type": "Projection", "crs": UTM, "transform": [30, 0, WEST, 0, -30, NORTH]},
    ),
    Value("its scale", lambda ee: ee.Image(SCENE).projection().nominalScale(), 30),
    Value(
        "a scale in degrees",
        lambda ee: ee.Projection("EPSG:4326").atScale(10),
        {
            "type": "Projection",
            "crs": "EPSG:4326",
            "transform": [8.983152841195215e-05, 0, 0, 0, 8.983152841195215e-05, 0],
        },
    ),
    Value("a code", lambda ee: ee.Projection("EPSG:3857").crs(), "EPSG:3857"),
    Value(
        "types after arithmetic",
        lambda ee: ee.Image(SCENE).select("B2").toByte().add(1).bandTypes(),
        {"B2": {"type": "PixelType", "precision": "int", "min": 1, "max": 256}},
    ),
)
COLLECTIONS = (
    Value("size", lambda ee: ee.ImageCollection(SERIES).size(), COUNT),
    Value(
        "size in a time, end exclusive",
        lambda ee: ee.ImageCollection(SERIES).filterDate("2020-04-11", "2020-05-01").size(),
        2,
    ),
    Value(
        "filter by a property",
        lambda ee: (
            ee.ImageCollection(SERIES).filter(ee.Filter.lt("CLOUD", 25)).aggregate_array("NAME")
        ),
        ["t3", "t4", "t5"],
    ),
    Value(
        "filters together",
        lambda ee: (
            ee.ImageCollection(SERIES)
            .filter(ee.Filter.Or(ee.Filter.eq("NAME", "t0"), ee.Filter.gt("CLOUD", 35)))
            .filterMetadata("CLOUD", "less_than", 50)
            .aggregate_array("NAME")
        ),
        ["t1"],
    ),
    Value(
        "filter by place, found",
        lambda ee: (
            ee.ImageCollection(SERIES).filterBounds(ee.Geometry.Point(-112.17, 40.63)).size()
        ),
        COUNT,
    ),
    Value(
        "filter by place, not found",
        lambda ee: ee.ImageCollection(SERIES).filterBounds(ee.Geometry.Point(7, 50)).size(),
        0,
    ),
    Value(
        "sort",
        lambda ee: ee.ImageCollection(SERIES).sort("CLOUD").aggregate_array("CLOUD"),
        [0, 10, 20, 30, 40, 50],
    ),
    Value(
        "sort downwards, limit",
        lambda ee: ee.ImageCollection(SERIES).limit(2, "CLOUD", False).aggregate_array("NAME"),
        ["t0", "t1"],
    ),
    Value(
        "first of a sorted one",
        lambda ee: ee.ImageCollection(SERIES).sort("system:time_start", False).first().get("NAME"),
        "t5",
    ),
    Value("mean of a property", lambda ee: ee.ImageCollection(SERIES).aggregate_mean("CLOUD"), 25),
    Value(
        "extremes of a property",
        lambda ee: ee.ImageCollection(SERIES).reduceColumns(ee.Reducer.minMax(), ["CLOUD"]),
        {"min": 0, "max": 50},
    ),
    Value(
        "a list of it",
        lambda ee: ee.Image(ee.ImageCollection(SERIES).toList(2, 3).get(1)).get("NAME"),
        "t4",
    ),
    Value(
        "map",
        lambda ee: (
            ee.ImageCollection(SERIES)
            .map(lambda image: image.set("twice", ee.Number(image.get("CLOUD")).multiply(2)))
            .aggregate_array("twice")
        ),
        [100, 80, 60, 40, 20, 0],
    ),
    Value(
        "iterate",
        lambda ee: ee.ImageCollection(SERIES).iterate(
            lambda image, sofar: ee.Number(sofar).add(image.getNumber("CLOUD")), 1
        ),
        151,
    ),
    Value(
        "times",
        lambda ee: ee.ImageCollection(SERIES).aggregate_array("system:time_start"),
        [millis(start_of(i)) for i in range(COUNT)],
    ),
    Value("a number of each, of pixels", mean_of_each, CLEAR_MEANS),
    Value(
        "merged",
        lambda ee: ee.ImageCollection(SERIES).merge(ee.ImageCollection([ee.Image(SCENE)])).size(),
        COUNT + 1,
    ),
    Value(
        "features",
        lambda ee: (
            ee.FeatureCollection([ee.Feature(ee.Geometry.Point(i, i), {"n": i}) for i in (3, 1, 2)])
            .filter(ee.Filter.gte("n", 2))
            .sort("n")
            .aggregate_array("n")
        ),
        [2, 3],
    ),
)
REGIONS = (
    Value("mean", reduced("mean", SCENE, "B4"), {"B4": float(part(RED).mean())}),
    Value(
        "sum of two bands",
        reduced("sum", SCENE, "B4", "B8"),
        {"B4": float(part(RED).sum()), "B8": float(part(NIR).sum())},
    ),
    Value(
        "median",
        reduced("median", HEIGHTS),
        {"elevation": float(np.median(part(HIGH).compressed()))},
    ),
    Value("count of what is not masked", reduced("count", HOLES), {"b1": part(HOLE).count()}),
    Value(
        "least and greatest",
        reduced("minMax", HOLES),
        {"b1_min": int(part(HOLE).min()), "b1_max": int(part(HOLE).max())},
    ),
    Value(
        "standard deviation",
        reduced("stdDev", HOLES),
        {"b1": float(part(HOLE).astype(float).std())},
    ),
    Value(
        "several at once",
        reduced(
            lambda ee: ee.Reducer.mean().combine(ee.Reducer.max(), sharedInputs=True), SCENE, "B8"
        ),
        {"B8_mean": float(part(NIR).mean()), "B8_max": int(part(NIR).max())},
    ),
    Value(
        "how often each value is there",
        lambda ee: (
            ee.Image(SCENE)
            .select("B4")
            .mod(3)
            .reduceRegion(ee.Reducer.frequencyHistogram(), box(ee, 10, 20, 50, 40), 30)
        ),
        {"B4": {str(i): int((part(RED) % 3 == i).sum()) for i in range(3)}},
    ),
    Value(
        "a histogram",
        reduced(lambda ee: ee.Reducer.fixedHistogram(0, 4000, 4), SCENE, "B4"),
        {
            "B4": [
                [1000.0 * i, int(((part(RED) >= 1000 * i) & (part(RED) < 1000 * (i + 1))).sum())]
                for i in range(4)
            ]
        },
    ),
    Value(
        "of features",
        lambda ee: (
            ee.Image(SCENE)
            .select("B8")
            .reduceRegions(
                ee.FeatureCollection([box(ee, 0, 0, 8, 8), box(ee, 8, 8, 16, 32)]),
                ee.Reducer.mean(),
                30,
            )
            .aggregate_array("mean")
        ),
        [float(NIR[:8, :8].mean()), float(NIR[8:32, 8:16].mean())],
    ),
    Value(
        "at a point",
        lambda ee: ee.Image(SCENE).reduceRegion(
            ee.Reducer.first(), ee.Geometry.Point([WEST + 165, NORTH - 45], UTM), 30
        ),
        dict(zip(("B2", "B3", "B4", "B8"), scene()[:, 1, 5].tolist(), strict=True)),
    ),
    Value(
        "a sample",
        lambda ee: ee.Image(HOLES).sample(box(ee, 0, 0, 3, 2), 30).aggregate_array("b1"),
        HOLE[:2, :3].compressed().tolist(),
    ),
)
