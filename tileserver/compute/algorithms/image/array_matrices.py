"""Linear algebra of the matrices in an image's pixels.

Results are doubles, but diagonals. A pixel is masked where there is no result: where a matrix is
singular, or not symmetric and positive definite.
https://developers.google.com/earth-engine/guides/arrays_array_images
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tileserver.compute.algorithms.array.matrices import NUMBERS, SAME_TYPE
from tileserver.compute.algorithms.image.arithmetic import paired, place_of
from tileserver.compute.algorithms.image.array_bands import changed, checked_arrays, placed
from tileserver.compute.arrays import matrices
from tileserver.compute.arrays.storage import Batch, applied
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, map_bands
from tileserver.compute.values.pixel_type import DOUBLE, PixelType
from tileserver.errors import InvalidRequest

_MATRIX = DOUBLE.with_dimensions(2)


Rule = Callable[[PixelType], PixelType]


def _of_each(work: Callable[[Batch], Any], rule: Rule, image: Image) -> Image:
    """Return each band passed through a function of its matrices."""
    return map_bands(image, lambda band: changed(_matrices(band), work, rule(band.type)))


def _matrices(band: Band) -> Band:
    """Return a band; raise InvalidRequest unless it has arrays of two dimensions."""
    if checked_arrays(band).type.dimensions != 2:
        raise InvalidRequest(
            f"Band '{band.id[:80]}' has arrays of {band.type.dimensions} dimensions; expected "
            "matrices, arrays of 2 dimensions."
        )
    return band


_RESULTS: dict[str, tuple[Callable[[Batch], Any], Rule, str]] = {
    **{name: (work, lambda t: t, does) for name, (work, does) in SAME_TYPE.items()},
    **{name: (work, lambda t: DOUBLE, does) for name, (work, does) in NUMBERS.items()},
    "matrixInverse": (
        matrices.inverse,
        lambda t: _MATRIX,
        "Return the inverse of a matrix, masked where it is singular",
    ),
    "matrixPseudoInverse": (
        matrices.pseudo_inverse,
        lambda t: _MATRIX,
        "Return the Moore-Penrose pseudoinverse of a matrix",
    ),
}
for _name, (_work, _rule, _does) in _RESULTS.items():
    algorithm(f"Image.{_name}(value: Image) -> Image", f"{_does}, for each pixel and band.")(
        partial(_of_each, _work, _rule)
    )


def _joined(
    work: Callable[[Batch, Batch], Any],
    check: Callable[[Band], Band],
    type_: PixelType,
    first: Image,
    second: Image,
) -> Image:
    """Return two images' bands joined by a function of their arrays, as in arithmetic."""
    leads = second if len(second.bands) > len(first.bands) else first

    def join(a: Band, b: Band) -> Band:
        check(a), check(b)
        node = Apply(lambda x, y: applied([x, y], work, type_), (a.node, b.node))
        return placed(b if leads is second else a, (a, b), type_, node)

    return Image(tuple(join(a, b) for a, b in paired(first, second)), place_of(first))


algorithm(
    "Image.matrixMultiply(image1: Image, image2: Image) -> Image",
    "Return the matrix products of two images, band by band.",
)(partial(_joined, matrices.multiply, _matrices, _MATRIX))
algorithm(
    "Image.matrixSolve(image1: Image, image2: Image) -> Image",
    "Return x of A x = B, the least-squares solution if A has more rows than columns, the shortest "
    "one if A is singular.",
)(partial(_joined, matrices.solve, _matrices, _MATRIX))


def _vectors(band: Band) -> Band:
    if checked_arrays(band).type.dimensions != 1:
        raise InvalidRequest(
            f"Band '{band.id[:80]}' has arrays of {band.type.dimensions} dimensions; expected 1."
        )
    return band


def _dot(x: Batch, y: Batch) -> Batch:
    if x.shape[1] != y.shape[1]:
        raise InvalidRequest(f"Arrays of length {x.shape[1]} and {y.shape[1]} have no product.")
    return np.asarray(np.einsum("ij,ij->i", x.astype(np.float64), y.astype(np.float64)))


algorithm(
    "Image.arrayDotProduct(image1: Image, image2: Image) -> Image",
    "Return the sums of the products of two images' arrays of one dimension, band by band.",
)(partial(_joined, _dot, _vectors, DOUBLE))


def _parts(names: str, work: Callable[[Batch], Sequence[Any]], image: Image) -> Image:
    """Return the parts of a decomposition as bands; raise InvalidRequest for several bands."""
    if len(image.bands) != 1:
        raise InvalidRequest(f"Expected an image of one band, got {len(image.bands)}.")
    band = _matrices(image.bands[0])

    def part(place: int) -> Band:
        def compute(pixels: Pixels) -> Pixels:
            return applied([pixels], lambda batch: work(batch)[place], _MATRIX)

        return replace(band, id=names[place], type=_MATRIX, node=Apply(compute, (band.node,)))

    return image.derived(part(place) for place in range(len(names)))


_DECOMPOSITIONS: dict[str, tuple[str, Callable[[Batch], Sequence[Any]], str]] = {
    "Cholesky": (
        "L",
        lambda batch: [matrices.cholesky(batch)],
        "L of A = L L', lower triangular; masked unless A is symmetric and positive definite",
    ),
    "LU": ("LUP", matrices.lower_upper, "L, U and the permutation P of P A = L U"),
    "QR": (
        "QR",
        matrices.orthogonal_upper,
        "Q, square and orthogonal, and R, upper triangular, of A = Q R",
    ),
    "SingularValue": (
        "USV",
        matrices.singular_values,
        "U, S and V of A = U S V', S with the singular values in descending order",
    ),
}
for _name, (_bands, _decompose, _does) in _DECOMPOSITIONS.items():
    algorithm(f"Image.matrix{_name}Decomposition(image: Image) -> Image", f"Return {_does}.")(
        partial(_parts, _bands, _decompose)
    )
