"""Images the official client computes, and their pixels by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray

from tests.clients.conftest import Served
from tests.clients.rasters import (
    BYTES,
    CLOUD_BIT,
    GRID,
    HEIGHTS,
    HOLES,
    SCENE,
    SERIES,
    SIDE,
    heights,
    holes,
    picture,
    scene,
    series,
)
from tests.clients.values import UTM, box

Masked = np.ma.MaskedArray[Any, Any]
BLUE, GREEN, RED, NIR = np.ma.masked_array(scene(), False)
HOLE, HIGH, RGB = holes(), heights(), picture()
masked: Any = np.ma
"""NumPy has no types for most of it."""
CLOUDY = (series()[:, 2] & CLOUD_BIT) != 0
B4S = np.ma.masked_array(series()[:, 0], CLOUDY)
B8S = np.ma.masked_array(series()[:, 1], CLOUDY)
INSIDE: NDArray[np.bool_] = np.zeros((SIDE, SIDE), bool)
INSIDE[20:40, 10:50] = True


class Computed(NamedTuple):
    """What is computed, and its bands, each of shape (SIDE, SIDE)."""

    name: str
    build: Callable[[ModuleType], Any]
    expected: Callable[[Served], dict[str, Masked]]


def ndvi(nir: Any, red: Any) -> Masked:
    """Return (nir - red) / (nir + red), masked where that is nothing."""
    nir, red = np.ma.asarray(nir, np.float64), np.ma.asarray(red, np.float64)
    return np.ma.masked_invalid((nir - red) / (nir + red))


def clear(ee: ModuleType, *bands: str) -> Any:
    """Return SERIES without clouds, by its band QA60."""

    def without_clouds(image: Any) -> Any:
        return image.updateMask(image.select("QA60").bitwiseAnd(CLOUD_BIT).eq(0))

    return ee.ImageCollection(SERIES).map(without_clouds).select(list(bands))


def best_ndvi() -> dict[str, Masked]:
    """Return the pixels of the image with the greatest NDVI."""
    index: Any = ndvi(B8S, B4S)
    place = index.filled(-9).argmax(axis=0)[np.newaxis]
    hidden = index.mask.all(axis=0)
    return {
        "B4": np.ma.masked_array(np.take_along_axis(B4S.data, place, 0)[0], hidden),
        "nd": np.ma.masked_array(np.take_along_axis(index.filled(0), place, 0)[0], hidden),
    }


def stretched(values: Any, low: float, high: float) -> Masked:
    """Return values as bytes, as visualize does."""
    share: Any = masked.asarray(
        np.clip((np.ma.asarray(values, np.float64) - low) / (high - low), 0, 1)
    )
    return np.ma.masked_array(np.floor(share.filled(0) * 255 + 0.5), np.ma.getmaskarray(share))


def coarse(served: Served) -> dict[str, Masked]:
    """Return B4 of the scene's first overview on GRID."""
    with rasterio.open(served.file(SCENE), overview_level=0) as dataset:
        level = dataset.read(3)
    return {"B4": np.ma.masked_array(level.repeat(2, axis=0).repeat(2, axis=1), False)}


def bilinear(values: Masked) -> NDArray[np.float64]:
    """Return values half a pixel to the south-east, without the last row and column."""
    v: Any = masked.filled(values.astype(np.float64), np.nan)
    return np.asarray((v[:-1, :-1] + v[1:, :-1] + v[:-1, 1:] + v[1:, 1:]) / 4)


