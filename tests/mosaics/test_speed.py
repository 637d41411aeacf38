"""What mosaics may cost, in CPU time and as ratios within one run."""

import time
from pathlib import Path

import numpy as np
import pytest
from rasterio.warp import transform as project

from tests.mosaics.conftest import MakeMosaic
from tests.mosaics.files import NAME, shifted, whole
from tests.support.rasterfiles import write_raster
from tileserver.contract.assets import ImageAsset, MosaicState
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, Box, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import tile_at, tile_grid
from tileserver.mosaics.description import mosaic_asset
from tileserver.mosaics.index_file import IndexFile
from tileserver.mosaics.members import Member, Members
from tileserver.mosaics.selection import Rule
from tileserver.mosaics.snapshots import Snapshot
from tileserver.rasters.blocks.cache import BlockCache
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

pytestmark = pytest.mark.slow


def cpu_s(function: object, *arguments: object) -> float:
    started = time.process_time()
    function(*arguments)  # type: ignore[operator]
    return time.process_time() - started


def test_a_cold_tile_over_four_scenes_costs_three_times_one(
    tmp_path: Path, folder: Path, make_mosaic: MakeMosaic
) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 4000, (3, 1024, 1024)).astype("uint16")
    for number, (column, row) in enumerate([(0, 0), (1024, 0), (0, 1024), (1024, 1024)]):
        write_raster(folder / f"{number}.tif", scene, transform=shifted(column, row))
    one = write_raster(tmp_path / "one.tif", scene, transform=shifted(512, 512))
    mosaics = whole(make_mosaic(folder))
    mosaics.find(NAME)
    # In its middle is the corner that all four scenes share.
    at = shifted(1024, 1024)
    ((x,), (y,)) = project("EPSG:32612", "EPSG:3857", [at.c], [at.f])
    lattice = AffineTransform.north_up(x - 128 * 40, y + 128 * 40, 40.0, 40.0)
    grid = PixelGrid(256, 256, lattice, "EPSG:3857")

    def costs() -> tuple[float, float]:
        single = LocalRasters(Catalogue([Root(str(one))]))
        single.catalogue.find("projects/localhost/assets/one")
        alone = PixelRequest(
            "projects/localhost/assets/one", ImageFileFormat.PNG, grid, None, ("b1", "b2", "b3")
        )
        together = PixelRequest(NAME, ImageFileFormat.PNG, grid, None, ("b1", "b2", "b3"))
        for name in ("0", "1", "2", "3"):
            mosaics.rasters.catalogue.find(f"{NAME}/{name}")
        mosaics.rasters.blocks = BlockCache(100_000_000)
        try:
            return cpu_s(single.pixels, alone), cpu_s(mosaics.pixels, together)
        finally:
            single.close()

    costs()
    found = [costs() for _ in range(7)]
    ratio = min(many for _, many in found) / min(alone for alone, _ in found)
    assert ratio < 3, ratio


def test_the_first_tile_of_a_thousand_files_takes_less_than_a_second(
    folder: Path, make_mosaic: MakeMosaic
) -> None:
    for number in range(1000):
        dtype = ("uint8", "int16", "float32")[number % 3]
        down, across = divmod(number, 40)
        values = np.full((1, 16, 16), number % 100 + 1, dtype)
        write_raster(
            folder / f"{number}.tif",
            values,
            transform=shifted(16 * across, 16 * down),
            overviews=(),
        )
    mosaics = make_mosaic(folder)
    started = time.process_time()
    asset = mosaics.find(NAME)
    grid = tile_grid(tile_at(48, 96, 8))
    found = mosaics.bands(
        PixelRequest(NAME, ImageFileFormat.NPY, grid, asset_version=asset.version)
    )
    took_s = time.process_time() - started
    assert found.valid.any()
    assert took_s < 1


def test_a_hundred_thousand_files_are_known_in_two_seconds_and_found_in_a_millisecond(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    lattice = AffineTransform.north_up(0.0, 0.0, 0.01, 0.01)
    members = []
    for number in range(100_000):
        west, south = rng.uniform(-180, 179), rng.uniform(-80, 79)
        grid = PixelGrid(
            100, 100, AffineTransform.north_up(west, south + 1, 0.01, 0.01), "EPSG:4326"
        )
        box = Box(west, south, west + 1, south + 1)
        members.append(
            Member(f"{number:06}", f"{number:016x}", grid, box, (("b1", "uint8"),), float(number))
        )
    file = IndexFile(tmp_path, "many")
    file.write(Members.of(members))
    template = _asset(lattice)

    started = time.process_time()
    held = file.read()
    assert held is not None
    state = MosaicState(len(held), "newest", True)
    asset = mosaic_asset(NAME, held, Rule(), template, state)
    snapshot = Snapshot(held, asset, Rule())
    snapshot.prepare()
    assert time.process_time() - started < 2
    assert sum(
        column.nbytes for column in vars(held).values() if isinstance(column, np.ndarray)
    ) < (30_000_000)

    grids = [tile_grid(tile_at(500 + n, 400, 10)) for n in range(50)]
    expected = snapshot.meeting(grids[0], ("b1",))
    lon = (500 / 1024 * 360 - 180, 501 / 1024 * 360 - 180)
    touching = [
        n for n, each in enumerate(members) if each.box[0] <= lon[1] and each.box[2] >= lon[0]
    ]
    assert set(expected) <= set(touching)
    assert list(expected) == sorted(expected, reverse=True)
    assert cpu_s(lambda: [snapshot.meeting(grid, ("b1",)) for grid in grids]) / 50 < 1e-3


def _asset(lattice: AffineTransform) -> ImageAsset:
    from tileserver.contract.assets import Band

    grid = PixelGrid(100, 100, lattice, "EPSG:4326")
    return ImageAsset("a", "v", (Band("b1", np.dtype("uint8"), grid),))
