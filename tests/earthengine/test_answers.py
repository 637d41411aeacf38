import gzip
import io
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tileserver.contract.formats import EARTH_ENGINE_FORMATS, ImageFileFormat
from tileserver.contract.geojson import read_geometry
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, VisualizationOptions
from tileserver.earthengine.answers import MAX_BODY_BYTES, CappedBody, max_body_bytes, verify_body
from tileserver.errors import UpstreamError
from tileserver.rendering.encoders import encode

WIDTH, HEIGHT = 37, 21
GRID = PixelGrid(WIDTH, HEIGHT, AffineTransform(10.0, 0.0, 5e5, 0.0, -10.0, 4e6), "EPSG:32610")
BANDS = ("B4", "B3", "B2")
FORMATS = list(EARTH_ENGINE_FORMATS)
TYPES = {
    ImageFileFormat.GEO_TIFF: "image/tiff; application=geotiff",
    ImageFileFormat.AUTO_JPEG_PNG: "image/jpeg",
}


def asked(file_format: ImageFileFormat) -> PixelRequest:
    return PixelRequest("projects/p/assets/x", file_format, GRID, band_ids=BANDS)


def body_of(file_format: ImageFileFormat) -> bytes:
    values = np.random.default_rng(1).integers(0, 255, (3, HEIGHT, WIDTH)).astype(np.uint8)
    return encode(file_format, BandArrays(BANDS, values, np.ones_like(values, bool)), GRID, None)


def verified(body: bytes, file_format: ImageFileFormat, kind: str | None = "") -> bytes:
    media_type = TYPES.get(file_format, file_format.media_type) if kind == "" else kind
    return verify_body(body, media_type, asked(file_format))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_whole_body_passes_as_the_very_same_bytes(file_format: ImageFileFormat) -> None:
    body = body_of(file_format)
    assert verified(body, file_format) is body


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_body_cut_anywhere_is_refused(file_format: ImageFileFormat) -> None:
    body = body_of(file_format)
    for end in sorted({0, 1, 7, 20, len(body) // 2, len(body) - 13, len(body) - 1}):
        with pytest.raises(UpstreamError):
            verified(body[:end], file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_bytes_of_another_format_are_refused(file_format: ImageFileFormat) -> None:
    zips = {ImageFileFormat.ZIPPED_GEO_TIFF, ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND}
    for other in FORMATS:
        alike = file_format is other or {file_format, other} <= zips
        if alike or ImageFileFormat.AUTO_JPEG_PNG in (file_format, other):
            continue
        with pytest.raises(UpstreamError):
            verified(body_of(other), file_format)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    "kind", [None, "text/html", "application/json; charset=UTF-8", "text/plain", "image/svg+xml"]
)
def test_a_type_that_is_no_image_is_refused(file_format: ImageFileFormat, kind: str | None) -> None:
    with pytest.raises(UpstreamError, match="expected a whole"):
        verified(body_of(file_format), file_format, kind)


@pytest.mark.parametrize(
    "file_format", [f for f in FORMATS if f is not ImageFileFormat.TF_RECORD_IMAGE]
)
def test_another_size_is_refused(file_format: ImageFileFormat) -> None:
    for width, height in ((WIDTH + 1, HEIGHT), (WIDTH, HEIGHT - 1), (HEIGHT, WIDTH)):
        other = replace(asked(file_format), grid=replace(GRID, width=width, height=height))
        with pytest.raises(UpstreamError, match="instead of"):
            verify_body(body_of(file_format), "application/octet-stream", other)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("grid", [None, PartialGrid(crs_code="EPSG:4326")])
def test_any_size_will_do_when_the_request_gives_none(
    file_format: ImageFileFormat, grid: PartialGrid | None
) -> None:
    region = read_geometry({"type": "Point", "coordinates": [1, 2]})
    request = replace(asked(file_format), grid=grid, region=region)
    body = body_of(file_format)
    assert verify_body(body, "application/octet-stream", request) is body


@settings(max_examples=60)
@given(st.sampled_from(FORMATS), st.binary(max_size=120), st.integers(0, 40))
def test_no_bytes_raise_anything_but_an_upstream_error(
    file_format: ImageFileFormat, noise: bytes, kept: int
) -> None:
    with pytest.raises(UpstreamError):
        verified(body_of(file_format)[:kept] + noise, file_format)


def test_any_bit_that_flips_in_a_png_is_noticed() -> None:
    body = body_of(ImageFileFormat.PNG)
    flips = random.Random(5)
    for _ in range(200):
        broken = bytearray(body)
        broken[flips.randrange(len(body))] ^= 1 << flips.randrange(8)
        with pytest.raises(UpstreamError):
            verified(bytes(broken), ImageFileFormat.PNG)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0))],
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)),
            chunk(b"IEND", b""),
        ],
        [chunk(b"IDAT", b"x"), chunk(b"IEND", b"")],
        [
            chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)),
            chunk(b"IEND", b""),
            chunk(b"IDAT", b"x"),
        ],
    ],
    ids=["no chunks", "a header alone", "no pixels", "no header", "an end before the pixels"],
)
def test_a_png_without_all_its_chunks_in_order_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(UpstreamError):
        verified(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), ImageFileFormat.PNG)


