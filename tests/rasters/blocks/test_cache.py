from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.rasters.engine import engine, raw
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.grids import Window
from tileserver.errors import DeadlineExceeded
from tileserver.rasters.blocks.cache import Block, BlockCache

PATIENCE_S = 60.0


def soon() -> float:
    return time.monotonic() + PATIENCE_S


class Source:
    """Blocks of a thousand bytes, full of their key; counts how often it makes each."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.fetched: list[list[int]] = []
        self.may_decode = threading.Event()
        self.may_decode.set()

    def load(self, keys: Sequence[int]) -> Iterator[Callable[[], Block]]:
        self.fetched.append(list(keys))
        for key in keys:
            yield partial(self.decode, key)

    def decode(self, key: int) -> Block:
        assert self.may_decode.wait(PATIENCE_S)
        self.made.append(key)
        if key < 0:
            raise ValueError(f"no block {key}")
        return np.full((10, 100, 1), key, np.uint8)


def test_a_block_is_decoded_once_and_kept() -> None:
    source, cache = Source(), BlockCache[int](10**6)
    for _ in range(3):
        found = cache.get([1, 2, 3], source.load, soon())
        assert {key: int(block[0, 0, 0]) for key, block in found.items()} == {1: 1, 2: 2, 3: 3}
    assert sorted(source.made) == [1, 2, 3]
    assert source.fetched == [[1, 2, 3]]
    cache.close()


def test_blocks_of_many_threads_at_once_are_decoded_once() -> None:
    source, cache = Source(), BlockCache[int](10**6)
    source.may_decode.clear()
    with ThreadPoolExecutor(16) as threads:
        asked = [
            threads.submit(cache.get, [i % 4, 4 + i % 3], source.load, soon()) for i in range(16)
        ]
        source.may_decode.set()
        for i, each in enumerate(asked):
            assert set(each.result(PATIENCE_S)) == {i % 4, 4 + i % 3}
    assert sorted(source.made) == list(range(7))
    cache.close()


def test_the_least_recently_used_blocks_go_and_the_bound_is_kept() -> None:
    source, cache = Source(), BlockCache[int](20_000)
    for key in range(100):
        cache.get([key], source.load, soon())
        assert cache.held_bytes <= 20_000
    cache.get([99], source.load, soon())
    assert source.made == list(range(100))
    cache.get([0], source.load, soon())
    assert source.made == [*range(100), 0]
    cache.close()


def test_a_block_too_large_to_keep_is_handed_out() -> None:
    source, cache = Source(), BlockCache[int](5000)
    assert int(cache.get([7], source.load, soon())[7][0, 0, 0]) == 7
    assert cache.held_bytes == 0
    cache.close()


def test_a_block_that_fails_fails_for_all_that_wait_and_is_tried_again() -> None:
    source, cache = Source(), BlockCache[int](10**6)
    for _ in range(2):
        with pytest.raises(ValueError, match="no block -1"):
            cache.get([5, -1], source.load, soon())
    assert source.made.count(-1) == 2
    assert source.made.count(5) == 1
    cache.close()


def test_a_fetch_that_fails_leaves_nothing_under_way() -> None:
    source, cache = Source(), BlockCache[int](10**6)

    def fail(keys: Sequence[int]) -> Iterator[Callable[[], Block]]:
        raise OSError("no file")

    with pytest.raises(OSError, match="no file"):
        cache.get([1, 2], fail, soon())
    assert set(cache.get([1, 2], source.load, soon())) == {1, 2}
    cache.close()


def test_who_waits_for_another_thread_does_so_until_the_deadline() -> None:
    source, cache = Source(), BlockCache[int](10**6)
    source.may_decode.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(cache.get, [1], source.load, soon())
        while not source.fetched:
            time.sleep(0.001)
        with pytest.raises(DeadlineExceeded):
            cache.get([1], source.load, time.monotonic() + 0.05)
        source.may_decode.set()
        assert set(first.result(PATIENCE_S)) == {1}
    cache.close()


def test_blocks_that_were_never_written_take_no_room(tmp_path: Path) -> None:
    values = np.zeros((3, 900, 900), np.uint16)
    values[:, :10, :10] = 7
    path = write_raster(tmp_path / "a.tif", values, overviews=(), SPARSE_OK=True)
    rasters = engine(path)
    assert np.array_equal(rasters.bands(raw(path, None)).values, values)
    assert 0 < rasters.blocks.held_bytes < 2 * 3 * 256 * 256 * 2
    rasters.close()


def test_neighbouring_tiles_decode_each_block_once(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 1000, 1000), overviews=())
    rasters = engine(path)
    native = rasters.catalogue.find(raw(path, None).asset_id).grid
    for column in range(0, 1000, 100):
        grid = native.window(Window(column, 0, 100, 1000))
        rasters.bands(raw(path, grid))
    assert rasters.blocks.decoded == 16
    rasters.close()
