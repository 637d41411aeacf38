"""Resampling at read time, against GDAL's warper on the same level."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.warp import Resampling as Gdal
from rasterio.warp import reproject

from tests.processing.conftest import Client
from tests.rasters.engine import asset_of, engine, level_of, raster_of, raw, tiles_over
from tests.support.rasterfiles import affine, noise, write_raster
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays
from tileserver.contract.processing import Processing, Resampling
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.geo.spreads import Spread, spread
from tileserver.processing.engine import Processed

DEGREES = "EPSG:4326", Affine(0.01, 0.0, 10.0, 0.0, -0.01, 50.0)
MERCATOR = "EPSG:3857", Affine(30.0, 0.0, 1_100_000.0, 0.0, -30.0, 4_200_000.0)
UTM = "EPSG:32610", Affine(30.0, 0.0, 600_000.0, 0.0, -30.0, 4_200_000.0)
METHODS = [each.value for each in Resampling if each is not Resampling.NEAREST]
HOLE = -32768


def resampled(path: Path, grid: PixelGrid, method: str) -> BandArrays:
    request = replace(raw(path, grid), processing=Processing(resampling=Resampling(method)))
    return engine(path).bands(request)


def kernel_scales(at: Spread, factor: int) -> dict[str, float]:
    """The warper's options for kernels of the size that the layer's middle has."""
    sides = {"XSCALE": at.factor_x / factor, "YSCALE": at.factor_y / factor}
    return {name: 1 / max(side, 1.0) for name, side in sides.items()}


def warped(path: Path, grid: PixelGrid, method: str, nodata: int | None) -> NDArray[Any]:
    """What GDAL makes of the level that the engine chooses; HOLE where it makes nothing."""
    raster = raster_of(path)
    level = level_of(raster, grid)
    options = {} if level.overview is None else {"overview_level": level.overview}
    is_kernel = method in ("bilinear", "cubic")
    scales = kernel_scales(spread(grid, raster.grid), level.factor) if is_kernel else {}
    with rasterio.open(path, **options) as dataset:
        made = np.full((grid.height, grid.width), HOLE, dataset.dtypes[0])
        reproject(
            rasterio.band(dataset, 1),
            made,
            dst_transform=affine(grid.transform),
            dst_crs=grid.crs_code,
            resampling=Gdal[method],
            src_nodata=nodata,
            dst_nodata=HOLE,
            tolerance=0,
            **scales,
        )
    return made


def scene(path: Path, place: tuple[str, Affine], is_masked: bool, **more: Any) -> Path:
    values = noise(1, 400, 500, "int16")
    values[values == HOLE] = 0
    if is_masked:
        values[:, np.random.default_rng(1).random((400, 500)) < 0.1] = HOLE
    nodata = HOLE if is_masked else None
    return write_raster(path, values, *place, nodata=nodata, **more)


def inner(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Valid pixels none of whose neighbours lie outside the grid's valid rectangle."""
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    found = np.zeros_like(valid)
    found[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]] = True
    return found


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("place", "zoom"), [(DEGREES, 7), (DEGREES, 9), (MERCATOR, 11), (MERCATOR, 12), (MERCATOR, 13)]
)
def test_a_tile_is_what_gdalwarp_makes_of_the_same_level(
    tmp_path: Path, place: tuple[str, Affine], zoom: int, method: str, is_masked: bool
) -> None:
    path = scene(tmp_path / "scene.tif", place, is_masked)
    grid = tile_grid(tiles_over(asset_of(path), (zoom,))[0])
    expected = warped(path, grid, method, HOLE if is_masked else None)
    found = resampled(path, grid, method)
    # GDAL takes a mode of -1 for none.
    at = inner(expected != HOLE) & (found.values[0] != -1)
    assert at.sum() > 1000
    np.testing.assert_array_equal(found.valid[0][at], (expected != HOLE)[at])
    both = at & found.valid[0]
    difference = np.abs(found.values[0].astype(int) - expected)[both]
    assert difference.max() <= 1


@pytest.mark.skipif(not shutil.which("gdalwarp"), reason="GDAL's gdalwarp is not installed")
@pytest.mark.parametrize("method", METHODS)
def test_a_raster_that_lies_askew_is_what_gdalwarp_makes_of_it(tmp_path: Path, method: str) -> None:
    path = scene(tmp_path / "scene.tif", UTM, False, overviews=())
    grid = tile_grid(tiles_over(asset_of(path), (13,))[0])
    box, made = map(str, grid.box), tmp_path / "made.tif"
    size = ["-te", *box, "-ts", str(grid.width), str(grid.height)]
    options = ["-q", "-et", "0", "-r", method, "-t_srs", "EPSG:3857", "-dstnodata", str(HOLE)]
    subprocess.run(["gdalwarp", *options, *size, str(path), str(made)], check=True)
    with rasterio.open(made) as dataset:
        expected = dataset.read(1)
    found = resampled(path, grid, method)
    at = inner(expected != HOLE) & found.valid[0]
    assert at.sum() > 500
    assert np.abs(found.values[0].astype(int) - expected)[at].max() <= 1


@pytest.mark.parametrize("place", [DEGREES, UTM], ids=["straight", "askew"])
@pytest.mark.parametrize("method", METHODS)
def test_tiles_meet_without_a_seam(tmp_path: Path, place: tuple[str, Affine], method: str) -> None:
    path = scene(tmp_path / "scene.tif", place, True)
    zoom = 8 if place is DEGREES else 12
    tile = tiles_over(asset_of(path), (zoom,))[0]
    whole = tile_grid(tile)
    halves = [Window(0, 0, 100, 256), Window(100, 0, 156, 256)]
    apart = [resampled(path, whole.window(each), method) for each in halves]
    together = resampled(path, whole, method)
    values = np.concatenate([each.masked_to_zero() for each in apart], axis=2)
    np.testing.assert_array_equal(values, together.masked_to_zero())


