"""Clouds of Sentinel-2, by their displacement between detectors.

`Sentinel2.CDI` is the index of Frantz et al. (2018), Remote Sensing of Environment 215: with V the
variance in 7 x 7 pixels of the ratios of bands 8 and 7 to band 8A, (V7 - V8) / (V7 + V8). Decided:
it is computed on the lattice of B8A, and is zero where both variances are; a window has only the
pixels that are valid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.bands import select
from tileserver.compute.nodes import Pixels
from tileserver.compute.pixels.neighbourhoods import Around
from tileserver.compute.pixels.reprojected import Reprojected
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import FLOAT
from tileserver.contract.grids import PixelGrid

_HALF = 3
"""Pixels from the middle of a window to its edge."""
Numbers = NDArray[np.float64]


@algorithm("Sentinel2.CDI(source: Image) -> Image")
def cdi(image: Image) -> Image:
    """Return the cloud displacement index of a Sentinel-2 scene, as band cdi from -1 to 1."""
    bands = select(image, ["B7", "B8", "B8A"], None).bands
    lattice = bands[2].projection
    node = Around(tuple(band.node for band in bands), (_HALF,) * 4, _cdi, 40)
    return image.derived(
        [replace(bands[2], id="cdi", type=FLOAT, node=Reprojected(node, lattice, FLOAT.dtype))]
    )


def _cdi(grid: PixelGrid, seven: Pixels, eight: Pixels, narrow: Pixels) -> Pixels:
    below = narrow.values.astype(np.float64)
    is_there = np.minimum.reduce([each.mask for each in (seven, eight, narrow)]) > 0
    is_there &= below > 0
    ratios = [
        np.divide(each.values, below, out=np.zeros(below.shape), where=is_there)
        for each in (seven, eight)
    ]
    v7, v8 = (_variance(ratio, is_there) for ratio in ratios)
    total = v7 + v8
    found = np.divide(v7 - v8, total, out=np.zeros(total.shape), where=total > 0)
    inner = slice(_HALF, -_HALF)
    return Pixels(found.astype(np.float32), is_there[inner, inner].astype(np.float32))


def _variance(values: Numbers, is_there: NDArray[np.bool_]) -> Numbers:
    """Return the variance of the valid pixels in each window, without the margin."""
    side = 2 * _HALF + 1
    windows = np.lib.stride_tricks.sliding_window_view
    counted = windows(is_there, (side, side))
    count = np.maximum(counted.sum(axis=(2, 3)), 1)
    held = np.where(is_there, values, 0.0)
    mean = windows(held, (side, side)).sum(axis=(2, 3)) / count
    found = np.zeros(mean.shape)
    for row in range(side):
        for column in range(side):
            at = (slice(row, row + mean.shape[0]), slice(column, column + mean.shape[1]))
            found += np.where(is_there[at], (held[at] - mean) ** 2, 0.0)
    return np.asarray(found / count)
