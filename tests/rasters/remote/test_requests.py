"""How many requests remote tiles take, and how many bytes: each byte once, for all threads."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio.shutil

from tests.rasters.engine import engine, name_of, raster_of, raw
from tests.rasters.remote.origin import Answer, Origin, Stored, asked, serve
from tests.support.limits import SOON_S
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import PixelGrid, Window
from tileserver.rasters import tiff_directories
from tileserver.rasters.blocks.cache import Block, BlockCache, Load
from tileserver.rasters.blocks.layouts import Layout
from tileserver.rasters.blocks.levels import BlockKey
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.remote.blocks import BLOCK_BYTES, Blocks
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.roots import Root

SIDE = 200
ACROSS, DOWN = 6, 4


def cloud_optimized(path: Path, **profile: Any) -> Path:
    """Write a COG of three bands and a mask, in blocks of 128."""
    shown = np.random.default_rng(2).random((DOWN * SIDE, ACROSS * SIDE)) > 0.1
    draft = path.with_suffix(".draft.tif")
    write_raster(draft, noise(3, *shown.shape), mask=shown)
    rasterio.shutil.copy(draft, path, driver="COG", compress="deflate", blocksize=128, **profile)
    return path


def in_planes(path: Path) -> Path:
    """Write a GeoTIFF whose bands have blocks of their own, far from one another."""
    values = noise(3, DOWN * SIDE, ACROSS * SIDE)
    options: dict[str, Any] = {"interleave": "band", "blockxsize": 128, "blockysize": 128}
    return write_raster(path, values, overviews=(), **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return cloud_optimized(tmp_path / "utah.tif")


class Remote:
    """The file at `path`, served and read over HTTP."""

    def __init__(self, path: Path, origin: Origin) -> None:
        self.path = path
        self.origin = origin
        self.rasters = LocalRasters(Catalogue([Root(origin.url)]))
        self.native = raster_of(path).grid

    def grid(self, column: int, row: int) -> PixelGrid:
        return self.native.window(Window(column * SIDE, row * SIDE, SIDE, SIDE))

    def check(self, column: int, row: int) -> None:
        """Read a tile of native pixels, and compare it with the one from disk."""
        wanted = raw(self.path, self.grid(column, row))
        here, there = engine(self.path).bands(wanted), self.rasters.bands(wanted)
        assert np.array_equal(here.values, there.values)
        assert np.array_equal(here.valid, there.valid)

    def ranges(self) -> list[tuple[int, int]]:
        """Return the first byte and the one after the last of each request so far."""
        size = self.path.stat().st_size
        found = [re.findall(r"\d+", headers["range"]) for _, headers in self.origin.requests]
        return [(int(first), min(int(last) + 1, size)) for first, last in found]


@contextmanager
def behind(path: Path, answer: Answer | None = None) -> Iterator[Remote]:
    """Serve a file, as it is unless told otherwise."""
    with serve(answer or Stored(path.read_bytes())) as origin:
        remote = Remote(path, origin)
        yield remote
        remote.rasters.close()


@pytest.fixture
def remote(path: Path) -> Iterator[Remote]:
    with behind(path) as served:
        yield served


def block_bytes(path: Path) -> int:
    """Return the bytes of all blocks of the image and of its mask, without overviews."""
    content = path.read_bytes()
    level = raster_of(path).layouts[0]

    def size(layout: Layout) -> int:
        places = np.ndindex(layout.planes, layout.rows, layout.columns)
        return sum(layout.find(lambda at, n: content[at : at + n], *each)[1] for each in places)

    return size(level.image) + (size(level.mask) if level.mask else 0)


def fetched_twice(ranges: Sequence[tuple[int, int]], size: int) -> int:
    """Return the bytes that were sent more often than once."""
    times = np.zeros(size, np.uint8)
    for first, end in ranges:
        times[first:end] += 1
    return int((times > 1).sum())


@pytest.mark.parametrize("write", [cloud_optimized, in_planes])
def test_a_screen_fetches_its_blocks_and_no_byte_twice(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / "utah.tif")
    places = [(column, row) for row in range(DOWN) for column in range(ACROSS)]
    with behind(path) as remote:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda place: remote.check(*place), places))
        ranges = remote.ranges()
    assert fetched_twice(ranges, path.stat().st_size) == 0
    header, *others = ranges
    assert header == (0, BLOCK_BYTES)
    assert sum(end - first for first, end in others) <= 1.05 * block_bytes(path)


def test_the_first_tile_takes_three_requests_and_the_next_one_a_request_a_row_of_blocks(
    remote: Remote,
) -> None:
    remote.check(0, 0)
    assert len(remote.origin.requests) == 3
    remote.check(1, 0)
    assert len(remote.origin.requests) == 5
    remote.check(1, 0)
    assert len(remote.origin.requests) == 5


def together(count: int, path: Path) -> Answer:
    """Answer requests beyond the header once `count` of them wait."""
    barrier, stored = threading.Barrier(count), Stored(path.read_bytes())

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if asked(handler)[0] > 0:
            barrier.wait(SOON_S)
        stored(handler)

    return answer


def test_far_ranges_of_all_bands_are_fetched_side_by_side(tmp_path: Path) -> None:
    path = in_planes(tmp_path / "utah.tif")
    # Two rows of blocks of three bands, none of them in the header's block.
    with behind(path, together(6, path)) as remote:
        remote.check(2, 0)
        assert len(remote.ranges()) == 1 + 6


class Counting(BlockCache[BlockKey]):
    """Knows how many blocks were read at once."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self.numbers: list[int] = []

    def get(
        self, keys: Sequence[BlockKey], load: Load[BlockKey], deadline: float
    ) -> Mapping[BlockKey, Block]:
        self.numbers.append(len(keys))
        return super().get(keys, load, deadline)


