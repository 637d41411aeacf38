"""URLs the official client hands out: tiles, thumbnails, downloads; fetched by anybody."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from tests.clients.conftest import Served
from tests.clients.formats import geotiff, npy, rgba, zipped
from tests.clients.rasters import (
    BANDS,
    BYTES,
    HOLES,
    SCENE,
    SERIES,
    SIDE,
    holes,
    picture,
    scene,
    series,
)
from tests.clients.values import NORTH, UTM, WEST, box
from tests.support.oracles import Answer, pixels_of
from tests.support.rasterfiles import grid_of
from tileserver.contract.tiles import Tile, tile_grid

TILE = Tile(6174, 12330, 15)
"""All of it lies in the rasters, and its pixels are smaller than theirs."""
NDVI = ("B8", "B4")


def fetch(web: requests.Session, url: str, kind: str) -> bytes:
    answer = web.get(url, timeout=20)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == kind
    return answer.content


def tile_of(web: requests.Session, map_id: dict[str, Any], tile: Tile = TILE) -> bytes:
    url = map_id["tile_fetcher"].url_format.format(z=tile.z, x=tile.x, y=tile.y)
    answer = web.get(url, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.content


def scene_on(served: Served, tile: Tile = TILE) -> Answer:
    return pixels_of(served.file(SCENE), tile_grid(tile))


def stretched(values: Any, low: float, high: float) -> NDArray[np.float64]:
    return np.asarray(np.floor(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5))


def test_the_tile_lies_in_the_raster(served: Served) -> None:
    assert scene_on(served).valid.all()


def test_a_tile_shows_the_stretched_bands(
    ee: ModuleType, served: Served, web: requests.Session
) -> None:
    style = {"bands": ["B4", "B3", "B2"], "min": 0, "max": 3000, "format": "png"}
    body = tile_of(web, ee.Image(SCENE).getMapId(style))
    oracle = scene_on(served)
    clear = ~oracle.on_edge
    shown = rgba(body)
    assert shown.shape == (4, 256, 256)
    assert (shown[3] == 255).all()
    wanted = stretched(oracle.values[[2, 1, 0]].astype(float), 0, 3000)
    np.testing.assert_array_equal(shown[:3][:, clear], wanted[:, clear])


def test_a_tile_of_a_computed_image_has_its_palette(
    ee: ModuleType, served: Served, web: requests.Session
) -> None:
    index = ee.Image(SCENE).normalizedDifference(list(NDVI))
    style = {"min": -1, "max": 1, "palette": ["black", "red"], "format": "png"}
    shown = rgba(tile_of(web, index.getMapId(style)))
    oracle = scene_on(served)
    nir, red = oracle.values[3].astype(float), oracle.values[2].astype(float)
    clear = ~oracle.on_edge & (nir + red > 0)
    wanted = stretched((nir[clear] - red[clear]) / (nir[clear] + red[clear]), -1, 1)
    # The stretch is worked out in float32: a value on the border of two bytes may go either way.
    assert np.abs(shown[0][clear] - wanted).max() <= 1
    assert (shown[0][clear] == wanted).mean() > 0.999
    assert not shown[1:3].any()


def test_a_tile_beside_the_image_is_empty(ee: ModuleType, web: requests.Session) -> None:
    map_id = ee.Image(SCENE).getMapId({"bands": ["B4"], "max": 3000})
    assert not rgba(tile_of(web, map_id, Tile(0, 0, 15))).any()


def test_a_collection_is_a_mosaic(ee: ModuleType, served: Served, web: requests.Session) -> None:
    style = {"bands": ["B4"], "min": 0, "max": 5000, "format": "png"}
    shown = rgba(tile_of(web, ee.ImageCollection(SERIES).getMapId(style)))
    oracle = pixels_of(served.file(f"{SERIES}/t5"), tile_grid(TILE))
    clear = ~oracle.on_edge
    wanted = stretched(oracle.values[0].astype(float), 0, 5000)
    np.testing.assert_array_equal(shown[0][clear], wanted[clear])


def test_a_thumbnail_has_the_dimensions_asked_for(ee: ModuleType, web: requests.Session) -> None:
    url = ee.Image(SCENE).getThumbURL(
        {
            "bands": ["B4", "B3", "B2"],
            "min": 0,
            "max": 4000,
            "dimensions": [40, 20],
            "region": box(ee, 10, 20, 50, 40),
            "format": "png",
            "crs": UTM,
        }
    )
    shown = rgba(fetch(web, url, "image/png"))
    wanted = stretched(scene()[[2, 1, 0], 20:40, 10:50].astype(float), 0, 4000)
    np.testing.assert_array_equal(shown[:3], wanted)


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_a_thumbnail_of_a_greatest_side(ee: ModuleType, web: requests.Session, kind: str) -> None:
    asked = {"bands": ["B4"], "min": 0, "max": 4000, "dimensions": 64, "format": kind}
    body = fetch(web, ee.Image(SCENE).getThumbURL(asked), f"image/{kind.replace('jpg', 'jpeg')}")
    shown = Image.open(io.BytesIO(body))
    assert shown.size == (64, 64)
    # Half the size: the first overview, the mean of four pixels.
    means = scene()[2].reshape(64, 2, 64, 2).mean(axis=(1, 3)).round()
    off = np.abs(rgba(body)[0] - stretched(means, 0, 4000))
    assert off.max() <= (1 if kind == "png" else 60)
    assert off.mean() < (1 if kind == "png" else 8)


def test_a_thumbnail_of_a_region_in_degrees(
    ee: ModuleType, served: Served, web: requests.Session
) -> None:
    west, south, east, north = -112.17, 40.62, -112.16, 40.63
    url = ee.Image(BYTES).getThumbURL(
        {
            "dimensions": "80x50",
            "region": ee.Geometry.Rectangle([west, south, east, north], "EPSG:4326", False),
            "crs": "EPSG:4326",
            "format": "png",
            "min": 0,
            "max": 255,
        }
    )
    shown = rgba(fetch(web, url, "image/png"))
    assert shown.shape == (4, 50, 80)
    transform = Affine(0.01 / 80, 0, west, 0, -0.01 / 50, north)
    oracle = pixels_of(served.file(BYTES), grid_of(80, 50, transform, "EPSG:4326"))
    visible = np.asarray(oracle.valid.all(axis=0))
    clear = ~oracle.on_edge
    np.testing.assert_array_equal(shown[3][clear] > 0, visible[clear])
    sure = clear & visible
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(shown[:3][:, sure], oracle.values[:, sure])


def test_a_download_on_a_grid_of_one_s_own(ee: ModuleType, web: requests.Session) -> None:
    transform = [30, 0, WEST + 300, 0, -30, NORTH - 600]
    url = ee.Image(SCENE).getDownloadURL(
        {"format": "GEO_TIFF", "crs": UTM, "crs_transform": transform, "dimensions": [40, 20]}
    )
    values, crs, found = geotiff(fetch(web, url, "image/tiff"))
    assert (crs, list(found)) == (UTM, transform)
    np.testing.assert_array_equal(values, scene()[:, 20:40, 10:50])


def test_a_download_of_a_region_at_a_scale(ee: ModuleType, web: requests.Session) -> None:
    url = ee.Image(SCENE).getDownloadURL(
        {"format": "GEO_TIFF", "scale": 30, "region": box(ee, 10, 20, 50, 40)}
    )
    values, crs, transform = geotiff(fetch(web, url, "image/tiff"))
    assert (crs, transform[0], transform[4]) == (UTM, 30, -30)
    left, top = round((transform[2] - WEST) / 30), round((NORTH - transform[5]) / 30)
    height, width = values.shape[1:]
    assert (left, top, width, height) == (10, 20, 40, 20)
    np.testing.assert_array_equal(values, scene()[:, 20:40, 10:50])


def test_a_crs_and_a_scale_lay_pixels_on_the_origin_of_the_crs(
    ee: ModuleType, served: Served, web: requests.Session
) -> None:
    asked = {"format": "GEO_TIFF", "scale": 20, "crs": UTM, "region": box(ee, 10, 20, 50, 40)}
    body = fetch(web, ee.Image(SCENE).getDownloadURL(asked), "image/tiff")
    values, crs, transform = geotiff(body)
    assert (crs, transform) == (UTM, (20, 0, WEST + 300, 0, -20, NORTH - 600))
    assert values.shape == (4, 30, 60)
    oracle = pixels_of(served.file(SCENE), grid_of(60, 30, Affine(*transform), UTM))
    clear = ~oracle.on_edge
    np.testing.assert_array_equal(values[:, clear], oracle.values[:, clear])


def test_a_download_is_a_zip_of_a_file_a_band_unless_told_otherwise(
    ee: ModuleType, web: requests.Session
) -> None:
    asked = {"name": "mine", "scale": 30, "region": box(ee, 10, 20, 50, 40)}
    found = zipped(fetch(web, ee.Image(SCENE).getDownloadURL(asked), "application/zip"))
    assert len(found) == len(BANDS)
    for band, values in zip(BANDS, scene(), strict=True):
        np.testing.assert_array_equal(found[f"mine.{band}.tif"][0], values[20:40, 10:50])


def test_a_download_as_numpy(ee: ModuleType, web: requests.Session) -> None:
    image = ee.Image(SCENE).addBands(ee.Image(HOLES))
    asked = {"format": "NPY", "scale": 30, "region": box(ee, 10, 20, 50, 40)}
    array = npy(fetch(web, image.getDownloadURL(asked), "application/octet-stream"))
    assert array.dtype == np.dtype([*((band, "<u2") for band in BANDS), ("b1", "<i2")])
    np.testing.assert_array_equal(array["B3"], scene()[1, 20:40, 10:50])
    np.testing.assert_array_equal(array["b1"], holes().filled(0)[20:40, 10:50])


def test_a_download_of_a_composite(ee: ModuleType, web: requests.Session) -> None:
    image = ee.ImageCollection(SERIES).select("B4").max()
    asked = {
        "format": "GEO_TIFF",
        "crs": UTM,
        "crs_transform": [30, 0, WEST, 0, -30, NORTH],
        "region": box(ee, 10, 20, 50, 40),
    }
    values, _, _ = geotiff(fetch(web, image.getDownloadURL(asked), "image/tiff"))
    np.testing.assert_array_equal(values[0], series()[:, 0, 20:40, 10:50].max(axis=0))


def test_a_thumbnail_of_bytes_is_those_bytes(ee: ModuleType, web: requests.Session) -> None:
    url = ee.Image(BYTES).getThumbURL({"dimensions": SIDE, "format": "png"})
    shown = rgba(fetch(web, url, "image/png"))
    visible = ~picture().mask.any(axis=0)
    np.testing.assert_array_equal(shown[3] > 0, visible)
    np.testing.assert_array_equal(shown[:3][:, visible], picture().data[:, visible])


def test_a_map_that_says_nothing_of_its_looks_shows_three_bands_over_all_their_type_holds(
    ee: ModuleType, served: Served, web: requests.Session
) -> None:
    map_id = ee.Image(SCENE).getMapId({"format": "png"})
    shown = rgba(tile_of(web, map_id))
    oracle = scene_on(served)
    clear = ~oracle.on_edge
    wanted = stretched(oracle.values[:3].astype(float), 0, 65535)
    np.testing.assert_array_equal(shown[:3][:, clear], wanted[:, clear])


def test_a_thumbnail_of_one_band_that_says_nothing_is_grey(
    ee: ModuleType, web: requests.Session
) -> None:
    asked = {"format": "png", "dimensions": SIDE}
    shown = rgba(fetch(web, ee.Image(HOLES).getThumbURL(asked), "image/png"))
    valid = ~holes().mask
    np.testing.assert_array_equal(shown[3] > 0, valid)
    wanted = stretched(holes().data.astype(float), -32768, 32767)
    np.testing.assert_array_equal(shown[0][valid], wanted[valid])
