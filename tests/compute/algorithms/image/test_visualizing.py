"""`Image.visualize` draws as getPixels draws the same bands with visualizationOptions."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.compute.conftest import GRID, HOLES, SCENE, Evaluator
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.errors import InvalidRequest


def picture(body: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))


def drawn(evaluator: Evaluator, image: Any) -> Any:
    return picture(evaluator.computing.pixels(evaluator.request(image, GRID, ImageFileFormat.PNG)))


def expected(evaluator: Evaluator, asset: str, bands: Any, options: VisualizationOptions) -> Any:
    rasters = evaluator.computing.world.rasters  # type: ignore[attr-defined]
    request = PixelRequest(asset, ImageFileFormat.PNG, GRID, None, bands, options)
    return picture(rasters.pixels(request))


@pytest.mark.parametrize(
    ("asset", "bands", "given", "options"),
    [
        (SCENE, ("B1", "B2", "B3"), {"min": 0, "max": 4000}, {"ranges": (Range(0, 4000),)}),
        (
            SCENE,
            ("B3", "B2", "B1"),
            {"min": [0, 100, 200], "max": "1000,2000,3000", "gamma": 1.4},
            {"ranges": (Range(0, 1000), Range(100, 2000), Range(200, 3000)), "gamma": 1.4},
        ),
        (HOLES, ("b1",), {"min": -500, "max": 500}, {"ranges": (Range(-500, 500),)}),
        (
            HOLES,
            ("b1",),
            {"min": -500, "max": 500, "palette": ["000000", "ff0000", "yellow"]},
            {
                "ranges": (Range(-500, 500),),
                "palette_colors": ("000000", "ff0000", "yellow"),
            },
        ),
        (
            HOLES,
            ("b1",),
            {"min": 0, "max": 500, "palette": "blue, red", "opacity": 0.4},
            {"ranges": (Range(0, 500),), "palette_colors": ("blue", "red"), "opacity": 0.4},
        ),
    ],
)
def test_a_picture_is_that_of_get_pixels(
    ee: ModuleType,
    evaluator: Evaluator,
    asset: str,
    bands: tuple[str, ...],
    given: dict[str, Any],
    options: dict[str, Any],
) -> None:
    image = ee.Image(asset).visualize(bands=list(bands), **given)
    found = drawn(evaluator, image)
    wanted = expected(evaluator, asset, bands, VisualizationOptions(**options))
    shown = wanted[..., 3] > 0
    assert (found[..., 3] == wanted[..., 3]).all()
    assert (found[shown] == wanted[shown]).all()


def test_the_bands_have_earth_engines_names(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    assert evaluator.value(image.visualize().bandNames()) == ["vis-red", "vis-green", "vis-blue"]
    assert evaluator.value(image.select(0).visualize().bandNames()) == ["vis-gray"]
    forced = image.select(0).visualize(forceRgbOutput=True)
    assert evaluator.value(forced.bandNames()) == ["vis-red", "vis-green", "vis-blue"]


def test_gain_and_bias_say_the_same_as_min_and_max(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select(["B1"])
    one = drawn(evaluator, image.visualize(gain=0.1, bias=10))
    other = drawn(evaluator, image.visualize(min=-100, max=2450))
    assert (one == other).all()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"palette": ["red"]}, "Cannot provide a palette when visualizing more than one band."),
        ({"bands": ["B1", "B2"]}, "one or three bands, got 2"),
        ({"min": [0, 1]}, "min: expected one number or 3, got 2"),
        ({"gamma": 0}, "gamma must be a number greater than 0"),
        ({"opacity": 2}, "opacity must be a number from 0 to 1"),
        ({"min": 0, "gain": 1}, "Cannot specify gain or bias together with min or max"),
        ({"bands": ["B1"], "palette": ["nocolor"]}, "nocolor"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    ee: ModuleType, evaluator: Evaluator, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        drawn(evaluator, ee.Image(SCENE).visualize(**given))
    assert str(refused.value).startswith("Image.visualize: ")
    assert told in str(refused.value)
