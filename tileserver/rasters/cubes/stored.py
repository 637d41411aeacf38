"""Variables as a file of arrays has them: names of dimensions, attributes, and parts of values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import UnreadableRaster

MAX_CHUNK_BYTES = 68_000_000
"""Of a chunk once decoded, which is decoded whole even for one value."""
MAX_VARIABLES = 1000
MAX_TEXT = 20_000
"""Characters of an attribute."""
ATTRIBUTES = (
    "_FillValue",
    "_Unsigned",
    "add_offset",
    "axis",
    "calendar",
    "coordinates",
    "crs_wkt",
    "grid_mapping",
    "grid_mapping_name",
    "long_name",
    "missing_value",
    "scale_factor",
    "spatial_ref",
    "standard_name",
    "units",
)
"""Attributes that are read; all others are left where they are."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", re.ASCII)

Selection = tuple[slice | int, ...]


@dataclass(frozen=True, eq=False)
class Stored:
    """A variable of an open file."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None
    """Of each dimension; None if the values lie one after the other."""
    attributes: Mapping[str, Any]
    """Those of `ATTRIBUTES` that it has: texts, or NumPy's scalars and arrays."""
    read: Callable[[Selection], NDArray[Any]] = field(repr=False)
    """Returns stored values; blocks."""

    def text(self, name: str) -> str:
        """Return an attribute that is a text, else ""."""
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk once decoded; 0 without chunks."""
        return math.prod(self.chunks) * self.dtype.itemsize if self.chunks else 0

    def all_values(self, most: int, name: str) -> NDArray[Any]:
        """Return all values of a coordinate.

        Raises:
            UnreadableRaster: there are more than `most`, or its chunks are too large.
        """
        if math.prod(self.shape) > most:
            raise UnreadableRaster(
                f"{name}: it has {math.prod(self.shape)} values, more than {most}."
            )
        check_chunks(self, name)
        return np.asarray(self.read(tuple(slice(None) for _ in self.shape)))


class Store(Protocol):
    """An open file of arrays."""

    @property
    def variables(self) -> Mapping[str, Stored]:
        """Those of its root, by name."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def check_chunks(stored: Stored, name: str) -> None:
    """Raise UnreadableRaster if the chunks of a variable are too large."""
    if stored.chunks and not all(each > 0 for each in stored.chunks):
        raise UnreadableRaster(f"{name}: its chunks have no values.")
    if stored.chunk_bytes > MAX_CHUNK_BYTES:
        raise UnreadableRaster(
            f"{name}: its chunks of {' x '.join(map(str, stored.chunks or ()))} values hold "
            f"{stored.chunk_bytes / 1e6:.0f} MB each, at most {MAX_CHUNK_BYTES / 1e6:.0f} MB may "
            "be; expected a copy with smaller chunks, such as one time step each."
        )


def is_name(name: str) -> bool:
    """Tell whether a variable's name can be that of an asset and of a band."""
    return _NAME.fullmatch(name) is not None


def plain(value: Any) -> Any:
    """Return an attribute as a text, or as a scalar or an array of NumPy; None if it is too long.

    >>> plain(b"days since 1970-01-01")
    'days since 1970-01-01'
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else None
    found = np.asarray(value)
    if found.dtype.kind not in "iufSU" or found.size == 0 or found.size > MAX_TEXT:
        is_one = found.dtype.kind == "O" and found.size == 1
        only = found.item() if is_one else None
        return plain(only) if isinstance(only, str | bytes) else None
    if found.dtype.kind in "SU":
        return plain(found.reshape(-1)[0].item())
    return found.reshape(-1)[0] if found.size == 1 else found
