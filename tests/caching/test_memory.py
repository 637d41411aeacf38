from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.rest import memory
from tests.support.rasterfiles import noise, write_raster
from tileserver.caching.memory import Cached, MemoryCache, Refusals, key_bytes
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import Geometry, PixelRequest, VisualizationOptions
from tileserver.errors import AssetNotFound, InvalidRequest, TileserverError, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

REQUEST = PixelRequest("projects/localhost/assets/scene", ImageFileFormat.NPY)


def request(number: int) -> PixelRequest:
    """One of many requests, as large as a tile's really is."""
    side = 152.8740565703525
    transform = AffineTransform(side, 0.0, number * 256 * side, 0.0, -side, 20037508.342789244)
    return replace(REQUEST, grid=PixelGrid(256, 256, transform, "EPSG:3857"))


class Source:
    """Answer when told to; count how often it was asked."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked = 0
        self.is_open = asyncio.Event()
        self.failure = failure

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        await self.is_open.wait()
        if self.failure:
            raise self.failure
        return b"pixels"


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run a scenario; fail if a task's error was seen by nobody."""
    unseen: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, event: unseen.append(event))
        await scenario()

    asyncio.run(watched())
    assert unseen == []


def cached(source: Any, max_bytes: int = 10**6, ttl_s: float = 60) -> Cached:
    return Cached(MemoryCache(max_bytes, ttl_s), source)


# Memory


def test_an_answer_is_kept_and_not_asked_for_again() -> None:
    async def scenario() -> None:
        source = Source()
        source.is_open.set()
        pixels = cached(source)
        assert [await pixels.get_pixels(request(1)) for _ in range(3)] == [b"pixels"] * 3
        assert source.asked == 1
        await pixels.get_pixels(request(2))
        await pixels.get_pixels(replace(request(1), asset_version="newer"))
        assert source.asked == 3

    run(scenario)


def test_the_cache_never_holds_more_than_its_bytes_and_the_latest_stay() -> None:
    memory = MemoryCache(max_bytes=300_000, ttl_s=60)
    rng = random.Random(1)
    for number in range(2000):
        memory.put(request(number), rng.randbytes(rng.randrange(40_000)))
        assert 0 < memory.held_bytes <= 300_000
        assert memory.get(request(number)) is not None
    assert memory.get(request(0)) is None
    assert memory.held_bytes > 200_000


def test_what_is_used_stays_longer_than_what_is_not() -> None:
    memory = MemoryCache(5 * (10_000 + key_bytes(request(0))), ttl_s=60)
    for number in range(20):
        memory.put(request(number), bytes(10_000))
        assert memory.get(request(0)) is not None
    held = [number for number in range(20) if memory.get(request(number))]
    assert held == [0, 16, 17, 18, 19]


def test_the_same_request_put_twice_counts_once() -> None:
    memory = MemoryCache(max_bytes=100_000, ttl_s=60)
    for size in (50_000, 10_000):
        memory.put(REQUEST, bytes(size))
    assert memory.held_bytes < 12_000


def test_an_answer_larger_than_the_cache_is_passed_on_and_not_kept() -> None:
    async def scenario() -> None:
        source = Source()
        source.is_open.set()
        pixels = cached(source, max_bytes=1003)
        assert await pixels.get_pixels(REQUEST) == b"pixels"
        assert pixels.memory.held_bytes == 0
        assert pixels.memory.get(REQUEST) is None
        assert await pixels.get_pixels(REQUEST) == b"pixels"
        assert source.asked == 2

    run(scenario)


def test_a_larger_answer_does_not_push_out_what_is_there() -> None:
    memory = MemoryCache(max_bytes=20_000, ttl_s=60)
    memory.put(request(1), bytes(10_000))
    memory.put(request(2), bytes(20_000))
    assert memory.get(request(1)) == bytes(10_000)


def test_an_answer_is_forgotten_after_its_time() -> None:
    now_s = [1000.0]
    memory = MemoryCache(max_bytes=10_000, ttl_s=60, clock=lambda: now_s[0])
    memory.put(REQUEST, b"pixels")
    assert memory.get(REQUEST) == b"pixels"
    now_s[0] += 59
    assert memory.get(REQUEST) == b"pixels"
    now_s[0] += 1
    assert memory.get(REQUEST) is None
    memory.put(REQUEST, b"newer")
    assert memory.get(REQUEST) == b"newer"
    assert memory.held_bytes < 2000


