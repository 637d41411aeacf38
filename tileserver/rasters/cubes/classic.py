"""Classic NetCDF files, of the formats CDF-1, CDF-2 and CDF-5, read by their descriptor.

https://docs.unidata.ucar.edu/nug/current/file_format_specifications.html
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import UnreadableRaster
from tileserver.rasters.cubes.stored import ATTRIBUTES, Selection, Stored, is_name, plain
from tileserver.rasters.files import OpenFile

MAGIC = b"CDF"
_TYPES = {1: "i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}
_TYPES |= {7: "u1", 8: ">u2", 9: ">u4", 10: ">i8", 11: ">u8"}
_MAX_HEADER_BYTES = 4_000_000
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12


class ClassicStore:
    """An open classic file, which is closed with it."""

    def __init__(self, file: OpenFile, name: str) -> None:
        """Read the header of a file.

        Raises:
            UnreadableRaster: it is damaged.
        """
        self._file = file
        self._name = name
        try:
            self.variables: Mapping[str, Stored] = self._all()
        except (ValueError, KeyError, IndexError, OverflowError) as exc:
            raise UnreadableRaster(f"{name}: the header of the NetCDF file is damaged.") from exc

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _all(self) -> dict[str, Stored]:
        header = _Header(os.pread(self._file.descriptor, _MAX_HEADER_BYTES, 0))
        lengths, variables = header.dimensions, header.variables
        of_records = [each for each in variables if each.has_records(lengths)]
        sizes = [each.step_bytes(lengths) for each in of_records]
        # One variable alone has no padding between its records.
        record_bytes = sizes[0] if len(sizes) == 1 else sum(_padded(each) for each in sizes)
        return {
            each.name: self._stored(each, lengths, header.records, record_bytes)
            for each in variables
            if is_name(each.name)
        }

    def _stored(
        self, variable: _Variable, lengths: list[tuple[str, int]], records: int, record_bytes: int
    ) -> Stored:
        shape = tuple(lengths[each][1] for each in variable.dims)
        is_record = variable.has_records(lengths)
        if is_record:
            left = self._file.state().size_bytes - variable.begin
            # While a file is written it may be longer than it says, or not say it.
            held = max(left, 0) // max(record_bytes, 1) + 1 if records < 0 else records
            shape = (held, *shape[1:])
        step = record_bytes if is_record else variable.dtype.itemsize * math.prod(shape[1:])
        return Stored(
            dims=tuple(lengths[each][0] for each in variable.dims),
            shape=shape,
            dtype=variable.dtype,
            chunks=None,
            attributes=variable.attributes,
            read=partial(self._read, variable, shape, step),
        )

    def _read(
        self, variable: _Variable, shape: tuple[int, ...], step: int, selection: Selection
    ) -> NDArray[Any]:
        """Return a part of the values: of each dimension a range, or an index of the first."""
        if not shape:
            return self._run(variable.dtype, variable.begin, 1).reshape(())
        first, rest = selection[0], selection[1:]
        if isinstance(first, int):
            assert len(shape) == 3
            return self._window(variable, shape[2], variable.begin + first * step, rest)
        if len(shape) == 2:
            return self._window(variable, shape[1], variable.begin, selection)
        starts = range(*first.indices(shape[0]))
        if step == variable.dtype.itemsize and len(shape) == 1 and starts:
            return self._run(variable.dtype, variable.begin + starts[0] * step, len(starts))
        count = math.prod(shape[1:])
        found = [self._run(variable.dtype, variable.begin + each * step, count) for each in starts]
        return np.array(found, variable.dtype).reshape(len(starts), *shape[1:])

    def _window(
        self, variable: _Variable, width: int, begin: int, window: Selection
    ) -> NDArray[Any]:
        rows, columns = window
        assert isinstance(rows, slice)
        assert isinstance(columns, slice)
        left, right, _ = columns.indices(width)
        itemsize = variable.dtype.itemsize
        if right - left == width:
            top = begin + rows.start * width * itemsize
            whole = self._run(variable.dtype, top, (rows.stop - rows.start) * width)
            return whole.reshape(-1, width)
        found = np.empty((rows.stop - rows.start, right - left), variable.dtype)
        for place, row in enumerate(range(rows.start, rows.stop)):
            start = begin + (row * width + left) * itemsize
            found[place] = self._run(variable.dtype, start, right - left)
        return found

    def _run(self, dtype: np.dtype[Any], start: int, count: int) -> NDArray[Any]:
        body = os.pread(self._file.descriptor, count * dtype.itemsize, start)
        if len(body) < count * dtype.itemsize:
            raise UnreadableRaster(f"{self._name}: the file ends before its last values.")
        return np.frombuffer(body, dtype)


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    dims: tuple[int, ...]
    attributes: Mapping[str, Any]
    dtype: np.dtype[Any]
    begin: int

    def has_records(self, lengths: list[tuple[str, int]]) -> bool:
        """Tell whether its first dimension is the unlimited one."""
        return bool(self.dims) and lengths[self.dims[0]][1] == 0

    def step_bytes(self, lengths: list[tuple[str, int]]) -> int:
        """Return the bytes of one record."""
        return self.dtype.itemsize * math.prod(lengths[each][1] for each in self.dims[1:])


class _Header:
    """The header of a file; raises ValueError or IndexError where it makes no sense."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 4
        version = body[3]
        if body[:3] != MAGIC or version not in (1, 2, 5):
            raise ValueError("no classic NetCDF")
        self._count_bytes = 8 if version == 5 else 4
        self._offset_bytes = 4 if version == 1 else 8
        records = self._count()
        self.records = -1 if records == 2 ** (8 * self._count_bytes) - 1 else records
        self.dimensions = [(self._text(), self._count()) for _ in range(self._list(_DIMENSIONS))]
        self._attributes()
        self.variables = [self._variable() for _ in range(self._list(_VARIABLES))]

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._body):
            raise ValueError("the header ends early")
        taken = self._body[self._at : end]
        self._at += _padded(count)
        return taken

    def _count(self) -> int:
        return int.from_bytes(self._take(self._count_bytes), "big")

    def _text(self) -> str:
        return self._take(self._count()).decode("utf-8", "replace")

    def _list(self, tag: int) -> int:
        """Return how many elements a list has."""
        found, count = int.from_bytes(self._take(4), "big"), self._count()
        if found != tag and (found or count):
            raise ValueError("another list was expected")
        return count

    def _attributes(self) -> dict[str, Any]:
        found = {}
        for _ in range(self._list(_ATTRIBUTES)):
            name = self._text()
            dtype = np.dtype(_TYPES[int.from_bytes(self._take(4), "big")])
            body = self._take(self._count() * dtype.itemsize)
            is_text = dtype.kind == "S"
            value = body if is_text else np.frombuffer(body, dtype).astype(dtype.newbyteorder("="))
            if name in ATTRIBUTES and (kept := plain(value)) is not None:
                found[name] = kept.rstrip("\0") if isinstance(kept, str) else kept
        return found

    def _variable(self) -> _Variable:
        name = self._text()
        count = self._count()
        if count > 32:
            raise ValueError("too many dimensions")
        dims = tuple(self._count() for _ in range(count))
        if any(each >= len(self.dimensions) for each in dims):
            raise ValueError("no such dimension")
        attributes = self._attributes()
        dtype = np.dtype(_TYPES[int.from_bytes(self._take(4), "big")])
        self._count()
        begin = int.from_bytes(self._take(self._offset_bytes), "big")
        return _Variable(name, dims, attributes, dtype, begin)


def _padded(count: int) -> int:
    return -(-count // 4) * 4
