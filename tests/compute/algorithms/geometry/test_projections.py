"""Projections are made, scaled and told as Earth Engine does."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest
from rasterio.crs import CRS

from tests.compute.conftest import SCENE, Evaluator
from tests.support.rasterfiles import UTAH
from tileserver.errors import InvalidRequest

SIX = [UTAH.a, UTAH.b, UTAH.c, UTAH.d, UTAH.e, UTAH.f]


def test_ten_metres_in_degrees_are_those_of_earth_engines_exports(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    assert evaluator.value(ee.Projection("EPSG:4326").atScale(10)) == {
        "type": "Projection",
        "crs": "EPSG:4326",
        "transform": [8.983152841195215e-05, 0, 0, 0, 8.983152841195215e-05, 0],
    }


def test_an_image_tells_the_projection_of_its_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.Image(SCENE).projection()
    assert evaluator.value(found) == {"type": "Projection", "crs": "EPSG:32612", "transform": SIX}
    assert evaluator.value(found.nominalScale()) == 30
    assert evaluator.value(found.crs()) == "EPSG:32612"


def test_bands_of_different_projections_have_none_in_common(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(SCENE).addBands(ee.Image(1))
    with pytest.raises(InvalidRequest, match=r"contain different projections\. Use Image\.select"):
        evaluator.value(image.projection())


def test_a_scale_keeps_the_corner_and_the_direction_of_the_pixels(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = evaluator.value(ee.Image(SCENE).projection().atScale(10))["transform"]
    assert found == [10, 0, UTAH.c, 0, -10, UTAH.f]


def test_a_projection_is_scaled_and_moved_in_its_pixels(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    made = ee.Projection("EPSG:32612", [30, 0, 600, 0, -30, 900])
    assert evaluator.value(made.scale(2, 3))["transform"] == [60, 0, 600, 0, -90, 900]
    assert evaluator.value(made.translate(1, 2))["transform"] == [30, 0, 630, 0, -30, 840]


def test_a_transform_comes_back_from_its_wkt(ee: ModuleType, evaluator: Evaluator) -> None:
    made = ee.Projection("EPSG:32612", [30, 0, 600, 0, -30, 900])
    text = evaluator.value(made.transform())
    assert text.startswith('PARAM_MT["Affine"')
    again = ee.Projection("EPSG:32612", None, text)
    assert evaluator.value(again) == evaluator.value(made)
    assert CRS.from_wkt(evaluator.value(made.wkt())) == CRS.from_epsg(32612)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("EPSG:99999",), "not a known geographic or projected CRS"),
        (("EPSG:4326", [1, 0, 0]), "transform must be a list of six numbers, got [1, 0, 0]."),
        (("EPSG:4326", [0, 0, 0, 0, 0, 0]), "cannot be inverted"),
        (("EPSG:4326", [1, 0, 0, 0, 1, 0], "PARAM_MT"), "May not specify both"),
        (("EPSG:4326", [1e999, 0, 0, 0, 1, 0]), "cannot be inverted"),
        (("EPSG:4326", None, "x"), "as transformWkt"),
    ],
)
def test_a_projection_that_is_none_is_refused(
    ee: ModuleType, evaluator: Evaluator, arguments: tuple[Any, ...], said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(ee.Projection(*arguments))


def test_a_scale_of_nothing_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="positive number of meters"):
        evaluator.value(ee.Projection("EPSG:4326").atScale(0))
