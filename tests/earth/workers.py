"""The command itself before a stand-in, its workers, and many clients at once."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.earth.conftest import Google
from tests.support.commands import Serving, serving
from tests.support.standin import PREFIX, StandIn

CONFIG = """
[earth_engine]
project = "my-project"
endpoint = "{url}"
[server]
port = 0
workers = {workers}
[layers.smooth]
asset = "{prefix}/smooth"
bands = ["b1"]
min = 0
max = 250
"""
_AT_ONCE = 10
"""Requests sent over a connection without waiting for the answers."""
_HEAD = re.compile(rb"HTTP/1.1 (\d+).*?content-length: (\d+).*?\r\n\r\n", re.S | re.I)


@contextmanager
def serving_earth(
    engine: StandIn, google: Google, folder: Path, workers: int, **more: str
) -> Iterator[Serving]:
    """Start the command itself before a stand-in; `more` goes into its environment."""
    config = folder / "tileserver.toml"
    config.write_text(CONFIG.format(url=engine.url, workers=workers, prefix=PREFIX))
    credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(google.key)}
    with serving("--config", config, cwd=folder, environ={**credentials, **more}) as server:
        yield server


async def one_client(port: int, paths: Sequence[str]) -> list[int]:
    """Ask for all paths over one connection, a few at a time; return the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    for first in range(0, len(paths), _AT_ONCE):
        asked = paths[first : first + _AT_ONCE]
        writer.write(
            b"".join(f"GET {each} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for each in asked)
        )
        for _ in asked:
            found = _HEAD.match(await reader.readuntil(b"\r\n\r\n"))
            assert found
            statuses.append(int(found[1]))
            await reader.readexactly(int(found[2]))
    writer.close()
    return statuses


def statuses_of(url: str, clients: int, tiles: Sequence[str], each: int) -> set[int]:
    """Let many clients ask at once for tiles of the same view, each in an order of its own."""
    rng = random.Random(0)

    async def ask() -> set[int]:
        port = int(urlsplit(url).port or 0)
        lists = [rng.sample(tiles, each) for _ in range(clients)]
        got = await asyncio.gather(*(one_client(port, paths) for paths in lists))
        return {status for statuses in got for status in statuses}

    return asyncio.run(ask())


def workers_of(server: Serving) -> set[int]:
    """Return the process ids of a server's workers."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            command = (each / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == server.process.pid and b"spawn_main" in command:
            found.add(int(each.name))
    return found


def until(condition: Callable[[], object], patience_s: float = 10.0) -> None:
    """Wait for something to come about."""
    ends_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < ends_s, "it did not come about"
        time.sleep(0.05)


def ask_alone(url: str) -> int | str:
    """Ask over a connection of its own; return the status, or what kind of failure there was."""
    try:
        return httpx.get(url, timeout=30, trust_env=False).status_code
    except httpx.TransportError as exc:
        return type(exc).__name__


def figure(text: str, name: str, *labels: str) -> float:
    """Return the sum of a metric's samples that have these values among their labels."""
    found = re.findall(rf"^tileserver_{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return sum(
        float(value) for said, value in found if set(labels) <= set(re.findall(r'"([^"]*)"', said))
    )
