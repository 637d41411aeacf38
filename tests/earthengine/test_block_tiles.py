import asyncio
from dataclasses import replace

import numpy as np
import pytest

from tests.support.limits import SOON_S
from tileserver.caching.memory import MemoryCache
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.block_tiles import BlockTiles
from tileserver.earthengine.blocks import Block, DecodedBlock
from tileserver.rendering.png import write_png
from tileserver.rendering.render import Picture

PNG, WEBP = ImageFileFormat.PNG, ImageFileFormat.WEBP
BLOCK = Block(Tile(4, 4, 5), 4, 4, 256)
TILES = [tile for tile, _ in BLOCK.places()]
ASKED = PixelRequest("projects/stand-in/assets/scene", PNG, BLOCK.grid)
NOISE = np.random.default_rng(0).integers(0, 256, (1024, 1024)).astype(np.uint8)
BODY = write_png(Picture(NOISE, None))
ALL = {tile: write_png(Picture(NOISE[place], None)) for tile, place in BLOCK.places()}


class Slow:
    """Answers with the block, a moment later, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_cancelled = False

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked += 1
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise
        return BODY


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Tile]:
    """Return the tiles encoded, in order."""
    order: list[Tile] = []
    really = DecodedBlock.encode_tile

    def noting(decoded: DecodedBlock, tile: Tile) -> bytes:
        order.append(tile)
        return really(decoded, tile)

    monkeypatch.setattr(DecodedBlock, "encode_tile", noting)
    return order


def new_block_tiles() -> tuple[BlockTiles, Slow, MemoryCache]:
    memory, source = MemoryCache(100_000_000, 60), Slow()
    return BlockTiles(memory, source), source, memory


def held(memory: MemoryCache, tile: Tile, file_format: ImageFileFormat = PNG) -> bytes | None:
    return memory.get(replace(ASKED, grid=tile_grid(tile), file_format=file_format))


async def until_all_are_held(memory: MemoryCache) -> None:
    async with asyncio.timeout(SOON_S):
        while any(held(memory, tile) is None for tile in TILES):  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def test_what_is_waited_for_is_encoded_first_and_all_else_later_without_being_asked(
    encoded: list[Tile],
) -> None:
    wanted = [TILES[9], TILES[2], TILES[14]]

    async def work() -> None:
        blocks, source, memory = new_block_tiles()
        bodies = await asyncio.gather(*(blocks.get_tile(ASKED, PNG, BLOCK, t) for t in wanted))
        assert bodies == [ALL[tile] for tile in wanted]
        await until_all_are_held(memory)
        assert {tile: held(memory, tile) for tile in TILES} == ALL
        assert source.asked == 1

    asyncio.run(work())
    assert set(encoded[:3]) == set(wanted)
    assert sorted(encoded) == sorted(TILES), "each tile is encoded once"


def test_a_tile_wanted_before_its_turn_needs_no_second_request(encoded: list[Tile]) -> None:
    async def work() -> None:
        blocks, source, _ = new_block_tiles()
        await blocks.get_tile(ASKED, PNG, BLOCK, TILES[0])
        last = await blocks.get_tile(ASKED, PNG, BLOCK, TILES[-1])
        assert last == ALL[TILES[-1]]
        assert len(encoded) < len(TILES)
        others = await asyncio.gather(*(blocks.get_tile(ASKED, PNG, BLOCK, t) for t in TILES))
        assert others == list(ALL.values())
        assert source.asked == 1

    asyncio.run(work())
    assert sorted(encoded) == sorted(TILES)


def test_no_pixels_are_kept_once_all_is_encoded() -> None:
    async def work() -> None:
        blocks, _, memory = new_block_tiles()
        await blocks.get_tile(ASKED, PNG, BLOCK, TILES[0])
        await until_all_are_held(memory)
        async with asyncio.timeout(SOON_S):
            while blocks._kept:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert not blocks._wanted

    asyncio.run(work())


def test_beyond_what_may_be_kept_a_block_is_encoded_at_once(encoded: list[Tile]) -> None:
    async def work() -> None:
        blocks, _, memory = new_block_tiles()
        blocks.max_kept_bytes = 1024 * 1024 - 1
        await blocks.get_tile(ASKED, PNG, BLOCK, TILES[5])
        assert all(held(memory, tile) == ALL[tile] for tile in TILES)

    asyncio.run(work())
    assert sorted(encoded) == sorted(TILES)


def test_formats_share_the_request_and_are_encoded_apart() -> None:
    async def work() -> None:
        blocks, source, memory = new_block_tiles()
        png, webp = await asyncio.gather(
            *(blocks.get_tile(ASKED, each, BLOCK, TILES[3]) for each in (PNG, WEBP))
        )
        assert source.asked == 1
        assert png == ALL[TILES[3]]
        assert webp[8:12] == b"WEBP"
        assert held(memory, TILES[3], WEBP) == webp

    asyncio.run(work())


def test_when_all_have_left_the_request_is_cancelled_and_can_be_made_again() -> None:
    async def work() -> None:
        blocks, source, _ = new_block_tiles()
        leaving = asyncio.create_task(blocks.get_tile(ASKED, PNG, BLOCK, TILES[0]))
        await asyncio.sleep(0.005)
        leaving.cancel()
        # Before the cancelled one has ended.
        come = asyncio.create_task(blocks.get_tile(ASKED, PNG, BLOCK, TILES[1]))
        await asyncio.gather(leaving, return_exceptions=True)
        assert await blocks.get_tile(ASKED, PNG, BLOCK, TILES[7]) == ALL[TILES[7]]
        assert await come == ALL[TILES[1]]
        assert source.asked <= 2

    asyncio.run(work())
