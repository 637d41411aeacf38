"""Landsat scenes calibrated: the USGS's formulas in NumPy are the oracle.

https://www.usgs.gov/landsat-missions/using-usgs-landsat-level-1-data-product states them.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

SMALL = GRID.window(Window(0, 0, 6, 5))
NUMBERS = scene_values()[:, :5, :6].astype(np.float64)
BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B11")
SUN = 37.5
ABOUT: dict[str, Any] = {
    "SPACECRAFT_ID": "LANDSAT_8",
    "SUN_ELEVATION": SUN,
    "K1_CONSTANT_BAND_10": 774.8853,
    "K2_CONSTANT_BAND_10": 1321.0789,
    "K1_CONSTANT_BAND_11": 480.8883,
    "K2_CONSTANT_BAND_11": 1201.1442,
    **{f"RADIANCE_MULT_BAND_{i}": 0.002 * i for i in range(1, 12)},
    **{f"RADIANCE_ADD_BAND_{i}": 0.1 * i for i in range(1, 12)},
    **{f"REFLECTANCE_MULT_BAND_{i}": 0.0001 + 0.00001 * i for i in range(1, 10)},
    **{f"REFLECTANCE_ADD_BAND_{i}": -0.001 * i for i in range(1, 10)},
}


def scene(ee: ModuleType, about: dict[str, Any] | None = None, scale: float = 1) -> Any:
    """Return a made-up scene: numbers of SCENE in all bands, a quality band beside them."""
    numbers = ee.Image(SCENE).select([i % 3 for i in range(11)], list(BANDS)).multiply(scale)
    quality = ee.Image(7).uint16().rename("QA_PIXEL")
    return numbers.addBands(quality).set(ABOUT if about is None else about)


def number(band: int, scale: float = 1) -> Any:
    return NUMBERS[(band - 1) % 3] * scale


def test_reflectance_and_temperature_follow_the_metadata(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = evaluator.pixels(ee.Algorithms.Landsat.TOA(scene(ee)), SMALL)
    assert found.dtype.names == (*BANDS, "QA_PIXEL")
    for i in range(1, 10):
        slope, intercept = ABOUT[f"REFLECTANCE_MULT_BAND_{i}"], ABOUT[f"REFLECTANCE_ADD_BAND_{i}"]
        expected = (number(i) * slope + intercept) / math.sin(math.radians(SUN))
        np.testing.assert_allclose(found[f"B{i}"], expected, rtol=1e-5)
    for i in (10, 11):
        radiance = number(i) * ABOUT[f"RADIANCE_MULT_BAND_{i}"] + ABOUT[f"RADIANCE_ADD_BAND_{i}"]
        k1, k2 = ABOUT[f"K1_CONSTANT_BAND_{i}"], ABOUT[f"K2_CONSTANT_BAND_{i}"]
        np.testing.assert_allclose(found[f"B{i}"], k2 / np.log(k1 / radiance + 1), rtol=1e-5)
    assert (found["QA_PIXEL"] == 7).all()


def test_radiance_follows_the_metadata(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.pixels(ee.Algorithms.Landsat.calibratedRadiance(scene(ee)), SMALL)
    for i in range(1, 12):
        np.testing.assert_allclose(found[f"B{i}"], number(i) * 0.002 * i + 0.1 * i, rtol=1e-5)


def test_an_old_scene_is_calibrated_by_irradiance(ee: ModuleType, evaluator: Evaluator) -> None:
    about = {
        "SPACECRAFT_ID": "LANDSAT_5",
        "SUN_ELEVATION": SUN,
        "EARTH_SUN_DISTANCE": 1.01,
        "RADIANCE_MULT_BAND_1": 0.7,
        "RADIANCE_ADD_BAND_1": -2.2,
        "RADIANCE_MULT_BAND_6": 0.055,
        "RADIANCE_ADD_BAND_6": 1.18,
    }
    image = ee.Image(SCENE).select(["B1", "B2"], ["B1", "B6"]).set(about)
    found = evaluator.pixels(ee.Algorithms.Landsat.TOA(image), SMALL)
    radiance = NUMBERS[0] * 0.7 - 2.2
    expected = math.pi * radiance * 1.01**2 / (1983 * math.sin(math.radians(SUN)))
    np.testing.assert_allclose(found["B1"], expected, rtol=1e-5)
    kelvin = 1260.56 / np.log(607.76 / (NUMBERS[1] * 0.055 + 1.18) + 1)
    np.testing.assert_allclose(found["B6"], kelvin, rtol=1e-5)


def reflectances(ee: ModuleType) -> Any:
    """Return an image such as TOA gives, from very dark to very bright."""
    bright = ee.Image(SCENE).divide(4000)
    kelvin = bright.select("B3").multiply(-40).add(320)
    names = ["B2", "B3", "B4", "B5", "B6", "B7"]
    return bright.select([0, 1, 2, 0, 1, 2], names).addBands(kelvin.rename("B10")).set(ABOUT)


def scores(blue: Any, green: Any, red: Any, kelvin: Any) -> Any:
    nir, swir1, swir2 = blue, green, red
    parts = [
        (blue - 0.1) / 0.2,
        (red + green + blue - 0.2) / 0.6,
        (nir + swir1 + swir2 - 0.3) / 0.5,
        (kelvin - 300) / -10,
        np.full_like(blue, (0 - 0.8) / (0.6 - 0.8)),
    ]
    return np.round(100 * np.clip(np.minimum.reduce(parts), 0, 1))


def test_the_cloud_score_is_the_least_of_the_indicators(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    scored = ee.Algorithms.Landsat.simpleCloudScore(reflectances(ee))
    found = evaluator.pixels(scored.select("cloud"), GRID)["cloud"]
    blue, green, red = scene_values() / 4000
    expected = scores(blue, green, red, 320 - 40 * red)
    assert set(np.unique(expected)) > {0, 100}
    np.testing.assert_allclose(found, expected, atol=1)
    assert found.dtype == np.uint8
    assert evaluator.value(scored.bandNames())[-1] == "cloud"


def test_a_composite_takes_the_clearest_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    scenes = [scene(ee, scale=scale) for scale in (0.4, 0.6, 1, 1.4)]
    collection = ee.ImageCollection(scenes)
    composite = ee.Algorithms.Landsat.simpleComposite(
        collection=collection, percentile=50, cloudScoreRange=20, asFloat=True
    )
    found = evaluator.pixels(composite, SMALL)
    assert found.dtype.names == BANDS
    parts, clouds = [], []
    for each in scenes:
        pixels = evaluator.pixels(
            ee.Algorithms.Landsat.simpleCloudScore(ee.Algorithms.Landsat.TOA(each)), SMALL
        )
        parts.append(pixels["B4"])
        clouds.append(pixels["cloud"].astype(float))
    least = np.min(clouds, axis=0)
    allowed = np.where(np.array(clouds) <= least + 20, np.array(parts, dtype=float), np.nan)
    np.testing.assert_allclose(found["B4"], np.nanmedian(allowed, axis=0), rtol=1e-5)
    whole = evaluator.pixels(
        ee.Algorithms.Landsat.simpleComposite(collection=collection, cloudScoreRange=20), SMALL
    )
    assert whole["B4"].dtype == np.uint8
    reflective = np.floor(np.clip(found["B4"].astype(float) * 255, 0, 255) + 0.5)
    np.testing.assert_array_equal(whole["B4"], reflective)
    kelvin = np.floor(np.clip(found["B10"].astype(float) - 100, 0, 255) + 0.5)
    np.testing.assert_array_equal(whole["B10"], kelvin)


def test_scenes_are_limited_to_the_least_cloudy_of_each_place(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    rows = [(1, 50), (1, 10), (2, 90), (1, 30), (2, 5), (3, 0)]
    images = [
        ee.Image(0).set({"WRS_PATH": path, "WRS_ROW": 1, "CLOUD_COVER": cover})
        for path, cover in rows
    ]
    limit = ee.Algorithms.Landsat.pathRowLimit
    two = limit(ee.ImageCollection(images), 2)
    assert evaluator.value(two.aggregate_array("CLOUD_COVER")) == [10, 90, 30, 5, 0]
    four = limit(ee.ImageCollection(images), 2, 4)
    assert evaluator.value(four.aggregate_array("CLOUD_COVER")) == [10, 30, 5, 0]


@pytest.mark.parametrize(
    ("about", "sentence"),
    [
        ({}, "SPACECRAFT_ID must be one of LANDSAT_4, LANDSAT_5, LANDSAT_7, LANDSAT_8, LANDSAT_9"),
        ({"SPACECRAFT_ID": "LANDSAT_8"}, "SUN_ELEVATION must be a number of degrees above 0"),
        ({"SPACECRAFT_ID": "LANDSAT_8", "SUN_ELEVATION": 30}, "property 'REFLECTANCE_MULT_BAND_1'"),
    ],
)
def test_missing_metadata_is_named(
    ee: ModuleType, evaluator: Evaluator, about: dict[str, Any], sentence: str
) -> None:
    image = ee.Image(1).rename("B1").set(about)
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(ee.Algorithms.Landsat.TOA(image))
