import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tileserver.rendering.png import SIGNATURE, write_png
from tileserver.rendering.png_reader import read_plain_png
from tileserver.rendering.render import Picture

HEIGHT, WIDTH = 37, 53
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    samples: NDArray[np.uint8],
    filters: NDArray[np.uint8],
    header: bytes = bytes(3),
    before: bytes = b"",
    pieces: int = 1,
) -> bytes:
    """Return samples with a filter for each row, None or Sub, in so many IDAT."""
    height, width, count = samples.shape
    left = np.pad(samples, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    rows = np.where(filters[:, np.newaxis, np.newaxis] == 1, samples - left, samples)
    raw = np.column_stack([filters, rows.reshape(height, -1)]).tobytes()
    data = zlib.compress(raw)
    step = -(-len(data) // pieces)
    parts = [chunk(b"IDAT", data[at : at + step]) for at in range(0, len(data), step)]
    ihdr = struct.pack(">IIBB", width, height, 8, TYPES[count]) + header
    return b"".join([SIGNATURE, chunk(b"IHDR", ihdr), before, *parts, chunk(b"IEND", b"")])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["none", "sub", "mixed"])
@pytest.mark.parametrize("pieces", [1, 5])
def test_samples_are_those_that_pillow_reads(count: int, kind: str, pieces: int) -> None:
    samples = NOISE[..., :count]
    filters = {"none": np.zeros(HEIGHT), "sub": np.ones(HEIGHT), "mixed": np.arange(HEIGHT) % 2}
    body = png(samples, filters[kind].astype(np.uint8), pieces=pieces)
    found = read_plain_png(body, WIDTH, HEIGHT)
    assert found is not None
    assert np.array_equal(found, samples)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))).reshape(samples.shape), samples)


def test_what_our_writer_writes_is_read() -> None:
    body = write_png(Picture(NOISE[..., :3].copy(), NOISE[..., 3].copy()))
    found = read_plain_png(body, WIDTH, HEIGHT)
    assert found is not None
    assert np.array_equal(found, NOISE)


def pillow(mode: str, **more: Any) -> bytes:
    body = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(body, "PNG", **more)
    return body.getvalue()


SUB = np.ones(HEIGHT, np.uint8)
GOOD = png(NOISE[..., :3], SUB)


@pytest.mark.parametrize(
    "body",
    [
        pillow("1"),
        pillow("P"),
        pillow("L", transparency=17),
        png(NOISE[..., :3], np.full(HEIGHT, 2, np.uint8)),
        png(NOISE[..., :3], np.full(HEIGHT, 4, np.uint8)),
        png(NOISE[..., :3], SUB, header=b"\0\0\1"),
        png(NOISE[..., :3], SUB, before=chunk(b"tRNS", bytes(6))),
        png(NOISE[:-1, :, :3], SUB[:-1]),
        png(NOISE[:, :-1, :3], SUB),
        GOOD[: len(GOOD) // 2],
        GOOD[:-12],
        GOOD[:-20],
        GOOD[:300] + bytes(20) + GOOD[320:],
        # The last of the checksum over all pixels.
        GOOD[:-17] + bytes([GOOD[-17] ^ 1]) + GOOD[-16:],
        b"",
        b"<html>",
        SIGNATURE,
    ],
)
def test_what_is_not_plain_or_is_damaged_is_left_to_others(body: bytes) -> None:
    assert read_plain_png(body, WIDTH, HEIGHT) is None


def test_a_bomb_is_not_inflated() -> None:
    data = zlib.compress(bytes(100_000_000), 9)
    ihdr = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", ihdr), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    assert read_plain_png(SIGNATURE + b"".join(parts), WIDTH, HEIGHT) is None
