"""Blocks of remote files: each fetched by one thread, the others wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.limits import SOON_S
from tests.support.waiting import until
from tileserver.errors import DeadlineExceeded
from tileserver.rasters.remote.blocks import Blocks

FILE = object()


class Server:
    """Blocks of four bytes; counts how often each is fetched."""

    def __init__(self) -> None:
        self.fetched: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def fetch(self, indexes: list[int]) -> Iterable[tuple[int, bytes]]:
        self.fetched += indexes
        assert self.may_answer.wait(SOON_S)
        if min(indexes) < 0:
            raise OSError("no such block")
        return [(i, b"%4d" % i) for i in indexes]


def test_blocks_that_many_threads_miss_are_fetched_once() -> None:
    server, blocks = Server(), Blocks()
    server.may_answer.clear()
    with ThreadPoolExecutor(16) as threads:
        wanted = [[i % 4, 4 + i % 3] for i in range(16)]
        found = [threads.submit(blocks.get, FILE, each, server.fetch) for each in wanted]
        until(lambda: len(server.fetched) >= 7)
        server.may_answer.set()
        for indexes, each in zip(wanted, found, strict=True):
            assert each.result(SOON_S) == {i: b"%4d" % i for i in indexes}
    assert sorted(server.fetched) == list(range(7))
    assert blocks.get(FILE, [3, 6], server.fetch) == {3: b"   3", 6: b"   6"}
    assert blocks.get(object(), [3], server.fetch) == {3: b"   3"}
    assert len(server.fetched) == 8


def test_a_failure_is_one_for_all_that_wait_and_the_block_is_fetched_again() -> None:
    server, blocks = Server(), Blocks()
    server.may_answer.clear()
    with ThreadPoolExecutor(4) as threads:
        found = [threads.submit(blocks.get, FILE, [-1], server.fetch) for _ in range(4)]
        until(lambda: bool(server.fetched))
        server.may_answer.set()
        for each in found:
            with pytest.raises(OSError, match="no such block"):
                each.result(SOON_S)
    before = len(server.fetched)
    with pytest.raises(OSError, match="no such block"):
        blocks.get(FILE, [1, -1], server.fetch)
    assert len(server.fetched) == before + 2


def test_a_thread_waits_for_another_until_its_deadline() -> None:
    server, blocks = Server(), Blocks()
    server.may_answer.clear()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(blocks.get, FILE, [1], server.fetch)
        until(lambda: bool(server.fetched))
        with pytest.raises(DeadlineExceeded):
            blocks.get(FILE, [1], server.fetch, time.monotonic() + 0.05)
        server.may_answer.set()
        assert first.result(SOON_S) == {1: b"   1"}


def test_the_least_recently_used_go_first() -> None:
    server, blocks = Server(), Blocks(max_bytes=12)
    for i in (1, 2, 3, 1, 4):
        blocks.get(FILE, [i], server.fetch)
    assert blocks.held(FILE, range(5)).keys() == {1, 3, 4}
