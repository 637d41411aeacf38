"""Reads the directories (IFDs) of a TIFF without GDAL, before any pixel is decoded.

Classic TIFF and BigTIFF, in both byte orders, as of TIFF 6.0 and
https://www.awaresystems.be/imaging/tiff/bigtiff.html. The file is not trusted: offsets may lie
outside, directories may form a cycle, counts may be enormous. Only the directories and the few
values named below are read, and an unknown structure is an error, so that no later reader finds
more in a file than was checked here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from tileserver.errors import UnreadableRaster

MAX_DIRECTORIES = 256
"""Directories in one file; an image with a mask and 30 levels has 62."""
_MAX_ENTRIES = 4096
"""Entries in one directory, as libtiff allows."""
_READ_BYTES = 4096
"""Read at once."""
_MAX_TEXT_BYTES = 1_000_000
"""Bytes of all texts of a file: metadata of 1,000 bands, with a name and statistics each, fit."""
_MAX_VALUES = 65_535
"""Values of a tag: one a sample."""
_WHOLE_TABLE_BYTES = 524_288
"""Of tables that are read as a whole, rather than where they are needed."""

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TYPE_SIZES |= {16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q", 6: "b", 8: "h", 9: "i", 17: "q"}

_SUBFILE_TYPE, _OLD_SUBFILE_TYPE, _WIDTH, _HEIGHT = 254, 255, 256, 257
_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 258, 259, 262, 266
_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS = 273, 279, 324, 325
_PREDICTOR, _SAMPLE_FORMAT, _JPEG_TABLES, _NODATA = 317, 339, 347, 42113
_SAMPLES, _ROWS_PER_STRIP, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT = 277, 278, 284, 322, 323
_TIE_POINTS, _NUMBERS_A_POINT, _MAX_POINTS = 33922, 6, 100_000
_SUB_IFDS, _GEO_KEYS, _GEO_ASCII, _GDAL_METADATA = 330, 34735, 34737, 42112
_DEFAULTS = {_OLD_SUBFILE_TYPE: 0, _WIDTH: 0, _HEIGHT: 0, _BITS: 1, _COMPRESSION: 1}
_DEFAULTS |= {_PHOTOMETRIC: 0, _SAMPLES: 1, _PLANAR: 1, _TILE_WIDTH: 0, _TILE_HEIGHT: 0}
_DEFAULTS |= {_FILL_ORDER: 1, _PREDICTOR: 1}
_NUMBERS = {*_DEFAULTS, _SUBFILE_TYPE, _ROWS_PER_STRIP, _SAMPLE_FORMAT}
_TABLES = {_STRIP_OFFSETS, _STRIP_COUNTS, _TILE_OFFSETS, _TILE_COUNTS}
_WANTED = {*_NUMBERS, *_TABLES, _SUB_IFDS, _GEO_KEYS, _GEO_ASCII, _GDAL_METADATA}
_WANTED |= {_JPEG_TABLES, _NODATA, _TIE_POINTS}

_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_JPEG = 7
_STORED_AS_SHOWN = range(4)
"""Photometric interpretations, grey to palette, that GDAL reads without converting colours."""
_GDAL_SCANLINES_FROM = 2000
"""Rows; GDAL reads a single strip of more of them line by line, not as one block."""


class ReadAt(Protocol):
    """Reads bytes of a file at an offset."""

    def __call__(self, offset: int, size: int, /) -> bytes:
        """Return `size` bytes at an offset; fewer, or none, where the file ends.

        Raises:
            OSError: they cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Text:
    """The value of a text tag, and where it lies in the file."""

    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Table:
    """A list of integers in the file, one a block, read one by one: it may be very long."""

    offset: int
    count: int
    form: str
    """Byte order and type of an entry, as of `struct`."""

    def place(self, index: int) -> tuple[int, int]:
        """Return the (offset, bytes) to fetch for the integer at an index: the table if small."""
        size = struct.calcsize(self.form)
        if size * self.count <= _WHOLE_TABLE_BYTES:
            return self.offset, size * self.count
        return self.offset + index * size, size

    def read(self, read_at: ReadAt, index: int) -> int:
        """Return the integer at an index.

        Raises:
            ValueError: the list, or the file, ends before it.
            OSError: the file cannot be read.
        """
        size = struct.calcsize(self.form)
        content = read_at(self.offset + index * size, size) if 0 <= index < self.count else b""
        if len(content) != size:
            raise ValueError(f"the file says nothing of block {index}")
        value: int = struct.unpack(self.form, content)[0]
        return value


