from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import ROOT
from tileserver.server.worker_slots import seated

SITTER = """
import asyncio, sys
from pathlib import Path
from tileserver.server.worker_slots import seated
async def main():
    seat = asyncio.Event()
    async with seated(Path(sys.argv[1]), int(sys.argv[2]), seat.set):
        await seat.wait()
        print("seated", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""


def sitter(folder: Path, seats: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SITTER, str(folder), str(seats)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "seated\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=60)


def test_one_too_many_waits_until_another_is_killed(tmp_path: Path) -> None:
    async def scenario() -> None:
        others = [await asyncio.to_thread(sitter, tmp_path, 3) for _ in range(2)]
        third = await asyncio.to_thread(sitter, tmp_path, 3)
        seat = asyncio.Event()
        async with seated(tmp_path, 3, seat.set):
            await asyncio.sleep(0.3)
            assert not seat.is_set()
            await asyncio.to_thread(end, third)
            await asyncio.wait_for(seat.wait(), 60)
        for each in others:
            await asyncio.to_thread(end, each)

    asyncio.run(scenario())


def test_one_too_many_is_not_kept_waiting_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def scenario() -> None:
        other = await asyncio.to_thread(sitter, tmp_path, 1)
        seat = asyncio.Event()
        async with seated(tmp_path, 1, seat.set, patience_s=0.2):
            await asyncio.wait_for(seat.wait(), 60)
        await asyncio.to_thread(end, other)

    asyncio.run(scenario())
    assert "more than the 1 workers" in caplog.text


def test_without_a_folder_nobody_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        seat = asyncio.Event()
        async with seated(tmp_path / "gone", 1, seat.set):
            assert seat.is_set()

    asyncio.run(scenario())