# Single flight


def test_a_thousand_simultaneous_requests_for_one_cold_tile_ask_once() -> None:
    async def scenario() -> None:
        source = Source()
        pixels = cached(source)
        clients = [asyncio.create_task(pixels.get_pixels(REQUEST)) for _ in range(1000)]
        await asyncio.sleep(0)
        source.is_open.set()
        assert set(await asyncio.gather(*clients)) == {b"pixels"}
        assert source.asked == 1

    run(scenario)


def test_a_thousand_requests_for_one_cold_tile_read_the_raster_once(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 600, 600))

    async def scenario() -> None:
        # Nothing is kept, so that whatever is read again is decoded again.
        rasters = LocalRasters(Catalogue([Root(str(path))]), block_cache_bytes=0)
        await rasters.get_pixels(REQUEST)
        once = rasters.blocks.decoded
        pixels = cached(rasters, max_bytes=10**8)
        bodies = await asyncio.gather(*(pixels.get_pixels(REQUEST) for _ in range(1000)))
        assert rasters.blocks.decoded == 2 * once > 0
        assert len(set(bodies)) == 1
        assert set(map(id, bodies)) == {id(await pixels.get_pixels(REQUEST))}
        assert rasters.blocks.decoded == 2 * once
        rasters.close()

    run(scenario)


def test_different_tiles_are_asked_for_side_by_side() -> None:
    async def scenario() -> None:
        source = Source()
        pixels = cached(source)
        clients = [asyncio.create_task(pixels.get_pixels(request(n))) for n in range(5)]
        await asyncio.sleep(0.01)
        assert source.asked == 5
        source.is_open.set()
        await asyncio.gather(*clients)

    run(scenario)


def test_a_client_that_leaves_does_not_cancel_the_others() -> None:
    async def scenario() -> None:
        source = Source()
        pixels = cached(source)
        clients = [asyncio.create_task(pixels.get_pixels(REQUEST)) for _ in range(3)]
        await asyncio.sleep(0.01)
        clients[0].cancel()
        await asyncio.sleep(0.01)
        source.is_open.set()
        answers = await asyncio.gather(*clients, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [b"pixels", b"pixels"]
        assert source.asked == 1

    run(scenario)


def test_when_all_clients_leave_the_call_is_cancelled_and_the_next_asks_anew() -> None:
    async def scenario() -> None:
        source = Source()
        pixels = cached(source)
        clients = [asyncio.create_task(pixels.get_pixels(REQUEST)) for _ in range(3)]
        await asyncio.sleep(0.01)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        source.is_open.set()
        await asyncio.sleep(0.01)
        assert pixels.memory.get(REQUEST) is None
        assert await pixels.get_pixels(REQUEST) == b"pixels"
        assert source.asked == 2

    run(scenario)


def test_a_failure_reaches_every_waiter_and_is_forgotten() -> None:
    async def scenario() -> None:
        source = Source(UnreadableRaster("damaged"))
        pixels = cached(source)
        clients = [asyncio.create_task(pixels.get_pixels(REQUEST)) for _ in range(50)]
        await asyncio.sleep(0.01)
        source.is_open.set()
        answers = await asyncio.gather(*clients, return_exceptions=True)
        assert {str(answer) for answer in answers} == {"damaged"}
        assert all(isinstance(answer, UnreadableRaster) for answer in answers)
        assert source.asked == 1
        source.failure = None
        assert await pixels.get_pixels(REQUEST) == b"pixels"
        assert source.asked == 2

    run(scenario)


def test_a_failure_that_nobody_waits_for_is_no_noise() -> None:
    async def scenario() -> None:
        source = Source(UnreadableRaster("damaged"))
        pixels = cached(source)
        client = asyncio.create_task(pixels.get_pixels(REQUEST))
        await asyncio.sleep(0.01)
        client.cancel()
        await asyncio.gather(client, return_exceptions=True)
        source.is_open.set()
        await asyncio.sleep(0.01)
        source.failure = None
        assert await pixels.get_pixels(REQUEST) == b"pixels"

    run(scenario)


def test_a_failure_of_the_real_rasters_reaches_every_waiter(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 300, 300))

    async def scenario() -> None:
        rasters = LocalRasters(Catalogue([Root(str(path))]))
        pixels = cached(rasters)
        missing = replace(REQUEST, asset_id="projects/localhost/assets/none")
        asked = (pixels.get_pixels(missing) for _ in range(20))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, AssetNotFound) for answer in answers)
        assert np.frombuffer(await pixels.get_pixels(REQUEST), np.uint8).size > 300 * 300
        rasters.close()

    run(scenario)


