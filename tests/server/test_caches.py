"""The caches of a server are bounded, and its metrics tell what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest

from tests.earth.workers import figure
from tests.support.commands import Serving, serving
from tests.support.rasterfiles import noise, write_raster
from tests.support.waiting import until

MB = 10**6
BOUNDS = {
    "memory_cache_bytes": 7 * MB,
    "response_cache_bytes": 1 * MB,
    "block_cache_bytes": 4 * MB,
}
"""Of `[cache] memory` 8 MB, an eighth of it for responses, and `blocks` 4 MB."""
ZOOM = 13
WEST, NORTH = 1545, 3083
SIDE = 12
"""Columns and rows of tiles: 10 MB."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    raster = write_raster(tmp_path / "scene.tif", noise(3, 2048, 2048, "uint8"))
    environ = {"TILESERVER_CACHE__MEMORY": "8MB", "TILESERVER_CACHE__BLOCKS": "4MB"}
    with serving(raster, "--port", "0", cwd=tmp_path, environ=environ) as found:
        yield found


def held(server: Serving) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics", timeout=60).text
    return {name: figure(text, name) for name in BOUNDS}


def test_the_caches_fill_to_their_bounds_and_the_metrics_tell(server: Serving) -> None:
    assert set(held(server).values()) == {0.0}
    sent_bytes = 0
    with httpx.Client(base_url=server.url, timeout=60) as client:
        for column, row in product(range(SIDE), range(SIDE)):
            path = f"/tiles/scene/{ZOOM}/{WEST + column}/{NORTH + row}.png?min=0&max=255"
            # Responses are kept the second time.
            answers = [client.get(path) for _ in range(2)]
            assert {each.status_code for each in answers} == {200}
            sent_bytes += len(answers[0].content)
    assert sent_bytes > BOUNDS["memory_cache_bytes"]
    until(lambda: all(held(server)[name] > 0.7 * bound for name, bound in BOUNDS.items()))
    assert all(held(server)[name] <= bound for name, bound in BOUNDS.items())
