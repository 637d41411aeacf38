"""Rasters placed by ground control points and by RPCs have the pixels of GDAL's warp."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import attr
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.warp import Resampling, reproject

from tests.rasters.engine import asset_of, raster_of, read
from tests.support.limits import cpu_limit
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.tiles import WEB_MERCATOR
from tileserver.geo.asset_extents import extent_of
from tileserver.geo.crs import transform_point

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

HEIGHT, WIDTH = 300, 400


def write(path: Path, gcps: Any = None, rpcs: Any = None, overviews: bool = False) -> Path:
    """Write a raster of smooth values, so that a pixel of tolerance is a small difference."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    values = np.stack([columns * 100, rows * 100]).astype(np.uint16) + 1000
    with rasterio.open(
        path, "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=2, dtype="uint16", tiled=True
    ) as dataset:
        if gcps:
            dataset.gcps = gcps
        if rpcs:
            dataset.rpcs = rpcs
        dataset.write(values)
    if overviews:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], Resampling.nearest)
    return path


def points(across: int, down: int, bend: float, crs: str, west: float = 10.0) -> Any:
    """Return control points of a turned and bent raster, and their CRS."""
    found = []
    for row in np.linspace(0, HEIGHT, down):
        for column in np.linspace(0, WIDTH, across):
            u, v = column / WIDTH, row / HEIGHT
            lon = west + 2 * u + 0.4 * v + bend * u * v
            lat = 50 - 1.2 * v + 0.5 * u + bend * u * u
            x, y = transform_point("EPSG:4326", crs, (lon + 180) % 360 - 180, lat)
            found.append(GroundControlPoint(row, column, x, y))
    return found, rasterio.CRS.from_string(crs)


RPCS = RPC(
    **{"height_off": 100, "height_scale": 500, "lat_off": 50, "lat_scale": 0.1},
    **{"line_off": 150, "line_scale": 150, "long_off": 10, "long_scale": 0.1},
    **{"samp_off": 200, "samp_scale": 200, "err_bias": None, "err_rand": None},
    line_num_coeff=[0, 0.05, -1, 0.02, 0.01, *[0] * 15],
    line_den_coeff=[1, 0.001, *[0] * 18],
    samp_num_coeff=[0, 1, 0.05, 0.1, *[0] * 16],
    samp_den_coeff=[1, 0, 0.002, *[0] * 17],
)
CASES: dict[str, dict[str, Any]] = {
    "three points": {"gcps": lambda: points(2, 2, 0, "EPSG:4326")},
    "four points": {"gcps": lambda: points(2, 2, 0.01, "EPSG:4326")},
    "nine points": {"gcps": lambda: points(3, 3, 0.05, "EPSG:4326")},
    "210 points, as of Sentinel-1": {"gcps": lambda: points(21, 10, 0.05, "EPSG:4326")},
    "points in UTM": {"gcps": lambda: points(4, 4, 0.05, "EPSG:32632")},
    "points across 180": {"gcps": lambda: points(5, 5, 0.05, "EPSG:4326", west=179.0)},
    "RPCs": {"rpcs": lambda: RPCS},
}


def made(path: Path, which: str, **more: Any) -> Path:
    found = {name: make() for name, make in CASES[which].items()}
    if which == "three points":
        found["gcps"] = found["gcps"][0][:3], found["gcps"][1]
    return write(path, **found, **more)


def mercator_grid(path: Path, side: int = 200) -> PixelGrid:
    box = extent_of(raster_of(path).asset).boxes[0]
    pixel = (box.east - box.west) / side
    transform = AffineTransform(pixel, 0, box.west, 0, -pixel, box.north)
    return PixelGrid(side, side, transform, WEB_MERCATOR)


def of_gdal(path: Path, grid: PixelGrid) -> NDArray[Any]:
    """Return what GDAL's warp makes of a raster, by nearest neighbour, an eighth of a pixel off."""
    t = grid.transform
    with rasterio.open(path) as dataset:
        found = np.zeros((dataset.count, grid.height, grid.width), np.uint16)
        gcps, crs = dataset.gcps
        how = {"gcps": gcps} if gcps else {"rpcs": dataset.rpcs}
        reproject(
            dataset.read(),
            found,
            **how,
            src_crs=crs or "EPSG:4326",
            dst_transform=Affine(t.scale_x, 0, t.translate_x, 0, t.scale_y, t.translate_y),
            dst_crs=grid.crs_code,
            resampling=Resampling.nearest,
        )
    return found


