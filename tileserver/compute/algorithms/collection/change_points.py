"""Series of images cut where they change: the composite-to-change algorithm C2C.

Source: the reference page of ee.Algorithms.TemporalSegmentation.C2c, and Hermosilla et al. (2015),
Remote Sensing of Environment 158. Decided: lines run from point to point of a series; while their
error is above `maxError`, the point furthest from them becomes a change, up to `maxSegments`. A
spike is a point whose neighbours are alike: it is replaced by their mean where it is further from
that than `spikeRemovalMagnitude`, and their difference is less than 1 - `spikesTolerance` of that.
With `infill` zeros are gaps. The first and the last point are changes, too. Bands are called
NAME_changeDate and so on. Measures of regrowth are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from tileserver.compute.context import Context, check_length
from tileserver.compute.nodes import Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.series.trajectories import cut, interpolated
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.image import TIME_START, Band, Image
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.contract.pixels import MAX_BANDS
from tileserver.errors import InvalidRequest

_DAY_MS = 86_400_000.0
_EPOCH_DAYS = 719_529.0
"""1970-01-01 in days of the year 0, as CCDC counts them."""
_YEAR_DAYS = 365.25
_MOST_SEGMENTS = 100
_MEASURES = ("changeDate", "value", "magnitude", "duration", "rate")
_POST = ("postMagnitude", "postDuration", "postRate")
Numbers = NDArray[np.float64]


def dates_in(milliseconds: Numbers, date_format: int) -> Numbers:
    """Return times as days of the year 0, fractional years, or milliseconds.

    Raises:
        InvalidRequest: the format is none of 0, 1 and 2.
    """
    days = milliseconds / _DAY_MS
    formats = {0: days + _EPOCH_DAYS, 1: 1970 + days / _YEAR_DAYS, 2: milliseconds}
    if date_format not in formats:
        raise InvalidRequest(f"dateFormat must be 0, 1 or 2, got {date_format}.")
    return formats[date_format]


@dataclass(frozen=True, slots=True)
class _Limits:
    most_error: float
    most_segments: int
    fills: bool
    tolerance: float
    spike: float
    falls_only: bool


@algorithm(
    "TemporalSegmentation.C2c(collection: ImageCollection, dateFormat: Integer = 0.0,"
    " maxErrorList: List = [], spikesToleranceList: List = [],"
    " spikeRemovalMagnitudeList: List = [], maxError: Float = 0.075, maxSegments: Integer = 6.0,"
    " infill: Boolean = true, spikesTolerance: Float = 0.85, spikeRemovalMagnitude: Float = 0.1,"
    " includePostMetrics: Boolean = true, includeRegrowth: Boolean = false,"
    " interpolateRegrowth: Boolean = true, useRelativeRegrowth: Boolean = false,"
    " negativeMagnitudeOnly: Boolean = false) -> Image"
)
def c2c(
    context: Context,
    collection: Collection,
    date_format: int,
    errors: list[Any],
    tolerances: list[Any],
    spikes: list[Any],
    most_error: float,
    most_segments: int,
    fills: bool,
    tolerance: float,
    spike: float,
    has_post: bool,
    has_regrowth: bool,
    interpolates: bool,
    is_relative: bool,
    falls_only: bool,
) -> Image:
    """Return the changes of each band's series: arrays of their dates, values and measures."""
    if has_regrowth:
        raise InvalidRequest("includeRegrowth is not supported.")
    if not 1 <= most_segments <= _MOST_SEGMENTS:
        raise InvalidRequest(f"maxSegments must be 1 to {_MOST_SEGMENTS}, got {most_segments}.")
    times = times_of(context, collection)
    if missing := [place for place, each in enumerate(times) if each is None]:
        raise InvalidRequest(f"Image {missing[0]} has no property '{TIME_START}'.")
    dates = dates_in(np.array(times, dtype=np.float64), date_format)
    if (np.diff(dates) <= 0).any():
        raise InvalidRequest("Expected images in the order of time.")
    layers = layers_of(context, collection)
    measures = (*_MEASURES, *(_POST if has_post else ()))
    check_length(len(layers) * len(measures), MAX_BANDS, "bands")
    bands: list[Band] = []
    for place, (name, layer) in enumerate(layers):
        limits = _Limits(
            _chosen(errors, place, most_error, len(layers)),
            most_segments,
            fills,
            _chosen(tolerances, place, tolerance, len(layers)),
            _chosen(spikes, place, spike, len(layers)),
            falls_only,
        )
        bands += [_band(f"{name}_{each}", each, layer, dates, limits) for each in measures]
    return Image(tuple(bands))


