"""computePixels: images the official client builds are what NumPy makes of the same rasters."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clients.conftest import Served
from tests.clients.images import IMAGES, RED, Computed, bilinear
from tests.clients.rasters import GRID, SCENE, SIDE
from tileserver.contract.grids import PixelGrid
from tileserver.contract.wire import grid_to_json


def compute(ee: ModuleType, image: Any, grid: PixelGrid = GRID) -> NDArray[Any]:
    """Return the pixels of an image, a structured array."""
    array: NDArray[Any] = ee.data.computePixels(
        {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": grid_to_json(grid)}
    )
    return array


@pytest.mark.parametrize("computed", IMAGES, ids=[each.name for each in IMAGES])
def test_computed_pixels_are_those_of_numpy(
    ee: ModuleType, served: Served, computed: Computed
) -> None:
    image = computed.build(ee)
    expected = computed.expected(served)
    values, masks = compute(ee, image), compute(ee, image.mask())
    assert values.dtype.names == tuple(expected)
    for band, wanted in expected.items():
        valid = ~np.ma.getmaskarray(wanted)
        np.testing.assert_array_equal(masks[band] > 0, valid, band)
        got = values[band][valid].astype(np.float64)
        np.testing.assert_allclose(got, wanted.data[valid], rtol=1e-6, atol=1e-9, err_msg=band)
        # What is masked is zero, as in every answer without masks.
        assert not values[band][~valid].any()


def test_resampling_mixes_four_neighbours(ee: ModuleType) -> None:
    t = GRID.transform
    x, y = t.apply(0.5, 0.5)
    shifted = replace(
        GRID, width=SIDE - 1, height=SIDE - 1, transform=replace(t, translate_x=x, translate_y=y)
    )
    image = ee.Image(SCENE).select("B4")
    found = compute(ee, image.resample("bilinear").toDouble(), shifted)["B4"]
    np.testing.assert_allclose(found, bilinear(RED), rtol=1e-6)


def test_a_native_grid_is_taken_where_none_is_asked_for(ee: ModuleType) -> None:
    image = ee.Image(SCENE).select(["B4", "B8"]).multiply(2)
    array = ee.data.computePixels({"expression": image, "fileFormat": "NUMPY_NDARRAY"})
    assert array.shape == (SIDE, SIDE)
    np.testing.assert_array_equal(array["B4"], RED.data.astype(int) * 2)