def test_what_follows_the_end_of_a_png_is_refused() -> None:
    with pytest.raises(UpstreamError):
        verified(body_of(ImageFileFormat.PNG) + b"<html>", ImageFileFormat.PNG)


def test_pngs_and_jpegs_of_other_writers_pass() -> None:
    for mode in ("L", "LA", "P", "RGB", "RGBA", "1"):
        out = io.BytesIO()
        Image.new(mode, (WIDTH, HEIGHT)).save(out, "PNG")
        assert verified(out.getvalue(), ImageFileFormat.PNG)
    for progressive in (False, True):
        out = io.BytesIO()
        Image.new("RGB", (WIDTH, HEIGHT)).save(out, "JPEG", progressive=progressive, quality=60)
        assert verified(out.getvalue(), ImageFileFormat.JPEG)


def npy(write: Callable[[np.ndarray], np.ndarray]) -> bytes:
    array = np.zeros((HEIGHT, WIDTH), [(name, "<u2") for name in BANDS])
    out = io.BytesIO()
    np.save(out, write(array))
    return out.getvalue()


def test_an_array_that_numpy_wrote_passes() -> None:
    assert verified(npy(lambda array: array), ImageFileFormat.NPY)


def test_fields_of_mixed_types_pass() -> None:
    dtype = [("B4", "<u2"), ("B3", "<f8"), ("B2", "|i1")]
    assert verified(npy(lambda array: array.astype(dtype)), ImageFileFormat.NPY)


@pytest.mark.parametrize(
    "write",
    [
        lambda array: array[["B4", "B2", "B3"]].astype(
            [("B4", "<u2"), ("B2", "<u2"), ("B3", "<u2")]
        ),
        lambda array: array["B4"],
        lambda array: array[["B4"]].astype([("B4", "<u2")]),
        lambda array: array.ravel(),
        lambda array: np.asfortranarray(array),
        lambda array: array[:-1],
    ],
    ids=["other order", "no fields", "a band too few", "flat", "Fortran order", "a row too few"],
)
def test_another_array_than_the_one_asked_for_is_refused(
    write: Callable[[np.ndarray], np.ndarray],
) -> None:
    with pytest.raises(UpstreamError):
        verified(npy(write), ImageFileFormat.NPY)


def test_a_drawn_array_has_band_names_of_its_own() -> None:
    names = [("vis-red", "|u1"), ("vis-green", "|u1"), ("vis-blue", "|u1")]
    body = npy(lambda array: array.astype(names))
    request = replace(
        asked(ImageFileFormat.NPY), visualization_options=VisualizationOptions(gamma=1.5)
    )
    assert verify_body(body, "application/octet-stream", request) is body


def test_bytes_too_many_after_an_array_are_refused() -> None:
    with pytest.raises(UpstreamError):
        verified(npy(lambda array: array) + b"\0", ImageFileFormat.NPY)


