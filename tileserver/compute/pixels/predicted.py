"""Models applied to the bands of images, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import Mask, Pixels
from tileserver.concurrency.time_limit import check_time

Function = Callable[[NDArray[np.float64]], NDArray[Any]]
"""From rows of inputs, shape (count, bands), to one value each, shape (count,)."""


def predicted(
    pixels: Sequence[Pixels], function: Function, dtype: np.dtype[Any], at_once: int
) -> Pixels:
    """Return a function of all bands at each pixel, masked where a band is masked or not finite.

    Args:
        pixels: of the bands.
        function: takes rows of them.
        dtype: of the result.
        at_once: rows that it takes between two looks at the clock.
    """
    mask = np.minimum.reduce([each.mask for each in pixels])
    known = np.flatnonzero(mask > 0)
    values = np.zeros(mask.size, dtype)
    valid = np.zeros(mask.size, bool)
    flat = [np.ascontiguousarray(each.values).ravel() for each in pixels]
    for start in range(0, len(known), at_once):
        check_time()
        places = known[start : start + at_once]
        rows = np.stack([band[places] for band in flat], axis=1).astype(np.float64)
        is_finite = np.isfinite(rows).all(axis=1)
        if is_finite.any():
            values[places[is_finite]] = function(rows[is_finite])
            valid[places] = is_finite
    return Pixels(values.reshape(mask.shape), _masked(mask, valid))


def _masked(mask: Mask, valid: NDArray[np.bool_]) -> Mask:
    found: Mask = np.where(valid.reshape(mask.shape), mask, np.float32(0))
    return found
