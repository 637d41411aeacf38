"""A level of a GeoTIFF read by GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import is_nodata, opacity
from tileserver.rasters.windows import Picks


class GdalLevel:
    """A `LevelReader` over a dataset that is open."""

    def __init__(self, dataset: DatasetReader, raster: GeoTiff) -> None:
        """Read a dataset, one level of an asset."""
        self.width: int = dataset.width
        self.height: int = dataset.height
        self.block_shape: tuple[int, int] = dataset.block_shapes[0]
        # Of complex numbers, whose magnitudes are read, there is one more copy.
        is_complex = dataset.dtypes[0].startswith("complex")
        self.itemsize = raster.dtype.itemsize * (3 if is_complex else 1)
        self._dataset = dataset
        self._raster = raster

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks, some of which are inside, all at once."""
        left, top, right, bottom = wanted.span
        window = Window(left, top, right - left, bottom - top)
        index = (wanted.rows - top) * (right - left) + (wanted.columns - left)
        block = self._dataset.read(indexes, window=window)
        if block.dtype.kind == "c":
            block = np.abs(block)
        np.copyto(values, _pick(block, index), where=wanted.inside)
        del block
        if self._raster.has_given_nodata:
            self._show_all_but(self._raster.asset.bands[0].nodata, values, wanted, valid)
            return
        if not self._raster.has_mask:
            np.logical_or(valid, wanted.inside, out=valid)
            return
        if self._raster.alpha_index is not None:
            self._show(values, window, index, wanted, valid, alpha)
            return
        nodata = self._raster.asset.bands[0].nodata
        if self._raster.masks_by_value and nodata is not None:
            np.logical_or(valid, wanted.inside & ~is_nodata(values, nodata), out=valid)
            return
        masks = self._masks(indexes, window)
        np.logical_or(valid, wanted.inside & (_pick(masks, index) != 0), out=valid)

    def _show(
        self,
        values: NDArray[Any],
        window: Window,
        index: NDArray[np.int64],
        wanted: Picks,
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None,
    ) -> None:
        """Fill valid and alpha from the alpha band, and from the nodata value if there is one."""
        (shown,) = _pick(self._dataset.read([self._raster.alpha_index], window=window), index)
        nodata = self._raster.asset.bands[0].nodata
        for found, is_valid in zip(values, valid, strict=True):
            seen = wanted.inside & (shown != 0)
            if nodata is not None:
                seen &= ~is_nodata(found, nodata)
            np.logical_or(is_valid, seen, out=is_valid)
        if alpha is not None:
            np.copyto(alpha, opacity(shown), where=wanted.inside)

    def _show_all_but(
        self,
        nodata: float | None,
        values: NDArray[Any],
        wanted: Picks,
        valid: NDArray[np.bool_],
    ) -> None:
        for found, is_valid in zip(values, valid, strict=True):
            seen = wanted.inside & ~is_nodata(found, nodata or 0.0)
            np.logical_or(is_valid, seen, out=is_valid)

    def _masks(self, indexes: Sequence[int], window: Window) -> NDArray[Any]:
        """Return zero where pixels are masked; one mask for all bands where they share it."""
        which = indexes[:1] if self._raster.shares_mask else indexes
        masks: NDArray[Any] = self._dataset.read_masks(which, window=window)
        return masks


def _pick(block: NDArray[Any], index: NDArray[np.int64]) -> NDArray[Any]:
    """Return block[:, index], flat indexes; those outside fall on some pixel or other."""
    picked: NDArray[Any] = block.reshape(len(block), -1).take(index, axis=1, mode="clip")
    return picked
