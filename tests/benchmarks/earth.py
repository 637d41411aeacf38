"""Earth Engine's tiles in blocks beside tiles one by one, under the same cap, in one run.

The stand-in has a process of its own, answers in 300 ms and 4 ms more for every 256x256, and
holds its pictures ready from a first pass, so that what is measured is not its own work.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.benchmarks.scene import write_scene
from tests.serving import serve
from tests.standin import PREFIX, StandIn
from tests.standin_tokens import TokenServer
from tileserver.app import create_app
from tileserver.config import Config, EarthEngineSettings, LayerSettings
from tileserver.earthengine.stack import Tuning

LATENCY_S, PER_TILE_S = 0.3, 0.004
ZOOM, X, Y = 14, 3034, 6114
COLUMNS, ROWS = 9, 6
LAYER = LayerSettings(
    "scene", f"{PREFIX}/scene", bands=("b1", "b2", "b3"), min=(0.0,), max=(4000.0,)
)


def stand_in(folder: Path, latency_s: float, per_tile_s: float) -> None:
    """Run the stand-in, say where it is, and tell of its requests for each line that comes."""
    with (
        TokenServer() as tokens,
        StandIn(
            folder, accepts=tokens.accepts, latency_s=latency_s, per_tile_s=per_tile_s
        ) as engine,
    ):
        tokens.write_service_account(folder / "key.json")
        print(engine.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps([engine.pixel_requests, engine.max_in_flight]), flush=True)
            engine.forget()


class Upstream:
    """The stand-in in its own process."""

    def __init__(self, folder: Path, latency_s: float, per_tile_s: float) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.benchmarks.earth",
                folder,
                str(latency_s),
                str(per_tile_s),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def requests(self) -> tuple[int, int]:
        """Return the requests for pixels since the last call, and the most at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        requests, at_once = json.loads(self.process.stdout.readline())
        return requests, at_once

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def upstream(folder: Path, latency_s: float, per_tile_s: float) -> Iterator[Upstream]:
    """Run a stand-in whose credentials are this process's."""
    engine = Upstream(folder, latency_s, per_tile_s)
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = str(folder / "key.json")
    try:
        yield engine
    finally:
        engine.end()


@contextmanager
def served(url: str, cap: int, side: int) -> Iterator[str]:
    """Serve the scene with a cold cache; its metadata and a token are there."""
    settings = EarthEngineSettings("my-project", url, cap, 1000)
    config = Config(earth_engine=settings, layers=(LAYER,))
    with serve(create_app(config, tuning=Tuning(tiles_per_side=side))) as address:
        httpx.get(f"{address}/info/scene").raise_for_status()
        yield address


def screen(left: int, top: int, style: str = "") -> list[str]:
    """Return a screen of tiles whose corner is so far from (X, Y)."""
    return [
        f"/tiles/scene/{ZOOM}/{X + left + column}/{Y + top + row}.png{style}"
        for row in range(ROWS)
        for column in range(COLUMNS)
    ]


def load(address: str, screens: Sequence[Sequence[str]]) -> float:
    """Return the seconds until all tiles of all screens are there, asked at once."""

    async def ask() -> float:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
            started = time.perf_counter()
            got = await asyncio.gather(*(client.get(path) for paths in screens for path in paths))
            took_s = time.perf_counter() - started
        assert all(each.status_code == 200 for each in got)
        return took_s

    return asyncio.run(ask())


def compare(engine: Upstream, name: str, cap: int, screens: Sequence[Sequence[str]]) -> None:
    """Print what blocks take of the time that single tiles take."""
    times: dict[int, list[float]] = {4: [], 1: []}
    asked = {}
    for round_ in range(4):
        for side, took_s in times.items():
            with served(engine.url, cap, side) as address:
                engine.requests()
                seconds = load(address, screens)
                asked[side] = engine.requests()
                # The first round only makes the stand-in's pictures.
                if round_:
                    took_s.append(seconds)
    blocks_s, tiles_s = (statistics.median(times[side]) for side in (4, 1))
    print(
        f"{name:<34} cap {cap:<3} blocks {blocks_s:6.2f} s in {asked[4][0]:3} requests   "
        f"tiles {tiles_s:6.2f} s in {asked[1][0]:3}   {blocks_s / tiles_s:5.2f}x"
    )


