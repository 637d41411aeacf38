"""The command itself before a stand-in, its workers, and many clients at once."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator, Sequence
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
tiles_per_side = {side}
"""
_AT_ONCE = 10
"""Requests sent over a connection without waiting for the answers."""
_ALONE = httpx.Client(timeout=60, trust_env=False, headers={"connection": "close"})
"""Makes a connection for each request."""
_HEAD = re.compile(rb"HTTP/1.1 (\d+).*?content-length: (\d+).*?\r\n\r\n", re.S | re.I)


def config_text(url: str, workers: int, side: int = 4) -> str:
    """Return the configuration of a server before a stand-in."""
    return CONFIG.format(url=url, workers=workers, prefix=PREFIX, side=side)


@contextmanager
def serving_earth(
    engine: StandIn, google: Google, folder: Path, workers: int, side: int = 4, **more: str
) -> Iterator[Serving]:
    """Start the command itself before a stand-in.

    Args:
        engine: the stand-in.
        google: gives the tokens.
        folder: for the configuration; the command's current folder.
        workers: processes.
        side: tiles per side of a block; 1 takes least work of all processes.
        more: goes into the command's environment.
    """
    config = folder / "tileserver.toml"
    config.write_text(config_text(engine.url, workers, side))
    credentials = {"GOOGLE_APPLICATION_CREDENTIALS": str(google.key)}
    with serving("--config", config, cwd=folder, environ={**credentials, **more}) as server:
        yield server


async def one_client(port: int, paths: Sequence[str]) -> list[int]:
    """Ask for all paths over one connection, a few at a time; return the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = []
    try:
        for first in range(0, len(paths), _AT_ONCE):
            asked = paths[first : first + _AT_ONCE]
            writer.write(
                b"".join(
                    f"GET {each} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for each in asked
                )
            )
            for _ in asked:
                found = _HEAD.match(await reader.readuntil(b"\r\n\r\n"))
                assert found
                statuses.append(int(found[1]))
                await reader.readexactly(int(found[2]))
    finally:
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


def ask_alone(url: str) -> int | str:
    """Ask over a connection of its own; return the status, or what kind of failure there was."""
    try:
        return _ALONE.get(url).status_code
    except httpx.TransportError as exc:
        return type(exc).__name__


def figure(text: str, name: str, *labels: str) -> float:
    """Return the sum of a metric's samples that have these values among their labels."""
    found = re.findall(rf"^tileserver_{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return sum(
        float(value) for said, value in found if set(labels) <= set(re.findall(r'"([^"]*)"', said))
    )
