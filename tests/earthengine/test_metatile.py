import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine

from tests.support.standin import PREFIX, TOKEN, StandIn
from tileserver.caching.memory import Cached, MemoryCache
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import (
    BandArrays,
    PixelRequest,
    PixelSource,
    Range,
    VisualizationOptions,
)
from tileserver.contract.tiles import Tile, tile_grid, tile_of
from tileserver.contract.wire import request_to_json
from tileserver.earthengine.blocks import Block, block_of, decode_block, fitting, smaller
from tileserver.earthengine.metatile import Metatiled, Terms
from tileserver.errors import (
    InvalidRequest,
    RequestTooLarge,
    TooComplex,
    TransientError,
    UpstreamError,
)
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.rendering.npy import write_npy
from tileserver.rendering.png import write_png
from tileserver.rendering.render import Picture

PNG, WEBP, JPEG, NPY = (ImageFileFormat[name] for name in ("PNG", "WEBP", "JPEG", "NPY"))
SCENE = f"{PREFIX}/scene"
STRETCH = VisualizationOptions(ranges=(Range(0.0, 60_000.0),))
PALETTE = replace(STRETCH, palette_colors=("000080", "ffff00", "ff0000"))
ZOOM = 8
RGB, GREY = ("b1", "b2", "b3"), ("b1",)


def encoded_tiles(body: bytes, block: Block, file_format: ImageFileFormat) -> dict[Tile, bytes]:
    """Return all tiles of a block."""
    decoded = decode_block(body, block, file_format)
    return {tile: decoded.encode_tile(tile) for tile, _ in block.places()}


def request(tile: Tile, size: int = 256, **more: Any) -> PixelRequest:
    members: dict[str, Any] = {
        "file_format": PNG,
        "band_ids": RGB,
        "visualization_options": STRETCH,
    } | more
    return PixelRequest(SCENE, grid=tile_grid(tile, size), **members)


def rectangle(x: int, y: int, columns: int, rows: int, zoom: int = ZOOM) -> list[Tile]:
    return [Tile(x + i, y + j, zoom) for j in range(rows) for i in range(columns)]