IMAGES = (
    Computed(
        "NDVI",
        lambda ee: ee.Image(SCENE).normalizedDifference(["B8", "B4"]),
        lambda _: {"nd": ndvi(NIR, RED)},
    ),
    Computed(
        "NDVI, written out",
        lambda ee: (
            ee.Image(SCENE)
            .expression(
                # Whole numbers divide to whole numbers there, as Google's guide says.
                "float(nir - red) / (nir + red)",
                {"nir": ee.Image(SCENE).select("B8"), "red": ee.Image(SCENE).select("B4")},
            )
            .rename("NDVI")
            .toDouble()
        ),
        lambda _: {"NDVI": ndvi(NIR, RED)},
    ),
    Computed(
        "an expression with a condition",
        lambda ee: ee.Image(SCENE).expression("b('B4') > 2000 ? b('B4') : -1").rename("x"),
        lambda _: {"x": masked.where(RED > 2000, RED.astype(int), -1)},
    ),
    Computed(
        "median without clouds",
        lambda ee: clear(ee, "B4", "B8").median(),
        lambda _: {"B4": masked.median(B4S, axis=0), "B8": masked.median(B8S, axis=0)},
    ),
    Computed(
        "mean without clouds",
        lambda ee: clear(ee, "B4").mean(),
        lambda _: {"B4": B4S.mean(axis=0)},
    ),
    Computed(
        "how often it was clear",
        lambda ee: clear(ee, "B4").count().unmask(0),
        lambda _: {"B4": np.ma.masked_array((~CLOUDY).sum(axis=0), False)},
    ),
    Computed(
        "extremes",
        lambda ee: clear(ee, "B4").reduce(ee.Reducer.minMax()),
        lambda _: {"B4_min": B4S.min(axis=0), "B4_max": B4S.max(axis=0)},
    ),
    Computed(
        "the last on top",
        lambda ee: ee.ImageCollection(SERIES).select("B4").mosaic(),
        lambda _: {"B4": np.ma.masked_array(series()[-1, 0], False)},
    ),
    Computed(
        "the greenest on top",
        lambda ee: (
            clear(ee, "B4", "B8")
            .map(lambda image: image.addBands(image.normalizedDifference(["B8", "B4"])))
            .qualityMosaic("nd")
            .select(["B4", "nd"])
        ),
        lambda _: best_ndvi(),
    ),
    Computed(
        "the best by a property",
        lambda ee: ee.ImageCollection(SERIES).sort("CLOUD").first().select("B8"),
        lambda _: {"B8": np.ma.masked_array(series()[-1, 1], False)},
    ),
    Computed(
        "a sum over time",
        lambda ee: ee.Image(
            ee.ImageCollection(SERIES)
            .select("B4")
            .iterate(lambda image, sofar: ee.Image(sofar).add(image), ee.Image(0))
        ).rename("sum"),
        lambda _: {"sum": np.ma.masked_array(series()[:, 0].sum(axis=0, dtype=int), False)},
    ),
    Computed(
        "grey",
        lambda ee: ee.Image(SCENE).visualize(bands=["B4", "B3", "B2"], min=0, max=3000),
        lambda _: {
            "vis-red": stretched(RED, 0, 3000),
            "vis-green": stretched(GREEN, 0, 3000),
            "vis-blue": stretched(BLUE, 0, 3000),
        },
    ),
    Computed(
        "a palette",
        lambda ee: ee.Image(HOLES).visualize(min=0, max=510, palette=["000000", "ff00ff"]),
        lambda _: {
            "vis-red": stretched(HOLE, 0, 510),
            "vis-green": stretched(HOLE * 0, 0, 510),
            "vis-blue": stretched(HOLE, 0, 510),
        },
    ),
    Computed(
        "less its own mean",
        lambda ee: (
            clear(ee, "B4")
            .map(
                lambda image: image.subtract(
                    ee.Number(
                        image.reduceRegion(ee.Reducer.mean(), box(ee, 0, 0, SIDE, SIDE), 30).get(
                            "B4"
                        )
                    )
                ).toDouble()
            )
            .max()
        ),
        lambda _: {"B4": (B4S - B4S.mean(axis=(1, 2), keepdims=True)).max(axis=0)},
    ),
    Computed(
        "where",
        lambda ee: ee.Image(SCENE).select("B4").where(ee.Image(SCENE).select("B8").gt(2000), 7),
        lambda _: {"B4": masked.where(NIR > 2000, 7, RED)},
    ),
    Computed(
        "clip",
        lambda ee: ee.Image(SCENE).select("B2").clip(box(ee, 10, 20, 50, 40)),
        lambda _: {"B2": np.ma.masked_array(BLUE, ~INSIDE)},
    ),
    Computed(
        "painted over a clip",
        lambda ee: (
            ee.Image(SCENE)
            .select("B2")
            .blend(ee.Image(SCENE).select(["B8"], ["B2"]).clip(box(ee, 10, 20, 50, 40)))
        ),
        lambda _: {"B2": masked.where(INSIDE, NIR, BLUE)},
    ),
    Computed(
        "reproject, twice as coarse",
        lambda ee: (
            ee.Image(SCENE)
            .select("B4")
            .reproject(UTM, [60, 0, GRID.transform.translate_x, 0, -60, GRID.transform.translate_y])
        ),
        coarse,
    ),
    Computed(
        "masked by another",
        lambda ee: ee.Image(SCENE).select("B4").updateMask(ee.Image(HEIGHTS).gt(0)),
        lambda _: {"B4": np.ma.masked_array(RED, ~(HIGH > 0).filled(False))},
    ),
    Computed(
        "unmasked",
        lambda ee: ee.Image(HOLES).unmask(-1),
        lambda _: {"b1": np.ma.masked_array(HOLE.filled(-1), False)},
    ),
    Computed(
        "masks meet",
        lambda ee: ee.Image(HOLES).add(ee.Image(HEIGHTS)).rename("sum").toDouble(),
        lambda _: {"sum": HOLE.astype(float) + HIGH.astype(np.float64)},
    ),
    Computed(
        "remap",
        lambda ee: ee.Image(HOLES).mod(3).remap([0, 1], [10, 20], None, "b1").rename("c"),
        lambda _: {"c": np.ma.masked_where(np.fmod(HOLE, 3) > 1, np.fmod(HOLE, 3) * 10 + 10)},
    ),
    Computed(
        "bands together",
        lambda ee: (
            ee.Image(HEIGHTS).addBands(ee.Image(BYTES).select("b2")).rename(["h", "g"]).toDouble()
        ),
        lambda _: {"h": HIGH.astype(float), "g": RGB[1].astype(float)},
    ),
    Computed(
        "one number of all bands",
        lambda ee: ee.Image(SCENE).reduce(ee.Reducer.max()),
        lambda _: {"max": np.ma.masked_array(scene().max(axis=0), False)},
    ),
    Computed(
        "clamped to bytes",
        lambda ee: ee.Image(SCENE).select("B3").clamp(100, 200).toByte(),
        lambda _: {"B3": np.clip(GREEN, 100, 200)},
    ),
    Computed(
        "casts by their short names",
        lambda ee: (
            ee.Image(SCENE)
            .select("B2")
            .divide(10)
            .byte()
            .addBands(ee.Image(SCENE).select("B3").divide(10).int16())
            .addBands(ee.Image(SCENE).select("B4").float())
            .double()
        ),
        lambda _: {
            "B2": np.ma.minimum(BLUE // 10, 255),
            "B3": GREEN // 10,
            "B4": RED.astype(float),
        },
    ),
    Computed(
        "a constant under a mask",
        lambda ee: ee.Image(5).updateMask(ee.Image(HOLES).mask()).rename("five"),
        lambda _: {"five": HOLE * 0 + 5},
    ),
)
