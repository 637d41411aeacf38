"""Convolution, and reducers of the pixels under a kernel.

A kernel is laid over the pixels as it is printed, without a turn by 180 degrees. Decided where
Google is silent:

- Masked pixels count in no sum. `convolve` then scales the weights of the others to the sum of
  all; with weights of both signs, whose sum may be zero, it masks the pixel instead. It masks
  where the pixel itself is masked.
- Reducers with weighted inputs (see `values/reducer.py`) are weighted by the kernel, the mask or
  the smaller of both; negative weights count in sums and means alone. All others take each
  unmasked pixel whose weight in the kernel is not zero once, as do median, mode and percentiles,
  whatever the kernel's weights.
- NaN is like a masked pixel in extremes.
- Pixels beyond the bounds of a band stay masked, also where those around them are not: composites
  leave out images whose bounds do not meet a tile, and tiles must meet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import fitted
from tileserver.compute.algorithms.reducer.simple import SIMPLE
from tileserver.compute.arrays.storage import dense_pixels
from tileserver.compute.budget import out_of_memory
from tileserver.compute.context import Context, check_length
from tileserver.compute.nodes import Node, Pixels
from tileserver.compute.pixels import windows
from tileserver.compute.pixels.neighbourhoods import Around, UnderKernel
from tileserver.compute.pixels.reprojected import within
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.errors import InvalidRequest, shown

_MOST_BANDS = 5000
_INPUT_WEIGHTS = ("mask", "kernel", "min")
_MOST_ARRAY_BYTES = 50_000_000
_SORTED = 8
"""Steps that a value costs in a stack."""

Numbers = NDArray[np.float64]


@algorithm("Image.convolve(image: Image, kernel: Kernel) -> Image")
def convolve(image: Image, kernel: Kernel) -> Image:
    """Return each band's sum of the pixels under a kernel, times its weights."""

    def band_of(band: Band) -> Band:
        node = UnderKernel((band.node,), kernel, _convolved, windows.sum_work)
        return replace(band, type=DOUBLE, node=node)

    return map_bands(image, band_of)


def count_of(weights: Weights) -> int:
    """Return the number of weights that are not zero, as the work that they cost."""
    return int(np.count_nonzero(weights.values))


def _convolved(weights: Weights, pixels: Pixels) -> Pixels:
    shown_ = pixels.mask > 0
    values = np.where(shown_, pixels.values, 0).astype(np.float64)
    found = windows.weighted_sum(values, weights)
    mask = windows.inner(pixels.mask, weights)
    if shown_.all():
        return Pixels(found, mask)
    if (weights.values < 0).any() and (weights.values > 0).any():
        hidden = windows.any_under(~shown_, weights)
        return Pixels(found, np.where(hidden, np.float32(0), mask))
    there = windows.weighted_sum(shown_.astype(np.float64), weights)
    scaled = np.divide(
        found * weights.values.sum(), there, out=found, where=windows.is_present(there, weights)
    )
    return Pixels(scaled, mask)


@algorithm(
    "Image.reduceNeighborhood(image: Image, reducer: Reducer, kernel: Kernel,"
    ' inputWeight: String = "kernel", skipMasked: Boolean = true, optimization: String = null)'
    " -> Image"
)
def reduce_neighborhood(
    image: Image,
    reducer: Reducer,
    kernel: Kernel,
    weighting: str,
    skips_masked: bool,
    optimization: str | None,
) -> Image:
    """Return a reducer's results for the pixels under a kernel, as bands such as B1_mean.

    Optimizations change no result.
    """
    if weighting not in _INPUT_WEIGHTS:
        raise InvalidRequest(f"inputWeight must be mask, kernel or min, got {shown(weighting)}.")
    if optimization not in (None, "boxcar", "window"):
        raise InvalidRequest(f"optimization must be boxcar or window, got {shown(optimization)}.")
    outputs = spread(reducer, image.band_ids, keeps_name=False)
    check_length(len(outputs), _MOST_BANDS, "bands")
    return image.derived(
        reduced(
            [image.bands[place] for place in output.takes], output, kernel, weighting, skips_masked
        )
        for output in outputs
    )


