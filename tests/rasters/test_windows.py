from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from tests.rasters.conftest import Once
from tests.rasters.engine import name_of, raster_of
from tests.support.rasterfiles import UTAH, noise, write_raster
from tileserver.contract import grids as contract
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import DeadlineExceeded
from tileserver.geo.positions import positions
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.gdal_levels import GdalLevel
from tileserver.rasters.roots import Root
from tileserver.rasters.windows import picks, read_picks

LAYOUTS: dict[str, dict[str, Any]] = {
    "blocks": {"tiled": True},
    "small blocks": {"tiled": True, "blockxsize": 64, "blockysize": 32},
    "strips": {"tiled": False, "blockysize": 7},
    "one strip": {"tiled": False, "blockysize": 700},
    "bands apart": {"tiled": True, "interleave": "band"},
}
GRIDS: dict[str, Callable[[PixelGrid], PixelGrid]] = {
    "its own": lambda native: native,
    "web mercator": lambda native: PixelGrid(
        240, 230, AffineTransform(150, 0, -12_490_000, 0, -160, 4_963_000), "EPSG:3857"
    ),
    "turned": lambda native: PixelGrid(
        240, 230, AffineTransform(70, 80, 396_000, 80, -70, 4_490_000), "EPSG:32612"
    ),
}


def whole_and_piecewise(
    path: Path, grid: PixelGrid, max_window_bytes: int
) -> tuple[tuple[NDArray[Any], NDArray[np.bool_]], ...]:
    """Return values and validity read at once, and by windows no larger than so much."""
    raster = raster_of(path)
    answers = []
    with rasterio.open(path) as dataset:
        level = GdalLevel(dataset, raster)
        wanted = picks(positions(grid, raster.grid), raster.grid, level)
        for size in (10**9, max_window_bytes):
            shape = (len(raster.band_indexes), grid.height, grid.width)
            values, valid = np.zeros(shape, raster.dtype), np.zeros(shape, np.bool_)
            patience = time.monotonic() + 60
            indexes = raster.band_indexes
            read_picks(level, raster.asset.name, indexes, wanted, values, valid, patience, size)
            answers.append((values, valid))
    return tuple(answers)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("max_window_bytes", [1, 50_000, 400_000])
def test_windows_together_are_the_whole(
    once: Once, layout: str, grid: str, max_window_bytes: int
) -> None:
    shown = np.random.default_rng(1).random((500, 600)) > 0.2
    values = noise(2, 500, 600)
    options = LAYOUTS[layout] | {"mask": shown, "overviews": ()}
    path = once(layout, lambda path: write_raster(path, values, **options))
    native = raster_of(path).grid
    whole, piecewise = whole_and_piecewise(path, GRIDS[grid](native), max_window_bytes)
    assert whole[1].any()
    assert np.array_equal(whole[0], piecewise[0])
    assert np.array_equal(whole[1], piecewise[1])
    if grid == "its own":
        assert np.array_equal(whole[0], values)


class Counted(GdalLevel):
    """Counts how often it is read."""

    reads = 0

    def read(self, *arguments: Any, **named: Any) -> None:
        self.reads += 1
        super().read(*arguments, **named)


@pytest.mark.parametrize(
    ("side", "max_bytes", "reads"), [(200, 8_000_000, 1), (200, 131_072, 1), (500, 131_072, 4)]
)
def test_what_is_small_enough_is_read_at_once(
    side: int, max_bytes: int, reads: int, tmp_path: Path
) -> None:
    """Even if it is no whole number of blocks wide."""
    path = write_raster(tmp_path / "a.tif", noise(1, 500, 500), overviews=(), blockxsize=128)
    raster = raster_of(path)
    grid = raster.grid.window(contract.Window(0, 0, side, side))
    values, valid = np.zeros((1, side, side), raster.dtype), np.zeros((1, side, side), np.bool_)
    with rasterio.open(path) as dataset:
        level = Counted(dataset, raster)
        wanted = picks(positions(grid, raster.grid), raster.grid, level)
        far_s = time.monotonic() + 60
        read_picks(level, "a", raster.band_indexes, wanted, values, valid, far_s, max_bytes)
    assert valid.all()
    assert level.reads == reads


def test_a_deadline_is_looked_at_between_windows(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 300, 300), overviews=())
    late = LocalRasters(Catalogue([Root(str(path))]), deadline_s=-1.0)
    with pytest.raises(DeadlineExceeded, match="`tileserver ingest` makes a copy that has them"):
        late.pixels(PixelRequest(name_of(path), ImageFileFormat.NPY))


FROM_AFAR = """
import resource, sys
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.rasters.engine import LocalRasters

path, name = sys.argv[1:]
rasters = LocalRasters(Catalogue([Root(path)]), block_cache_bytes=100_000_000)
side = 12000 * 30 / 256
grid = PixelGrid(256, 256, AffineTransform(side, 0, 4e5, 0, -side, 4.5e6), "EPSG:32612")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rasters.pixels(PixelRequest(name, ImageFileFormat.NPY, grid))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def growth_bytes(path: Path) -> int:
    """Return by how much a process grows that draws all of a raster in 256 x 256 pixels."""
    command = [sys.executable, "-c", FROM_AFAR, str(path), name_of(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    # macOS counts bytes, Linux kilobytes.
    return int(done.stdout) * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize(
    "blocks",
    [{"tiled": True, "blockxsize": 512, "blockysize": 512}, {"tiled": False, "blockysize": 16}],
)
def test_a_gigabyte_without_overviews_is_read_in_little_memory(
    tmp_path: Path, blocks: dict[str, Any]
) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 3, "sparse_ok": True, **blocks}
    profile |= {"width": 12000, "height": 12000, "crs": "EPSG:32612", "transform": UTAH}
    with rasterio.open(path, "w", compress="deflate", **profile) as dataset:
        dataset.write(np.full((1, 1), 7, np.uint16), 1, window=Window(11999, 11999, 1, 1))
    # Blocks that are kept may take 100 MB, and a window 8 MB.
    assert growth_bytes(path) < 300e6 < 12000 * 12000 * 3 * 2
