"""Series of images cut into segments in time: LandTrendr and its fit, EWMACD, VeRDET.

Sources: the reference pages of ee.Algorithms.TemporalSegmentation, which name the outputs and the
papers: Kennedy et al. (2010) for LandTrendr, Brooks et al. (2014) for EWMACD, Hughes et al. (2017)
for VeRDET. The code is written
from the papers, so that results are those of the methods and may differ from Earth Engine's in
numbers. Decided: a year is that of an image's system:time_start, else its place; images of one year
are an error only if there are too many; a pixel with fewer observations than needed is masked; of a
LandTrendr fit heights of vertices are those of least squares; `pvalThreshold` leaves the straight
line where no model passes. Of EWMACD harmonics are those of the day of the year.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.collection.composites import composite, layers_of
from tileserver.compute.arrays.storage import applied, assembled
from tileserver.compute.context import Context, check_length
from tileserver.compute.nodes import Node, Pixels, Step
from tileserver.compute.plain_values import to_number
from tileserver.compute.registry import algorithm
from tileserver.compute.series.charts import Charts, Control, charted
from tileserver.compute.series.slopes import slopes_of
from tileserver.compute.series.trajectories import (
    Rules,
    despiked,
    fit,
    interpolated,
    vertices_of,
)
from tileserver.compute.values.date import Date
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import TIME_START, Band, Image
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

_MOST_IMAGES = 500
_MOST_SEGMENTS = 30
_MOST_RUNS = 500
_BLOCK_NUMBERS = 2_000_000
"""Numbers of one array of the series that are worked on at once."""
Numbers = NDArray[np.float64]
Result = Sequence[tuple[NDArray[np.intp], Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Series:
    """A function of the series of each pixel, of one band or several of all images."""

    inputs: tuple[Node, ...]
    compute: Callable[[Sequence[Pixels]], Pixels]
    work: int
    """Steps that a pixel costs."""

    def step(self, grid: PixelGrid) -> Step:
        """Need all images on the same grid."""
        needs = tuple((node, grid) for node in self.inputs)
        return Step(needs, self.compute, self.work * grid.width * grid.height)


def stacked_series(inputs: Sequence[Pixels]) -> tuple[Numbers, NDArray[np.float32]]:
    """Return the series of all pixels, (pixels, images), NaN where masked; and any one's mask."""
    values = np.stack([p.values.astype(np.float64).ravel() for p in inputs], axis=1)
    masks = np.stack([np.ascontiguousarray(p.mask).ravel() for p in inputs], axis=1)
    values[masks == 0] = np.nan
    shape = inputs[0].mask.shape
    return values, masks.max(axis=1).reshape(shape)