def reduced(
    bands: Sequence[Band],
    output: Output,
    kernel: Kernel,
    weighting: str = "kernel",
    skips_masked: bool = False,
) -> Band:
    """Return a band of one output of a reducer for the pixels under a kernel.

    Args:
        bands: those that the output takes.
        output: the result, under the name of the new band.
        kernel: chooses and weighs the pixels.
        weighting: by the kernel, the mask, or the smaller of both (min).
        skips_masked: whether a pixel that is masked itself stays so.

    Raises:
        InvalidRequest: the output is a list or a table.
    """
    if output.reduce_stacks is None:
        raise InvalidRequest(
            f"The reducer's output '{output.name}' is a list or a table, which no band can hold; "
            "expected a reducer that gives numbers."
        )
    found = output.type_of(bands[-1].type)
    kind = KINDS.get(output.reduce_stacks)
    reduction = _reduction(output, kind, weighting)

    def reduce(weights: Weights, *inputs: Pixels) -> Pixels:
        mask = np.minimum.reduce([pixels.mask for pixels in inputs])
        values, valid = reduction(weights, [pixels.values for pixels in inputs], mask)
        if skips_masked:
            return Pixels(fitted(values, found), windows.inner(mask, weights) * valid)
        return Pixels(fitted(values, found), valid.astype(np.float32))

    work = _work(kind, weighting)
    node = UnderKernel(tuple(band.node for band in bands), kernel, reduce, work)
    made = Band(output.name, found, bands[0].projection, bands[0].extent, node)
    return made if skips_masked else replace(made, node=within(made))


KINDS: dict[Any, str] = {
    output.reduce_stacks: kind
    for kind in ("count", "mean", "stdDev", "sum", "variance", "sampleStdDev", "sampleVariance")
    for output in SIMPLE[kind][0]
} | {output.reduce_stacks: output.name for output in SIMPLE["minMax"][0]}
"""Reductions for which there is a way without stacks; outputs may have any name."""

Reduction = Callable[
    [Weights, Sequence[NDArray[Any]], NDArray[np.float32]],
    tuple[NDArray[Any], NDArray[np.bool_]],
]
"""Values and validity of a piece, from weights, values and the mask with margins."""


def sorted_work(weights: Weights) -> int:
    """Return the work of a stack of the pixels under a kernel."""
    return _SORTED * count_of(weights)


def _work(kind: str | None, weighting: str) -> Callable[[Weights], int]:
    if kind is None:
        return sorted_work
    if kind in ("min", "max"):
        return windows.extreme_work
    return count_of if weighting == "min" else windows.sum_work


def _reduction(output: Output, kind: str | None, weighting: str) -> Reduction:
    is_weighted = output.weighting == "weighted"
    if kind is None:
        return partial(_stacked, output, weighting if is_weighted else None)
    if kind in ("min", "max"):
        return partial(_extreme, is_max=kind == "max")
    if kind == "count":
        return _count
    sum_of = _SUMS[weighting] if is_weighted else _of_present
    return partial(_moments, kind=kind, weighed_sum=sum_of)