@pytest.mark.parametrize(
    "header",
    [
        b"__import__('os').system('true')",
        b"(" * 5000,
        b"{'descr': [('B4', '|O')], 'fortran_order': False, 'shape': (21, 37)}",
        b"{'descr': [('B4', '<u2')], 'fortran_order': False, 'shape': (-21, -37)}",
        b"{'descr': [('B4', '<u2')], 'fortran_order': False, 'shape': ('a', 37)}",
        b"{'descr': [('B4', '<u2')]}",
        b"[]",
    ],
    ids=range(7),
)
def test_a_header_that_is_no_array_is_refused(header: bytes) -> None:
    body = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(100)
    with pytest.raises(UpstreamError):
        verified(body, ImageFileFormat.NPY)


@pytest.mark.parametrize("options", [{"big_tiff": True}, {"compression": "tiff_deflate"}])
def test_tiffs_of_other_writers_pass(options: dict[str, object]) -> None:
    out = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT)).save(out, "TIFF", **options)
    assert verified(out.getvalue(), ImageFileFormat.GEO_TIFF)


def test_a_tiff_with_a_band_too_few_is_refused() -> None:
    out = io.BytesIO()
    Image.new("L", (WIDTH, HEIGHT)).save(out, "TIFF")
    with pytest.raises(UpstreamError, match="1 bands"):
        verified(out.getvalue(), ImageFileFormat.GEO_TIFF)


@pytest.mark.parametrize(
    ("file_format", "bands", "side", "most"),
    [
        (ImageFileFormat.PNG, BANDS, 256, 4 * 4 * 256 * 256),
        (ImageFileFormat.PNG, (), 1, 65_536),
        (ImageFileFormat.NPY, BANDS, 256, 4 * 3 * 8 * 256 * 256),
        (ImageFileFormat.NPY, (), 256, MAX_BODY_BYTES),
        (ImageFileFormat.PNG, BANDS, 8192, MAX_BODY_BYTES),
    ],
)
def test_a_body_may_be_four_times_its_pixels_long(
    file_format: ImageFileFormat, bands: tuple[str, ...], side: int, most: int
) -> None:
    grid = replace(GRID, width=side, height=side)
    assert max_body_bytes(PixelRequest("x", file_format, grid, band_ids=bands)) == most


def parts(data: bytes, size: int = 1000) -> list[bytes]:
    edges = [*range(0, len(data), size), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.binary(max_size=5000), st.sampled_from(["identity", "gzip", "GZIP"]))
def test_a_body_comes_together_again(data: bytes, encoding: str) -> None:
    sent = data if encoding == "identity" else gzip.compress(data)
    body = CappedBody({"content-encoding": encoding, "content-length": str(len(sent))}, 5000)
    for part in parts(sent, 700):
        body.add(part)
    assert body.whole() == data


def test_a_body_of_one_part_is_not_copied() -> None:
    part = bytes(1000)
    body = CappedBody({}, 1000)
    body.add(part)
    assert body.whole() is part


def test_a_body_is_given_up_where_it_grows_too_long() -> None:
    body = CappedBody({}, 2500)
    for _ in range(2):
        body.add(bytes(1000))
    with pytest.raises(UpstreamError, match="longer"):
        body.add(bytes(1000))


def test_a_body_that_announces_too_many_bytes_is_not_read_at_all() -> None:
    with pytest.raises(UpstreamError, match="50000000 bytes"):
        CappedBody({"content-length": "50000000"}, 1000)


def test_a_gzip_bomb_is_inflated_no_further_than_the_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    body = CappedBody({"content-encoding": "gzip"}, 100_000)
    tracemalloc.start()
    try:
        with pytest.raises(UpstreamError, match="longer"):
            body.add(bomb)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd", "x" * 1000])
def test_what_was_not_asked_for_as_compression_is_refused(encoding: str) -> None:
    with pytest.raises(UpstreamError, match="expected gzip"):
        CappedBody({"content-encoding": encoding}, 1000)


def test_a_gzip_stream_that_is_cut_or_none_is_refused() -> None:
    body = CappedBody({"content-encoding": "gzip"}, 1000)
    body.add(gzip.compress(bytes(500))[:-4])
    with pytest.raises(UpstreamError, match="cut short"):
        body.whole()
    with pytest.raises(UpstreamError, match="is not"):
        CappedBody({"content-encoding": "gzip"}, 1000).add(b"<html>")
