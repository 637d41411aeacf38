"""Sums and means of bands of arrays, element by element, of arrays of the same lengths.

Masked arrays are left out, as masked numbers are.
"""

from __future__ import annotations

import numpy as np

from tileserver.compute.algorithms.reducer.simple import SIMPLE
from tileserver.compute.arrays.storage import applied, chosen, elementwise, in_type
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.pixels.composites import CompositeInput, Fold
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
from tileserver.compute.values.reducer import Output

SUM, MEAN = "sum", "mean"


def array_kind(output: Output, type_: PixelType) -> str | None:
    """Return which composite of arrays an output of a reducer is, or None if it is another."""
    if not type_.dimensions:
        return None
    known = {kind: SIMPLE[kind][0][0].finish for kind in (SUM, MEAN)}
    return next((kind for kind, finish in known.items() if finish is output.finish), None)


def array_type(type_: PixelType) -> PixelType:
    """Return the type of sums and means of arrays."""
    return DOUBLE.with_dimensions(type_.dimensions)


def array_composite(kind: str, inputs: tuple[CompositeInput, ...], found: PixelType) -> Node:
    """Return the node of the sum or the mean of bands of arrays, in a type."""

    def begin(pixels: Pixels) -> Pixels:
        return in_type(pixels, found)

    def take(so_far: Pixels, pixels: Pixels) -> Pixels:
        new = begin(pixels)
        both = applied([so_far, new], lambda a, b: elementwise(np.add, a, b), found)
        mask = np.maximum(so_far.mask, new.mask)
        one = Pixels(chosen(so_far.mask > 0, so_far, new), mask)
        return Pixels(chosen(both.mask > 0, both, one), mask)

    total = Fold(inputs, begin, take, lambda pixels: pixels, found.dtype)
    if kind == SUM:
        return total
    counts = Fold(inputs, _one, _more, lambda pixels: pixels, np.dtype(np.float64))

    def divide(pixels: Pixels, count: Pixels) -> Pixels:
        return applied([pixels, count], lambda a, n: elementwise(np.divide, a, n), found)

    return Apply(divide, (total, counts))


def _one(pixels: Pixels) -> Pixels:
    return Pixels((pixels.mask > 0).astype(np.float64), pixels.mask)


def _more(so_far: Pixels, pixels: Pixels) -> Pixels:
    values = so_far.values + (pixels.mask > 0)
    return Pixels(values, np.maximum(so_far.mask, pixels.mask))
