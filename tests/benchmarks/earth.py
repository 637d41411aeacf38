"""Earth Engine's tiles in blocks beside tiles one by one, under the same cap, in one run.

The stand-in answers in 300 ms and 4 ms more for every 256x256, and holds its answers ready from a
first pass; the server is the command itself; the client asks over bare sockets. Each has a process
of its own, so that what is measured is the server's work.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from tests.benchmarks.clients import Connection, load
from tests.benchmarks.processes import ASSET, Upstream, served, upstream
from tests.benchmarks.scene import write_scene
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import request_to_json
from tileserver.earthengine.credentials import SCOPES

LATENCY_S, PER_TILE_S = 0.3, 0.004
ZOOM, X, Y = 14, 3034, 6114
COLUMNS, ROWS = 9, 6
ROUNDS = 5
AT_ONCE, BROWSER = COLUMNS * ROWS, 6
"""Connections of a client: one a tile, as over HTTP/2, or as many as browsers open."""


def screen(left: int, top: int, style: str = "") -> list[str]:
    """Return a screen of tiles whose corner is so far from (X, Y)."""
    return [
        f"/tiles/scene/{ZOOM}/{X + left + column}/{Y + top + row}.png{style}"
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]


def compare(
    engine: Upstream,
    name: str,
    cap: int,
    screens: Sequence[Sequence[str]],
    connections: int = AT_ONCE,
) -> None:
    """Print what blocks take of the time that single tiles take."""
    times: dict[int, list[float]] = {4: [], 1: []}
    asked = {}
    for round_ in range(ROUNDS + 1):
        for side, took_s in times.items():
            with served(engine, cap, side) as address:
                httpx.get(f"{address}/info/scene", timeout=60).raise_for_status()
                engine.requests()
                seconds = load(address, screens, connections)
                asked[side] = engine.requests()
                # The first round only makes the stand-in's pictures.
                if round_:
                    took_s.append(seconds)
    blocks_s, tiles_s = (statistics.median(times[side]) for side in (4, 1))
    print(
        f"{name:<44} cap {cap:<3} blocks {blocks_s:6.2f} s in {asked[4][0]:3} requests   "
        f"tiles {tiles_s:6.2f} s in {asked[1][0]:3}   {blocks_s / tiles_s:5.2f}x",
        flush=True,
    )


def count_requests(engine: Upstream) -> None:
    """Print the most requests that a screen takes wherever it lies, and a pan by half of one."""
    worst = 0
    with served(engine, 40, 4) as address:
        for left in range(4):
            for top in range(4):
                engine.requests()
                # A style of its own makes it cold.
                style = f"?gamma=1.{left}{top}"
                load(address, [screen(left, top, style)], AT_ONCE)
                worst = max(worst, engine.requests()[0])
        print(f"a screen of {COLUMNS}x{ROWS} tiles takes at most {worst} requests")
        load(address, [screen(0, 0)], AT_ONCE)
        seen = {(x // 4, y // 4) for x in range(X, X + COLUMNS) for y in range(Y, Y + ROWS)}
        right = range(X + 5, X + 5 + COLUMNS)
        unseen = {(x // 4, y // 4) for x in right for y in range(Y, Y + ROWS)} - seen
        engine.requests()
        load(address, [screen(5, 0)], AT_ONCE)
        print(f"half a screen further: {engine.requests()[0]} requests, {len(unseen)} new blocks")


def own_cost(folder: Path) -> None:
    """Print what the server adds to a tile that needs no cutting."""
    with upstream(folder, 0, 0) as engine, served(engine, 40, 1) as address:
        cold, held, bare = asyncio.run(_taking_turns(engine, address))
    cold_ms, held_ms, bare_ms = map(statistics.median, (cold, held, bare))
    print(
        f"an uncut cold tile: {cold_ms:.2f} ms, bare httpx {bare_ms:.2f} ms: the server adds "
        f"{cold_ms - bare_ms:.2f} ms; the same tile from the cache: {held_ms:.2f} ms "
        f"(medians of {len(cold)})"
    )


async def _taking_turns(
    engine: Upstream, address: str
) -> tuple[list[float], list[float], list[float]]:
    """Return the ms of cold tiles, of the same ones cached, and of the bare requests for them."""
    cold: list[float] = []
    held: list[float] = []
    bare: list[float] = []
    tiles = [Tile(X + column, Y + row, ZOOM) for column in range(20) for row in range(15)]
    async with (
        Connection(address) as client,
        httpx.AsyncClient(base_url=engine.url, headers=_signed(engine.key)) as direct,
    ):
        for tile in tiles:
            # What the server asks, to the byte: the stand-in has its answer ready for both.
            question = _question(tile)
            body = (await direct.post(f"/v1/{ASSET}:getPixels", content=question)).content
            path = f"/tiles/scene/{tile.z}/{tile.x}/{tile.y}.png"
            for times in (cold, held):
                started = time.perf_counter()
                assert await client.get(path) == body
                times.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            (await direct.post(f"/v1/{ASSET}:getPixels", content=question)).raise_for_status()
            bare.append((time.perf_counter() - started) * 1000)
    return cold, held, bare


def _signed(key: Path) -> dict[str, str]:
    credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        key, scopes=SCOPES
    )
    credentials.refresh(Request())
    return {"authorization": f"Bearer {credentials.token}", "content-type": "application/json"}


def _question(tile: Tile) -> bytes:
    request = PixelRequest(
        ASSET,
        ImageFileFormat.PNG,
        tile_grid(tile),
        band_ids=("b1", "b2", "b3"),
        visualization_options=VisualizationOptions((Range(0, 4000),)),
        workload_tag="scene",
    )
    return json.dumps(request_to_json(request), separators=(",", ":")).encode()


def measure_earth() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.tif")
        with upstream(folder, LATENCY_S, PER_TILE_S) as engine:
            five = [screen(n % 2 * 7, 0, f"?gamma=1.{n + 1}") for n in range(5)]
            compare(engine, "one cold screen", 40, [screen(0, 0)])
            compare(engine, "five cold screens at once", 40, five)
            compare(engine, "one cold screen", 10, [screen(0, 0)])
            compare(engine, "one cold screen, six connections", 40, [screen(0, 0)], BROWSER)
            compare(engine, "five cold screens, six connections each", 40, five, BROWSER)
            count_requests(engine)
        own_cost(folder)


if __name__ == "__main__":
    measure_earth()
