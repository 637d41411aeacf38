"""Series of images cut at structural breaks, as R's strucchange does.

Source: the reference page of ee.Algorithms.TemporalSegmentation.StructuralChangeBreakpoints.
Decided: the number of breaks is that of the least Bayesian information criterion, no more than
`maxBreaks` if that is above zero; a segment has at least as many images as `minSpacing` says, and
more known values than the model has terms; a pixel without such a segment is masked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.collection.composites import composite, layers_of
from tileserver.compute.algorithms.collection.temporal_segmentation import (
    Series,
    blocks,
    stacked_series,
    times_of,
)
from tileserver.compute.arrays.storage import assembled
from tileserver.compute.context import Context
from tileserver.compute.nodes import Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.series.breakpoints import Sums, breaks_of, sums_of
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import TIME_START, Band, Image
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.errors import InvalidRequest

_YEAR_MS = 365.25 * 86_400_000
_MOST_ORDER = 5
Numbers = NDArray[np.float64]
Measure = Callable[[Sums, NDArray[np.intp], NDArray[np.intp]], Any]


@algorithm(
    "TemporalSegmentation.StructuralChangeBreakpoints(collection: ImageCollection,"
    " breakpointBand: String = null, seasonalModelOrder: Integer = 3.0, minSpacing: Float = 0.15,"
    " maxBreaks: Integer = 0.0, dateFormat: Integer = 1.0) -> Image"
)
def structural_change_breakpoints(
    context: Context,
    collection: Collection,
    chosen: str | None,
    order: int,
    spacing: float,
    most: int,
    date_format: int,
) -> Image:
    """Return the segments of a series: their times, and the model of each band in each of them."""
    if not 0 <= order <= _MOST_ORDER or date_format not in (1, 2):
        raise InvalidRequest(f"seasonalModelOrder must be 0 to {_MOST_ORDER}, dateFormat 1 or 2.")
    times = times_of(context, collection)
    if missing := [place for place, each in enumerate(times) if each is None]:
        raise InvalidRequest(f"Image {missing[0]} has no property '{TIME_START}'.")
    layers = dict(layers_of(context, collection))
    if chosen is None and len(layers) > 1:
        raise InvalidRequest("breakpointBand is needed for images of several bands.")
    name = next(iter(layers), None) if chosen is None else chosen
    if name not in layers:
        raise InvalidRequest(f"The images have no band '{str(name)[:80]}'.")
    model = _Model(np.array(times, dtype=np.float64), order, spacing, most, date_format)
    return Image(tuple(model.bands(layers, str(name))))


class _Model:
    """The model of segments, and the images' times."""

    def __init__(
        self, times_ms: Numbers, order: int, spacing: float, most: int, date_format: int
    ) -> None:
        years = times_ms / _YEAR_MS
        self.times = years if date_format == 1 else times_ms
        waves = [f(2 * np.pi * k * years) for k in range(1, order + 1) for f in (np.cos, np.sin)]
        self.basis = np.stack([np.ones_like(years), self.times, *waves], axis=1)
        count = len(years)
        wanted = math.floor(spacing * count) if 0 < spacing < 1 else int(spacing)
        self.spacing = max(wanted, self.basis.shape[1] + 1)
        fitting = max(count // self.spacing - 1, 0)
        self.most = min(most, fitting) if most > 0 else fitting

    def bands(self, layers: dict[str, list[Band]], chosen: str) -> list[Band]:
        """Return the bands of the result."""
        found = [
            self._band("tStart", 1, layers[chosen], None, lambda s, a, b: self.times[a]),
            self._band("tEnd", 1, layers[chosen], None, lambda s, a, b: self.times[b - 1]),
        ]
        for name, layer in layers.items():
            own = None if name == chosen else layer
            found += [
                self._band(f"coefs_{name}", 2, layers[chosen], own, _coefficients),
                self._band(f"rmse_{name}", 1, layers[chosen], own, _rmse),
            ]
        return found

    def _band(
        self,
        name: str,
        dimensions: int,
        layer: Sequence[Band],
        other: Sequence[Band] | None,
        measure: Measure,
    ) -> Band:
        count = len(layer)

        def compute(inputs: Sequence[Pixels]) -> Pixels:
            values, mask = stacked_series(inputs[:count])
            own = values if other is None else stacked_series(inputs[count:])[0]
            made: list[tuple[NDArray[np.intp], Any]] = []
            for rows in blocks(values, count * count + count * self.basis.shape[1] ** 2):
                made += self._measured(rows, values[rows], own[rows], measure)
            return assembled(iter(made), mask, DOUBLE.with_dimensions(dimensions))

        nodes = tuple(band.node for band in (*layer, *(other or ())))
        work = count * count * self.basis.shape[1]
        return composite(name, DOUBLE.with_dimensions(dimensions), Series(nodes, compute, work))

    def _measured(
        self, rows: NDArray[np.intp], values: Numbers, own: Numbers, measure: Measure
    ) -> list[tuple[NDArray[np.intp], Any]]:
        """Return the measures of series, those of as many segments together."""
        if len(self.times) < self.spacing:
            return []
        basis = self.basis
        starts = breaks_of(sums_of(basis, values), self.spacing, self.most)
        sound = np.isfinite(values).sum(axis=1) > basis.shape[1]
        made = []
        for count in {len(each) for each in starts}:
            some = np.array(
                [i for i, each in enumerate(starts) if len(each) == count and sound[i]], np.intp
            )
            if len(some):
                first = np.stack([starts[i] for i in some])
                last = np.concatenate(
                    [first[:, 1:], np.full((len(some), 1), len(self.times))], axis=1
                )
                made.append((rows[some], measure(sums_of(basis, own[some]), first, last)))
        return made


def _coefficients(sums: Sums, start: NDArray[np.intp], end: NDArray[np.intp]) -> Numbers:
    return sums.fitted(start, end)[0]


def _rmse(sums: Sums, start: NDArray[np.intp], end: NDArray[np.intp]) -> Numbers:
    at = np.arange(len(start))[:, np.newaxis]
    counts = sums.counts[at, end] - sums.counts[at, start]
    return np.asarray(np.sqrt(sums.fitted(start, end)[1] / np.maximum(counts, 1)))
