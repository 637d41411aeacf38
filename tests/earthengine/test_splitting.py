from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid, Window
from tileserver.contract.pixels import BandArrays, Geometry, PixelRequest, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.splitting import Split, stitch
from tileserver.errors import (
    AssetNotFound,
    DeadlineExceeded,
    TooComplex,
    TransientError,
    UpstreamError,
)
from tileserver.rendering.encoders import encode

NAME = "projects/p/assets/a"
GRID = tile_grid(Tile(x=659, y=1583, z=12))
"""A tile somewhere, whose coordinates are no round numbers."""
PNG = PixelRequest(NAME, ImageFileFormat.PNG, GRID)


def values(columns: NDArray[np.int64], rows: NDArray[np.int64]) -> BandArrays:
    """Return three bands that tell every pixel of the world from its neighbours."""
    red, green = columns % 256, rows % 256
    blue = (columns * 7 + rows * 13) % 256
    color = np.stack([red, green, blue]).astype(np.uint8)
    valid = np.broadcast_to((columns + rows) % 11 != 0, color.shape)
    return BandArrays(("r", "g", "b"), color, valid)


def drawn(request: PixelRequest) -> bytes:
    """Answer a request for a part of GRID's lattice, in the way the local engine does."""
    grid = request.grid
    assert isinstance(grid, PixelGrid)
    assert grid.crs_code == GRID.crs_code
    t = grid.transform
    # Pixel centres on the lattice of the world, which is what a seam would be a jump of.
    column = round((t.translate_x - GRID.transform.translate_x) / t.scale_x)
    row = round((t.translate_y - GRID.transform.translate_y) / t.scale_y)
    rows, columns = np.mgrid[row : row + grid.height, column : column + grid.width]
    return encode(request.file_format, values(columns, rows), grid, request.visualization_options)


@dataclass
class Engine:
    """Answer at most so many pixels at once; note what was asked."""

    most_pixels: int
    answer: Callable[[PixelRequest], bytes] = drawn
    asked: list[PixelRequest] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def get_pixels(self, request: PixelRequest) -> bytes:
        self.asked.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            assert isinstance(request.grid, PixelGrid)
            if request.grid.width * request.grid.height > self.most_pixels:
                raise TooComplex("User memory limit exceeded.")
            return self.answer(request)
        finally:
            self.in_flight -= 1

    @property
    def sides(self) -> list[int]:
        return [request.grid.width for request in self.asked if isinstance(request.grid, PixelGrid)]


def tile(x: int = 0) -> PixelRequest:
    """Return one of many tiles of a layer."""
    moved = GRID.window(Window(256 * x, 0, 256, 256))
    return replace(PNG, grid=moved)


def get(source: Split, request: PixelRequest = PNG) -> bytes:
    return asyncio.run(source.get_pixels(request))