def check_same(
    path: Path, grid: PixelGrid, expected: NDArray[Any], most_moved: float = 0.06
) -> None:
    found = read(path, grid)
    both = found.valid[0] & (expected[0] != 0)
    assert both.sum() > 0.2 * both.size
    # Which pixels are in may differ along the edge alone.
    assert (found.valid[0] != (expected[0] != 0)).sum() <= 4 * (
        grid.width + grid.height
    ) * most_moved
    off = np.abs(found.values.astype(int) - expected)[:, both]
    # One pixel is a difference of 100; rounding at its edge moves few of them.
    assert off.max() <= 100
    assert (off > 0).mean() < most_moved


@pytest.mark.parametrize("which", [name for name in CASES if name != "points across 180"])
def test_a_web_map_shows_the_pixels_of_gdals_warp(tmp_path: Path, which: str) -> None:
    path = made(tmp_path / "a.tif", which)
    grid = mercator_grid(path)
    check_same(path, grid, of_gdal(path, grid))


@pytest.mark.parametrize("which", CASES)
def test_the_native_grid_is_the_one_that_gdal_suggests(tmp_path: Path, which: str) -> None:
    path = made(tmp_path / "a.tif", which)
    grid = raster_of(path).grid
    if which != "points across 180":
        check_same(path, grid, of_gdal(path, grid))
    whole = read(path, None)
    assert whole.values.shape == (2, grid.height, grid.width)
    assert 0.4 < whole.valid.mean() <= 1
    # Each pixel of the file is somewhere.
    assert whole.values[whole.valid].max() > 100 * (WIDTH - 3)


def test_points_across_180_give_what_their_control_gives(tmp_path: Path) -> None:
    crossing = write(tmp_path / "a.tif", points(5, 5, 0.05, "EPSG:4326", west=179.0))
    control = write(tmp_path / "b.tif", points(5, 5, 0.05, "EPSG:4326", west=139.0))
    one, other = read(crossing, None), read(control, None)
    assert one.values.shape == other.values.shape
    assert (one.values != other.values).mean() < 0.01
    assert len(extent_of(raster_of(crossing).asset).boxes) == 2
    zooms = {extent_of(raster_of(path).asset).full_zoom for path in (crossing, control)}
    assert len(zooms) == 1


@pytest.mark.skipif(not shutil.which("gdalwarp"), reason="gdalwarp is not installed")
@pytest.mark.parametrize("which", [name for name in CASES if name != "points across 180"])
def test_the_command_gdalwarp_makes_the_same_by_default(tmp_path: Path, which: str) -> None:
    path = made(tmp_path / "a.tif", which)
    grid = mercator_grid(path)
    t = grid.transform
    box = [t.translate_x, t.translate_y + t.scale_y * grid.height]
    box += [t.translate_x + t.scale_x * grid.width, t.translate_y]
    out = tmp_path / "out.tif"
    subprocess.run(
        [
            *("gdalwarp", "-q", "-et", "0", "-r", "near", "-t_srs", "EPSG:3857", "-te"),
            *(repr(number) for number in box),
            *("-ts", str(grid.width), str(grid.height), str(path), str(out)),
        ],
        check=True,
        timeout=120,
    )
    with rasterio.open(out) as dataset:
        check_same(path, grid, dataset.read(), most_moved=0.005)


def test_overviews_are_read_from_afar(tmp_path: Path) -> None:
    path = made(tmp_path / "a.tif", "nine points", overviews=True)
    grid = mercator_grid(path, 60)
    found, expected = read(path, grid), of_gdal(path, grid)
    both = found.valid[0] & (expected[0] != 0)
    assert np.abs(found.values.astype(int) - expected)[:, both].max() <= 500
    assert np.abs(found.values.astype(int) - expected)[:, both].max() > 0, "of an overview"


def test_ten_thousand_points_take_no_longer_than_a_few(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", points(100, 100, 0.05, "EPSG:4326"))
    with cpu_limit(5):
        grid = raster_of(path).grid
    check_same(path, grid, of_gdal(path, grid))


def test_bad_rpcs_leave_a_picture_without_a_place(tmp_path: Path) -> None:
    for change in (
        {"line_den_coeff": [0.0] * 20},
        {"lat_off": 5000.0},
        {"long_off": 1e6},
        {"long_scale": np.nan},
    ):
        path = write(tmp_path / "a.tif", rpcs=RPC(**(attr.asdict(RPCS) | change)))
        assert "rational polynomial coefficients" in asset_of(path).no_place
