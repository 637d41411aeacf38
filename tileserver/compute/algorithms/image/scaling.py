"""Clamping, scaling, remapping and interpolation of pixel values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import apply_unary, combined, fitted, place_of
from tileserver.compute.algorithms.image.bands import select
from tileserver.compute.context import check_length
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values import pixel_type as pixeltypes
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import DOUBLE, FLOAT, PixelType, of_number
from tileserver.errors import InvalidRequest, shown

_MAX_TABLE = 65_536


@algorithm("Image.clamp(input: Image, low: Float, high: Float) -> Image")
def clamp(image: Image, low: float, high: float) -> Image:
    """Return an image with no value below one number or above another."""
    ends = [of_number(end) for end in (low, high)]

    def rule(type_: PixelType) -> PixelType:
        whole = type_.precision == "int" and all(end.precision == "int" for end in ends)
        precision = "int" if whole else pixeltypes.union((type_, *ends)).precision
        if precision != "int":
            return PixelType(precision, low, high)
        return pixeltypes.integer(int(low), max(int(high), int(low)))

    def clamped(values: NDArray[Any]) -> NDArray[Any]:
        # The ends need not be in the range of the band: bytes may be clamped to -5..1000.
        wide = values if values.dtype.kind == "f" else values.astype(np.int64)
        found: NDArray[Any] = np.minimum(np.maximum(wide, low), high)
        return found

    return apply_unary(image, clamped, rule)


@algorithm("Image.unitScale(input: Image, low: Float, high: Float) -> Image")
def unit_scale(image: Image, low: float, high: float) -> Image:
    """Return an image scaled so that one number becomes 0 and another 1; nothing is clamped."""
    if low == high:
        raise InvalidRequest(f"low and high must differ, got {low:g} for both.")

    def rule(type_: PixelType) -> PixelType:
        return DOUBLE if type_.precision == "double" else FLOAT

    return apply_unary(image, lambda values: (values.astype(np.float64) - low) / (high - low), rule)


_NORMALIZED = PixelType("float", -1, 1)


@algorithm("Image.normalizedDifference(input: Image, bandNames: List = null) -> Image")
def normalized_difference(image: Image, names: list[Any] | None) -> Image:
    """Return (first - second) / (first + second) of two bands, by name or the first two.

    Masked where one of them is negative; zero where both are. The band is called nd.
    """
    names = image.band_ids[:2] if names is None else names
    if len(names) != 2:
        raise InvalidRequest(f"Expected the names of two bands, got {shown(names)}.")
    first, second = (band for name in names for band in select(image, [name], None).bands)
    node = Apply(_normalized_difference, (first.node, second.node))
    return Image((replace(first, id="nd", type=_NORMALIZED, node=node),), place_of(image))


def _normalized_difference(a: Pixels, b: Pixels) -> Pixels:
    x, y = a.values.astype(np.float64), b.values.astype(np.float64)
    is_visible = (x >= 0) & (y >= 0)
    values = np.divide(x - y, x + y, out=np.zeros(x.shape), where=is_visible & (x + y != 0))
    return Pixels(values.astype(np.float32), np.minimum(a.mask, b.mask) * is_visible)


@algorithm("Image.firstNonZero(image1: Image, image2: Image) -> Image")
def first_non_zero(first: Image, second: Image) -> Image:
    """Return the first value, or the second where that is zero, for each pair of bands."""
    return combined(
        first,
        second,
        lambda x, y: np.where(x != 0, x, y),
        lambda a, b: pixeltypes.union((a, b)),
    )


@algorithm(
    "Image.remap(image: Image, from: List, to: List, defaultValue: Object = null,"
    " bandName: String = null) -> Image"
)
def remap(
    image: Image, known: list[Any], wanted: list[Any], default: Any, band_name: str | None
) -> Image:
    """Return a band with values exchanged; others become the default, or are masked."""
    check_length(len(known), _MAX_TABLE, "values")
    if len(known) != len(wanted) or not known:
        raise InvalidRequest(
            f"The lists must be of the same length, got {len(known)} and {len(wanted)}."
        )
    numbers = [*known, *wanted] if default is None else [*known, *wanted, default]
    if wrong := [n for n in numbers if isinstance(n, bool) or not isinstance(n, int | float)]:
        raise InvalidRequest(f"Expected numbers, got {shown(wrong[0])}.")
    band = select(image, [band_name or 0], None).bands[0]
    found = pixeltypes.union(map(of_number, numbers[len(known) :]))
    order = np.argsort(np.array(known, np.float64), kind="stable")
    keys, targets = (np.array(each, np.float64)[order] for each in (known, wanted))

    def compute(pixels: Pixels) -> Pixels:
        at = np.clip(np.searchsorted(keys, pixels.values), 0, len(keys) - 1)
        hit = keys[at] == pixels.values
        values = np.where(hit, targets[at], 0.0 if default is None else default)
        mask = pixels.mask * hit if default is None else pixels.mask
        return Pixels(fitted(values, found), mask.astype(np.float32))

    node = Apply(compute, (band.node,))
    return image.derived([replace(band, id="remapped", type=found, node=node)])


@algorithm(
    'Image.interpolate(image: Image, x: List, y: List, behavior: String = "extrapolate") -> Image'
)
def interpolate(image: Image, xs: list[Any], ys: list[Any], behavior: str) -> Image:
    """Return the first band passed through straight lines between points."""
    check_length(len(xs), _MAX_TABLE, "points")
    if wrong := [n for n in (*xs, *ys) if isinstance(n, bool) or not isinstance(n, int | float)]:
        raise InvalidRequest(f"Expected numbers, got {shown(wrong[0])}.")
    x, y = np.array(xs, np.float64), np.array(ys, np.float64)
    if len(x) != len(y) or len(x) < 2 or not (np.diff(x) > 0).all():
        raise InvalidRequest("x must rise strictly, and have two or more values, as many as y.")
    if behavior not in ("extrapolate", "clamp", "input", "mask"):
        raise InvalidRequest(
            f"behavior must be extrapolate, clamp, mask or input, got {shown(behavior)}."
        )

    def compute(pixels: Pixels) -> Pixels:
        v = pixels.values.astype(np.float64)
        values, outside = np.interp(v, x, y), (v < x[0]) | (v > x[-1])
        if behavior == "extrapolate":
            first, last = (y[1] - y[0]) / (x[1] - x[0]), (y[-1] - y[-2]) / (x[-1] - x[-2])
            values = np.where(v < x[0], y[0] + (v - x[0]) * first, values)
            values = np.where(v > x[-1], y[-1] + (v - x[-1]) * last, values)
        elif behavior == "input":
            values = np.where(outside, v, values)
        mask = pixels.mask * ~outside if behavior == "mask" else pixels.mask
        return Pixels(values, mask.astype(np.float32))

    def change(band: Band) -> Band:
        return replace(band, type=DOUBLE, node=Apply(compute, (band.node,)))

    return map_bands(image.derived(image.bands[:1]), change)