def count_requests(engine: Upstream) -> None:
    """Print the most requests that a screen takes wherever it lies, and a pan by half of one."""
    worst = 0
    for left in range(4):
        for top in range(4):
            with served(engine.url, 40, 4) as address:
                engine.requests()
                load(address, [screen(left, top)])
                worst = max(worst, engine.requests()[0])
    print(f"a screen of {COLUMNS}x{ROWS} tiles takes at most {worst} requests")
    with served(engine.url, 40, 4) as address:
        load(address, [screen(0, 0)])
        seen = {(x // 4, y // 4) for x in range(X, X + COLUMNS) for y in range(Y, Y + ROWS)}
        right = range(X + 5, X + 5 + COLUMNS)
        unseen = {(x // 4, y // 4) for x in right for y in range(Y, Y + ROWS)} - seen
        engine.requests()
        load(address, [screen(5, 0)])
        print(f"half a screen further: {engine.requests()[0]} requests, {len(unseen)} new blocks")


def own_cost(folder: Path) -> None:
    """Print what the server adds to a tile that needs no cutting."""
    with upstream(folder, 0, 0) as engine, served(engine.url, 40, 1) as address:
        ours, bare = asyncio.run(_taking_turns(engine.url, address))
    added_ms = statistics.median(ours) - statistics.median(bare)
    print(
        f"an uncut cold tile: {statistics.median(ours):.2f} ms, bare httpx "
        f"{statistics.median(bare):.2f} ms, the server adds {added_ms:.2f} ms"
    )


async def _taking_turns(url: str, address: str) -> tuple[list[float], list[float]]:
    import google.auth
    from google.auth.transport.requests import Request

    from tileserver.earthengine.credentials import SCOPES
    from tileserver.pixels import ImageFileFormat, PixelRequest, Range, VisualizationOptions
    from tileserver.tiles import Tile, tile_grid
    from tileserver.wire import request_to_json

    credentials, _ = google.auth.default(scopes=SCOPES)
    credentials.refresh(Request())  # type: ignore[no-untyped-call]
    headers = {"authorization": f"Bearer {credentials.token}"}
    ours: list[float] = []
    bare: list[float] = []
    async with (
        httpx.AsyncClient(base_url=address) as client,
        httpx.AsyncClient(base_url=url, headers=headers) as direct,
    ):
        for index in range(6):
            for tile in (Tile(X + index, Y + row, ZOOM) for row in range(ROWS)):
                # The same number of opacities for both, so that the stand-in draws each anew.
                for turn in range(4):
                    opacity = 0.9 if turn >= 2 else 1.0
                    style = VisualizationOptions((Range(0, 4000),), opacity=opacity)
                    body = request_to_json(
                        PixelRequest(
                            f"{PREFIX}/scene",
                            ImageFileFormat.PNG,
                            tile_grid(tile),
                            band_ids=LAYER.bands,
                            visualization_options=style,
                        )
                    )
                    path = f"/v1/{LAYER.asset}:getPixels"
                    if turn % 2 == 0:
                        # The stand-in draws it for nobody's account.
                        (await direct.post(path, json=body)).raise_for_status()
                        started = time.perf_counter()
                        (await direct.post(path, json=body)).raise_for_status()
                        bare.append((time.perf_counter() - started) * 1000)
                    else:
                        tile_path = f"/tiles/scene/{ZOOM}/{tile.x}/{tile.y}.png?opacity={opacity}"
                        started = time.perf_counter()
                        (await client.get(tile_path)).raise_for_status()
                        ours.append((time.perf_counter() - started) * 1000)
    return ours, bare


def measure_earth() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.tif")
        with upstream(folder, LATENCY_S, PER_TILE_S) as engine:
            compare(engine, "one cold screen", 40, [screen(0, 0)])
            five = [screen(n % 2 * 7, 0, f"?gamma=1.{n + 1}") for n in range(5)]
            compare(engine, "five cold screens at once", 40, five)
            compare(engine, "one cold screen", 10, [screen(0, 0)])
            count_requests(engine)
        own_cost(folder)


if __name__ == "__main__":
    stand_in(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
