import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image

from tileserver.rendering.png import SIGNATURE, transparent_png, write_palette_png, write_png
from tileserver.rendering.render import PalettePicture, Picture

SIDES = st.integers(1, 40)


def chunks(body: bytes) -> list[tuple[bytes, bytes]]:
    """Return kind and data of every chunk, checking every checksum."""
    assert body.startswith(SIGNATURE)
    found, at = [], len(SIGNATURE)
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        kind, data = body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", body, at + 8 + length)
        assert checksum == zlib.crc32(kind + data)
        found.append((kind, data))
        at += 12 + length
    return found


def decoded(body: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(body))
    image.load()
    return image


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    height, width = draw(SIDES), draw(SIDES)
    color_shape = draw(st.sampled_from([(height, width), (height, width, 3)]))
    color = draw(arrays(np.uint8, color_shape))
    alpha = draw(st.none() | arrays(np.uint8, (height, width)))
    if alpha is not None:
        color[alpha == 0] = 0
    return Picture(color, alpha)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(pictures())
def test_pillow_reads_what_was_written(picture: Picture) -> None:
    rgba = np.array(decoded(write_png(picture)).convert("RGBA"))
    color = picture.color if picture.color.ndim == 3 else picture.color[..., np.newaxis]
    assert np.array_equal(rgba[..., :3], np.broadcast_to(color, rgba[..., :3].shape))
    assert (rgba[..., 3] == (255 if picture.alpha is None else picture.alpha)).all()


@pytest.mark.parametrize(
    ("channels", "with_alpha", "mode"),
    [(1, False, "L"), (1, True, "LA"), (3, False, "RGB"), (3, True, "RGBA")],
)
def test_there_are_no_more_channels_than_needed(channels: int, with_alpha: bool, mode: str) -> None:
    rng = np.random.default_rng(3)
    shape = (33, 57) if channels == 1 else (33, 57, 3)
    color = rng.integers(0, 256, shape, dtype=np.uint8)
    alpha = rng.integers(0, 256, (33, 57), dtype=np.uint8) if with_alpha else None
    image = decoded(write_png(Picture(color, alpha)))
    assert (image.mode, image.size) == (mode, (57, 33))
    expected = color if alpha is None else np.dstack([color, alpha])
    assert np.array_equal(np.array(image), expected)


def test_a_fully_opaque_alpha_is_dropped() -> None:
    color = np.full((4, 4, 3), 9, np.uint8)
    assert write_png(Picture(color, np.full((4, 4), 255, np.uint8))) == write_png(
        Picture(color, None)
    )


@pytest.mark.parametrize("shape", [(256, 256), (256, 256, 3)])
def test_a_picture_of_nothing_is_the_transparent_constant(shape: tuple[int, ...]) -> None:
    picture = Picture(np.zeros(shape, np.uint8), np.zeros((256, 256), np.uint8))
    assert write_png(picture) is transparent_png(256, 256)


def test_checksums_are_right() -> None:
    body = write_png(Picture(np.arange(256, dtype=np.uint8).reshape(16, 16), None))
    assert [kind for kind, _ in chunks(body)] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 3), (8, 8), (256, 256), (512, 512)])
def test_the_transparent_picture_is_transparent_everywhere(width: int, height: int) -> None:
    body = transparent_png(width, height)
    chunks(body)
    image = decoded(body).convert("RGBA")
    assert image.size == (width, height)
    assert not np.array(image).any()
    assert len(body) < 150


def test_a_view_that_is_not_contiguous_is_written_as_it_looks() -> None:
    planar = np.arange(3 * 8 * 9, dtype=np.uint8).reshape(3, 8, 9)
    color: NDArray[np.uint8] = np.moveaxis(planar, 0, -1)
    assert np.array_equal(np.array(decoded(write_png(Picture(color, None)))), color)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
    st.sampled_from([np.uint8, np.uint16]),
)
def test_a_palette_png_has_the_colours_of_its_picture(
    count: int, alpha: int, seed: int, dtype: type[np.unsignedinteger[Any]]
) -> None:
    random = np.random.default_rng(seed)
    colors = random.integers(0, 256, (min(count, np.iinfo(dtype).max), 3), np.uint8)
    colors[0] = 0
    index = random.integers(0, len(colors), (19, 31)).astype(dtype) * (alpha > 0)
    picture = PalettePicture(index.astype(dtype), colors, alpha)
    image = decoded(write_palette_png(picture))
    rgba = np.array(image.convert("RGBA"))
    plain = np.array(decoded(write_png(picture.picture())).convert("RGBA"))
    assert (rgba == plain).all()
    assert (image.mode == "P") == (len(np.unique(index)) <= 256)


def test_more_than_256_colours_are_written_without_a_palette() -> None:
    index = np.arange(400, dtype=np.uint16).reshape(20, 20)
    colors = np.zeros((400, 3), np.uint8)
    colors[:, 0], colors[:, 1] = np.arange(400) % 256, np.arange(400) // 256
    image = decoded(write_palette_png(PalettePicture(index, colors, 255)))
    assert image.mode == "RGBA"
    assert (np.array(image)[..., :3] == colors[index]).all()