def pixels(body: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGBA"))


# What comes out


def test_what_is_not_too_complex_passes_as_it_is() -> None:
    engine = Engine(256 * 256)
    assert get(Split(engine)) == drawn(PNG)
    assert engine.asked == [PNG]


@pytest.mark.parametrize("side", [128, 64, 32])
def test_the_parts_of_a_picture_make_up_the_picture(side: int) -> None:
    engine = Engine(side * side)
    body = get(Split(engine))
    assert body == drawn(PNG)
    assert engine.sides.count(side) == (256 // side) ** 2


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(128, 300), st.integers(128, 300))
def test_odd_sides_leave_neither_gap_nor_seam(width: int, height: int) -> None:
    request = replace(PNG, grid=replace(GRID, width=width, height=height))
    engine = Engine(75 * 75)
    assert get(Split(engine), request) == drawn(request)
    assert len(engine.asked) >= 5


@pytest.mark.parametrize(
    "dtype", [[("a", "<u2"), ("b", "<u2")], [("a", "u1"), ("q", "<f4"), ("z", "<i8")]]
)
def test_the_parts_of_an_array_make_up_the_array(dtype: list[tuple[str, str]]) -> None:
    rng = np.random.default_rng(1)
    whole = np.empty((256, 256), dtype)
    for name, _ in dtype:
        whole[name] = rng.integers(0, 200, (256, 256))

    def cut(request: PixelRequest) -> bytes:
        assert isinstance(request.grid, PixelGrid)
        t, first = request.grid.transform, GRID.transform
        column = round((t.translate_x - first.translate_x) / t.scale_x)
        row = round((t.translate_y - first.translate_y) / t.scale_y)
        body = io.BytesIO()
        np.save(body, whole[row : row + request.grid.height, column : column + request.grid.width])
        return body.getvalue()

    body = get(Split(Engine(64 * 64, cut)), replace(PNG, file_format=ImageFileFormat.NPY))
    found = np.load(io.BytesIO(body))
    assert found.dtype == whole.dtype
    assert np.array_equal(found, whole)


@pytest.mark.parametrize("file_format", [ImageFileFormat.JPEG, ImageFileFormat.WEBP])
def test_parts_of_other_pictures_are_asked_for_as_png_and_encoded_once(
    file_format: ImageFileFormat,
) -> None:
    engine = Engine(128 * 128)
    request = replace(PNG, file_format=file_format)
    assert get(Split(engine), request) == drawn(request)
    assert [part.file_format for part in engine.asked[1:]] == [ImageFileFormat.PNG] * 4


@pytest.mark.parametrize("opaque", [True, False])
def test_auto_is_told_from_the_whole_picture_not_from_its_parts(opaque: bool) -> None:
    def one_hole(request: PixelRequest) -> bytes:
        grid = request.grid
        assert isinstance(grid, PixelGrid)
        valid = np.ones((1, grid.height, grid.width), np.bool_)
        valid[0, 0, 0] = opaque or grid.transform != GRID.transform
        bands = BandArrays(("a",), np.full(valid.shape, 90, np.uint8), valid)
        return encode(request.file_format, bands, grid, None)

    request = replace(PNG, file_format=ImageFileFormat.AUTO_JPEG_PNG)
    body = get(Split(Engine(128 * 128, one_hole)), request)
    assert body == one_hole(request)
    with Image.open(io.BytesIO(body)) as image:
        assert image.format == ("JPEG" if opaque else "PNG")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_parts_of_any_kind_of_png_keep_their_pixels(mode: str) -> None:
    rng = np.random.default_rng(2)
    source = Image.fromarray(rng.integers(0, 256, (64, 64, 4), dtype=np.uint8))
    parts = Window(0, 0, 64, 64).quarters()
    pieces = []
    whole = Image.new("RGBA", (64, 64))
    for number, part in enumerate(parts):
        cut = source.crop((part.column, part.row, part.column + part.width, part.row + part.height))
        piece = cut.convert(mode if number else "RGBA")
        body = io.BytesIO()
        piece.save(body, "PNG")
        pieces.append((part, body.getvalue()))
        whole.paste(piece.convert("RGBA"), (part.column, part.row))
    stitched = pixels(stitch(ImageFileFormat.PNG, replace(GRID, width=64, height=64), pieces))
    expected = np.asarray(whole).copy()
    expected[expected[..., 3] == 0] = 0
    assert np.array_equal(stitched, expected)


# Grids


@given(st.floats(-1e7, 1e7), st.floats(1e-6, 1e5), st.integers(0, 4000), st.integers(0, 4000))
def test_the_origin_of_a_part_is_exact_but_for_one_rounding(
    west: float, scale: float, column: int, row: int
) -> None:
    grid = PixelGrid(8192, 8192, AffineTransform(scale, 0.25, west, -0.5, -scale, 1.1), "EPSG:3857")
    t = grid.window(Window(column, row, 7, 9)).transform
    exact = Fraction(scale) * column + Fraction(1, 4) * row + Fraction(west)
    assert t.translate_x == float(exact)
    assert t.translate_y == float(-Fraction(scale) * row - Fraction(column, 2) + Fraction(1.1))
    assert replace(t, translate_x=west, translate_y=1.1) == grid.transform


def test_the_quarters_of_a_tile_are_the_tiles_below_it() -> None:
    for part in Window(0, 0, 256, 256).quarters():
        below = Tile(659 * 2 + part.column // 128, 1583 * 2 + part.row // 128, 13)
        child = tile_grid(below, 128)
        assert GRID.window(part).transform.scale_x == child.transform.scale_x
        assert GRID.window(part).transform.translate_x == pytest.approx(
            child.transform.translate_x, rel=1e-15
        )


@given(st.integers(2, 5000), st.integers(2, 5000))
def test_quarters_cover_the_whole_once(width: int, height: int) -> None:
    parts = Window(3, 5, width, height).quarters()
    assert sum(part.pixels for part in parts) == width * height
    assert min(min(part.width, part.height) for part in parts) >= 1
    assert {(part.column, part.row) for part in parts} == {
        (column, row) for column in (3, 3 + width // 2) for row in (5, 5 + height // 2)
    }


def test_parts_keep_bands_options_and_tag() -> None:
    engine = Engine(128 * 128)
    request = replace(
        PNG,
        band_ids=("r", "g", "b"),
        visualization_options=VisualizationOptions(gamma=2.0),
        workload_tag="delta",
        asset_version="7",
    )
    get(Split(engine), request)
    for part in engine.asked:
        assert replace(part, grid=GRID) == request
        assert part.workload_tag == "delta"


# How much is asked


def test_the_first_quarter_goes_ahead_and_the_other_three_go_together() -> None:
    engine = Engine(128 * 128)
    get(Split(engine))
    assert engine.sides == [256, 128, 128, 128, 128]
    assert engine.most_in_flight == 3


def test_the_next_tile_of_the_layer_asks_for_its_quarters_at_once() -> None:
    engine = Engine(64 * 64)
    split = Split(engine)
    get(split, tile(0))
    engine.asked.clear()
    assert get(split, tile(1)) == drawn(tile(1))
    assert engine.sides == [64] * 16
    assert engine.most_in_flight == 16


def test_the_smallest_size_counts_though_a_larger_one_fails_later() -> None:
    class Uneven:
        """In the north-east 64 pixels a side are too many, in the south-east 128, told late."""

        def __init__(self) -> None:
            self.sides: list[int] = []
            self.told = asyncio.Event()

        async def get_pixels(self, request: PixelRequest) -> bytes:
            grid = request.grid
            assert isinstance(grid, PixelGrid)
            self.sides.append(grid.width)
            middle = GRID.transform.apply(127.5, 127.5)
            west, north = grid.transform.apply(0, 0)
            most = 128
            if west > middle[0]:
                most = 32 if north > middle[1] else 64
            if grid.width > most:
                if most == 64:
                    await self.told.wait()
                elif (most, grid.width) == (32, 64):
                    self.told.set()
                raise TooComplex("User memory limit exceeded.")
            return drawn(request)

    source = Uneven()
    split = Split(source)
    assert get(split) == drawn(PNG)
    source.sides.clear()
    get(split, tile(-1))
    assert source.sides == [32] * 64


def test_other_layers_and_smaller_requests_are_asked_whole() -> None:
    engine = Engine(128 * 128)
    split = Split(engine)
    get(split)
    engine.asked.clear()
    engine.most_pixels = 256 * 256
    small = replace(PNG, grid=replace(GRID, width=200, height=200))
    for request in (replace(PNG, asset_id=NAME + "b"), replace(PNG, band_ids=("r",)), small):
        get(split, request)
    assert engine.sides == [256, 256, 200]


def test_the_size_is_forgotten_after_ten_minutes() -> None:
    now_s = [0.0]
    engine = Engine(128 * 128)
    split = Split(engine, clock=lambda: now_s[0])
    get(split)
    engine.most_pixels = 256 * 256
    for now_s[0] in (599.0, 601.0):
        engine.asked.clear()
        get(split, tile(1))
    assert engine.sides == [256]


def test_not_more_than_a_thousand_layers_are_remembered() -> None:
    engine = Engine(0, lambda _: b"pixels")
    split = Split(engine)

    async def scenario() -> None:
        for number in range(1500):
            with pytest.raises(TooComplex):
                await split.get_pixels(replace(PNG, asset_id=f"{NAME}{number}"))

    asyncio.run(scenario())
    asked = len(engine.asked)
    for number in (1499, 500, 499, 0):
        with pytest.raises(TooComplex):
            get(split, replace(PNG, asset_id=f"{NAME}{number}"))
    assert len(engine.asked) - asked == 2 * 4


def test_what_is_too_much_in_any_size_costs_four_requests_and_nothing_for_a_minute() -> None:
    now_s = [0.0]
    engine = Engine(0)
    split = Split(engine, clock=lambda: now_s[0])
    for _ in range(3):
        with pytest.raises(TooComplex, match="User memory limit exceeded"):
            get(split)
    assert engine.sides == [256, 128, 64, 32]
    now_s[0] = 61.0
    with pytest.raises(TooComplex):
        get(split)
    assert len(engine.asked) == 8


def test_one_spot_that_cannot_be_had_does_not_break_up_the_layer() -> None:
    engine = Engine(0)
    split = Split(engine)
    with pytest.raises(TooComplex):
        get(split, tile(0))
    engine.asked.clear()
    engine.most_pixels = 256 * 256
    get(split, tile(1))
    assert engine.sides == [256]


def test_it_goes_only_as_deep_as_told() -> None:
    engine = Engine(64 * 64)
    with pytest.raises(TooComplex):
        get(Split(engine, max_depth=1))
    assert engine.sides == [256, 128]


# What is not split


@pytest.mark.parametrize(
    "request_",
    [
        replace(PNG, file_format=ImageFileFormat.GEO_TIFF),
        replace(PNG, file_format=ImageFileFormat.TF_RECORD_IMAGE),
        replace(PNG, region=Geometry("Point", (1.0, 2.0))),
        replace(PNG, grid=replace(GRID, width=63)),
        replace(PNG, grid=replace(GRID, height=1)),
    ],
)
def test_what_cannot_be_put_together_is_asked_once(request_: PixelRequest) -> None:
    engine = Engine(0)
    with pytest.raises(TooComplex):
        get(Split(engine), request_)
    assert engine.asked == [request_]


def test_a_grid_that_is_left_open_is_asked_once() -> None:
    class Refusing:
        asked = 0

        async def get_pixels(self, request: PixelRequest) -> bytes:
            self.asked += 1
            raise TooComplex("Computation timed out.")

    for grid in (None, PartialGrid(width=256, height=256)):
        source = Refusing()
        with pytest.raises(TooComplex):
            get(Split(source), replace(PNG, grid=grid))
        assert source.asked == 1


# Failures


@pytest.mark.parametrize("failure", [TransientError("503"), AssetNotFound(NAME), ValueError("bug")])
def test_a_part_that_fails_fails_the_whole_and_the_others_are_cancelled(failure: Exception) -> None:
    class Failing:
        def __init__(self) -> None:
            self.cancelled = 0

        async def get_pixels(self, request: PixelRequest) -> bytes:
            assert isinstance(request.grid, PixelGrid)
            if request.grid == GRID:
                raise TooComplex("Computation timed out.")
            corner = request.grid.transform
            if corner == GRID.transform:
                return drawn(request)
            if corner.translate_x != GRID.transform.translate_x:
                await asyncio.sleep(0.01)
                raise failure
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return b""

    source = Failing()
    with pytest.raises(type(failure)) as caught:
        get(Split(source))
    assert caught.value is failure
    assert source.cancelled == 1


def test_a_client_that_leaves_takes_all_parts_along() -> None:
    class Hanging:
        def __init__(self) -> None:
            self.in_flight = 0
            self.hangs = asyncio.Event()

        async def get_pixels(self, request: PixelRequest) -> bytes:
            if request.grid == GRID:
                raise TooComplex("Computation timed out.")
            assert isinstance(request.grid, PixelGrid)
            if request.grid.transform == GRID.transform:
                return drawn(request)
            self.in_flight += 1
            if self.in_flight == 3:
                self.hangs.set()
            try:
                await asyncio.sleep(60)
            finally:
                self.in_flight -= 1
            return b""

    async def scenario() -> None:
        source = Hanging()
        task = asyncio.create_task(Split(source).get_pixels(PNG))
        await source.hangs.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert source.in_flight == 0

    asyncio.run(scenario())


def test_all_parts_share_one_deadline() -> None:
    class Slow:
        async def get_pixels(self, request: PixelRequest) -> bytes:
            await asyncio.sleep(0.03)
            assert isinstance(request.grid, PixelGrid)
            if request.grid.width > 32:
                raise TooComplex("Computation timed out.")
            return drawn(request)

    with pytest.raises(DeadlineExceeded, match=NAME):
        get(Split(Slow(), deadline_s=0.08))


def damaged() -> Iterator[tuple[str, ImageFileFormat, Callable[[bytes], bytes]]]:
    """Yield what may come in place of a part."""
    png, npy = ImageFileFormat.PNG, ImageFileFormat.NPY
    other_grid = replace(GRID, width=127, height=128)
    for file_format in (png, npy):
        yield "nothing", file_format, lambda _: b""
        yield "a page", file_format, lambda _: b"<html>" + b"x" * 500
        yield "half", file_format, lambda body: body[: len(body) // 2]
        yield (
            "another size",
            file_format,
            always(drawn(PixelRequest(NAME, file_format, other_grid))),
        )
    yield "a JPEG", png, lambda _: drawn(PixelRequest(NAME, ImageFileFormat.JPEG, GRID))
    yield "sixteen bits", png, lambda _: saved(Image.new("I;16", (128, 128)))
    yield "other types", npy, lambda _: array(np.zeros((128, 128), [("r", "<f4")]))
    yield "columns first", npy, lambda _: array(np.asfortranarray(np.zeros((128, 128))))
    yield "objects", npy, lambda _: array(np.full((128, 128), None), allow_pickle=True)
    yield "a tail", npy, lambda body: body + b"x"


def always(body: bytes) -> Callable[[bytes], bytes]:
    return lambda _: body


def saved(image: Image.Image) -> bytes:
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def array(whole: NDArray[Any], allow_pickle: bool = False) -> bytes:
    body = io.BytesIO()
    np.lib.format.write_array(body, whole, (1, 0), allow_pickle)
    return body.getvalue()


@pytest.mark.parametrize(("what", "file_format", "spoil"), list(damaged()))
def test_a_part_that_is_not_what_was_asked_for_fails_the_whole(
    what: str, file_format: ImageFileFormat, spoil: Callable[[bytes], bytes]
) -> None:
    asked = [0]

    def answer(request: PixelRequest) -> bytes:
        asked[0] += 1
        return spoil(drawn(request)) if asked[0] == 3 else drawn(request)

    with pytest.raises(UpstreamError) as caught:
        get(Split(Engine(128 * 128, answer)), replace(PNG, file_format=file_format))
    assert type(caught.value) is UpstreamError
