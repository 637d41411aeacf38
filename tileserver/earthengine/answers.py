"""Verifies that a response body is the complete file that was requested.

Pure functions over headers and bytes. A body that fails is neither cached nor served.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from isal import isal_zlib

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import UpstreamError
from tileserver.rendering.damaged_file import DamagedFile
from tileserver.rendering.npy import read_npy_header
from tileserver.rendering.png import SIGNATURE as PNG_SIGNATURE
from tileserver.rendering.png_reader import png_chunks, png_size

T = TypeVar("T")

MAX_BODY_BYTES = 64_000_000
"""Most bytes of a decompressed body: 48 MiB of pixels and the overhead of their format."""

_MIN_BODY_BYTES = 65_536

_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SAMPLES = 256, 257, 277
_TIFF_STRIPS, _TIFF_TILES = (273, 279), (324, 325)
"""Where the parts of the image begin, and how long they are."""
_TIFF_TAGS = frozenset({_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_SAMPLES, *_TIFF_STRIPS, *_TIFF_TILES})
_TIFF_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TIFF_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of each type of value, by its number."""


class CappedBody:
    """A body collected chunk by chunk, up to a limit; decompresses gzip within that limit."""

    def __init__(self, headers: Mapping[str, str], max_bytes: int) -> None:
        """Begin with the response's headers, looked up by names in lower case.

        Raises:
            UpstreamError: Content-Length exceeds the limit, or the encoding is unknown.
        """
        self._room = max_bytes
        self._parts: list[bytes] = []
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "gzip", ""):
            raise UpstreamError(f"The answer is compressed as {encoding[:40]!r}, expected gzip.")
        # 16 more than the largest window is zlib's way to say: gzip.
        self._gzip = zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > max_bytes:
            raise UpstreamError(f"The answer has {announced} bytes, expected at most {max_bytes}.")

    def add(self, chunk: bytes) -> None:
        """Add a chunk.

        Raises:
            UpstreamError: the body exceeds the limit, or is not the gzip it claims to be.
        """
        if self._gzip is not None:
            chunk = self._inflated(self._gzip, chunk)
        if len(chunk) > self._room:
            raise UpstreamError("The answer is far longer than the pixels that were asked for.")
        self._room -= len(chunk)
        self._parts.append(chunk)

    def whole(self) -> bytes:
        """Return the body.

        Raises:
            UpstreamError: the gzip stream is incomplete.
        """
        if self._gzip is not None and not self._gzip.eof:
            raise UpstreamError("The answer is a gzip stream that was cut short.")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _inflated(self, stream: zlib._Decompress, chunk: bytes) -> bytes:
        try:
            # One byte more than there is room for shows that there is more.
            return stream.decompress(chunk, self._room + 1)
        except zlib.error as exc:
            raise UpstreamError("The answer says that it is gzip, and is not.") from exc


def max_body_bytes(request: PixelRequest) -> int:
    """Return the most bytes of an answer: four times the raw size of its pixels."""
    size = _expected_size(request)
    if size is None or (not request.file_format.is_picture and not request.band_ids):
        return MAX_BODY_BYTES
    pixel_bytes = 4 if request.file_format.is_picture else 8 * len(request.band_ids)
    return min(MAX_BODY_BYTES, max(_MIN_BODY_BYTES, 4 * size[0] * size[1] * pixel_bytes))


def verify_body(body: bytes, content_type: str | None, request: PixelRequest) -> bytes:
    """Return the body if it is a complete file of the requested format and size.

    The size is checked if the request has one. Pixels are not decoded.

    Raises:
        UpstreamError: it is anything else.
    """
    expected = f"{request.asset_id}: expected a whole {request.file_format} from Earth Engine"
    kind = (content_type or "").partition(";")[0].strip().lower()
    if not kind or kind.startswith("text/") or re.search(r"json|html|xml", kind):
        raise UpstreamError(f"{expected}, got {_clip(kind) if kind else 'no content type'}.")
    if not body:
        raise UpstreamError(f"{expected}, got nothing.")
    try:
        _CHECKS[request.file_format](body, request)
    except DamagedFile as exc:
        raise UpstreamError(f"{expected}, got {exc}.") from None
    except (struct.error, LookupError, ValueError, SyntaxError, TypeError, RecursionError) as exc:
        raise UpstreamError(f"{expected}, got broken or missing bytes.") from exc
    return body


def decoded(read: Callable[[bytes, int, int], T], body: bytes, grid: PixelGrid) -> T:
    """Return the pixels of a grid as a reader of `rendering` decodes them; blocks.

    Raises:
        UpstreamError: the body is damaged, or of another size.
    """
    try:
        return read(body, grid.width, grid.height)
    except DamagedFile as exc:
        raise UpstreamError(
            f"expected {grid.width}x{grid.height} pixels from Earth Engine, got {exc}"
        ) from exc


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise DamagedFile(otherwise)


def _expected_size(request: PixelRequest) -> tuple[int, int] | None:
    """Return (width, height) in pixels if the request itself says them."""
    grid = request.grid
    if grid is None or grid.width is None or grid.height is None:
        return None
    return grid.width, grid.height


def _check_size(width: int, height: int, request: PixelRequest) -> None:
    asked = _expected_size(request)
    if asked is not None:
        _require((width, height) == asked, f"{width}x{height} instead of {asked[0]}x{asked[1]}")
    _require(width > 0 and height > 0, "no pixels")


