"""Convolution, and reducers of the pixels under a kernel.

A kernel is laid over the pixels as it is printed, without a turn by 180 degrees. Decided where
Google is silent:

- Masked pixels count in no sum. `convolve` then scales the weights of the others to the sum of
  all; with weights of both signs, whose sum may be zero, it masks the pixel instead. It masks
  where the pixel itself is masked.
- Of the statistics, sum, mean, variance and standard deviation are weighted by the kernel, the
  mask or the smaller of both; a sample's variance takes the effective number of weights, their
  squared sum over the sum of their squares. Extremes, counts, medians, modes and all others take
  each unmasked pixel whose weight in the kernel is not zero once.
- NaN is like a masked pixel in extremes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.arithmetic import fitted
from tileserver.compute.context import Context, check_length
from tileserver.compute.nodes import Node, Pixels
from tileserver.compute.pixels import windows
from tileserver.compute.pixels.neighbourhoods import Around, UnderKernel
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.kernel import Kernel, Weights
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.compute.values.reducer import Output, Reducer, spread
from tileserver.errors import InvalidRequest, shown

_MOST_BANDS = 5000
_INPUT_WEIGHTS = ("mask", "kernel", "min")
_SORTED = 8
"""Steps that a value costs in a stack."""

Numbers = NDArray[np.float64]


@algorithm("Image.convolve(image: Image, kernel: Kernel) -> Image")
def convolve(image: Image, kernel: Kernel) -> Image:
    """Return each band's sum of the pixels under a kernel, times its weights."""

    def band_of(band: Band) -> Band:
        node = UnderKernel((band.node,), kernel, _convolved, count_of)
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
        presence = Weights((weights.values != 0) * 1.0, weights.x, weights.y)
        hidden = windows.weighted_sum(np.where(shown_, 0.0, 1.0), presence) > 0.5
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
    # A combined reducer's outputs have other names than its parts.
    kinds = [each.name for each in reducer.outputs]
    return image.derived(
        reduced(
            [image.bands[place] for place in output.takes],
            output,
            kernel,
            kinds[number % len(kinds)],
            weighting,
            skips_masked,
        )
        for number, output in enumerate(outputs)
    )


def reduced(
    bands: Sequence[Band],
    output: Output,
    kernel: Kernel,
    kind: str,
    weighting: str = "kernel",
    skips_masked: bool = False,
) -> Band:
    """Return a band of one output of a reducer for the pixels under a kernel.

    Args:
        bands: those that the output takes.
        output: the result, under the name of the new band.
        kernel: chooses and weighs the pixels.
        kind: the reducer's own name for the output, such as mean.
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
    reduction = _reduction(output, kind, weighting) if len(bands) == 1 else _stacked(output)

    def reduce(weights: Weights, *inputs: Pixels) -> Pixels:
        mask = np.minimum.reduce([pixels.mask for pixels in inputs])
        values, valid = reduction(weights, [pixels.values for pixels in inputs], mask)
        if skips_masked:
            return Pixels(fitted(values, found), windows.inner(mask, weights) * valid)
        return Pixels(fitted(values, found), valid.astype(np.float32))

    work = _WORK.get(kind, sorted_work) if len(bands) == 1 else sorted_work
    node = UnderKernel(tuple(band.node for band in bands), kernel, reduce, work)
    return Band(output.name, found, bands[0].projection, bands[0].extent, node)


Reduction = Callable[
    [Weights, Sequence[NDArray[Any]], NDArray[np.float32]],
    tuple[NDArray[Any], NDArray[np.bool_]],
]
"""Values and validity of a piece, from weights, values and the mask with margins."""


def sorted_work(weights: Weights) -> int:
    """Return the work of a stack of the pixels under a kernel."""
    return _SORTED * count_of(weights)


def _reduction(output: Output, kind: str, weighting: str) -> Reduction:
    if kind in ("min", "max"):
        return partial(_extreme, is_max=kind == "max")
    if kind in _MOMENTS:
        return partial(_moments, kind=kind, weighting=weighting)
    return _count if kind == "count" else _stacked(output)


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
    presence = Weights((weights.values != 0) * 1.0, weights.x, weights.y)
    found = np.rint(windows.weighted_sum((mask > 0).astype(np.float64), presence))
    return found, found > 0


def _stacked(output: Output) -> Reduction:
    """Return the reduction of stacks of all pixels under the kernel."""
    reduce_stacks = output.reduce_stacks
    assert reduce_stacks is not None

    def reduce(stacks: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        values, valid = reduce_stacks(stacks[:-1], stacks[-1])
        return [np.asarray(values), np.asarray(valid)]

    def reduction(
        weights: Weights, arrays: Sequence[NDArray[Any]], mask: NDArray[np.float32]
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if not weights.values.any():
            shape = windows.inner_shape(mask, weights)
            return np.zeros(shape), np.zeros(shape, bool)
        values, valid = windows.by_stacks([*arrays, mask > 0], weights, reduce)
        return values, valid

    return reduction


_MOMENTS = ("sum", "mean", "variance", "stdDev", "sampleVariance", "sampleStdDev")
_WORK: dict[str, Callable[[Weights], int]] = dict.fromkeys((*_MOMENTS, "min", "max"), count_of)
_WORK["count"] = count_of


def _moments(
    weights: Weights,
    arrays: Sequence[NDArray[Any]],
    mask: NDArray[np.float32],
    kind: str,
    weighting: str,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return a statistic that follows from weighted sums of powers."""
    values = np.where(mask > 0, arrays[0], 0).astype(np.float64)
    sum_of = partial(_SUMS[weighting], mask.astype(np.float64), weights)
    total = sum_of(np.ones(values.shape))
    valid = windows.is_present(total, weights) if weighting == "kernel" else total > 0
    if kind == "sum":
        return sum_of(values), valid
    with np.errstate(all="ignore"):
        mean = sum_of(values) / total
        if kind == "mean":
            return mean, valid
        return _spread(values, mean, total, sum_of, kind, valid)


def _spread(
    values: Numbers,
    mean: Numbers,
    total: Numbers,
    sum_of: Callable[..., Numbers],
    kind: str,
    valid: NDArray[np.bool_],
) -> tuple[Numbers, NDArray[np.bool_]]:
    found = np.maximum(sum_of(values**2) / total - mean**2, 0)
    if kind.startswith("sample"):
        number = total**2 / sum_of(np.ones(values.shape), power=2)
        found *= number / (number - 1)
        valid = valid & (number > 1 + 1e-9)
    return np.sqrt(found) if kind.endswith("tdDev") else found, valid


def _by_kernel(mask: Numbers, weights: Weights, values: Numbers, power: int = 1) -> Numbers:
    powered = Weights(weights.values**power, weights.x, weights.y)
    return windows.weighted_sum(values * (mask > 0), powered)


def _by_mask(mask: Numbers, weights: Weights, values: Numbers, power: int = 1) -> Numbers:
    presence = Weights((weights.values != 0) * 1.0, weights.x, weights.y)
    return windows.weighted_sum(values * mask**power, presence)


def _by_smaller(mask: Numbers, weights: Weights, values: Numbers, power: int = 1) -> Numbers:
    found = np.zeros(windows.inner_shape(mask, weights))
    pairs = zip(windows.shifted(mask, weights), windows.shifted(values, weights), strict=True)
    for (opacity, weight), (view, _) in pairs:
        found += np.minimum(opacity, weight) ** power * view
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
            node = _moved(band.node, column, row, weights)
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
