"""Polynomials of pixels, and spectral unmixing.

Shares of endmembers are the least-squares solution, by the pseudo-inverse, as Google's page of
Image.unmix says. With sumToOne they are the best that sum to 1, with nonNegative the best that are
zero or more; the page is silent on how, so the tests compare with SciPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.context import check_length
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.plain_values import number_in
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import check_size
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

_MOST_COEFFICIENTS = 1000
_MOST_ENDMEMBERS = 100
_LARGE = 1e3
"""Weight of the equation that shares sum to 1, beside the largest value of an endmember."""

Doubles = NDArray[np.float64]


@algorithm("Image.polynomial(image: Image, coefficients: List) -> Image")
def polynomial(image: Image, coefficients: list[Any]) -> Image:
    """Return a polynomial of each pixel; the coefficients begin with that of x to the power 0."""
    check_length(len(coefficients), _MOST_COEFFICIENTS, "coefficients")
    numbers = [float(number_in(each, "A coefficient")) for each in coefficients]
    if not numbers:
        raise InvalidRequest("Expected one coefficient or more.")

    def compute(pixels: Pixels) -> Pixels:
        x = pixels.values.astype(np.float64)
        found = np.full(x.shape, numbers[-1])
        for each in numbers[-2::-1]:
            check_time()
            found = found * x + each
        return Pixels(found, pixels.mask)

    return map_bands(
        image, lambda band: replace(band, type=DOUBLE, node=Apply(compute, (band.node,)))
    )


@algorithm(
    "Image.unmix(image: Image, endmembers: List, sumToOne: Boolean = false,"
    " nonNegative: Boolean = false) -> Image"
)
def unmix(image: Image, endmembers: list[Any], sums_to_one: bool, is_positive: bool) -> Image:
    """Return the share of each endmember in each pixel, in the bands band_0, band_1 and so on.

    An endmember is a list of a value for each band. A pixel is masked where one of its bands is.
    """
    spectra = _spectra(endmembers, len(image.bands))
    nodes = tuple(band.node for band in image.bands)

    def shares(*inputs: Pixels) -> Pixels:
        mask = np.minimum.reduce([each.mask for each in inputs])
        check_size((spectra.shape[1],), mask.size)
        pixels = np.stack([each.values.ravel().astype(np.float64) for each in inputs])
        found = _unmixed(spectra, pixels, sums_to_one, is_positive)
        return Pixels(np.moveaxis(found.reshape(-1, *mask.shape), 0, -1), mask)

    # All shares are computed once; each band takes its own.
    every = Apply(shares, nodes)
    return image.derived(_share(image.bands[0], every, i) for i in range(spectra.shape[1]))


def _share(band: Band, every: Apply, place: int) -> Band:
    def pick(pixels: Pixels) -> Pixels:
        return Pixels(pixels.values[..., place], pixels.mask)

    return replace(band, id=f"band_{place}", type=DOUBLE, node=Apply(pick, (every,)))


def _spectra(endmembers: Sequence[Any], bands: int) -> Doubles:
    """Return endmembers as columns, shape (bands, endmembers)."""
    check_length(len(endmembers), _MOST_ENDMEMBERS, "endmembers")
    if not endmembers or not bands:
        raise InvalidRequest("Expected one endmember or more, and an image with bands.")
    for each in endmembers:
        if not isinstance(each, list | tuple) or len(each) != bands:
            raise InvalidRequest(
                f"Each endmember must be a list of {bands} numbers, one a band; got {shown(each)}."
            )
        for value in each:
            number_in(value, "A value of an endmember")
    return np.array(endmembers, dtype=np.float64).T


def _unmixed(spectra: Doubles, pixels: Doubles, sums_to_one: bool, is_positive: bool) -> Doubles:
    """Return shares, shape (endmembers, count), of pixels of shape (bands, count)."""
    pixels = np.nan_to_num(pixels)
    if sums_to_one and is_positive:
        weight = _LARGE * max(1.0, float(np.abs(spectra).max()))
        spectra = np.vstack([spectra, np.full((1, spectra.shape[1]), weight)])
        pixels = np.vstack([pixels, np.full((1, pixels.shape[1]), weight)])
        return _not_negative(spectra, pixels)
    if is_positive:
        return _not_negative(spectra, pixels)
    if sums_to_one:
        return _summing_to_one(spectra, pixels)
    found: Doubles = np.linalg.pinv(spectra) @ pixels
    return found


def _summing_to_one(spectra: Doubles, pixels: Doubles) -> Doubles:
    """Return the least-squares shares that sum to 1, by a Lagrange multiplier."""
    count = spectra.shape[1]
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = spectra.T @ spectra
    system[count, count] = 0
    right = np.vstack([spectra.T @ pixels, np.ones((1, pixels.shape[1]))])
    found: Doubles = (np.linalg.pinv(system, hermitian=True) @ right)[:count]
    return found


def _not_negative(spectra: Doubles, pixels: Doubles) -> Doubles:
    """Return the least-squares shares that are zero or more, of all pixels at once.

    The method of Lawson and Hanson with blocks: pixels with the same set of positive shares are
    solved together (fast combinatorial non-negative least squares, Van Benthem and Keenan 2004).
    """
    gram, right = spectra.T @ spectra, spectra.T @ pixels
    found = np.zeros_like(right)
    positive = np.zeros(right.shape, bool)
    tolerance = 1e-13 * max(1.0, float(np.abs(right).max(initial=0.0)))
    unsolved = np.ones(right.shape[1], bool)
    for _ in range(10 * len(gram)):
        check_time()
        slope = right - gram @ found
        wanting = np.where(positive, -np.inf, slope)
        unsolved &= wanting.max(axis=0) > tolerance
        rows = np.flatnonzero(unsolved)
        if not len(rows):
            break
        positive[wanting[:, rows].argmax(axis=0), rows] = True
        _solve_inside(gram, right, found, positive, rows)
    return found


def _solve_inside(
    gram: Doubles, right: Doubles, found: Doubles, positive: NDArray[np.bool_], rows: NDArray[Any]
) -> None:
    """Solve for the positive shares of some pixels; those that would be negative become zero."""
    for _ in range(10 * len(gram)):
        trial = _solved(gram, right[:, rows], positive[:, rows])
        negative = positive[:, rows] & (trial <= 0)
        is_bad = negative.any(axis=0)
        found[:, rows[~is_bad]] = trial[:, ~is_bad]
        rows, trial, negative = rows[is_bad], trial[:, is_bad], negative[:, is_bad]
        if not len(rows):
            return
        old = found[:, rows]
        step = np.where(negative, old / np.maximum(old - trial, 1e-300), np.inf).min(axis=0)
        moved = old + step * (trial - old)
        dropped = negative & (moved <= 1e-12 * np.maximum(1.0, np.abs(old).max(axis=0)))
        dropped |= negative & (old <= 0)
        positive[:, rows] &= ~dropped
        found[:, rows] = np.where(positive[:, rows], moved, 0.0)


def _solved(gram: Doubles, right: Doubles, positive: NDArray[np.bool_]) -> Doubles:
    """Return the least-squares solutions over the positive shares, zero for the others."""
    found = np.zeros_like(right)
    sets, inverse = np.unique(positive, axis=1, return_inverse=True)
    for place in range(sets.shape[1]):
        check_time()
        inside, rows = sets[:, place], np.flatnonzero(inverse.ravel() == place)
        if inside.any():
            part = np.linalg.pinv(gram[np.ix_(inside, inside)], hermitian=True)
            found[np.ix_(inside, rows)] = part @ right[np.ix_(inside, rows)]
    return found
