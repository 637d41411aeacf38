"""ee.data.getPixels in every format, on every kind of grid and region."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rasterio import Affine
from rasterio.warp import transform as warp

from tests.clients.conftest import Served
from tests.clients.formats import geotiff, npy, rgba, zipped
from tests.clients.rasters import (
    BANDS,
    BYTES,
    GRID,
    HEIGHTS,
    HOLES,
    SCENE,
    SIDE,
    heights,
    holes,
    picture,
    scene,
)
from tests.clients.values import NORTH, UTM, WEST
from tests.rendering.test_tfrecord import example_class, payload_of
from tests.support.oracles import pixels_of
from tests.support.rasterfiles import grid_of
from tileserver.contract.wire import grid_to_json

RED = scene()[2]
STRETCH = {"ranges": [{"min": 0, "max": 4000}]}
NATIVE = (30.0, 0.0, WEST, 0.0, -30.0, NORTH)
PART = {
    "dimensions": {"width": 40, "height": 20},
    "affineTransform": {
        "scaleX": 30,
        "translateX": WEST + 300,
        "scaleY": -30,
        "translateY": NORTH - 600,
    },
    "crsCode": UTM,
}
"""Columns 10..50 and rows 20..40 of GRID."""


def pixels(ee: ModuleType, asset: str, file_format: str, **more: Any) -> Any:
    return ee.data.getPixels({"assetId": asset, "fileFormat": file_format, **more})


def stretched(values: Any, most: float = 4000) -> Any:
    return np.floor(np.clip(values / most, 0, 1) * 255 + 0.5)


def test_ndarray_on_the_native_grid(ee: ModuleType) -> None:
    array = pixels(ee, SCENE, "NUMPY_NDARRAY")
    assert array.dtype == np.dtype([(band, "<u2") for band in BANDS])
    for index, band in enumerate(BANDS):
        np.testing.assert_array_equal(array[band], scene()[index])


def test_npy_on_a_part_in_the_order_asked_for(ee: ModuleType) -> None:
    array = npy(pixels(ee, SCENE, "NPY", bandIds=["B8", "B2"], grid=PART))
    assert array.dtype.names == ("B8", "B2")
    np.testing.assert_array_equal(array["B8"], scene()[3, 20:40, 10:50])
    np.testing.assert_array_equal(array["B2"], scene()[0, 20:40, 10:50])


def test_masked_is_zero(ee: ModuleType) -> None:
    np.testing.assert_array_equal(pixels(ee, HOLES, "NUMPY_NDARRAY")["b1"], holes().filled(0))
    high = pixels(ee, HEIGHTS, "NUMPY_NDARRAY")
    assert high.dtype == np.dtype([("elevation", "<f4")])
    np.testing.assert_array_equal(high["elevation"], heights().filled(0))


@pytest.mark.parametrize("spelling", ["GEO_TIFF", "GeoTIFF", "GEOTIFF"])
def test_a_geotiff_is_where_it_is(ee: ModuleType, spelling: str) -> None:
    values, crs, transform = geotiff(pixels(ee, SCENE, spelling))
    assert (crs, transform) == (UTM, NATIVE)
    np.testing.assert_array_equal(values, scene())


@pytest.mark.parametrize(
    ("file_format", "files"), [("ZIPPED_GEO_TIFF", 1), ("ZIPPED_GEO_TIFF_PER_BAND", 4)]
)
def test_zipped_geotiffs(ee: ModuleType, file_format: str, files: int) -> None:
    found = zipped(pixels(ee, SCENE, file_format))
    assert len(found) == files
    np.testing.assert_array_equal(np.concatenate(list(found.values())), scene())


def test_a_tf_record_holds_floats_by_band(ee: ModuleType) -> None:
    example = example_class().FromString(
        payload_of(pixels(ee, SCENE, "TF_RECORD_IMAGE", bandIds=["B4", "B2"], grid=PART))
    )
    floats = {name: list(each.float_list.value) for name, each in example.features.feature.items()}
    assert floats == {
        "B4": RED[20:40, 10:50].ravel().tolist(),
        "B2": scene()[0, 20:40, 10:50].ravel().tolist(),
    }


def test_png_of_bytes_is_those_bytes(ee: ModuleType) -> None:
    shown = rgba(pixels(ee, BYTES, "PNG"))
    visible = ~picture().mask.any(axis=0)
    np.testing.assert_array_equal(shown[3] > 0, visible)
    np.testing.assert_array_equal(shown[:3][:, visible], picture().data[:, visible])


def test_png_with_visualization(ee: ModuleType) -> None:
    shown = rgba(pixels(ee, SCENE, "PNG", bandIds=["B4", "B3", "B2"], visualizationOptions=STRETCH))
    np.testing.assert_array_equal(shown[:3], stretched(scene()[[2, 1, 0]]))
    assert (shown[3] == 255).all()


def test_png_with_a_palette_and_gamma(ee: ModuleType) -> None:
    style = {"ranges": [{"min": 0, "max": 510}], "paletteColors": ["000000", "0000ff"]}
    shown = rgba(pixels(ee, HOLES, "PNG", visualizationOptions=style))
    valid = ~holes().mask
    np.testing.assert_array_equal(shown[3] > 0, valid)
    np.testing.assert_array_equal(shown[2][valid], stretched(holes().data[valid], 510))
    assert not shown[:2].any()
    dark = {**STRETCH, "gamma": 2}
    shown = rgba(pixels(ee, SCENE, "PNG", bandIds=["B4"], visualizationOptions=dark))
    np.testing.assert_array_equal(shown[0], np.floor((RED / 4000) ** 0.5 * 255 + 0.5))


@pytest.mark.parametrize(("spelling", "kind"), [("JPEG", "JPEG"), ("jpg", "JPEG"), ("png", "PNG")])
def test_pictures_are_near_what_they_show(ee: ModuleType, spelling: str, kind: str) -> None:
    body = pixels(ee, SCENE, spelling, bandIds=["B4"], visualizationOptions=STRETCH)
    shown = Image.open(io.BytesIO(body))
    assert (shown.format, shown.size) == (kind, (SIDE, SIDE))
    near = np.abs(rgba(body)[0] - stretched(RED))
    assert near.mean() < 20


def test_a_picture_is_a_png_where_something_is_hidden(ee: ModuleType) -> None:
    for asset, band, kind in ((SCENE, "B4", "JPEG"), (HOLES, "b1", "PNG")):
        asked = {"assetId": asset, "bandIds": [band], "visualizationOptions": STRETCH}
        assert Image.open(io.BytesIO(ee.data.getPixels(asked))).format == kind


def test_another_projection_is_nearest_neighbour(ee: ModuleType, served: Served) -> None:
    grid = grid_of(90, 80, Affine(0.0003, 0, -112.175, 0, -0.0003, 40.645), "EPSG:4326")
    array = pixels(ee, SCENE, "NUMPY_NDARRAY", grid=grid_to_json(grid))
    oracle = pixels_of(served.file(SCENE), grid)
    clear = ~oracle.on_edge
    assert oracle.valid.mean() > 0.5
    for index, band in enumerate(BANDS):
        np.testing.assert_array_equal(array[band][clear], oracle.values[index][clear])


BOX = (-112.17, 40.62, -112.16, 40.63)


@pytest.mark.parametrize("is_polygon", [True, False])
def test_a_region_is_its_box_on_the_native_pixels(ee: ModuleType, is_polygon: bool) -> None:
    west, south, east, north = BOX
    corners = [[west, south], [east, south], [east, north], [west, north]]
    shape = ee.Geometry.Polygon(corners) if is_polygon else ee.Geometry.Rectangle(list(BOX))
    values, crs, transform = geotiff(
        pixels(ee, SCENE, "GEO_TIFF", region=shape.toGeoJSON(), bandIds=["B4"])
    )
    assert (crs, transform[0], transform[4]) == (UTM, 30, -30)
    left, top = (transform[2] - WEST) / 30, (NORTH - transform[5]) / 30
    assert (left % 1, top % 1) == (0, 0)
    height, width = values.shape[1:]
    xs, ys = warp("EPSG:4326", UTM, [west, east, east, west], [south, south, north, north])
    assert max(xs) - min(xs) <= width * 30 < max(xs) - min(xs) + 90
    assert max(ys) - min(ys) <= height * 30 < max(ys) - min(ys) + 90
    assert abs(transform[2] - min(xs)) <= 45
    across, down = slice(int(left), int(left) + width), slice(int(top), int(top) + height)
    np.testing.assert_array_equal(values[0], RED[down, across])


def test_a_region_with_dimensions_has_that_size(ee: ModuleType, served: Served) -> None:
    region = ee.Geometry.Rectangle(list(BOX)).toGeoJSON()
    grid = {"dimensions": {"width": 80, "height": 50}, "crsCode": "EPSG:4326"}
    asked = {"region": region, "grid": grid, "bandIds": ["B4"]}
    values, crs, transform = geotiff(pixels(ee, SCENE, "GEO_TIFF", **asked))
    wanted = (0.01 / 80, 0, BOX[0], 0, -0.01 / 50, BOX[3])
    assert (values.shape, crs) == ((1, 50, 80), "EPSG:4326")
    np.testing.assert_allclose(transform, wanted, atol=1e-12)
    oracle = pixels_of(served.file(SCENE), grid_of(80, 50, Affine(*wanted), "EPSG:4326"))
    clear = ~oracle.on_edge
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(values[0][clear], oracle.values[2][clear])


def test_a_point_is_one_pixel(ee: ModuleType) -> None:
    (lon,), (lat,) = warp(UTM, "EPSG:4326", [WEST + 165], [NORTH - 45])
    array = pixels(ee, SCENE, "NUMPY_NDARRAY", region=ee.Geometry.Point(lon, lat).toGeoJSON())
    assert array.shape == (1, 1)
    assert array["B4"][0, 0] == RED[1, 5]


def test_computed_pixels_take_the_same_request(ee: ModuleType) -> None:
    asked = {"bandIds": ["B8", "B2"], "grid": grid_to_json(GRID), "fileFormat": "NPY"}
    stored = ee.data.getPixels({"assetId": SCENE, **asked})
    assert ee.data.computePixels({"expression": ee.Image(SCENE), **asked}) == stored