def test_a_flight_that_is_cancelled_from_within_is_forgotten() -> None:
    async def scenario() -> None:
        flights: SingleFlight[str, int] = SingleFlight()

        async def cancelled() -> int:
            raise asyncio.CancelledError

        async def one() -> int:
            return 1

        with pytest.raises(asyncio.CancelledError):
            await flights.join("key", cancelled)
        assert await flights.join("key", one) == 1

    run(scenario)


def test_a_flight_that_fails_at_once_is_an_error_of_the_one_who_asked() -> None:
    async def scenario() -> None:
        flights: SingleFlight[str, int] = SingleFlight()

        def broken() -> Awaitable[int]:
            raise TileserverError("at once")

        for _ in range(2):
            with pytest.raises(TileserverError, match="at once"):
                await flights.join("key", broken)

    run(scenario)


def test_what_alone_would_push_out_many_others_is_not_kept() -> None:
    memory = MemoryCache(64 * 10**6, 60)
    memory.put(REQUEST, bytes(2 * 10**6 - key_bytes(REQUEST)))
    assert memory.get(REQUEST) is not None
    other = replace(REQUEST, asset_version="other")
    memory.put(other, bytes(2 * 10**6))
    assert memory.get(other) is None
    # A tile fits a small cache too.
    small = MemoryCache(3 * 10**6, 60)
    small.put(REQUEST, bytes(900_000))
    assert small.get(REQUEST) is not None


def with_an_expression(number: int) -> PixelRequest:
    return replace(request(number), expression=f"{number}" + "x" * 1_000_000)


def with_colors(number: int) -> PixelRequest:
    colors = tuple(f"{number:06x}{i:06x}"[-6:] for i in range(15_000))
    return replace(request(number), visualization_options=VisualizationOptions((), colors))


def with_a_band(number: int) -> PixelRequest:
    return replace(request(number), band_ids=(f"{number}" + "b" * 1_000_000,))


def with_a_region(number: int) -> PixelRequest:
    positions = tuple((float(number), float(i)) for i in range(10_000))
    return replace(request(number), region=Geometry("LineString", positions))


HEAVY = (with_an_expression, with_colors, with_a_band, with_a_region)
"""Make requests that hold a megabyte each, whose answers may be small."""


@pytest.mark.slow
@pytest.mark.parametrize("heavy", HEAVY)
def test_what_a_request_holds_counts_as_much_as_its_pixels(
    heavy: Callable[[int], PixelRequest],
) -> None:
    memory_cache = MemoryCache(10_000_000, 60)
    for number in range(60):
        memory_cache.put(heavy(number), b"")
    assert len(memory_cache._entries) <= 10


@pytest.mark.slow
@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
@pytest.mark.parametrize("heavy", HEAVY)
def test_refusals_remember_little_of_long_requests(heavy: Callable[[int], PixelRequest]) -> None:
    class Refusing:
        async def get_pixels(self, request: PixelRequest) -> bytes:
            held = bytes(1_000_000)
            raise InvalidRequest(f"no {len(held)}")

    async def scenario() -> None:
        refusals = Refusals(Refusing())
        for number in range(100):
            with pytest.raises(InvalidRequest):
                await refusals.get_pixels(heavy(number))
        memory.forget()
        assert memory.now_mb() - before_mb < 60

    memory.forget()
    before_mb = memory.now_mb()
    asyncio.run(scenario())


def test_a_refusal_that_is_remembered_holds_nothing_of_how_it_came_about() -> None:
    class Refusing:
        asked = 0

        async def get_pixels(self, request: PixelRequest) -> bytes:
            self.asked += 1
            try:
                raise KeyError("x")
            except KeyError as exc:
                raise AssetNotFound("projects/p/assets/x") from exc

    async def scenario() -> None:
        refusals, said = Refusals(Refusing()), []
        for _ in range(3):
            with pytest.raises(AssetNotFound) as refusal:
                await refusals.get_pixels(REQUEST)
            said.append(str(refusal.value))
        assert len(set(said)) == 1
        assert refusal.value.__cause__ is None
        assert refusals.source.asked == 1  # type: ignore[attr-defined]

    asyncio.run(scenario())
