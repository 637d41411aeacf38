"""The GeoTIFF of an array, named by its content, so that the same array is written once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import BandArrays
from tileserver.notebook.arrays import Placed
from tileserver.rendering.geotiff import Extras, write_geotiff

_WIDER: Mapping[str, type[np.signedinteger[Any]]] = {
    "uint8": np.int16,
    "int16": np.int32,
    "uint16": np.int32,
}
"""Types of which the lowest value is free; of others float64, which has NaN."""


def array_file(source: Placed, folder: Path) -> Path:
    """Return the GeoTIFF of an array in a folder, written unless it is there already.

    Raises:
        InvalidRequest: a GeoTIFF cannot hold its CRS.
    """
    bands, grid = source
    path = folder / f"{_digest(source)}.tif"
    if not path.exists():
        stored, nodata = _with_nodata(bands)
        body = write_geotiff(stored, grid, Extras(nodata=nodata))
        part = path.with_suffix(".part")
        part.write_bytes(body)
        part.replace(path)
    return path


def _digest(source: Placed) -> str:
    bands, grid = source
    digest = hashlib.blake2b(repr((bands.ids, bands.values.dtype.str, grid)).encode())
    digest.update(bands.values.data)
    digest.update(np.packbits(bands.valid).data)
    return digest.hexdigest()[:32]


def _with_nodata(bands: BandArrays) -> tuple[BandArrays, float | None]:
    """Return bands, and the value that marks missing pixels, if one is needed.

    Bands with one mask in common keep their type and get a mask in the file.
    """
    dtype = bands.values.dtype
    if dtype.kind == "f" or bool((bands.valid == bands.valid[0]).all()):
        return bands, None
    if (free := _free_value(bands.values)) is not None:
        return bands, free
    wider = _WIDER.get(dtype.name)
    if wider is None:
        return replace(bands, values=bands.values.astype(np.float64)), None
    return replace(bands, values=bands.values.astype(wider)), float(np.iinfo(wider).min)


def _free_value(values: NDArray[Any]) -> float | None:
    """Return the lowest or highest value of an integer type, if no pixel has it."""
    limits = np.iinfo(values.dtype)
    for value in (limits.min, limits.max):
        if not (values == value).any():
            return float(value)
    return None
