"""A folder that workers share, with all that a disk can do to it: pixels come all the same."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tests.support.limits import SOON_S
from tileserver.caching.envelope import key_of
from tileserver.caching.folder_store import FolderStore, tidy
from tileserver.caching.shared import BestEffortStore, Shared
from tileserver.contract.pixels import PixelRequest

REQUEST = PixelRequest("projects/localhost/assets/scene")
KEY = key_of("here", REQUEST)
NOBODY = 65534
OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from tileserver.caching.folder_store import FolderStore
async def main():
    store = FolderStore(Path(sys.argv[1]), 10**7, 60, 2)
    print(await store.claim(sys.argv[2]), flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


class Source:
    def __init__(self) -> None:
        self.asked = 0

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        return b"pixels"


def store(folder: Path, max_bytes: int = 10**7, ttl_s: float = 60) -> FolderStore:
    """Return a store that no busy machine makes fail."""
    made = FolderStore(folder, max_bytes, ttl_s, workers=2)
    made.budget_s = SOON_S
    return made


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scenario())  # type: ignore[arg-type]


def bodies_in(folder: Path) -> list[Path]:
    return list(folder.glob("*.body"))


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that every user can reach, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def other_process(folder: Path, key: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Let another process claim a key; yield it and what it was told."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(folder), key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()
        process.stdin.close()


def test_a_body_is_there_for_another_worker_until_it_is_too_old(tmp_path: Path) -> None:
    async def scenario() -> None:
        await store(tmp_path).put(KEY, b"pixels")
        assert await store(tmp_path).get(KEY) == b"pixels"
        assert await store(tmp_path, ttl_s=1e-6).get(KEY) is None
        assert bodies_in(tmp_path) == []

    run(scenario)


def test_what_one_process_has_claimed_no_other_claims_until_it_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        here = store(tmp_path)
        with other_process(tmp_path, KEY) as (process, told):
            assert told == "True"
            assert not await here.claim(KEY)
            assert await here.claim(KEY[::-1])
            process.kill()
            process.wait(60)
            assert await here.claim(KEY)
        with other_process(tmp_path, KEY) as (_, told):
            assert told == "False"
        await here.release(KEY)
        with other_process(tmp_path, KEY) as (_, told):
            assert told == "True"
        await here.close()

    run(scenario)


def test_a_claim_is_not_had_twice_within_a_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        here = store(tmp_path)
        assert [await here.claim(KEY) for _ in range(2)] == [True, False]
        await here.close()

    run(scenario)


@pytest.mark.parametrize("damage", [b"", b"noise" * 100, None])
def test_a_damaged_body_is_taken_away_and_fetched_anew(
    tmp_path: Path, damage: bytes | None
) -> None:
    async def scenario() -> None:
        here = store(tmp_path)
        await here.put(KEY, b"pixels")
        (path,) = bodies_in(tmp_path)
        path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
        assert await here.get(KEY) is None
        assert not path.exists()

    run(scenario)


def test_the_folder_never_holds_more_than_its_bytes_and_the_latest_stay(tmp_path: Path) -> None:
    async def scenario() -> None:
        workers = [store(tmp_path, max_bytes=100_000) for _ in range(2)]
        for number in range(200):
            for each in workers:
                key = f"{number:060x}{id(each) % 7:04x}"
                await each.put(key, bytes(3000))
                held = sum(path.stat().st_size for path in bodies_in(tmp_path))
                assert held <= 100_000 * 1.05
            assert await each.get(key) is not None

    run(scenario)


def test_parts_whose_writer_was_killed_are_taken_away(tmp_path: Path) -> None:
    old, new = tmp_path / "a.1.part", tmp_path / "b.2.part"
    for each in (old, new):
        each.write_bytes(b"half")
    os.utime(old, (time.time() - 100,) * 2)
    tidy(tmp_path, 10**6)
    assert (old.exists(), new.exists()) == (False, True)


# What goes wrong


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be somebody whom permissions hold for; root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def fault(kind: str, folder: Path) -> Iterator[None]:
    """Let something go wrong with a folder: really, not as it might look."""
    if kind == "full":
        (folder / f"{KEY}.{os.getpid()}.part").symlink_to("/dev/full")
    elif kind == "input/output error":
        (folder / f"{KEY}.body").symlink_to("/proc/self/mem")
    elif kind == "gone":
        folder.rmdir()
        yield
        folder.mkdir()
        return
    elif kind == "no folder":
        folder.rmdir()
        folder.write_text("a file")
        yield
        folder.unlink()
        folder.mkdir()
        return
    else:
        folder.chmod({"read-only": 0o555, "forbidden": 0o000}[kind])
        with as_nobody():
            yield
        return
    yield


FAULTS = ["full", "input/output error", "gone", "no folder", "read-only", "forbidden"]


@pytest.mark.parametrize("kind", FAULTS)
def test_a_disk_that_fails_is_done_without_and_said_once(
    kind: str, open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()

    async def scenario() -> None:
        shared = Shared(BestEffortStore(store(open_folder)), source, "here")
        for _ in range(20):
            assert await shared.get_pixels(REQUEST) == b"pixels"
            await asyncio.sleep(0.01)
        assert shared.store.is_failing
        assert source.asked == 20
        await shared.store.close()

    with fault(kind, open_folder):
        run(scenario)
    assert [each.getMessage().partition(":")[0] for each in caplog.records] == [
        "The shared cache (disk) fails, and is done without"
    ]


@pytest.mark.parametrize("kind", ["full", "gone"])
def test_a_disk_that_works_again_is_used_again(kind: str, open_folder: Path) -> None:
    source, now_s = Source(), [0.0]

    async def scenario() -> None:
        used = BestEffortStore(store(open_folder), clock=lambda: now_s[0])
        shared = Shared(used, source, "here")
        with fault(kind, open_folder):
            for _ in range(2):
                assert await shared.get_pixels(REQUEST) == b"pixels"
                await asyncio.sleep(0.05)
            assert used.is_failing
        now_s[0] = 10.0
        assert await shared.get_pixels(REQUEST) == b"pixels"
        async with asyncio.timeout(SOON_S):
            while not bodies_in(open_folder):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        for _ in range(2):
            assert await shared.get_pixels(REQUEST) == b"pixels"
        assert source.asked == 3
        assert not shared.store.is_failing
        await shared.store.close()

    run(scenario)
