"""Models applied to the bands of images, in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.arrays.storage import ArrayValues, array_pixels
from tileserver.compute.budget import out_of_memory
from tileserver.compute.nodes import Mask, Pixels
from tileserver.concurrency.time_limit import check_time

_MAX_HELD = 20_000_000
"""Elements of the arrays of a piece."""

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


def predicted_arrays(
    pixels: Sequence[Pixels], function: Function, dtype: np.dtype[Any], at_once: int
) -> Pixels:
    """Return a function of all bands that gives an array at each pixel; as `predicted`.

    The function returns shape (count, length), of the same length always.
    """
    mask = np.minimum.reduce([each.mask for each in pixels])
    known = np.flatnonzero(mask > 0)
    flat = [np.ascontiguousarray(each.values).ravel() for each in pixels]
    places, parts = [np.zeros(0, np.int64)], []
    held = 0
    for start in range(0, len(known), at_once):
        check_time()
        part = known[start : start + at_once]
        rows = np.stack([band[part] for band in flat], axis=1).astype(np.float64)
        is_finite = np.isfinite(rows).all(axis=1)
        if is_finite.any():
            parts.append(np.asarray(function(rows[is_finite])).astype(dtype))
            places.append(part[is_finite])
            held += parts[-1].size
            if held > _MAX_HELD:
                raise out_of_memory()
    found = np.concatenate(places)
    group_of = np.full(mask.size, -1, np.int32)
    group_of[found] = 0
    valid = np.zeros(mask.size, bool)
    valid[found] = True
    batches = (np.concatenate(parts),) if parts else ()
    values = ArrayValues(group_of.reshape(mask.shape), batches)
    return array_pixels(values, _masked(mask, valid))


def _masked(mask: Mask, valid: NDArray[np.bool_]) -> Mask:
    found: Mask = np.where(valid.reshape(mask.shape), mask, np.float32(0))
    return found
