"""What a tile costs upstream is told to browsers, which read Server-Timing of images alone."""

from __future__ import annotations

import re

from tests.earth.asking import TILE, Serve
from tests.support.standin import StandIn


def costs(timing: str) -> tuple[str, int]:
    """Return whose cache a tile came from, and the requests that were made for it."""
    found = re.fullmatch(r"pixels;dur=[\d.]+, cache;desc=(\w+)(?:, upstream;desc=(\d+))?", timing)
    assert found, timing
    return found[1], int(found[2] or 0)


def test_a_tile_tells_the_requests_that_were_made_for_it(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth() as client:
        first = costs(client.get(TILE).headers["server-timing"])
        asked = engine.pixel_requests
        again = costs(client.get(TILE).headers["server-timing"])
        beside = costs(client.get("/tiles/scene/8/135/120.png").headers["server-timing"])
    assert first == ("miss", asked)
    assert asked >= 1
    assert again == ("hit", 0)
    # Of the same block.
    assert beside == ("miss", 0)
