"""Hue, saturation and value: scikit-image is the oracle."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from skimage.color import hsv2rgb, rgb2hsv

from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

SHARES = (scene_values() % 5 / 4).astype(np.float32).transpose(1, 2, 0)
"""Of SCENE modulo 5: many greys and ties."""


def test_colours_as_hue_saturation_and_value(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).mod(5).divide(4).rgbToHsv()
    found = evaluator.pixels(image)
    assert found.dtype.names == ("hue", "saturation", "value")
    assert {found[name].dtype for name in found.dtype.names} == {np.dtype(np.float32)}
    expected = rgb2hsv(SHARES)
    for place, name in enumerate(found.dtype.names):
        np.testing.assert_allclose(found[name], expected[..., place], atol=1e-6)


def test_and_back(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).mod(5).divide(4).hsvToRgb()
    found = evaluator.pixels(image)
    assert found.dtype.names == ("red", "green", "blue")
    expected = hsv2rgb(SHARES)
    for place, name in enumerate(found.dtype.names):
        np.testing.assert_allclose(found[name], expected[..., place], atol=1e-6)


def test_a_pixel_masked_in_one_band_is_masked_in_all(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(1).addBands(ee.Image(HOLES)).addBands(ee.Image(0.5)).rgbToHsv()
    found = evaluator.masked(image)
    for name in ("hue", "saturation", "value"):
        assert (np.ma.getmaskarray(found[name]) == (hole_values() == -9999)).all()


def test_other_numbers_of_bands_are_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.rgbToHsv: Expected .* three bands, got 1"):
        evaluator.value(ee.Image(HOLES).rgbToHsv())
