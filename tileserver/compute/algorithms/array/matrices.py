"""Linear algebra of arrays of two dimensions.

Results are doubles, but products of whole numbers. A singular matrix has no inverse, and a matrix
with complex eigenvalues no eigenvectors: both are refused. Signs of eigenvectors and the parts of
decompositions are one of several that are right; the service's, by another library, may be others.
https://developers.google.com/earth-engine/guides/arrays_eigen_analysis
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.arrays import matrices
from tileserver.compute.registry import algorithm
from tileserver.compute.values.array import Array, array, joint_type
from tileserver.errors import InvalidRequest

Batch = NDArray[Any]


def _batch(source: Array) -> Batch:
    return source.values[np.newaxis]


def _only(found: matrices.Partial, refusal: str) -> Array:
    values, valid = found
    if not valid[0]:
        raise InvalidRequest(refusal)
    return array(values[0])


def _matrix_of(work: Callable[[Batch], Batch], source: Array) -> Array:
    return array(work(_batch(source))[0], source.type)


def _number_of(work: Callable[[Batch], Batch], source: Array) -> float:
    return float(work(_batch(source))[0])


SAME_TYPE: dict[str, tuple[Callable[[Batch], Batch], str]] = {
    "matrixDiagonal": (matrices.diagonal, "Return the diagonal of a matrix in a single column"),
    "matrixToDiag": (matrices.to_diagonal, "Return the diagonal matrix of a single column"),
}
"""Functions of a matrix to one of the same type, by Earth Engine's name."""
NUMBERS: dict[str, tuple[Callable[[Batch], Batch], str]] = {
    "matrixFnorm": (matrices.frobenius_norm, "Return the Frobenius norm of a matrix"),
    "matrixTrace": (matrices.trace, "Return the sum of the diagonal of a matrix"),
    "matrixDeterminant": (matrices.determinant, "Return the determinant of a square matrix"),
}
"""Functions of a matrix to a number."""
for _name, (_work, _does) in SAME_TYPE.items():
    algorithm(f"Array.{_name}(input: Array) -> Array", f"{_does}.")(partial(_matrix_of, _work))
for _name, (_work, _does) in NUMBERS.items():
    algorithm(f"Array.{_name}(input: Array) -> Number", f"{_does}.")(partial(_number_of, _work))


@algorithm("Array.matrixInverse(input: Array) -> Array")
def inverse(source: Array) -> Array:
    """Return the inverse of a square matrix; a singular one is refused."""
    return _only(matrices.inverse(_batch(source)), "The matrix is singular; it has no inverse.")


@algorithm("Array.matrixPseudoInverse(input: Array) -> Array")
def pseudo_inverse(source: Array) -> Array:
    """Return the Moore-Penrose pseudoinverse of a matrix."""
    return array(matrices.pseudo_inverse(_batch(source))[0])


@algorithm("Array.matrixMultiply(left: Array, right: Array) -> Array")
def multiply(left: Array, right: Array) -> Array:
    """Return the product of two matrices."""
    found = matrices.multiply(_batch(left), _batch(right))[0]
    is_whole = joint_type([left.type, right.type]).precision == "int"
    return array(found.astype(np.int64) if is_whole and _is_exact(found) else found)


def _is_exact(values: Batch) -> bool:
    return bool(np.abs(values).max(initial=0.0) < 2**53)


@algorithm("Array.matrixSolve(left: Array, right: Array) -> Array")
def solve(left: Array, right: Array) -> Array:
    """Return x of A x = B, the least-squares solution if A has more rows than columns.

    If A is singular or has fewer rows it is the shortest of the solutions.
    """
    return array(matrices.solve(_batch(left), _batch(right))[0])


@algorithm("Array.dotProduct(array1: Array, array2: Array) -> Number")
def dot_product(first: Array, second: Array) -> float:
    """Return the sum of the products of two arrays of one dimension."""
    if first.values.ndim != 1 or first.values.shape != second.values.shape:
        raise InvalidRequest(
            "Expected two arrays of 1 dimension and the same length, got lengths "
            f"{list(first.values.shape)} and {list(second.values.shape)}."
        )
    found = np.dot(first.values.astype(np.float64), second.values.astype(np.float64))
    is_whole = joint_type([first.type, second.type]).precision == "int"
    return int(found) if is_whole and abs(found) < 2**53 else float(found)


@algorithm("Array.eigen(input: Array) -> Array")
def eigen(source: Array) -> Array:
    """Return a row for each eigenvalue, in descending order: the value, then its vector."""
    return _only(
        matrices.eigen(_batch(source)), "The matrix has complex eigenvalues; expected real ones."
    )


@algorithm("Array.matrixCholeskyDecomposition(array: Array) -> Dictionary")
def cholesky(source: Array) -> dict[str, Array]:
    """Return L of A = L L', lower triangular, of a symmetric positive-definite matrix A."""
    found = matrices.cholesky(_batch(source))
    return {"L": _only(found, "The matrix must be symmetric and positive definite.")}


@algorithm("Array.matrixLUDecomposition(array: Array) -> Dictionary")
def lower_upper(source: Array) -> dict[str, Array]:
    """Return L, U and the permutation P of P A = L U, of a square matrix A."""
    return _named("LUP", matrices.lower_upper(_batch(source)))


@algorithm("Array.matrixQRDecomposition(array: Array) -> Dictionary")
def orthogonal_upper(source: Array) -> dict[str, Array]:
    """Return Q, square and orthogonal, and R, upper triangular, of A = Q R."""
    return _named("QR", matrices.orthogonal_upper(_batch(source)))


@algorithm("Array.matrixSingularValueDecomposition(array: Array) -> Dictionary")
def singular_values(source: Array) -> dict[str, Array]:
    """Return U, S and V of A = U S V', S diagonal with the singular values in descending order."""
    return _named("USV", matrices.singular_values(_batch(source)))


def _named(names: str, parts: tuple[Batch, ...]) -> dict[str, Array]:
    return {name: array(part[0]) for name, part in zip(names, parts, strict=True)}