def test_the_tile_above_equals_its_four_children_seen_by_average(tmp_path: Path) -> None:
    values = np.arange(16.0, dtype="float32").repeat(16).reshape(1, 16, 16)
    place = Affine(1.0, 0.0, 8.0, 0.0, -1.0, 0.0)
    path = write_raster(tmp_path / "scene.tif", values, "EPSG:3857", place, overviews=())
    grid = asset_of(path).common_grid.coarsened(4, 4)
    found = resampled(path, grid, "average")
    np.testing.assert_allclose(found.values[0], values[0].reshape(4, 4, 4, 4).mean(axis=(1, 3)))


@pytest.mark.parametrize("method", METHODS)
def test_masked_pixels_do_not_bleed(tmp_path: Path, method: str) -> None:
    values = np.full((1, 256, 256), 100, "int16")
    values[0, ::3, ::5] = -32768
    path = write_raster(tmp_path / "scene.tif", values, *MERCATOR, nodata=-32768, overviews=())
    found = resampled(path, tile_grid(tiles_over(asset_of(path), (13,))[0]), method)
    assert found.valid.any()
    assert set(np.unique(found.values[found.valid])) == {100}


@pytest.mark.parametrize("method", METHODS)
def test_alpha_hides_what_it_hides_and_bleeds_no_colour(tmp_path: Path, method: str) -> None:
    values = np.full((3, 256, 256), 200, "uint8")
    mask = np.zeros((256, 256), bool)
    mask[:, :100] = True
    values[:, ~mask] = 7
    path = write_raster(tmp_path / "scene.tif", values, *MERCATOR, alpha=True, mask=mask)
    found = resampled(path, tile_grid(tiles_over(asset_of(path), (13,))[0]), method)
    assert found.valid.any()
    assert set(np.unique(found.values[found.valid])) == {200}


def test_without_overviews_pixels_are_averaged_to_one_first(tmp_path: Path) -> None:
    plain = scene(tmp_path / "plain.tif", MERCATOR, True, overviews=())
    pyramid = scene(tmp_path / "pyramid.tif", MERCATOR, True, overviews=(2, 4))
    grid = tile_grid(tiles_over(asset_of(plain), (11,))[0])
    one, other = (resampled(path, grid, "bilinear") for path in (plain, pyramid))
    np.testing.assert_array_equal(one.valid, other.valid)
    difference = np.abs(one.masked_to_zero().astype(int) - other.masked_to_zero())
    # Overviews round their means to whole numbers.
    assert difference.max() <= 2


def test_a_world_map_has_its_neighbours_and_no_seam_at_its_edge(tmp_path: Path) -> None:
    values = np.tile(np.arange(180, dtype="float32")[:, None], (1, 360))[None]
    place = Affine(1.0, 0.0, -180.0, 0.0, -1.0, 90.0)
    path = write_raster(tmp_path / "world.tif", values, "EPSG:4326", place, overviews=())
    for method in METHODS:
        found = resampled(path, tile_grid(Tile(0, 0, 0)), method)
        assert found.valid.all(), method
        assert np.ptp(found.values[0], axis=1).max() < 1e-3, method


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, serving: Callable[[Path], Client]) -> Client:
    path = scene(tmp_path_factory.mktemp("scenes") / "scene.tif", MERCATOR, True)
    return serving(path)


def test_the_parameter_works_on_tiles_and_previews_and_goes_into_tilejson(client: Client) -> None:
    tiles = client.get("/tilejson/scene.json", params={"resampling": "bilinear"}).json()["tiles"]
    assert "resampling=bilinear" in tiles[0]
    plain = client.get("/tilejson/scene.json").json()["tiles"][0]
    assert plain.partition("v=")[2] != tiles[0].partition("v=")[2]
    for path in ("/tiles/scene/13/4322/3238.png", "/preview/scene.png"):
        bodies = {
            client.get(path, params={"resampling": each}).content
            for each in ("nearest", "bilinear", "cubic", "average", "mode")
        }
        assert len(bodies) == 5, path
        nearest = client.get(path, params={"resampling": "nearest"}).content
        assert client.get(path).content == nearest


def test_a_wrong_value_is_refused_with_the_choices(client: Client) -> None:
    message = client.refused("/tiles/scene/13/4322/3238.png", resampling="bilinaer")
    assert "resampling" in message
    assert "nearest, bilinear, cubic, average, mode" in message
    assert "did you mean bilinear" in message
    assert "resampling" in client.refused("/point/scene", lon=9.9, lat=35.2, resampling="cubic")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("place", [DEGREES, UTM], ids=["straight", "askew"])
def test_an_engine_that_reads_single_pixels_only_is_resampled_too(
    tmp_path: Path, place: tuple[str, Affine], method: str
) -> None:
    path = scene(tmp_path / "scene.tif", place, True, overviews=())
    zoom = 7 if place is DEGREES else 12
    grid = tile_grid(tiles_over(asset_of(path), (zoom,))[0])
    request = replace(raw(path, grid), processing=Processing(resampling=Resampling(method)))
    found = asyncio.run(Processed(engine(path), lambda name: False).read_bands(request))
    expected = resampled(path, grid, method)
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_array_equal(found.masked_to_zero(), expected.masked_to_zero())