@dataclass(frozen=True, slots=True)
class Storage:
    """How the samples of one image of a TIFF are stored."""

    byte_order: str
    """`<` or `>`."""
    offsets: Table | None
    """Where in the file each block lies; 0 for one that was never written."""
    byte_counts: Table | None
    predictor: int
    fill_order: int
    bits: tuple[int, ...]
    """Bits a sample, as listed."""
    sample_formats: tuple[int, ...]
    """1 unsigned, 2 signed, 3 floating point, as listed."""
    jpeg_tables: bytes
    nodata: bytes
    """GDAL_NODATA, as text."""


@dataclass(frozen=True, slots=True)
class Directory:
    """One image of a TIFF: the image itself, an overview, a mask or another page."""

    subfile_type: int
    width: int
    height: int
    block_width: int
    """Columns of a tile, or of a strip."""
    block_height: int
    """Rows of a tile, or of a strip."""
    is_tiled: bool
    samples: int
    bits: int
    """Bits a sample; the most of any."""
    is_planar: bool
    """True when each sample has blocks of its own."""
    compression: int
    photometric: int
    geo_keys: tuple[int, ...]
    """GeoKeyDirectory: four numbers a key, after four of its own."""
    geo_text: Text | None
    """GeoAsciiParams: names and, in part, definitions of the CRS."""
    metadata: Text | None
    """GDAL_METADATA, XML."""
    storage: Storage

    @property
    def is_mask(self) -> bool:
        """True for the mask of the image or of an overview."""
        return bool(self.subfile_type & _MASK)

    @property
    def is_overview(self) -> bool:
        """True for a smaller copy of the image, not of its mask."""
        return bool(self.subfile_type & _REDUCED) and not self.is_mask

    @property
    def is_jpeg(self) -> bool:
        """True when it is compressed as JPEG, which can be decoded at a fraction of its size."""
        return self.compression == _JPEG

    @property
    def block_bytes(self) -> int:
        """Bytes of one block once GDAL has decoded it, all samples that it holds."""
        height = self.block_height
        is_one_strip = not self.is_tiled and height >= self.height > _GDAL_SCANLINES_FROM
        if is_one_strip and not self.is_mask and self.photometric in _STORED_AS_SHOWN:
            height = 1
        samples = 1 if self.is_planar else self.samples
        return self.block_width * height * samples * _sample_bytes(self.bits)


def read_directories(read_at: ReadAt, name: str) -> tuple[Directory, ...]:
    """Return the directories of a TIFF: the chain, the image first, then those below the image.

    Raises:
        UnreadableRaster: it is not a TIFF, is damaged, or has more directories or longer
            texts than may be.
        OSError: it cannot be read.
    """
    try:
        return _File(read_at).directories()
    except (ValueError, struct.error) as exc:
        raise UnreadableRaster(f"{name}: not a readable GeoTIFF: {exc}.") from exc


def _sample_bytes(bits: int) -> int:
    """Return the bytes of GDAL's smallest type that holds a sample."""
    return next((size for size in (1, 2, 4, 8) if bits <= size * 8), 16)


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: int
    count: int
    offset: int
    """Where the value lies, in the entry itself if it fits there."""


