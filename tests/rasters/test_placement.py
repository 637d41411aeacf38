"""Rasters without a place on Earth are shown as they are, on a flat map of their own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from tests.rasters.engine import asset_of, engine, name_of, raster_of, raw, read
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, RasterFolder
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M, Tile, mercator_y, tile_grid
from tileserver.geo.asset_extents import extent_of
from tileserver.server.app import create_app

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

NO_PLACE = {
    "without CRS": (None, Affine(30, 0, 400_000, 0, -30, 4_500_000), "has no CRS"),
    "without geotransform": ("EPSG:32612", Affine.identity(), "no usable geotransform"),
    "of nan": ("EPSG:32612", Affine(30, 0, np.nan, 0, -30, 0), "no usable geotransform"),
    "of Mars": ("+proj=eqc +R=3396190", Affine(100, 0, 0, 0, -100, 0), "not of the Earth"),
    "with longitude and latitude swapped": (
        "EPSG:4326",
        Affine(0.01, 0, 41, 0, -0.01, -112),
        "latitudes run from -119 to -112 degrees",
    ),
    "of pixels that are counted in degrees": ("EPSG:4326", Affine(2, 0, 0, 0, 2, 0), "0 to 1400"),
    "of degrees taken for metres": (
        'GEOGCS["a",DATUM["a",SPHEROID["a",6378137,298.257]],PRIMEM["Greenwich",0],'
        'UNIT["metre",1]]',
        Affine(1e-4, 0, 2.4, 0, -1e-4, 48.7),
        "latitudes run from",
    ),
    "of an engineer": (
        'LOCAL_CS["site",UNIT["metre",1]]',
        Affine(1, 0, 0, 0, -1, 0),
        "neither geographic nor projected",
    ),
}


@pytest.mark.parametrize("which", NO_PLACE)
def test_the_native_grid_and_tiles_hold_the_pixels_of_the_file(tmp_path: Path, which: str) -> None:
    crs, transform, reason = NO_PLACE[which]
    values = noise(3, 700, 1000, "uint8")
    path = write_raster(tmp_path / "a.tif", values, crs, transform)  # type: ignore[arg-type]
    asset = asset_of(path)
    assert reason in asset.no_place
    assert asset.no_place.startswith("No place on Earth: ")
    assert np.array_equal(read(path, None).values, values)
    assert extent_of(asset).full_zoom == 3
    # At zoom 3 the middle of the picture is the corner of four tiles.
    on_map = np.zeros((3, 1024, 1024), np.uint8)
    on_map[:, 512 - 350 : 512 + 350, 512 - 500 : 512 + 500] = values
    for x, y in product(range(4), range(4)):
        tile = read(path, tile_grid(Tile(2 + x, 2 + y, 3)))
        there = on_map[:, 256 * y : 256 * y + 256, 256 * x : 256 * x + 256]
        assert np.array_equal(tile.masked_to_zero(), there)


@pytest.mark.parametrize(
    ("width", "height", "zoom"),
    [(1, 1, 0), (64, 64, 0), (129, 7, 1), (77, 999, 3), (5000, 4001, 6)],
)
def test_all_of_a_picture_shows_from_afar_and_each_pixel_at_the_full_zoom(
    tmp_path: Path, width: int, height: int, zoom: int
) -> None:
    values = np.maximum(noise(1, height, width, "uint8"), 1)
    path = write_raster(tmp_path / "a.tif", values, crs=None, overviews=())  # type: ignore[arg-type]
    assert extent_of(asset_of(path)).full_zoom == zoom
    world = read(path, tile_grid(Tile(0, 0, 0)))
    rows, columns = np.nonzero(world.valid[0])
    shown = max(np.ptp(rows), np.ptp(columns)) + 1
    assert 64 <= shown <= 129 or shown == max(width, height)
    corner = read(path, tile_grid(Tile(2**zoom // 2, 2**zoom // 2, zoom)))
    middle = 128 if zoom == 0 else 0
    found = corner.values[0, middle : middle + 20, middle : middle + 20]
    expected = values[0, height // 2 : height // 2 + 20, width // 2 : width // 2 + 20]
    there = found[: expected.shape[0], : expected.shape[1]]
    assert np.array_equal(there, expected[: there.shape[0], : there.shape[1]])


@pytest.mark.parametrize(
    "points",
    [
        [(0, 0, 1, 1), (9, 9, 2, 2), (20, 20, 3, 3)],
        [(0, 0, np.nan, 1), (9, 0, 2, 2), (0, 9, 3, 3)],
        [(0, 0, 0, 0)],
        [(0, 0, 1, 1)] * 9,
        [(0, 0, 1, 1), (9, 0, 1e300, 2), (0, 9, 3, 3)],
        [(0, 0, 1, 400), (9, 0, 2, 400), (0, 9, 1, 401)],
    ],
    ids=["in a line", "of nan", "one", "one, often", "without end", "off the map"],
)
def test_control_points_that_fix_no_place_leave_a_picture(
    tmp_path: Path, points: list[tuple[float, float, float, float]]
) -> None:
    path = tmp_path / "a.tif"
    values = noise(1, 40, 64, "uint8")
    profile = {"driver": "GTiff", "width": 64, "height": 40, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
        dataset.gcps = ([GroundControlPoint(*each) for each in points], CRS.from_epsg(4326))
    assert "three or more points" in asset_of(path).no_place
    assert np.array_equal(read(path, None).values, values)


def test_a_grid_that_goes_a_little_past_the_pole_has_a_place(tmp_path: Path) -> None:
    """As in climate data, whose outermost rows have their middles on the poles."""
    transform = Affine(2.5, 0, -180, 0, -2.5, 91.25)
    path = write_raster(tmp_path / "a.tif", noise(1, 73, 144), "EPSG:4326", transform)
    assert not asset_of(path).no_place


def test_the_whole_of_a_picture_fits_and_keeps_its_aspect(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 300, 1200, "uint8"), crs=None)  # type: ignore[arg-type]
    west, south, east, north = extent_of(asset_of(path)).bounds
    assert (east - west) * HALF_WORLD_M / 180 / (
        mercator_y(north) - mercator_y(south)
    ) == pytest.approx(4, rel=1e-6)
    assert (west + east, south + north) == pytest.approx((0, 0), abs=1e-6)
    # From afar the pyramid is read: as rasterio reads the level.
    with rasterio.open(path, overview_level=1) as dataset:
        level = dataset.read()
    side = raster_of(path).grid.transform.scale_x * 4
    grid = PixelGrid(
        300, 75, AffineTransform(side, 0, -600, 0, -side, 150), raster_of(path).grid.crs_code
    )
    assert np.array_equal(read(path, grid).values, level)


def test_pictures_of_a_full_zoom_share_a_crs(tmp_path: Path) -> None:
    """PROJ takes a while for a new one, and a folder has thousands of scans."""
    sizes = [(130, 200), (256, 131), (255, 255)]
    paths = [
        write_raster(tmp_path / f"{width}.tif", noise(1, height, width), crs=None)  # type: ignore[arg-type]
        for height, width in sizes
    ]
    assert len({raster_of(path).grid.crs_code for path in paths}) == 1


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("scans")
    values = np.arange(40 * 60, dtype=np.uint16).reshape(1, 40, 60)
    write_raster(folder / "scan.tif", values, crs=None)  # type: ignore[arg-type]
    write_raster(folder / "map.tif", values)
    config = Config(rasters=(RasterFolder(str(folder)),))
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as found,
    ):
        yield found


def test_documents_say_that_there_is_no_place_on_earth(client: httpx.Client) -> None:
    listed = {layer["name"]: layer for layer in client.get("/layers").json()["layers"]}
    assert listed["scan"]["no_place"].startswith("No place on Earth: the GeoTIFF has no CRS")
    assert "no_place" not in listed["map"]
    info = client.get("/info/scan").json()
    assert info["no_place"] == listed["scan"]["no_place"]
    assert info["bands"][0]["scale_m"] is None
    assert info["bands"][0]["crs"].startswith('PROJCS["No place on Earth')
    assert client.get("/tilejson/scan.json").json()["no_place"] == info["no_place"]
    assert "no_place" not in client.get("/tilejson/map.json").json()
    # From the index of layers, too.
    again = {layer["name"]: layer for layer in client.get("/layers").json()["layers"]}
    assert again["scan"] == listed["scan"]


def test_point_statistics_preview_and_get_pixels_work(client: httpx.Client) -> None:
    west, south, east, north = client.get("/info/scan").json()["bounds"]
    lon = west + (east - west) * 10.5 / 60
    top, bottom = mercator_y(north), mercator_y(south)
    y = top + (bottom - top) * 7.5 / 40
    lat = math.degrees(math.atan(math.sinh(y / HALF_WORLD_M * math.pi)))
    assert client.get(f"/point/scan?lon={lon}&lat={lat}").json()["values"] == {"b1": 7 * 60 + 10}
    found = client.get("/statistics/scan").json()["b1"]
    assert (found["min"], found["max"], found["count"]) == (0, 2399, 2400)
    assert client.get("/preview/scan.png").status_code == 200
    name = client.get("/info/scan").json()["asset"]
    asset = client.get(f"/v1/{name}").json()
    grid = asset["bands"][0]["grid"]
    body = {"fileFormat": "NPY", "grid": grid}
    answer = client.post(f"/v1/{name}:getPixels", json=body)
    assert answer.status_code == 200, answer.text
    assert int(np.frombuffer(answer.content[-2:], "<u2")[0]) == 2399


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "complex_int16"])
def test_complex_numbers_are_magnitudes(tmp_path: Path, dtype: str) -> None:
    is_int = dtype == "complex_int16"
    parts = noise(2, 90, 80, "int16" if is_int else "float32").astype("float64") % 1000
    values = (parts[0] + 1j * parts[1]).astype("complex64" if is_int else dtype)[np.newaxis]
    path = write_raster(tmp_path / "a.tif", values, dtype=dtype, overviews=())
    found = read(path, None)
    assert found.values.dtype == ("float64" if dtype == "complex128" else "float32")
    assert np.allclose(found.values, np.hypot(values.real, values.imag), rtol=1e-6)
    assert found.valid.all()


def test_magnitudes_of_nodata_are_masked(tmp_path: Path) -> None:
    values = np.full((1, 20, 20), 3 + 4j, np.complex64)
    values[0, :5] = -1
    path = write_raster(tmp_path / "a.tif", values, nodata=-1, overviews=())
    found = read(path, None)
    with rasterio.open(path) as dataset:
        assert np.array_equal(found.valid[0], dataset.read_masks(1) != 0)
    assert np.allclose(found.values[found.valid], 5)


def test_a_point_of_a_scan_is_served_by_the_engine(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 30, 30), crs=None)  # type: ignore[arg-type]
    assert asyncio.run(engine(path).get_asset(name_of(path))).no_place
    assert engine(path).pixels(raw(path, None))
