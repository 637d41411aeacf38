from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio import Affine

from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.tiles import HALF_WORLD_M, MAX_LATITUDE, WEB_MERCATOR, mercator_y
from tileserver.errors import InvalidRequest, RequestTooLarge
from tileserver.layers.layers import Layer, Layers
from tileserver.layers.queries import (
    MAX_PREVIEW_PX,
    info,
    point,
    point_request,
    preview_grid,
    statistics_requests,
)
from tileserver.layers.statistics import summarize
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

DEGREES = Affine(0.01, 0.0, 10.0, 0.0, -0.01, 50.0)


class Asked:
    """One raster and the engine that reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rasters = LocalRasters(Catalogue([Root(str(path))]))
        name = self.rasters.catalogue.names()[0]
        self.layer: Layer = asyncio.run(Layers([], self.rasters).find(name))


@pytest.fixture
def degrees(tmp_path: Path) -> Asked:
    """300 x 200 pixels of 0.01 degrees, west 10, north 50, a third of them masked."""
    mask = np.random.default_rng(1).random((200, 300)) < 0.66
    path = tmp_path / "scene.tif"
    values = noise(2, 200, 300, "int16")
    return Asked(write_raster(path, values, "EPSG:4326", DEGREES, mask=mask))


def test_info_tells_of_bands_grid_and_metadata(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    write_raster(path, noise(2, 512, 300, "float32"), nodata=-9999, descriptions=("red", "nir"))
    sidecar = '{"startTime": "2020-04-01T00:00:00Z", "properties": {"a": 1}}'
    (tmp_path / "scene.json").write_text(sidecar)
    answer = info(Asked(path).layer)
    assert answer["bands"] == [
        {
            "id": band,
            "data_type": "float32",
            "crs": "EPSG:32612",
            "scale_m": 30.0,
            "nodata": -9999.0,
            "scale": 1.0,
            "offset": 0.0,
        }
        for band in ("red", "nir")
    ]
    assert (answer["width"], answer["height"], answer["overviews"]) == (300, 512, [2, 4])
    assert (answer["start_time"], answer["end_time"]) == ("2020-04-01T00:00:00Z", None)
    assert answer["properties"] == {"a": 1}
    assert answer["update_time"].endswith("Z")
    assert answer["style"]["bands"] == ["red"]
    with rasterio.open(path) as dataset:
        expected = rasterio.warp.transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    assert answer["bounds"] == pytest.approx(expected, abs=1e-4)


def test_a_nodata_that_json_cannot_hold_is_null(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 50, 50, "float32"), nodata=float("nan"))
    assert info(Asked(path).layer)["bands"][0]["nodata"] is None


def test_points_are_what_rasterio_samples(degrees: Asked) -> None:
    rng = np.random.default_rng(2)
    places = list(zip(rng.uniform(10, 13, 40), rng.uniform(48, 50, 40), strict=True))
    with rasterio.open(degrees.path) as dataset:
        expected = list(dataset.sample(places, masked=True))
    for (lon, lat), sample in zip(places, expected, strict=True):
        read = degrees.rasters.bands(point_request(degrees.layer, lon, lat, ()))
        assert point(lon, lat, read) == {
            "lon": lon,
            "lat": lat,
            "values": dict(zip(("b1", "b2"), sample.tolist(), strict=True)),
        }
    assert any(sample.mask.any() for sample in expected)


@pytest.mark.parametrize("place", [(9.9, 49), (13.1, 49), (11, 50.1), (-170, -80), (11, 90)])
def test_a_point_beside_the_asset_is_null(degrees: Asked, place: tuple[float, float]) -> None:
    read = degrees.rasters.bands(point_request(degrees.layer, *place, ["b2"]))
    assert point(*place, read)["values"] == {"b2": None}


def test_statistics_of_a_box_are_of_its_pixels_alone(degrees: Asked) -> None:
    box = Box(10.5, 48.9, 11.0, 49.5)
    (request,) = statistics_requests(degrees.layer, box, ["b2"])
    figures = summarize(degrees.rasters.bands(request))
    with rasterio.open(degrees.path) as dataset:
        window = dataset.window(*box).round_offsets().round_lengths()
        values = dataset.read(2, window=window, masked=True)
    assert (figures["b2"]["min"], figures["b2"]["max"]) == (values.min(), values.max())
    assert figures["b2"]["count"] == values.count()
    assert figures["b2"]["mean"] == pytest.approx(float(values.mean()))
    assert figures["b2"]["valid_percent"] == pytest.approx(100 * values.count() / values.size)


def test_a_box_that_reaches_beyond_the_asset_counts_the_pixels_there_are(degrees: Asked) -> None:
    (beyond,) = statistics_requests(degrees.layer, Box(9, 40, 10.5, 60), ())
    assert beyond.grid is not None
    assert (beyond.grid.width, beyond.grid.height) == (50, 200)


def test_statistics_of_a_box_beside_the_asset_are_of_nothing(degrees: Asked) -> None:
    (request,) = statistics_requests(degrees.layer, Box(20, 20, 21, 21), ())
    figures = summarize(degrees.rasters.bands(request))
    assert [figures[band]["count"] for band in ("b1", "b2")] == [0, 0]
    assert figures["b1"]["min"] is None


def test_a_box_may_cross_the_antimeridian(tmp_path: Path) -> None:
    values = np.zeros((1, 20, 40), np.uint8)
    values[:, :, :20], values[:, :, 20:] = 1, 2
    across = Affine(0.1, 0.0, 178.0, 0.0, -0.1, 1.0)
    asked = Asked(write_raster(tmp_path / "a.tif", values, "EPSG:4326", across, overviews=()))
    for box, low, high in (
        (Box(179, -1, -179, 1), 1, 2),
        (Box(178.5, -1, 179.5, 1), 1, 1),
        (Box(-179.5, -1, -178.5, 1), 2, 2),
    ):
        (request,) = statistics_requests(asked.layer, box, ())
        figures = summarize(asked.rasters.bands(request))["b1"]
        assert (box, figures["min"], figures["max"]) == (box, low, high)
        assert figures["valid_percent"] == 100


def test_a_box_across_the_edge_of_a_map_of_the_world_has_both_ends(tmp_path: Path) -> None:
    values = np.repeat(np.arange(36, dtype=np.uint8), 10)[np.newaxis, np.newaxis].repeat(180, 1)
    world = Affine(1.0, 0.0, -180.0, 0.0, -1.0, 90.0)
    asked = Asked(write_raster(tmp_path / "a.tif", values, "EPSG:4326", world, overviews=()))
    (request,) = statistics_requests(asked.layer, Box(170, -10, -170, 10), ())
    figures = summarize(asked.rasters.bands(request))["b1"]
    assert (figures["min"], figures["max"], figures["count"]) == (0, 35, 20 * 20)


# Previews


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (None, None, (512, 339)),
        (100, None, (100, 66)),
        (None, 66, (100, 66)),
        (10, 300, (10, 300)),
        (1, None, (1, 1)),
    ],
)
def test_a_preview_has_the_sides_asked_for(
    degrees: Asked, width: int | None, height: int | None, expected: tuple[int, int]
) -> None:
    # 3 degrees across; 2 down, each 1 / cos(49) as long on the map.
    box = Box(10, 48, 13, 48 + 2 * np.cos(np.radians(49)))
    grid = preview_grid(degrees.layer, box, width, height)
    assert (grid.width, grid.height) == pytest.approx(expected, abs=3)
    assert grid.crs_code == WEB_MERCATOR
    left, top = grid.transform.apply(0, 0)
    right, bottom = grid.transform.apply(grid.width, grid.height)
    lons, lats = rasterio.warp.transform("EPSG:3857", "EPSG:4326", [left, right], [bottom, top])
    assert (lons[0], lats[0], lons[1], lats[1]) == pytest.approx(tuple(box), abs=1e-9)


def test_without_a_box_a_preview_shows_the_whole_asset(degrees: Asked) -> None:
    grid = preview_grid(degrees.layer, None, None, None)
    assert max(grid.width, grid.height) == 512
    left, _ = grid.transform.apply(0, 0)
    assert left == pytest.approx(10 * HALF_WORLD_M / 180)


def test_a_preview_of_the_poles_ends_where_the_map_does(degrees: Asked) -> None:
    grid = preview_grid(degrees.layer, Box(-180, -90, 180, 90), None, None)
    assert (grid.width, grid.height) == (512, 512)
    assert grid.transform.apply(0, 0) == pytest.approx((-HALF_WORLD_M, HALF_WORLD_M))


def test_a_preview_beyond_the_map_is_refused(degrees: Asked) -> None:
    with pytest.raises(InvalidRequest, match=r"85\.05"):
        preview_grid(degrees.layer, Box(0, 86, 10, 89), None, None)


def test_a_preview_across_the_antimeridian_goes_on_eastward(degrees: Asked) -> None:
    grid = preview_grid(degrees.layer, Box(170, -10, -170, 10), None, None)
    left, _ = grid.transform.apply(0, 0)
    right, _ = grid.transform.apply(grid.width, 0)
    assert right - left == pytest.approx(20 * HALF_WORLD_M / 180)


def test_a_side_that_would_follow_too_long_is_refused(degrees: Asked) -> None:
    with pytest.raises(RequestTooLarge, match=f"at most {MAX_PREVIEW_PX}"):
        preview_grid(degrees.layer, Box(0, 0, 10, 1), None, 1000)


@pytest.mark.parametrize("latitude", [-89.0, -MAX_LATITUDE, -41.5, 0.0, 60.0, MAX_LATITUDE])
def test_latitudes_are_projected_as_proj_does(latitude: float) -> None:
    clipped = min(max(latitude, -MAX_LATITUDE), MAX_LATITUDE)
    _, ys = rasterio.warp.transform("EPSG:4326", "EPSG:3857", [0], [clipped])
    assert mercator_y(latitude) == pytest.approx(ys[0], abs=1e-6)


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
def test_a_raster_at_a_pole_that_no_web_map_shows_has_a_picture_in_its_own_crs(
    tmp_path: Path, crs: str, sign: int
) -> None:
    values = np.maximum(noise(1, 100, 200, "uint8"), 1)
    transform = Affine(500, 0, -50_000, 0, -500, 25_000)
    path = write_raster(tmp_path / "scene.tif", values, crs, transform, overviews=())
    asked = Asked(path)
    layer = asked.layer
    assert sign * layer.bounds.south > 85.1 or sign * layer.bounds.north > 85.1
    grid = preview_grid(layer, None, 200, None)
    assert (grid.crs_code, grid.width, grid.height) == (crs, 200, 100)
    assert np.array_equal(
        asked.rasters.bands(layer.request(grid, ImageFileFormat.NPY)).values, values
    )
