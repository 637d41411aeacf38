"""NetCDF-4 files, which are HDF5: variables of the root group, and nothing outside of the file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import UnreadableRaster
from tileserver.rasters.cubes.stored import (
    ATTRIBUTES,
    MAX_TEXT,
    MAX_VARIABLES,
    Selection,
    Stored,
    is_name,
    plain,
)

_CACHE_BYTES = 32_000_000
"""Of decoded chunks, of the variables of an open file that are read."""
_NO_VALUES = "This is a netCDF dimension but not a netCDF variable"


class Hdf5Store:
    """An open NetCDF-4 file."""

    def __init__(self, path: str, name: str) -> None:
        """Open a file.

        Args:
            path: that no other program can replace by a link, such as one of a descriptor.
            name: for errors.

        Raises:
            UnreadableRaster: it is none.
        """
        import h5py

        try:
            self._file = h5py.File(path, "r", locking=False, rdcc_nbytes=_CACHE_BYTES)
        except (OSError, ValueError, RuntimeError) as exc:
            raise UnreadableRaster(f"{name}: not a readable NetCDF file.") from exc
        try:
            self.variables = dict(self._all(h5py))
        except (OSError, ValueError, RuntimeError, KeyError, TypeError) as exc:
            self._file.close()
            raise UnreadableRaster(f"{name}: its variables cannot be read.") from exc

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _all(self, h5py: Any) -> Iterator[tuple[str, Stored]]:
        for number, name in enumerate(self._file):
            if number >= MAX_VARIABLES:
                return
            # A soft or an external link leads elsewhere, even to another file.
            if type(self._file.get(name, getlink=True)) is not h5py.HardLink or not is_name(name):
                continue
            dataset = self._file[name]
            if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
                continue
            # Values that lie in other files are not read.
            if dataset.external or dataset.is_virtual:
                continue
            if _text(dataset, "NAME").startswith(_NO_VALUES):
                continue
            yield name, _stored(dataset, name)


def _stored(dataset: Any, name: str) -> Stored:
    is_scale = _text(dataset, "CLASS") == "DIMENSION_SCALE" and len(dataset.shape) == 1
    dims = (name,) if is_scale else tuple(_dimension(each) for each in dataset.dims)
    return Stored(
        dims=dims,
        shape=tuple(map(int, dataset.shape)),
        dtype=dataset.dtype,
        chunks=dataset.chunks,
        attributes={n: v for n in ATTRIBUTES if (v := _attribute(dataset, n)) is not None},
        read=partial(_read, dataset),
    )


def _read(dataset: Any, selection: Selection) -> NDArray[Any]:
    return np.asarray(dataset[selection])


def _dimension(dimension: Any) -> str:
    """Return the name of a dimension; "" if it has no scale."""
    if not len(dimension):
        return ""
    return str(dimension[0].name or "").rpartition("/")[2]


def _attribute(dataset: Any, name: str) -> Any:
    if name not in dataset.attrs:
        return None
    if dataset.attrs.get_id(name).get_storage_size() > 4 * MAX_TEXT:
        return None
    return plain(dataset.attrs[name])


def _text(dataset: Any, name: str) -> str:
    value = _attribute(dataset, name)
    return value if isinstance(value, str) else ""
