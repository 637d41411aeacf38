"""Alpha bands of sources: how opaque pixels are, where bytes say so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.ingest.sources import damaged
from tileserver.rasters.masking import OPAQUE, is_partial

_ROWS = 512


def _alpha_index(dataset: DatasetReader) -> int | None:
    """Return the index of the alpha band, if it holds bytes and hides pixels."""
    colors = dataset.colorinterp
    if ColorInterp.alpha not in colors:
        return None
    index = int(colors.index(ColorInterp.alpha)) + 1
    return index if dataset.dtypes[index - 1] == "uint8" else None


def has_partial_alpha(dataset: DatasetReader) -> bool:
    """Tell whether a pixel of a dataset is neither opaque nor transparent; reads until one is.

    Raises:
        UnreadableRaster: the dataset is damaged.
    """
    index = _alpha_index(dataset)
    if index is None:
        return False
    return any(
        is_partial(_read(dataset, index, Window(0, row, dataset.width, height)))
        for row in range(0, dataset.height, _ROWS)
        for height in [min(_ROWS, dataset.height - row)]
    )


def opacity_of(
    dataset: DatasetReader, window: Window, valid: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return the opacity of the pixels of a window; without alpha, that of valid ones is 255.

    Raises:
        UnreadableRaster: the dataset is damaged.
    """
    index = _alpha_index(dataset)
    return valid * np.uint8(OPAQUE) if index is None else _read(dataset, index, window)


def shows(dataset: DatasetReader, window: Window) -> NDArray[np.bool_]:
    """Return where an alpha band of any type shows the pixels of a window; True without one."""
    if ColorInterp.alpha not in dataset.colorinterp:
        return np.ones((window.height, window.width), np.bool_)
    index = int(dataset.colorinterp.index(ColorInterp.alpha)) + 1
    found: NDArray[np.bool_] = _read(dataset, index, window) != 0
    return found


def _read(dataset: DatasetReader, index: int, window: Window) -> NDArray[Any]:
    try:
        found: NDArray[Any] = dataset.read(index, window=window)
    except (RasterioError, CPLE_BaseError) as exc:
        raise damaged(dataset, exc) from exc
    return found
