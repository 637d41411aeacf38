"""xarray opens images and collections through xee."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.clients.rasters import (
    CLOUD_BIT,
    COUNT,
    HEIGHTS,
    SCENE,
    SERIES,
    SIDE,
    heights,
    scene,
    series,
    start_of,
)
from tests.clients.values import NORTH, WEST

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def opened(ee: ModuleType) -> Any:
    """Return what opens an image or a collection on the pixels of an image."""
    xarray = pytest.importorskip("xarray", exc_type=ImportError)
    pytest.importorskip("xee", exc_type=ImportError)
    from xee.helpers import extract_grid_params

    def open_dataset(of: Any, like: str = SCENE) -> Any:
        return xarray.open_dataset(of, engine="ee", **extract_grid_params(ee.Image(like)))

    return open_dataset


def test_a_collection_is_a_cube_of_its_values(ee: ModuleType, opened: Any) -> None:
    cube = opened(ee.ImageCollection(SERIES))
    assert dict(cube.sizes) == {"time": COUNT, "y": SIDE, "x": SIDE}
    assert cube.attrs["title"] == "A series"
    for index, band in enumerate(("B4", "B8", "QA60")):
        np.testing.assert_array_equal(cube[band].values, series()[:, index])


def test_its_coordinates_are_the_middles_of_pixels_and_the_times(
    ee: ModuleType, opened: Any
) -> None:
    cube = opened(ee.ImageCollection(SERIES))
    np.testing.assert_allclose(cube.x.values, WEST + 15 + 30 * np.arange(SIDE))
    np.testing.assert_allclose(cube.y.values, NORTH - 15 - 30 * np.arange(SIDE))
    times = cube.time.values.astype("datetime64[s]").tolist()
    assert times == [start_of(i).replace(tzinfo=None) for i in range(COUNT)]


def test_a_slice_is_read_alone(ee: ModuleType, opened: Any) -> None:
    part = opened(ee.ImageCollection(SERIES))["B8"].isel(time=2, y=slice(5, 9), x=slice(60, 70))
    np.testing.assert_array_equal(part.values, series()[2, 1, 5:9, 60:70])


def test_a_computed_collection_is_a_cube_too(ee: ModuleType, opened: Any) -> None:
    def without_clouds(image: Any) -> Any:
        clear = image.updateMask(image.select("QA60").bitwiseAnd(CLOUD_BIT).eq(0))
        return clear.select(["B4"]).copyProperties(image, ["system:time_start"])

    cube = opened(ee.ImageCollection(SERIES).map(without_clouds))
    cloudy = (series()[:, 2] & CLOUD_BIT) != 0
    wanted = np.where(cloudy, np.nan, series()[:, 0].astype(float))
    np.testing.assert_array_equal(cube["B4"].values, wanted)


def test_what_is_masked_is_not_a_number(ee: ModuleType, opened: Any) -> None:
    high = opened(ee.ImageCollection([ee.Image(HEIGHTS)]), HEIGHTS)["elevation"].values[0]
    np.testing.assert_array_equal(high, heights().filled(np.nan))


def test_one_image_is_a_cube_of_one(ee: ModuleType, opened: Any) -> None:
    cube = opened(ee.ImageCollection([ee.Image(SCENE)]))
    np.testing.assert_array_equal(cube["B4"].values[0], scene()[2])
