"""A level whose mask is in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.rasters.windows import LevelReader, Picks


class MaskedLevel:
    """A `LevelReader` over an image, and over the band of another that tells where it is valid."""

    def __init__(self, image: LevelReader, mask: LevelReader, mask_dtype: np.dtype[Any]) -> None:
        """Read an image and its mask, which have the same size."""
        self.width = image.width
        self.height = image.height
        self.block_shape = image.block_shape
        self.itemsize = image.itemsize
        self._image = image
        self._mask = mask
        self._mask_dtype = mask_dtype

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks, some of which are inside, all at once."""
        seen = np.zeros(valid.shape, np.bool_)
        self._image.read(indexes, wanted, values, seen, alpha)
        shape = (1, *valid.shape[1:])
        mask, is_there = np.zeros(shape, self._mask_dtype), np.zeros(shape, np.bool_)
        self._mask.read([1], wanted, mask, is_there)
        np.logical_or(valid, seen & (mask != 0), out=valid)