def _chosen(values: list[Any], place: int, default: float, count: int) -> float:
    """Return the value for a band, of a list with one for each or of all."""
    if not values:
        return default
    if len(values) != count or not all(isinstance(each, int | float) for each in values):
        raise InvalidRequest(f"Expected a number for each of {count} bands, got {len(values)}.")
    return float(values[place])


def _band(name: str, measure: str, layer: Sequence[Band], dates: Numbers, limits: _Limits) -> Band:
    def compute(inputs: Sequence[Pixels]) -> Pixels:
        values, mask = stacked_series(inputs)
        made: list[tuple[NDArray[np.intp], Any]] = []
        for rows in blocks(values, 8 * len(dates)):
            smooth = _prepared(values[rows], dates, limits)
            changes = cut(dates, smooth, limits.most_segments, limits.most_error)
            for count in np.unique(changes.sum(axis=1)):
                some = np.flatnonzero(changes.sum(axis=1) == count)
                at = np.flatnonzero(changes[some].ravel()).reshape(-1, count) % len(dates)
                heights = np.take_along_axis(smooth[some], at, axis=1)
                made += _measured(measure, dates[at], heights, rows[some], limits)
        return assembled(iter(made), mask, DOUBLE.with_dimensions(1))

    nodes = tuple(band.node for band in layer)
    node = Series(nodes, compute, 10 * len(dates) * limits.most_segments)
    return composite(name, DOUBLE.with_dimensions(1), node)


def _prepared(values: Numbers, dates: Numbers, limits: _Limits) -> Numbers:
    """Return series without gaps and spikes; masked points are on the lines between others."""
    held = np.where(values == 0, np.nan, values) if limits.fills else values
    known = np.isfinite(held)
    found = interpolated(dates, np.where(known, held, 0.0), known)
    if limits.tolerance >= 1 or len(dates) < 3:
        return found
    before, here, after = found[:, :-2], found[:, 1:-1], found[:, 2:]
    middle = (before + after) / 2
    off = np.abs(here - middle)
    alike = np.abs(after - before) <= (1 - limits.tolerance) * np.maximum(off, 1e-300)
    found = found.copy()
    found[:, 1:-1] = np.where((off > limits.spike) & alike, middle, here)
    return found


def _measured(
    measure: str, at: Numbers, heights: Numbers, rows: NDArray[np.intp], limits: _Limits
) -> list[tuple[NDArray[np.intp], Numbers]]:
    """Return one measure of the changes of series, which have the same number of them."""
    before = np.full(at.shape, np.nan)
    magnitude, duration = before.copy(), before.copy()
    magnitude[:, 1:], duration[:, 1:] = np.diff(heights), np.diff(at)
    post, post_duration = before.copy(), before.copy()
    post[:, :-1], post_duration[:, :-1] = np.abs(np.diff(heights)), np.diff(at)
    signed = before.copy()
    signed[:, :-1] = np.diff(heights)
    found = {
        "changeDate": at,
        "value": heights,
        "magnitude": magnitude,
        "duration": duration,
        "rate": magnitude / duration,
        "postMagnitude": post,
        "postDuration": post_duration,
        "postRate": signed / post_duration,
    }[measure]
    if not limits.falls_only:
        return [(rows, found)]
    falls = magnitude < 0
    made = []
    for count in np.unique(falls.sum(axis=1)):
        some = np.flatnonzero(falls.sum(axis=1) == count)
        made.append((rows[some], found[some][falls[some]].reshape(-1, count)))
    return made