class _File:
    """The structure that a TIFF's header declares."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._text_bytes = 0
        self._held_at, self._held = 0, read_at(0, _READ_BYTES)
        head = self._up_to(0, 16)
        orders = {b"II": "<", b"MM": ">"}
        if len(head) < 8 or head[:2] not in orders:
            raise ValueError("it does not begin as a TIFF")
        self._order = orders[head[:2]]
        version = struct.unpack_from(f"{self._order}H", head, 2)[0]
        if version not in (42, 43):
            raise ValueError("it does not begin as a TIFF")
        self._is_big = version == 43
        word = "Q" if self._is_big else "I"
        self._count = struct.Struct(self._order + ("Q" if self._is_big else "H"))
        self._word = struct.Struct(self._order + word)
        self._entry = struct.Struct(f"{self._order}HH{word}{word}")
        self._first = self._word.unpack_from(head, 8 if self._is_big else 4)[0]

    def directories(self) -> tuple[Directory, ...]:
        found, seen, offset = [], set[int](), self._first
        below: tuple[int, ...] = ()
        while offset and offset not in seen:
            seen.add(offset)
            self._check_number(len(seen))
            entries, following = self._entries(offset)
            found.append(self._directory(entries))
            if len(found) == 1 and _SUB_IFDS in entries:
                # GDAL reads those of the image only.
                below = self._numbers(entries[_SUB_IFDS])
            offset = following
        self._check_number(len(found) + len(below))
        found += [self._directory(self._entries(offset)[0]) for offset in below]
        return tuple(found)

    def _check_number(self, number: int) -> None:
        if number > MAX_DIRECTORIES:
            raise ValueError(f"it has more than {MAX_DIRECTORIES} directories")

    def _entries(self, offset: int) -> tuple[Mapping[int, _Entry], int]:
        """Return the entries that matter by tag, and the offset of the next directory or 0."""
        (count,) = self._count.unpack(self._exactly(offset, self._count.size))
        if not 0 < count <= _MAX_ENTRIES:
            raise ValueError(f"a directory has {count} entries, expected 1 to {_MAX_ENTRIES}")
        start = offset + self._count.size
        size = count * self._entry.size
        # A file may end with its last directory and without the offset of the next.
        body, after = self._exactly(start, size), self._up_to(start + size, self._word.size)
        following = self._word.unpack(after)[0] if len(after) == self._word.size else 0
        return dict(self._wanted(body, start)), following

    def _wanted(self, body: bytes, start: int) -> Iterator[tuple[int, _Entry]]:
        seen = set()
        for index, (tag, kind, number, value) in enumerate(self._entry.iter_unpack(body)):
            if tag not in _WANTED:
                continue
            if tag in seen:
                # Readers differ in which of the two they take.
                raise ValueError(f"a directory has tag {tag} twice")
            if kind not in _TYPE_SIZES:
                raise ValueError(f"tag {tag} is of type {kind}, which TIFF does not have")
            if tag == _TIE_POINTS and number > _NUMBERS_A_POINT * _MAX_POINTS:
                # GDAL makes an object of each of them while it opens the file.
                points = number // _NUMBERS_A_POINT
                raise ValueError(f"it has {points} control points, at most {_MAX_POINTS} may be")
            seen.add(tag)
            if number * _TYPE_SIZES[kind] <= self._word.size:
                value = start + (index + 1) * self._entry.size - self._word.size
            yield tag, _Entry(kind, number, value)

    def _directory(self, entries: Mapping[int, _Entry]) -> Directory:
        numbers = {tag: self._numbers(entries[tag]) for tag in entries if tag in _NUMBERS}
        first = {tag: values[0] for tag, values in numbers.items() if values}
        value = _DEFAULTS | first
        width, height = value[_WIDTH], value[_HEIGHT]
        is_tiled = _TILE_WIDTH in entries or _TILE_HEIGHT in entries
        rows = min(value.get(_ROWS_PER_STRIP, height) or height, height)
        return Directory(
            subfile_type=value.get(_SUBFILE_TYPE, value[_OLD_SUBFILE_TYPE] == _OLD_REDUCED),
            width=width,
            height=height,
            block_width=value[_TILE_WIDTH] if is_tiled else width,
            block_height=value[_TILE_HEIGHT] if is_tiled else rows,
            is_tiled=is_tiled,
            samples=value[_SAMPLES],
            bits=max(numbers.get(_BITS) or (1,)),
            is_planar=value[_PLANAR] == 2,
            compression=value[_COMPRESSION],
            photometric=value[_PHOTOMETRIC],
            geo_keys=self._numbers(entries[_GEO_KEYS]) if _GEO_KEYS in entries else (),
            geo_text=self._text(entries.get(_GEO_ASCII)),
            metadata=self._metadata(entries.get(_GDAL_METADATA)),
            storage=self._storage(entries, numbers, value, is_tiled),
        )

    def _storage(
        self,
        entries: Mapping[int, _Entry],
        numbers: Mapping[int, tuple[int, ...]],
        value: Mapping[int, int],
        is_tiled: bool,
    ) -> Storage:
        offsets, counts = (
            (_TILE_OFFSETS, _TILE_COUNTS) if is_tiled else (_STRIP_OFFSETS, _STRIP_COUNTS)
        )
        tables, nodata = (self._short(entries.get(tag)) for tag in (_JPEG_TABLES, _NODATA))
        return Storage(
            byte_order=self._order,
            offsets=self._table(entries.get(offsets)),
            byte_counts=self._table(entries.get(counts)),
            predictor=value[_PREDICTOR],
            fill_order=value[_FILL_ORDER],
            bits=numbers.get(_BITS) or (1,),
            sample_formats=numbers.get(_SAMPLE_FORMAT) or (1,),
            jpeg_tables=tables,
            nodata=nodata.partition(b"\0")[0].strip(),
        )

    def _short(self, entry: _Entry | None) -> bytes:
        text = self._text(entry) if entry and _TYPE_SIZES[entry.kind] == 1 else None
        return text.content if text else b""

    def _table(self, entry: _Entry | None) -> Table | None:
        if entry is None or entry.kind not in _INTEGERS:
            return None
        return Table(entry.offset, entry.count, f"{self._order}{_INTEGERS[entry.kind]}")

    def _numbers(self, entry: _Entry) -> tuple[int, ...]:
        if entry.kind not in _INTEGERS:
            raise ValueError(f"a size is of type {entry.kind}, expected an integer")
        if entry.count > _MAX_VALUES:
            raise ValueError(f"a tag has {entry.count} values, at most {_MAX_VALUES} may be")
        size = entry.count * _TYPE_SIZES[entry.kind]
        form = f"{self._order}{entry.count}{_INTEGERS[entry.kind]}"
        values: tuple[int, ...] = struct.unpack(form, self._exactly(entry.offset, size))
        if values and min(values) < 0:
            raise ValueError("a size is less than zero")
        return values

    def _text(self, entry: _Entry | None) -> Text | None:
        if entry is None:
            return None
        if _TYPE_SIZES[entry.kind] != 1:
            raise ValueError(f"a text is of type {entry.kind}, expected ASCII")
        self._text_bytes += entry.count
        if self._text_bytes > _MAX_TEXT_BYTES:
            raise ValueError(
                f"its metadata holds {self._text_bytes / 1e6:.1f} MB, "
                f"at most {_MAX_TEXT_BYTES / 1e6:.0f} MB may be"
            )
        return Text(entry.offset, self._exactly(entry.offset, entry.count))

    def _metadata(self, entry: _Entry | None) -> Text | None:
        text = self._text(entry)
        if text is not None:
            try:
                text.content.partition(b"\0")[0].decode("utf-8")
            except UnicodeDecodeError as exc:
                # rasterio prints a traceback when GDAL's complaints about it are not.
                raise ValueError("its metadata is not UTF-8") from exc
        return text

    def _exactly(self, offset: int, size: int) -> bytes:
        content = self._up_to(offset, size)
        if len(content) != size:
            raise ValueError("a directory goes on past its end")
        return content

    def _up_to(self, offset: int, size: int) -> bytes:
        """Return bytes, fewer at the end; small values lie beside one another and are read so."""
        start = offset - self._held_at
        if start < 0 or start + size > len(self._held):
            self._held_at, start = offset, 0
            self._held = self._read_at(offset, max(size, _READ_BYTES))
        return self._held[start : start + size]