def blocks(values: Numbers, numbers: int) -> Iterator[NDArray[np.intp]]:
    """Yield the pixels with any value, few enough at a time; each takes so many numbers."""
    size = max(_BLOCK_NUMBERS // numbers, 1)
    rows = np.flatnonzero(np.isfinite(values).any(axis=1))
    for start in range(0, len(rows), size):
        check_time()
        yield rows[start : start + size]


def times_of(context: Context, collection: Collection) -> list[float | None]:
    """Return the milliseconds of the images of a collection."""
    check_length(len(collection.elements), _MOST_IMAGES, "images in a series")
    return [to_number(e.properties.get(TIME_START), context) for e in collection.elements]


def _years(context: Context, collection: Collection) -> Numbers:
    """Return the year of each image, in ascending order.

    Raises:
        InvalidRequest: they are not in order.
    """
    times = times_of(context, collection)
    found = [float(i if t is None else Date(t).moment().year) for i, t in enumerate(times)]
    if any(b <= a for a, b in pairwise(found)):
        raise InvalidRequest("Expected one image a year, in the order of time.")
    return np.array(found)


def _rules(*given: Any) -> Rules:
    rules = Rules(*given)
    if not 1 <= rules.most_segments <= _MOST_SEGMENTS or not 0 <= rules.overshoot <= _MOST_SEGMENTS:
        raise InvalidRequest(
            f"maxSegments must be 1 to {_MOST_SEGMENTS}, vertexCountOvershoot no more than that."
        )
    return rules


@algorithm(
    "TemporalSegmentation.LandTrendr(timeSeries: ImageCollection, maxSegments: Integer,"
    " spikeThreshold: Float = 0.9, vertexCountOvershoot: Integer = 3.0,"
    " preventOneYearRecovery: Boolean = false, recoveryThreshold: Float = 0.25,"
    " pvalThreshold: Float = 0.1, bestModelProportion: Float = 0.75,"
    " minObservationsNeeded: Integer = 6.0) -> Image"
)
def land_trendr(
    context: Context,
    collection: Collection,
    most_segments: int,
    spikes: float,
    overshoot: int,
    prevents: bool,
    recovery: float,
    p_value: float,
    proportion: float,
    least: int,
) -> Image:
    """Return the segments of a yearly series: LandTrendr, rmse and the other bands fitted.

    LandTrendr is an array of years, values, fitted values and 1 where a vertex is. Bands but the
    first are fitted to its vertices, one array `NAME_fit` each.
    """
    rules = _rules(most_segments, spikes, overshoot, prevents, recovery, p_value, proportion, least)
    years = _years(context, collection)
    layers = layers_of(context, collection)
    if not layers:
        return Image(())
    work = 20 * len(years) * (most_segments + overshoot)
    first = tuple(band.node for band in layers[0][1])

    def segments(inputs: Sequence[Pixels]) -> tuple[Numbers, Any, Any]:
        values, mask = stacked_series(inputs)
        return (
            values,
            mask,
            [
                (rows, *vertices_of(years, despiked(values[rows], spikes), rules))
                for rows in blocks(values, len(years) * (most_segments + overshoot + 2))
            ],
        )

    def matrix(inputs: Sequence[Pixels]) -> Pixels:
        values, mask, parts = segments(inputs)
        made = []
        for rows, vertices, sound in parts:
            fitted = fit(years, despiked(values[rows], spikes), vertices)
            stacked = [np.broadcast_to(years, fitted.shape), values[rows], fitted, vertices]
            made.append((rows[sound], np.stack(stacked, axis=1)[sound]))
        return _ragged(made, mask, 2)

    def rmse(inputs: Sequence[Pixels]) -> Pixels:
        values, mask, parts = segments(inputs)
        made = []
        for rows, vertices, sound in parts:
            off = fit(years, despiked(values[rows], spikes), vertices) - values[rows]
            made.append((rows[sound], np.sqrt(np.nanmean(off[sound] ** 2, axis=1))))
        return assembled(iter(made), mask, DOUBLE)

    bands = [
        composite("LandTrendr", DOUBLE.with_dimensions(2), Series(first, matrix, work)),
        composite("rmse", DOUBLE, Series(first, rmse, work)),
    ]
    for name, layer in layers[1:]:
        bands.append(_fitted_band(name, first, layer, segments, years, spikes, work))
    return Image(tuple(bands))


def _fitted_band(
    name: str,
    first: tuple[Node, ...],
    layer: Sequence[Band],
    segments: Callable[[Sequence[Pixels]], tuple[Numbers, Any, Any]],
    years: Numbers,
    spikes: float,
    work: int,
) -> Band:
    """Return the band of another band's series fitted to the vertices of the first one."""
    count = len(years)

    def compute(inputs: Sequence[Pixels]) -> Pixels:
        _, mask, parts = segments(inputs[:count])
        values, _ = stacked_series(inputs[count:])
        made = [
            (rows[sound], fit(years, despiked(values[rows], spikes), vertices)[sound])
            for rows, vertices, sound in parts
        ]
        return _ragged(made, mask, 1)

    nodes = (*first, *(band.node for band in layer))
    return composite(f"{name}_fit", DOUBLE.with_dimensions(1), Series(nodes, compute, work))


def _ragged(parts: Result, mask: Any, dimensions: int) -> Pixels:
    """Return arrays without the years that a series lacks, grouped by their length."""
    made = []
    for rows, batch in parts:
        known = np.isfinite(batch[:, 1, :] if dimensions == 2 else batch)
        for row_of in _same_gaps(known):
            keep = known[row_of[0]]
            made.append((rows[row_of], batch[row_of][..., keep]))
    return assembled(iter(made), mask, DOUBLE.with_dimensions(dimensions))


def _same_gaps(known: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Return the rows that are alike, as lists of their places."""
    if not len(known):
        return []
    _, inverse = np.unique(known, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    return np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1])


def _has(years: Numbers, year: float) -> NDArray[np.bool_]:
    """Return which rows hold a year: one at a time, as all at once take rows x years x years."""
    check_time()
    found: NDArray[np.bool_] = (years == year).any(axis=1)
    return found


@algorithm(
    "TemporalSegmentation.LandTrendrFit(timeSeries: ImageCollection, vertices: Image,"
    " spikeThreshold: Float = 0.9, minObservationsNeeded: Integer = 6.0) -> Image"
)
def land_trendr_fit(
    context: Context, collection: Collection, vertices: Image, spikes: float, least: int
) -> Image:
    """Return each band's series, an array of values on lines between the years of vertices."""
    years = _years(context, collection)
    if len(vertices.bands) != 1 or vertices.bands[0].type.dimensions != 1:
        raise InvalidRequest("vertices must be an image of one band of 1-D arrays.")
    (years_band,) = vertices.bands
    bands = []
    for name, layer in layers_of(context, collection):

        def compute(inputs: Sequence[Pixels]) -> Pixels:
            values, mask = stacked_series(inputs[1:])
            shape = mask.shape
            columns = [Pixels(values[:, i].reshape(shape), mask) for i in range(len(years))]

            def fitted(at: Any, *series: Any) -> Any:
                smooth = despiked(np.stack(series, axis=1), spikes)
                chosen = np.stack([_has(at, year) for year in years], axis=1) & np.isfinite(smooth)
                enough = np.isfinite(smooth).sum(axis=1) >= least
                return interpolated(years, smooth, chosen), enough & chosen.any(axis=1)

            return applied([inputs[0], *columns], fitted, DOUBLE.with_dimensions(1))

        nodes = (years_band.node, *(band.node for band in layer))
        node = Series(nodes, compute, 20 * len(years))
        bands.append(composite(name, DOUBLE.with_dimensions(1), node))
    return Image(tuple(bands))


@algorithm(
    "TemporalSegmentation.Ewmacd(timeSeries: ImageCollection, vegetationThreshold: Float,"
    " trainingStartYear: Integer, trainingEndYear: Integer, harmonicCount: Integer = 2.0,"
    " xBarLimit1: Float = 1.5, xBarLimit2: Integer = 20.0, lambda: Float = 0.3,"
    " lambdasigs: Float = 3.0, rounding: Boolean = true, persistence: Integer = 3.0) -> Image"
)
def ewmacd(context: Context, collection: Collection, *given: Any) -> Image:
    """Return charts of weighted moving averages of the residuals of a harmonic fit."""
    control = Control(*given)
    if not 0 <= control.harmonics <= 10 or not 0 < control.share <= 1:
        raise InvalidRequest("harmonicCount must be 0 to 10, lambda above 0 and at most 1.")
    times = times_of(context, collection)
    if missing := [place for place, each in enumerate(times) if each is None]:
        raise InvalidRequest(f"Image {missing[0]} has no property '{TIME_START}'.")
    moments = [Date(each).moment() for each in times if each is not None]
    days = np.array([each.timetuple().tm_yday for each in moments], dtype=np.float64)
    years = np.array([each.year for each in moments])
    layers = layers_of(context, collection)
    if len(layers) != 1:
        raise InvalidRequest(f"Expected images of one band, got {len(layers)}.")
    nodes = tuple(band.node for band in layers[0][1])
    training = (years >= control.first_year) & (years < control.last_year)

    def band(name: str, dimensions: int) -> Band:
        def compute(inputs: Sequence[Pixels]) -> Pixels:
            values, mask = stacked_series(inputs)
            made = []
            for rows in blocks(values, len(days) * (2 * control.harmonics + 1)):
                found: Charts = charted(days, values[rows], training, control)
                result = getattr(found, name)
                made.append((rows[found.sound], result[found.sound]))
            return assembled(iter(made), mask, DOUBLE.with_dimensions(dimensions))

        node = Series(nodes, compute, 30 * len(days))
        return replace(composite(name, DOUBLE.with_dimensions(dimensions), node), id=NAMES[name])

    return Image(tuple(band(name, dimensions) for name, dimensions in _EWMACD))


_EWMACD = (("ewma", 1), ("coefficients", 1), ("rmse", 0), ("r_squared", 0), ("residuals", 1))
NAMES = {
    "ewma": "ewma",
    "coefficients": "harmonicCoefficients",
    "rmse": "rmse",
    "r_squared": "rSquared",
    "residuals": "residuals",
}
"""Bands of Ewmacd, by the member of `Charts`."""


@algorithm(
    "TemporalSegmentation.Verdet(timeSeries: ImageCollection, tolerance: Float = 0.0001,"
    " alpha: Float = 0.03333333333333333, nRuns: Integer = 100.0) -> Image"
)
def verdet(
    context: Context, collection: Collection, tolerance: float, alpha: float, runs: int
) -> Image:
    """Return the slopes of the lines fitted to each band's yearly series, an array a band.

    Negative slopes are disturbance, positive ones recovery. There is one slope for each image, that
    of the line which ends there; the first has that of the line which begins there.
    """
    if not 1 <= runs <= _MOST_RUNS or alpha < 0:
        raise InvalidRequest(f"nRuns must be 1 to {_MOST_RUNS}, alpha not negative.")
    years = _years(context, collection)
    if len(years) < 3:
        raise InvalidRequest(f"Expected images of three years or more, got {len(years)}.")
    bands = []
    for name, layer in layers_of(context, collection):

        def compute(inputs: Sequence[Pixels]) -> Pixels:
            values, mask = stacked_series(inputs)
            made = []
            for rows in blocks(values, len(years) ** 2):
                slopes = slopes_of(years, values[rows], alpha, tolerance, runs)
                each = np.concatenate([slopes[:, :1], slopes], axis=1)
                enough = np.isfinite(values[rows]).sum(axis=1) >= 3
                made.append((rows[enough], each[enough]))
            return assembled(iter(made), mask, DOUBLE.with_dimensions(1))

        work = len(years) ** 2 * runs
        node = Series(tuple(band.node for band in layer), compute, work)
        bands.append(composite(name, DOUBLE.with_dimensions(1), node))
    return Image(tuple(bands))