def _extreme(
    weights: Weights, arrays: Sequence[NDArray[Any]], mask: NDArray[np.float32], is_max: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    (values,) = arrays
    valid = (mask > 0) & (values == values)
    found = windows.extreme(values, valid, weights, is_max)
    return found, windows.any_under(valid, weights)


def _count(
    weights: Weights, arrays: Sequence[NDArray[Any]], mask: NDArray[np.float32]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    found = np.rint(windows.weighted_sum((mask > 0).astype(np.float64), weights.presence()))
    return found, found > 0


def _stacked(
    output: Output,
    weighting: str | None,
    weights: Weights,
    arrays: Sequence[NDArray[Any]],
    mask: NDArray[np.float32],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the reduction of stacks of all pixels under the kernel."""
    by_validity, by_weight = output.reduce_stacks, output.reduce_weighted
    assert by_validity is not None
    if not weights.values.any():
        shape = windows.inner_shape(mask, weights)
        return np.zeros(shape), np.zeros(shape, bool)
    under = weights.values[weights.values != 0].reshape(-1, 1, 1)

    def reduce(stacks: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        *values, opacity = stacks
        if weighting is None or by_weight is None:
            found, valid = by_validity(values, opacity > 0)
        else:
            found, valid = by_weight(values, _weighed(weighting, under, opacity))
        return [np.asarray(found), np.asarray(valid)]

    values, valid = windows.by_stacks([*arrays, mask], weights, reduce)
    return values, valid


def _weighed(weighting: str, under: Numbers, opacity: NDArray[np.float32]) -> Numbers:
    """Return the weights of a stack from those under the kernel and the mask; none is negative."""
    held = opacity.astype(np.float64)
    if weighting == "mask":
        return held
    positive = np.maximum(under, 0)
    return np.where(held > 0, positive, 0) if weighting == "kernel" else np.minimum(held, positive)


def _moments(
    weights: Weights,
    arrays: Sequence[NDArray[Any]],
    mask: NDArray[np.float32],
    kind: str,
    weighed_sum: Callable[..., Numbers],
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a statistic that follows from sums of powers."""
    values = np.where(mask > 0, arrays[0], 0).astype(np.float64)
    sum_of = partial(weighed_sum, mask.astype(np.float64), weights)
    total = sum_of(np.ones(values.shape))
    valid = windows.is_present(total, weights)
    if kind == "sum":
        return sum_of(values), windows.any_under(mask > 0, weights)
    mean = sum_of(values) / total
    if kind == "mean":
        return mean, valid
    found = np.maximum(sum_of(values**2) / total - mean**2, 0)
    if kind.startswith("sample"):
        found *= total / (total - 1)
        valid = valid & (total > 1.5)
    return np.sqrt(found) if kind.endswith("tdDev") else found, valid


def _by_kernel(mask: Numbers, weights: Weights, values: Numbers) -> Numbers:
    return windows.weighted_sum(values * (mask > 0), weights)


def _of_present(mask: Numbers, weights: Weights, values: Numbers) -> Numbers:
    return windows.weighted_sum(values * (mask > 0), weights.presence())


def _by_mask(mask: Numbers, weights: Weights, values: Numbers) -> Numbers:
    return windows.weighted_sum(values * mask, weights.presence())


def _by_smaller(mask: Numbers, weights: Weights, values: Numbers) -> Numbers:
    found = np.zeros(windows.inner_shape(mask, weights))
    pairs = zip(windows.shifted(mask, weights), windows.shifted(values, weights), strict=True)
    for (opacity, weight), (view, _) in pairs:
        found += np.minimum(opacity, weight) * view
    return found


_SUMS: dict[str, Callable[..., Numbers]] = {
    "kernel": _by_kernel,
    "mask": _by_mask,
    "min": _by_smaller,
}


@algorithm("Image.neighborhoodToBands(image: Image, kernel: Kernel) -> Image")
def neighborhood_to_bands(context: Context, image: Image, kernel: Kernel) -> Image:
    """Return a band for each pixel under a kernel, such as B1_-1_0 for the one on the left.

    The names count columns and rows from the kernel's focus. A kernel in metres is taken at the
    scale of each band.
    """
    bands: list[Band] = []
    for band in image.bands:
        weights = kernel.at(band.projection.nominal_scale_m)
        check_length(len(bands) + count_of(weights), _MOST_BANDS, "bands")
        for column, row, _ in weights.offsets():
            context.count_bytes(500)
            node = within(band, _moved(band.node, column, row, weights))
            bands.append(replace(band, id=f"{band.id}_{column}_{row}", node=node))
    return image.derived(bands)


def _moved(node: Node, column: int, row: int, weights: Weights) -> Node:
    """Return a node shown some pixels away; all of one kernel read the same grid."""
    margins = weights.margins
    left, top = margins[0] + column, margins[1] + row

    def move(grid: Any, pixels: Pixels) -> Pixels:
        part = (slice(top, top + grid.height), slice(left, left + grid.width))
        return Pixels(pixels.values[part], pixels.mask[part])

    return Around((node,), margins, move)


@algorithm(
    "Image.neighborhoodToArray(image: Image, kernel: Kernel, defaultValue: Float = 0.0) -> Image"
)
def neighborhood_to_array(image: Image, kernel: Kernel, default: float) -> Image:
    """Return the pixels under a kernel as an array of rows and columns, for each band.

    Masked pixels beside a pixel give the default value, clamped to the range of the band.
    """
    if kernel.name not in ("fixed", "rectangle", "square"):
        raise InvalidRequest(
            f"The kernel is a {kernel.name}; expected one that is fixed, a rectangle or a square."
        )

    def band_of(band: Band) -> Band:
        if band.type.dimensions:
            raise InvalidRequest(f"Band '{band.id}' has arrays; expected numbers.")
        fill = fitted(np.asarray(float(default)), band.type)
        if band.type.min is not None and band.type.max is not None:
            fill = np.clip(fill, band.type.min, band.type.max)
        gather = partial(_gathered, fill.astype(band.type.dtype))
        node = UnderKernel((band.node,), kernel, gather, lambda weights: weights.values.size)
        return replace(band, type=band.type.with_dimensions(2), node=node)

    return map_bands(image, band_of)


def _gathered(fill: NDArray[Any], weights: Weights, pixels: Pixels) -> Pixels:
    mask = windows.inner(pixels.mask, weights)
    if mask.size * weights.values.size * fill.itemsize > _MOST_ARRAY_BYTES:
        # The plan tries fewer pixels at once.
        raise out_of_memory()
    filled = np.where(pixels.mask > 0, pixels.values, fill).astype(fill.dtype)
    found = np.lib.stride_tricks.sliding_window_view(filled, weights.values.shape)
    return dense_pixels(np.ascontiguousarray(found), mask)
