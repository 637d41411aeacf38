"""The API of Earth Engine beside the tiles, and the official client's start, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import ee
import httpx
from google.auth.credentials import AnonymousCredentials

from tests.support.serving import serve
from tileserver.config.config import Config
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import grid_to_json
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

REPEATS = 200


def measure_rest(path: Path, tiles: list[Tile]) -> None:
    """Print what getPixels costs of a cold tile beside /tiles, and ee.Initialize."""
    name = path.stem
    asset = f"projects/localhost/assets/{name}"
    with (
        serve(create_app(Config(), [Root(str(path))])) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        fresh = cycle(enumerate(tiles * 10))

        def tile() -> None:
            count, each = next(fresh)
            # A new stretch each time, so that the cache never has it.
            style = f"bands=b1,b2,b3&min=0&max={4000 + count}"
            client.get(f"/tiles/{name}/{each.z}/{each.x}/{each.y}.png?{style}").raise_for_status()

        def pixels() -> None:
            count, each = next(fresh)
            body = {
                "fileFormat": "PNG",
                "bandIds": ["b1", "b2", "b3"],
                "grid": grid_to_json(tile_grid(each)),
                "visualizationOptions": {"ranges": [{"min": 0, "max": 4000 + count}]},
            }
            client.post(f"/v1/{asset}:getPixels", json=body).raise_for_status()

        def start() -> None:
            credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
            ee.Initialize(credentials, url=url, project="localhost")
            ee.Reset()

        tile_ms, pixels_ms = _median_ms(tile, pixels)
        (start_ms,) = _median_ms(start, repeats=5)
    print(
        f"a cold tile through getPixels {pixels_ms:.2f} ms, through /tiles {tile_ms:.2f} ms: "
        f"{pixels_ms / tile_ms:.2f}x"
    )
    print(f"ee.Initialize {start_ms:.0f} ms")


def _median_ms(*actions: Callable[[], None], repeats: int = REPEATS) -> list[float]:
    times: list[list[float]] = [[] for _ in actions]
    for round_ in range(repeats + 2):
        for action, taken in zip(actions, times, strict=True):
            started = time.perf_counter()
            action()
            if round_ >= 2:
                taken.append((time.perf_counter() - started) * 1000)
    return [statistics.median(taken) for taken in times]
