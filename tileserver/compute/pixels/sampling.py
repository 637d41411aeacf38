"""Samples of a region's pixels: all of them, or some by chance.

Whether a pixel is taken depends on its place in the region and the seed alone, not on the piece in
which it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.context import MAX_LIST, Context, check_length
from tileserver.compute.pixels.regions import Chunk, Region, chunks
from tileserver.compute.values.image import Band
from tileserver.compute.values.reducer import Column

Numbers = NDArray[np.float64]
_FEW_CLASSES = 100
"""Classes whose pixels are compared with those held before they are sorted."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """Pixels of bands, in rows from the north-west, arrays of shape (count,)."""

    columns: list[Column]
    """One a band."""
    x: Numbers
    """Of each pixel's centre, in the CRS of the region's grid."""
    y: Numbers
    chances: Numbers
    """Of each pixel, 0 to 1."""

    def at(self, rows: Any) -> Sampled:
        """Return some of the pixels."""
        columns = [column.at(rows) for column in self.columns]
        return Sampled(columns, self.x[rows], self.y[rows], self.chances[rows])


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pixels are taken."""

    seed: int = 0
    factor: float = 1.0
    """The share of pixels."""
    most: int | None = None
    """The number of pixels; None is as many as there are."""
    drops_nulls: bool = False
    """Whether pixels that are masked in any band are left out, after others were chosen."""
    strata: Strata | None = None
    """How many pixels of each class; these are chosen after masked ones were left out."""


@dataclass(frozen=True, slots=True)
class Strata:
    """How many pixels of each class are taken."""

    band: int
    """The place of the band with the classes."""
    most: int
    """Of each class that is not in `most_of`."""
    most_of: Mapping[int, int]

    def candidates(self, found: Sampled, held: Sampled) -> Sampled:
        """Return the pixels that may be chosen beside those held."""
        column = found.columns[self.band]
        keep = column.valid.copy()
        held_classes = held.columns[self.band].values
        for value in np.unique(held_classes)[:_FEW_CLASSES]:
            is_of = held_classes == value
            if np.count_nonzero(is_of) >= self.most_of.get(int(value), self.most):
                last = held.chances[is_of].max()
                keep &= (column.values != value) | (found.chances < last)
        return found.at(keep)

    def chosen(self, found: Sampled) -> Sampled:
        """Return the pixels of the lowest chances of each class."""
        column = found.columns[self.band]
        found = found.at(column.valid)
        classes = found.columns[self.band].values
        order = np.lexsort((found.chances, classes))
        ordered = classes[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
        nth = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
        limits = np.full(len(order), self.most)
        for value, most in self.most_of.items():
            limits[ordered == value] = most
        return found.at(np.sort(order[nth < limits]))


def sampled(
    context: Context,
    bands: Sequence[Band],
    region: Region,
    choice: Choice = Choice(),
    tile_scale: float = 1.0,
    most: int = MAX_LIST,
) -> Sampled:
    """Return at most so many pixels of bands whose centre lies in a region; blocks.

    Raises:
        InvalidRequest: there are too many, or it takes too much time.
    """
    held = _none(bands)
    for chunk in chunks(context, bands, region, False, tile_scale):
        found = _pixels(chunk, region, choice.seed)
        found = found.at(found.chances < choice.factor)
        if choice.drops_nulls and choice.most is None:
            found = found.at(all_valid(found))
        if choice.most is not None and len(held.x) >= choice.most:
            found = found.at(found.chances < held.chances.max(initial=0.0))
        if choice.strata is not None:
            found = choice.strata.candidates(found, held)
        held = _fewest(_joined(held, found), choice.most)
        if choice.strata is not None:
            held = choice.strata.chosen(held)
        check_length(len(held.x), most, "pixels")
    held = held.at(np.lexsort(_places(held, region)))
    return held.at(all_valid(held)) if choice.drops_nulls else held


def all_valid(found: Sampled) -> NDArray[np.bool_]:
    """Return which pixels are masked in no band."""
    valid: NDArray[np.bool_] = np.logical_and.reduce([c.valid for c in found.columns])
    return valid


def _none(bands: Sequence[Band]) -> Sampled:
    columns = [Column(np.zeros(0, band.type.dtype), np.zeros(0, bool)) for band in bands]
    return Sampled(columns, np.zeros(0), np.zeros(0), np.zeros(0))


def _pixels(chunk: Chunk, region: Region, seed: int) -> Sampled:
    rows, columns = np.nonzero(chunk.inside)
    x, y = chunk.grid.transform.apply(columns + 0.5, rows + 0.5)
    found = Sampled(chunk.columns, x, y, np.zeros(0))
    return replace(found, chances=chances(seed, *_places(found, region)))


def _places(found: Sampled, region: Region) -> tuple[Numbers, Numbers]:
    """Return the columns and rows of pixels in a region's grid."""
    columns, rows = region.grid.transform.inverse().apply(found.x, found.y)
    return np.floor(columns), np.floor(rows)


def chances(seed: int, columns: Numbers, rows: Numbers) -> Numbers:
    """Return a number from 0 to 1 for each place: a hash of it and the seed (splitmix64)."""
    found = np.full(len(columns), seed & 0xFFFFFFFFFFFFFFFF, np.uint64)
    for place in (columns, rows):
        found = _mixed(found ^ place.astype(np.int64).view(np.uint64))
    return (found >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _fewest(found: Sampled, most: int | None) -> Sampled:
    """Return the pixels of the lowest chances."""
    if most is None or len(found.x) <= most:
        return found
    return found.at(np.sort(np.argsort(found.chances, kind="stable")[: max(most, 0)]))


def _joined(first: Sampled, second: Sampled) -> Sampled:
    columns = [
        Column(np.concatenate([a.values, b.values]), np.concatenate([a.valid, b.valid]))
        for a, b in zip(first.columns, second.columns, strict=True)
    ]
    return Sampled(
        columns,
        np.concatenate([first.x, second.x]),
        np.concatenate([first.y, second.y]),
        np.concatenate([first.chances, second.chances]),
    )