def blocks_of(tiles: Sequence[Tile]) -> set[tuple[int, int]]:
    return {(tile.x // 4, tile.y // 4) for tile in tiles}


class Asking:
    """A client of the stand-in, with as many connections as the cap allows."""

    def __init__(self, client: httpx.AsyncClient, cap: int = 40) -> None:
        self.client = client
        self.slots = asyncio.Semaphore(cap)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        async with self.slots:
            url = f"/v1/{request.asset_id}:getPixels"
            answer = await self.client.post(url, json=request_to_json(request))
        assert answer.status_code == 200, answer.text
        return answer.content


class Drawn:
    """Draws each block as it is asked for: every tile of it in a grey of its own."""

    def __init__(
        self, failing: Callable[[PixelRequest], Exception | None] = lambda _: None
    ) -> None:
        self.asked: list[PixelRequest] = []
        self.failing = failing
        self.was_asked = asyncio.Event()

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked.append(request)
        self.was_asked.set()
        await asyncio.sleep(0)
        if error := self.failing(request):
            raise error
        assert isinstance(request.grid, PixelGrid)
        return drawn(request.grid)

    @property
    def sizes(self) -> list[tuple[int, int]]:
        grids = [each.grid for each in self.asked]
        return [(grid.width, grid.height) for grid in grids if isinstance(grid, PixelGrid)]


def drawn(grid: PixelGrid) -> bytes:
    """Return a picture whose value at a pixel is a function of its place on Earth alone."""
    t = grid.transform
    columns = (round(t.translate_x / t.scale_x) + np.arange(grid.width)) // 256
    rows = (round(t.translate_y / t.scale_y) + np.arange(grid.height)) // 256
    values = (columns[np.newaxis] * 7 + rows[:, np.newaxis] * 31) % 251
    return write_png(Picture(values.astype(np.uint8), None))


def metatiled(
    source: PixelSource, memory: MemoryCache | None = None, **more: Any
) -> tuple[Cached, Metatiled]:
    memory = memory or MemoryCache(500_000_000, 3600)
    inner = Metatiled(memory, source, **more)
    return Cached(memory, inner), inner


async def view(source: PixelSource, tiles: Sequence[Tile], **more: Any) -> list[bytes]:
    return list(await asyncio.gather(*(source.get_pixels(request(t, **more)) for t in tiles)))


def decoded(body: bytes, file_format: ImageFileFormat) -> NDArray[Any]:
    if file_format is NPY:
        return np.asarray(np.load(io.BytesIO(body)))
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a scene of 20 degrees, a disc of it masked."""
    path = tmp_path_factory.mktemp("rasters")
    rng = np.random.default_rng(0)
    values = rng.integers(0, 60_000, (3, 1000, 1000)).astype("uint16")
    y, x = np.mgrid[0:1000, 0:1000]
    profile = {"driver": "GTiff", "width": 1000, "height": 1000, "count": 3, "dtype": "uint16"}
    place = {"crs": "EPSG:4326", "transform": Affine(0.02, 0, 0.013, 0, -0.02, 20.017)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path / "scene.tif", "w", tiled=True, **profile, **place) as dataset,
    ):
        dataset.write(values)
        dataset.write_mask((x - 500) ** 2 + (y - 480) ** 2 < 300**2)
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[StandIn]:
    with StandIn(folder) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_counted(request: pytest.FixtureRequest) -> None:
    if "engine" in request.fixturenames:
        request.getfixturevalue("engine").forget()


def run(engine: StandIn, work: Callable[[Asking], Awaitable[Any]], cap: int = 40) -> Any:
    """Run a coroutine function with a client of the stand-in."""

    async def connected() -> Any:
        limits = httpx.Limits(max_connections=cap)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=engine.url, headers=headers, limits=limits, trust_env=False, timeout=20
        ) as client:
            return await work(Asking(client, cap))

    return asyncio.run(connected())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "more"),
    [
        (256, {}),
        (512, {}),
        (256, {"visualization_options": replace(STRETCH, opacity=0.4)}),
        (256, {"band_ids": GREY}),
        (256, {"band_ids": GREY, "visualization_options": PALETTE}),
        (256, {"file_format": WEBP}),
        (256, {"file_format": WEBP, "band_ids": GREY}),
        (256, {"file_format": JPEG}),
        (256, {"file_format": NPY, "visualization_options": None}),
        (512, {"file_format": NPY, "visualization_options": None, "band_ids": GREY}),
    ],
)
def test_every_tile_of_a_block_is_the_tile_asked_alone_bit_for_bit(
    engine: StandIn, size: int, more: dict[str, Any]
) -> None:
    """Blocks with masks, without, and half outside; JPEG too, as one encoder makes both."""
    tiles = rectangle(132, 116, 8, 4)
    file_format = more.get("file_format", PNG)

    async def work(asking: Asking) -> list[bytes]:
        terms = Terms(pixel_type=np.dtype("u2,u2,u2"))
        return await view(metatiled(asking, terms=lambda _: terms)[0], tiles, size=size, **more)

    cut_from_blocks = run(engine, work)
    assert engine.pixel_requests == 2
    kinds = set()
    for tile, body in zip(tiles, cut_from_blocks, strict=True):
        alone = engine.rasters.pixels(request(tile, size, **more))
        pixels = decoded(body, file_format)
        assert np.array_equal(pixels, decoded(alone, file_format)), tile
        if file_format is PNG:
            kinds |= set(np.unique(pixels[..., 3]).tolist())
    assert file_format is not PNG or len(kinds) == 2, "the view has masked pixels and others"


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "L+key", "RGB+key", "P+key"])
def test_every_kind_of_png_is_cut_without_loss(mode: str) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (512, 512, 4)).astype(np.uint8)
    noise[:256, :256, 3] = 0
    noise[256:, 256:, 3] = 255
    kind, _, key = mode.partition("+")
    picture = Image.fromarray(noise).convert(kind)
    body = io.BytesIO()
    transparent: Any = {"L": 17, "RGB": tuple(noise[0, 0, :3].tolist()), "P": bytes([0, 128])}
    picture.save(body, "PNG", **({"transparency": transparent[kind]} if key else {}))
    block = Block(Tile(4, 8, 5), 2, 2, 256)
    whole = decoded(body.getvalue(), PNG)
    tiles = encoded_tiles(body.getvalue(), block, PNG)
    assert list(tiles) == [Tile(4, 8, 5), Tile(5, 8, 5), Tile(4, 9, 5), Tile(5, 9, 5)]
    for tile, place in block.places():
        expected, pixels = whole[place], decoded(tiles[tile], PNG)
        assert np.array_equal(pixels[..., 3], expected[..., 3])
        seen = expected[..., 3] > 0
        assert np.array_equal(pixels[seen], expected[seen])


def test_bands_of_different_types_are_cut_from_npy() -> None:
    records = np.zeros((512, 256), [("a", "<u2"), ("b", "<f4")])
    records["a"] = np.arange(512)[:, np.newaxis]
    body = io.BytesIO()
    np.lib.format.write_array(body, records, version=(1, 0))
    tiles = encoded_tiles(body.getvalue(), Block(Tile(0, 0, 3), 1, 2, 256), NPY)
    second = tiles[Tile(0, 1, 3)]
    assert second.startswith(b"\x93NUMPY\x01\x00")
    assert np.array_equal(np.load(io.BytesIO(second)), records[256:])


def _npy(shape: tuple[int, int], version: tuple[int, int] = (1, 0)) -> bytes:
    body = io.BytesIO()
    np.lib.format.write_array(body, np.zeros(shape, [("a", "u1")]), version=version)
    return body.getvalue()


GOOD_PNG = write_png(Picture(np.arange(512 * 512).reshape(512, 512).astype(np.uint8), None))


@pytest.mark.parametrize(
    ("file_format", "body"),
    [
        (PNG, b""),
        (PNG, b"<html>"),
        (PNG, GOOD_PNG[: len(GOOD_PNG) // 2]),
        (PNG, GOOD_PNG[:900] + bytes(50) + GOOD_PNG[950:]),
        (PNG, write_png(Picture(np.zeros((512, 511), np.uint8), None))),
        (JPEG, _npy((512, 512))),
        (NPY, b""),
        (NPY, GOOD_PNG),
        (NPY, _npy((512, 511))),
        (NPY, _npy((512, 512), (2, 0))),
        (NPY, _npy((512, 512))[:-1]),
        (NPY, _npy((512, 512)) + b"\0"),
    ],
)
def test_a_body_that_is_not_the_block_is_refused_and_nothing_cached(
    file_format: ImageFileFormat, body: bytes
) -> None:
    class Broken:
        async def get_pixels(self, request: PixelRequest) -> bytes:
            return body

    async def work() -> int:
        memory = MemoryCache(10_000_000, 60)
        source, _ = metatiled(Broken(), memory, tiles_per_side=2)
        with pytest.raises(UpstreamError, match="expected 512x512"):
            await view(source, rectangle(2, 2, 2, 2), file_format=file_format)
        return memory.held_bytes

    assert asyncio.run(work()) == 0


@pytest.mark.slow
@given(st.integers(0, 2**ZOOM - 10), st.integers(0, 2**ZOOM - 7))
def test_a_screen_of_tiles_lies_in_nine_blocks_at_most(x: int, y: int) -> None:
    tiles = rectangle(x, y, 9, 6)
    found = {block_of(tile, 256, 4, lambda grid: True) for tile in tiles}
    assert len(found) <= 9
    covered = [tile for block in found for tile, _ in block.places()]
    assert len(covered) == len(set(covered))
    assert set(tiles) <= set(covered)


@pytest.mark.slow
@given(
    st.integers(0, 24).flatmap(
        lambda z: st.tuples(st.integers(0, 2**z - 1), st.integers(0, 2**z - 1), st.just(z))
    ),
    st.sampled_from([256, 512]),
    st.sampled_from([1, 2, 4, 8]),
)
def test_tiles_of_a_block_agree_on_it_and_on_its_grid(
    address: tuple[int, int, int], size: int, side: int
) -> None:
    block = block_of(Tile(*address), size, side, lambda grid: True)
    tiles = [tile for tile, _ in block.places()]
    assert Tile(*address) in tiles
    assert {block_of(tile, size, side, lambda grid: True) for tile in tiles} == {block}
    corner = tile_grid(tiles[0], size).transform
    assert block.grid.transform == corner
    for tile, (rows, columns) in block.places():
        x, y = corner.apply(columns.start, rows.start)
        t = tile_grid(tile, size).transform
        assert x == pytest.approx(t.translate_x, abs=1e-6)
        assert y == pytest.approx(t.translate_y, abs=1e-6)


@pytest.mark.parametrize("x", [128, 129, 130, 131])
@pytest.mark.parametrize("y", [112, 115])
def test_a_cold_screen_takes_a_request_a_block(x: int, y: int) -> None:
    tiles, source = rectangle(x, y, 9, 6), Drawn()
    bodies = asyncio.run(view(metatiled(source)[0], tiles))
    assert len(source.asked) == len(blocks_of(tiles)) <= 9
    assert set(source.sizes) == {(1024, 1024)}
    for tile, body in zip(tiles, bodies, strict=True):
        assert np.array_equal(decoded(body, PNG), decoded(drawn(tile_grid(tile)), PNG))


@pytest.mark.parametrize(("right", "down"), [(4, 0), (0, 3), (5, 3)])
def test_panning_by_half_a_screen_costs_only_the_blocks_not_seen(right: int, down: int) -> None:
    before = rectangle(129, 113, 9, 6)
    after = rectangle(129 + right, 113 + down, 9, 6)
    source = Drawn()

    async def work() -> None:
        cached, _ = metatiled(source)
        await view(cached, before)
        await view(cached, after)

    asyncio.run(work())
    assert len(source.asked) == len(blocks_of(before) | blocks_of(after))


@pytest.mark.slow
def test_a_thousand_clients_of_the_same_sixty_tiles_take_a_request_a_block(
    engine: StandIn,
) -> None:
    tiles = rectangle(131, 115, 10, 6)

    async def work(asking: Asking) -> None:
        cached, _ = metatiled(asking)
        wanted = [request(tile) for tile in tiles]

        async def connection(order: Sequence[PixelRequest]) -> None:
            for each in order:
                await cached.get_pixels(each)

        async def client(first: int) -> None:
            order = wanted[first:] + wanted[:first]
            # As many connections as a browser opens.
            await asyncio.gather(*(connection(order[i::6]) for i in range(6)))

        await asyncio.gather(*(client(i % 60) for i in range(1000)))

    run(engine, work)
    assert engine.pixel_requests == len(blocks_of(tiles))
    assert engine.max_in_flight <= 40


def test_formats_asked_at_once_share_a_request_and_are_cached_apart() -> None:
    source, tiles = Drawn(), rectangle(4, 4, 4, 4)

    async def work() -> list[list[bytes]]:
        cached, _ = metatiled(source)
        formats = (PNG, WEBP, JPEG)
        first = await asyncio.gather(*(view(cached, tiles, file_format=f) for f in formats))
        assert first == list(
            await asyncio.gather(*(view(cached, tiles, file_format=f) for f in formats))
        )
        return list(first)

    png, webp, jpeg = asyncio.run(work())
    assert [each.file_format for each in source.asked] == [PNG]
    assert png[5].startswith(b"\x89PNG")
    assert webp[5][8:12] == b"WEBP"
    assert jpeg[5].startswith(b"\xff\xd8")


def test_a_tile_asked_alone_brings_its_block() -> None:
    source = Drawn()

    async def work() -> None:
        cached, _ = metatiled(source)
        await cached.get_pixels(request(Tile(5, 6, 4)))
        await view(cached, rectangle(4, 4, 4, 4, 4))

    asyncio.run(work())
    assert source.sizes == [(1024, 1024)]


def test_a_layer_of_single_tiles_has_them_byte_for_byte() -> None:
    source = Drawn()

    async def work() -> bytes:
        return await metatiled(source, tiles_per_side=1)[0].get_pixels(request(Tile(5, 6, 4)))

    body = asyncio.run(work())
    assert body == drawn(tile_grid(Tile(5, 6, 4)))
    assert source.asked == [request(Tile(5, 6, 4))]


def test_a_single_webp_is_asked_as_png_which_earth_engine_knows() -> None:
    source = Drawn()

    async def work() -> bytes:
        cached, _ = metatiled(source, tiles_per_side=1)
        return await cached.get_pixels(request(Tile(5, 6, 4), file_format=WEBP))

    body = asyncio.run(work())
    assert source.asked == [request(Tile(5, 6, 4))]
    assert np.array_equal(decoded(body, WEBP), decoded(drawn(tile_grid(Tile(5, 6, 4))), PNG))


def test_blocks_end_where_the_footprint_ends_and_outside_nothing_is_asked() -> None:
    source = Drawn()
    shown = {Tile(5, 4, 5), Tile(6, 5, 5), Tile(8, 4, 5)}
    kinds = np.dtype([("a", "<u2")])

    def covers(grid: PixelGrid) -> bool:
        found = tile_of(grid)
        return found is not None and found[0] in shown

    async def work() -> list[bytes]:
        terms = Terms(covers=covers, pixel_type=kinds)
        cached, _ = metatiled(source, terms=lambda asked: terms)
        bodies = await view(cached, rectangle(4, 3, 8, 5, 5))
        return [*bodies, await cached.get_pixels(request(Tile(0, 0, 5), file_format=NPY))]

    *bodies, raw = asyncio.run(work())
    assert sorted(source.sizes) == [(256, 256), (512, 512)]
    assert [each.grid for each in source.asked if each.grid != tile_grid(Tile(8, 4, 5))] == [
        Block(Tile(5, 4, 5), 2, 2, 256).grid
    ]
    assert not decoded(bodies[0], PNG).any()
    assert decoded(raw, NPY).dtype == kinds
    assert not decoded(raw, NPY)["a"].any()


def test_the_footprint_is_looked_at_once_a_block() -> None:
    looked: list[PixelGrid] = []

    def covers(grid: PixelGrid) -> bool:
        looked.append(grid)
        return True

    tiles = rectangle(4, 4, 4, 4)
    source = metatiled(Drawn(), terms=lambda _: Terms(covers=covers))[0]
    asyncio.run(view(source, tiles))
    assert len(looked) <= 2 * len(tiles)


def test_a_raw_tile_outside_of_an_unknown_type_is_asked_alone() -> None:
    source = Drawn()

    async def work() -> None:
        cached, _ = metatiled(source, terms=lambda _: Terms(covers=lambda grid: False))
        await view(cached, [Tile(0, 0, 3)], file_format=NPY)

    asyncio.run(work())
    assert source.sizes == [(256, 256)]


@pytest.mark.parametrize(
    ("size", "kinds", "sizes"),
    [
        (256, "u2,u2,u2", (1024, 1024)),
        (512, "u2,u2,u2", (2048, 2048)),
        (512, "f4,f4,f4", (1024, 1024)),
        (256, ",".join(["f8"] * 20), (512, 512)),
        (512, ",".join(["f8"] * 20), (512, 512)),
    ],
)
def test_a_block_is_shrunk_to_what_earth_engine_allows(
    size: int, kinds: str, sizes: tuple[int, int]
) -> None:
    source = Drawn()

    async def work() -> None:
        terms = Terms(pixel_type=np.dtype(kinds))
        cached, _ = metatiled(source, terms=lambda _: terms)
        await view(cached, [Tile(8, 8, 6), Tile(8, 9, 6)], size=size)

    asyncio.run(work())
    assert set(source.sizes) == {sizes}


def test_the_world_at_a_low_zoom_is_a_smaller_block() -> None:
    source = Drawn()
    asyncio.run(view(metatiled(source)[0], rectangle(0, 0, 2, 2, 1)))
    assert source.sizes == [(512, 512)]


def test_a_layer_may_have_blocks_of_its_own_size() -> None:
    source = Drawn()
    sides = {"one": 1, "two": 2, None: None}

    async def work() -> None:
        cached, _ = metatiled(source, terms=lambda asked: Terms(sides[asked.workload_tag]))
        for tag in sides:
            tiles = rectangle(4 if tag else 8, 4 if tag == "one" else 8, 2, 2)
            await view(cached, tiles, workload_tag=tag)

    asyncio.run(work())
    assert source.sizes == [(256, 256)] * 4 + [(512, 512), (1024, 1024)]
    assert {each.workload_tag for each in source.asked} == {"one", "two", None}


def test_a_side_that_is_no_power_of_two_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="tiles_per_side must be 1, 2, 4, 8"):
        asyncio.run(view(metatiled(Drawn(), tiles_per_side=3)[0], [Tile(0, 0, 3)]))


@pytest.mark.parametrize(
    "asked",
    [
        PixelRequest(SCENE, PNG),
        request(Tile(3, 3, 3), file_format=ImageFileFormat.GEO_TIFF),
        request(Tile(3, 3, 3), file_format=ImageFileFormat.AUTO_JPEG_PNG),
        PixelRequest(SCENE, PNG, replace(tile_grid(Tile(3, 3, 3)), width=300)),
    ],
)
def test_what_is_no_tile_passes_untouched(asked: PixelRequest) -> None:
    class Plain:
        async def get_pixels(self, request: PixelRequest) -> bytes:
            assert request is asked
            return b"as it came"

    async def work() -> bytes:
        return await metatiled(Plain())[1].get_pixels(asked)

    assert asyncio.run(work()) == b"as it came"


def test_a_block_that_fails_fails_all_who_wait_once_and_is_asked_again() -> None:
    source = Drawn(lambda asked: TransientError("down") if len(source.asked) == 1 else None)
    tiles = rectangle(4, 4, 4, 4)

    async def work() -> None:
        cached, _ = metatiled(source)
        failed = await asyncio.gather(
            *(cached.get_pixels(request(tile)) for tile in tiles), return_exceptions=True
        )
        assert [str(each) for each in failed] == ["down"] * 16
        await view(cached, tiles)

    asyncio.run(work())
    assert source.sizes == [(1024, 1024)] * 2


def too_large(most: int, error: Exception) -> Callable[[PixelRequest], Exception | None]:
    def failing(asked: PixelRequest) -> Exception | None:
        assert isinstance(asked.grid, PixelGrid)
        return error if max(asked.grid.width, asked.grid.height) > most else None

    return failing


@pytest.mark.parametrize("error", [TooComplex("memory"), RequestTooLarge("size")])
def test_a_block_too_complex_is_asked_in_smaller_ones_and_that_is_remembered(
    error: Exception,
) -> None:
    source = Drawn(too_large(512, error))

    async def work() -> None:
        cached, _ = metatiled(source)
        bodies = await view(cached, rectangle(4, 4, 4, 4))
        assert bodies[9] == write_png(
            Picture(decoded(drawn(tile_grid(Tile(5, 6, ZOOM))), PNG)[..., 0], None)
        )
        await view(cached, rectangle(8, 4, 4, 4))

    asyncio.run(work())
    assert source.sizes == [(1024, 1024)] + [(512, 512)] * 8


def test_a_tile_too_complex_by_itself_is_asked_once_by_itself() -> None:
    source = Drawn(too_large(0, TooComplex("memory")))

    async def work() -> None:
        cached, _ = metatiled(source)
        failed = await asyncio.gather(
            *(cached.get_pixels(request(tile)) for tile in rectangle(0, 0, 2, 2, 1)),
            return_exceptions=True,
        )
        assert all(isinstance(each, TooComplex) for each in failed)

    asyncio.run(work())
    assert source.sizes == [(512, 512)] + [(256, 256)] * 4


def test_a_tile_that_no_size_helps_does_not_break_up_the_view() -> None:
    spot = request(Tile(4, 4, ZOOM)).grid
    spoiled = (spot, Block(Tile(4, 4, ZOOM), 2, 2, 256).grid)
    source = Drawn(lambda asked: TooComplex("memory") if asked.grid in spoiled else None)

    async def work() -> None:
        cached, _ = metatiled(source, tiles_per_side=2)
        done = await asyncio.gather(
            *(cached.get_pixels(request(tile)) for tile in [Tile(4, 4, ZOOM), Tile(6, 4, ZOOM)]),
            return_exceptions=True,
        )
        assert isinstance(done[0], TooComplex)
        await view(cached, rectangle(8, 4, 2, 2))

    asyncio.run(work())
    assert sorted(source.sizes) == [(256, 256)] + [(512, 512)] * 3


def test_smaller_blocks_never_repeat_the_one_that_failed() -> None:
    def covers(grid: PixelGrid) -> bool:
        return tile_of(grid) == (Tile(5, 4, 5), 256)

    block = block_of(Tile(4, 4, 5), 256, 4, covers)
    assert (block.columns, block.rows) == (2, 1)
    assert smaller(4, block, Tile(4, 4, 5), covers) == (1, Block(Tile(4, 4, 5), 1, 1, 256))


def test_a_wrong_request_is_not_asked_again_in_smaller_blocks() -> None:
    source = Drawn(lambda asked: InvalidRequest("no such band"))
    with pytest.raises(InvalidRequest, match="no such band"):
        asyncio.run(view(metatiled(source)[0], rectangle(4, 4, 2, 2)))
    assert len(source.asked) == 1


def test_a_client_that_leaves_does_not_cancel_the_others() -> None:
    source, tiles = Drawn(), rectangle(4, 4, 4, 4)

    async def work() -> None:
        cached, _ = metatiled(source)
        waiting = [asyncio.create_task(cached.get_pixels(request(tile))) for tile in tiles]
        await source.was_asked.wait()
        waiting[0].cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert all(isinstance(each, bytes) for each in done[1:])

    asyncio.run(work())
    assert len(source.asked) == 1


def test_npy_of_the_local_engine_is_cut_to_what_it_would_itself_write(folder: Path) -> None:
    values = np.arange(512 * 512 * 2).reshape(2, 512, 512).astype("<u2")
    bands = BandArrays(("a", "b"), values, np.ones(values.shape, bool))
    tiles = encoded_tiles(write_npy(bands), Block(Tile(0, 0, 3), 2, 2, 256), NPY)
    part = BandArrays(("a", "b"), values[:, :256, :256], bands.valid[:, :256, :256])
    assert decoded(tiles[Tile(0, 0, 3)], NPY).tolist() == decoded(write_npy(part), NPY).tolist()


def test_fitting_never_goes_below_a_single_tile() -> None:
    assert fitting(4, 32768, (8,) * 1000) == 1


def test_the_stand_in_and_the_local_engine_are_the_same_source(folder: Path) -> None:
    """The wrapper does not care what is behind: blocks of local rasters are the same tiles."""
    rasters = LocalRasters(Catalogue([Root(str(folder), PREFIX)]))
    tile = Tile(134, 117, ZOOM)

    async def work() -> list[bytes]:
        return await view(metatiled(rasters)[0], [tile, Tile(135, 117, ZOOM)])

    body = asyncio.run(work())[0]
    alone = rasters.pixels(request(tile))
    rasters.close()
    assert np.array_equal(decoded(body, PNG), decoded(alone, PNG))