def test_bands_of_more_memory_than_a_read_may_hold_are_fetched_in_turn(tmp_path: Path) -> None:
    values = noise(9, 1024, 1024)
    options: dict[str, Any] = {"interleave": "band", "blockxsize": 1024, "blockysize": 1024}
    path = write_raster(tmp_path / "utah.tif", values, overviews=(), **options)
    with behind(path) as remote:
        counting = remote.rasters.blocks = Counting(10**9)
        remote.check(0, 0)
        # A block has 2 MiB.
        assert counting.numbers == [7, 2]
        assert fetched_twice(remote.ranges(), path.stat().st_size) == 0


@pytest.mark.parametrize("whole_bytes", [0, 1_000_000])
def test_the_lists_of_blocks_are_fetched_once_for_all_threads(
    whole_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_directories, "_WHOLE_TABLE_BYTES", whole_bytes)
    values = np.zeros((1, 4096, 4096), np.uint8)
    values[:, :800, :800] = noise(1, 800, 800, "uint8")
    tiny: dict[str, Any] = {"blockxsize": 16, "blockysize": 16, "SPARSE_OK": True}
    path = write_raster(tmp_path / "utah.tif", values, overviews=(), **tiny)
    layout = raster_of(path).layouts[0].image
    assert max(layout.offsets.offset, layout.byte_counts.offset) > BLOCK_BYTES
    with behind(path) as remote:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda i: remote.check(i % 4, i // 4), range(16)))
        ranges = remote.ranges()
    listed = layout.byte_counts.offset
    covering = [each for each in ranges if each[0] <= listed < each[1]]
    assert len(covering) == 1


def test_what_gdal_reads_does_not_crowd_out_headers(remote: Remote) -> None:
    raster = remote.rasters.catalogue.find(name_of(remote.path))
    assert isinstance(raster, GeoTiff)
    file = raster.location
    assert isinstance(file, RemoteFile)
    file._source.blocks = Blocks(2 * BLOCK_BYTES)
    for start in range(BLOCK_BYTES, file.size, BLOCK_BYTES):
        file.read_ranges([(start, 9)])
    count = len(remote.origin.requests)
    file.read_at(0, 1000)
    assert len(remote.origin.requests) == count
