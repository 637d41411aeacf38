"""Trends of series of images, as FORMA measures them.

Source: the reference page of ee.ImageCollection.formaTrend; Hansen (1992), Journal of Policy
Modeling 14, for the test of stability: with f = (x e, e² - s²) of each image, S their running sums
and V the sum of f fᵀ, it is the mean of Sᵀ V⁻¹ S. Decided: time counts images; the short trend is
the least slope of all windows of so many images; of covariates the one in the same place divides an
image; a pixel with fewer than four values is masked, as is a ratio to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.collection.composites import composite, layers_of
from tileserver.compute.algorithms.collection.temporal_segmentation import (
    Series,
    blocks,
    stacked_series,
    times_of,
)
from tileserver.compute.context import Context
from tileserver.compute.nodes import Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import FLOAT
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

_LEAST = 4
Numbers = NDArray[np.float64]


@algorithm(
    "ImageCollection.formaTrend(timeSeries: ImageCollection, covariates: ImageCollection = null,"
    " windowSize: Integer = 6.0) -> Image"
)
def forma_trend(
    context: Context, collection: Collection, covariates: Collection | None, window: int
) -> Image:
    """Return the long and the short trend of a series, and two tests of the long one.

    Bands: long-trend, short-trend, the t-test long-tstat and Hansen's test bruce-hansen.
    """
    count = len(times_of(context, collection))
    layers = [_only(context, each) for each in (collection, covariates) if each is not None]
    if len({len(each) for each in layers}) > 1:
        raise InvalidRequest("Expected as many covariates as images.")
    if not 2 <= window <= max(count, 2):
        raise InvalidRequest(f"windowSize must be 2 to the number of images, got {window}.")
    nodes = tuple(band.node for layer in layers for band in layer)
    measures: dict[str, Callable[[Numbers], Numbers]] = {
        "long-trend": lambda y: _line(y)[0],
        "short-trend": lambda y: _short(y, window),
        "long-tstat": _t_statistic,
        "bruce-hansen": _hansen,
    }

    def band(name: str) -> Band:
        def compute(inputs: Sequence[Pixels]) -> Pixels:
            values, mask = stacked_series(inputs[:count])
            if len(inputs) > count:
                divisor, _ = stacked_series(inputs[count:])
                values = np.where(divisor == 0, np.nan, values / divisor)
            found = np.full(len(values), np.nan)
            for rows in blocks(values, 10 * count):
                check_time()
                found[rows] = measures[name](values[rows])
            known = np.isfinite(found) & (np.isfinite(values).sum(axis=1) >= _LEAST)
            shape = mask.shape
            shown = np.where(known, found, 0).astype(np.float32).reshape(shape)
            return Pixels(shown, mask * known.reshape(shape))

        return composite(name, FLOAT, Series(nodes, compute, 12 * count))

    return Image(tuple(band(name) for name in measures))


def _only(context: Context, collection: Collection) -> list[Band]:
    layers = layers_of(context, collection)
    if len(layers) != 1:
        raise InvalidRequest(f"Expected images of one band, got {len(layers)}.")
    return layers[0][1]


def _line(values: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Return the slopes of series, their residuals, and the sums of squares of their times."""
    known = np.isfinite(values)
    number = np.maximum(known.sum(axis=1), 1)
    time = np.where(known, np.arange(values.shape[1], dtype=np.float64), 0.0)
    held = np.where(known, values, 0.0)
    off_time = np.where(known, time - (time.sum(axis=1) / number)[:, np.newaxis], 0.0)
    off = np.where(known, held - (held.sum(axis=1) / number)[:, np.newaxis], 0.0)
    squares = (off_time**2).sum(axis=1)
    slope = (off_time * off).sum(axis=1) / np.where(squares > 0, squares, np.nan)
    return slope, np.where(known, off - slope[:, np.newaxis] * off_time, 0.0), squares


def _short(values: Numbers, window: int) -> Numbers:
    """Return the least slope of all windows."""
    found = np.full(len(values), np.inf)
    for start in range(values.shape[1] - window + 1):
        found = np.fmin(found, _line(values[:, start : start + window])[0])
    return found


def _t_statistic(values: Numbers) -> Numbers:
    slope, rest, squares = _line(values)
    free = np.isfinite(values).sum(axis=1) - 2
    variance = (rest**2).sum(axis=1) / np.where(free > 0, free, np.nan)
    return np.asarray(slope / np.sqrt(variance / squares))


def _hansen(values: Numbers) -> Numbers:
    """Return Hansen's statistic of the constant, the slope and the variance together."""
    _, rest, _ = _line(values)
    known = np.isfinite(values)
    number = np.maximum(known.sum(axis=1), 1)
    spread = (rest**2).sum(axis=1) / number
    time = np.arange(1, values.shape[1] + 1, dtype=np.float64)
    parts = np.stack([rest, rest * time, np.where(known, rest**2 - spread[:, np.newaxis], 0.0)], 2)
    total = np.einsum("npi,npj->nij", parts, parts)
    size = np.trace(total, axis1=1, axis2=2)
    sound = np.isfinite(size) & (np.linalg.matrix_rank(np.nan_to_num(total), hermitian=True) == 3)
    total = np.where(sound[:, np.newaxis, np.newaxis], total, np.eye(3))
    running = np.cumsum(np.where(sound[:, np.newaxis, np.newaxis], parts, 0.0), axis=1)
    solved = np.linalg.solve(total, running.swapaxes(1, 2)).swapaxes(1, 2)
    found = np.where(known, (running * solved).sum(axis=2), 0.0).sum(axis=1) / number
    return np.where(sound, found, np.nan)
