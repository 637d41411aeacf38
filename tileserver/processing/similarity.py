"""Cosine similarity of pixels to one of them, over their bands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays

_AT_ONCE_PX = 4096
"""Of 64 bands these fit the cache of a core, and OpenBLAS starts no threads for them."""


@dataclass(frozen=True, eq=False)
class BySimilarity:
    """A `Maker` of one band, from -1 to 1: the cosine similarity to a vector."""

    band_ids: tuple[str, ...]
    vector: NDArray[np.float64]
    """The values of these bands at the place that others are compared with."""
    threshold: float | None = None
    """Less similar pixels are masked."""
    margin_px: int = 0

    def make(self, bands: BandArrays, grid: PixelGrid) -> BandArrays:
        """Return the similarity of each pixel; blocks."""
        values, known = similarity(bands.values, self.vector)
        valid = known & bands.valid.all(axis=0)
        if self.threshold is not None:
            valid &= values >= self.threshold
        return BandArrays((), values[np.newaxis], valid[np.newaxis])


def similarity(
    values: NDArray[Any], vector: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the cosine of the angle between each pixel and a vector, and where there is one.

    Args:
        values: shape (bands, height, width).
        vector: shape (bands,).
    """
    flat = values.reshape(len(values), -1)
    is_small = values.dtype.itemsize <= 2 and values.dtype.kind in "iu"
    kind: type[Any] = np.float32 if is_small else np.float64
    unit = (vector / np.sqrt(vector @ vector)).astype(kind)
    cosine = np.empty(flat.shape[1], np.float32)
    known = np.empty(flat.shape[1], np.bool_)
    with np.errstate(all="ignore"):
        for start in range(0, flat.shape[1], _AT_ONCE_PX):
            part = slice(start, start + _AT_ONCE_PX)
            some = flat[:, part].astype(kind)
            lengths = np.sqrt(np.einsum("ij,ij->j", some, some))
            found = (unit @ some) / lengths
            known[part] = np.isfinite(found)
            cosine[part] = np.clip(found, -1, 1)
    shape = values.shape[1:]
    return cosine.reshape(shape), known.reshape(shape)