def _check_png(body: bytes, request: PixelRequest) -> None:
    """Check every chunk: https://www.w3.org/TR/png-3/#5DataRep."""
    kinds = []
    for chunk in png_chunks(body):
        checksum = isal_zlib.crc32(chunk.data, isal_zlib.crc32(chunk.kind))
        _require(checksum == chunk.checksum, "a wrong checksum")
        kinds.append(chunk.kind)
        if len(kinds) == 1:
            _check_size(*png_size(body), request)
    _require(b"IDAT" in kinds and kinds.index(b"IEND") == len(kinds) - 1, "no end")


def _check_jpeg(body: bytes, request: PixelRequest) -> None:
    """Check the segments before the scan: ITU-T T.81, annex B."""
    _require(body.startswith(b"\xff\xd8\xff"), "no JPEG")
    _require(body.endswith(b"\xff\xd9"), "no end")
    start = 2
    while True:
        mark, kind, length = struct.unpack_from(">BBH", body, start)
        _require(mark == 0xFF and kind != 0xDA, "no frame before the scan")
        # C4, C8 and CC lie among the frames' numbers and are none.
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", body, start + 5)
            return _check_size(width, height, request)
        start += 2 + length


def _check_auto(body: bytes, request: PixelRequest) -> None:
    (_check_png if body.startswith(PNG_SIGNATURE) else _check_jpeg)(body, request)


def _check_npy(body: bytes, request: PixelRequest) -> None:
    header = read_npy_header(body)
    _check_size(header.width, header.height, request)
    # A drawn picture has bands of its own names.
    if request.band_ids and request.visualization_options is None:
        names = header.dtype.names
        _require(names == request.band_ids, f"the bands {_clip(names)}")


def _check_tiff(body: bytes, request: PixelRequest) -> None:
    """Check the first directory, and that the body holds all strips or tiles."""
    tags = _tiff_tags(body)
    _check_size(tags[_TIFF_WIDTH][0], tags[_TIFF_HEIGHT][0], request)
    if request.band_ids and request.visualization_options is None:
        (samples,) = tags.get(_TIFF_SAMPLES, (1,))
        _require(samples >= len(request.band_ids), f"{samples} bands")
    starts, lengths = (tags[tag] for tag in (_TIFF_STRIPS if 273 in tags else _TIFF_TILES))
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    _require(max(ends) <= len(body), "too few bytes")


def _tiff_tags(body: bytes) -> dict[int, tuple[Any, ...]]:
    """Return all values in the first directory of a TIFF 6.0 or BigTIFF file.

    https://www.loc.gov/preservation/digital/formats/fdd/fdd000022.shtml and fdd000328.shtml.
    """
    order = {b"II": "<", b"MM": ">"}.get(body[:2], "")
    version = struct.unpack_from(f"{order}H", body, 2)[0] if order else 0
    _require(version in (42, 43), "no TIFF")
    word, count_code, start = ("I", "H", 4) if version == 42 else ("Q", "Q", 8)
    (directory,) = struct.unpack_from(f"{order}{word}", body, start)
    (count,) = struct.unpack_from(f"{order}{count_code}", body, directory)
    first = directory + struct.calcsize(f"={count_code}")
    entry, word_bytes = struct.Struct(f"{order}HH{word}"), struct.calcsize(f"={word}")
    tags = {}
    for index in range(count):
        place = first + index * (entry.size + word_bytes)
        tag, kind, number = entry.unpack_from(body, place)
        codes = f"{order}{number * _TIFF_SIZES[kind]}s"
        if tag in _TIFF_TAGS:
            codes = f"{order}{number}{_TIFF_WHOLE_NUMBERS[kind]}"
        place += entry.size
        # What is longer than a word lies elsewhere, and the word says where.
        if struct.calcsize(codes) > word_bytes:
            (place,) = struct.unpack_from(f"{order}{word}", body, place)
        tags[tag] = struct.unpack_from(codes, body, place)
    return tags


def _check_zip(body: bytes, request: PixelRequest) -> None:
    """Check each file in the archive, unless their total size exceeds the limit."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            sizes = [member.file_size for member in archive.infolist()]
            _require(bool(sizes) and sum(sizes) <= MAX_BODY_BYTES, "an empty or endless archive")
            for member in archive.infolist():
                _check_member(archive.read(member), request)
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as exc:
        raise DamagedFile("a broken archive") from exc


def _check_member(body: bytes, request: PixelRequest) -> None:
    tags = _tiff_tags(body)
    _check_size(tags[_TIFF_WIDTH][0], tags[_TIFF_HEIGHT][0], request)


def _check_tfrecord(body: bytes, request: PixelRequest) -> None:
    (length,) = struct.unpack_from("<Q", body)
    _require(len(body) == length + 16, "a record cut short")


def _clip(value: object) -> str:
    return ascii(value)[:80]


_CHECKS: Mapping[ImageFileFormat, Callable[[bytes, PixelRequest], None]] = {
    ImageFileFormat.PNG: _check_png,
    ImageFileFormat.JPEG: _check_jpeg,
    ImageFileFormat.AUTO_JPEG_PNG: _check_auto,
    ImageFileFormat.NPY: _check_npy,
    ImageFileFormat.GEO_TIFF: _check_tiff,
    ImageFileFormat.ZIPPED_GEO_TIFF: _check_zip,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: _check_zip,
    ImageFileFormat.TF_RECORD_IMAGE: _check_tfrecord,
}
