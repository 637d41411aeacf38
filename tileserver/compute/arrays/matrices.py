"""Linear algebra on batches of matrices, of shape (count, rows, columns), with NumPy and SciPy.

A result that some matrices of a batch do not have, such as the inverse of a singular one, comes
with the places where it is: values are zero elsewhere. Everything is computed in doubles.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.budget import out_of_memory
from tileserver.compute.values.array import check_size
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest

Batch: TypeAlias = NDArray[Any]
Partial: TypeAlias = tuple[Batch, NDArray[np.bool_]]
"""A batch, and which of its arrays there are; shape (count,)."""

_MAX_SIDE = 500
_MAX_OPERATIONS = 2_000_000_000
"""Multiplications of one product, a second or two."""
_PIECE_OPERATIONS = 400_000_000
"""Operations of one call of a library, a few tenths of a second."""
_CALL_OPERATIONS = 20_000
"""What a small matrix costs at least, in such operations."""

F = TypeVar("F", bound=Callable[..., Any])


def as_matrices(batch: Batch) -> Batch:
    """Return matrices of doubles; raise InvalidRequest for arrays of other dimensions."""
    if batch.ndim != 3:
        raise InvalidRequest(
            f"Expected matrices, arrays of 2 dimensions; got {batch.ndim - 1} dimensions."
        )
    return batch.astype(np.float64, copy=False)


def _square(batch: Batch) -> Batch:
    found = as_matrices(batch)
    if found.shape[1] != found.shape[2]:
        raise InvalidRequest(f"The matrix must be square, got {list(found.shape[1:])}.")
    return found


def _bounded(batch: Batch) -> Batch:
    """Return matrices to decompose; raise InvalidRequest if that takes too long."""
    if max(batch.shape[1:]) > _MAX_SIDE:
        raise out_of_memory()
    check_time()
    if not np.isfinite(batch).all():
        raise InvalidRequest("The matrix must have finite values.")
    return batch


def _in_pieces(work: F) -> F:
    """Return a function of one or two batches that works on a part of them at a time.

    The time is checked between parts.
    """

    @wraps(work)
    def call(*batches: Batch) -> Any:
        count = max(len(each) for each in batches)
        operations = _CALL_OPERATIONS + 20 * math.prod(batches[0].shape[1:]) * min(
            batches[0].shape[1:], default=1
        )
        step = max(1, _PIECE_OPERATIONS // operations)
        if count <= step:
            return work(*batches)
        found = [
            work(*(each if len(each) == 1 else each[i : i + step] for each in batches))
            for i in range(0, count, step)
        ]
        if isinstance(found[0], tuple):
            return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))
        return np.concatenate(found)

    return cast("F", call)


def diagonal(batch: Batch) -> Batch:
    """Return the diagonals, each as a single column."""
    return np.diagonal(as_matrices(batch), axis1=1, axis2=2)[..., np.newaxis]


def to_diagonal(batch: Batch) -> Batch:
    """Return the square matrices that have single columns as their diagonals."""
    columns = as_matrices(batch)
    if columns.shape[2] != 1:
        raise InvalidRequest(f"Expected a single column, got {columns.shape[2]}.")
    size = columns.shape[1]
    check_size((size, size), len(batch))
    return columns * np.eye(size)


def trace(batch: Batch) -> Batch:
    """Return the sums of the diagonals, shape (count,)."""
    return np.asarray(np.trace(as_matrices(batch), axis1=1, axis2=2))


def frobenius_norm(batch: Batch) -> Batch:
    """Return the roots of the sums of all squares, shape (count,)."""
    found: Batch = np.sqrt((as_matrices(batch) ** 2).sum(axis=(1, 2)))
    return found


@_in_pieces
def determinant(batch: Batch) -> Batch:
    """Return the determinants, shape (count,)."""
    return np.asarray(np.linalg.det(_bounded(_square(batch))))


def multiply(left: Batch, right: Batch) -> Batch:
    """Return the matrix products."""
    a, b = as_matrices(left), as_matrices(right)
    if a.shape[2] != b.shape[1]:
        raise InvalidRequest(
            f"The left matrix has {a.shape[2]} columns, the right one {b.shape[1]} rows; "
            "expected as many."
        )
    count = max(len(a), len(b))
    check_size((a.shape[1], b.shape[2]), count)
    if count * a.shape[1] * a.shape[2] * b.shape[2] > _MAX_OPERATIONS:
        raise out_of_memory()
    check_time()
    found: Batch = a @ b
    return found


@_in_pieces
def pseudo_inverse(batch: Batch) -> Batch:
    """Return the Moore-Penrose inverses."""
    matrices = _bounded(as_matrices(batch))
    if 0 in matrices.shape[1:]:
        return np.swapaxes(matrices, 1, 2)
    return np.linalg.pinv(matrices)


@_in_pieces
def inverse(batch: Batch) -> Partial:
    """Return the inverses, of those that are not singular."""
    matrices = _bounded(_square(batch))
    return _where_possible(lambda x: np.linalg.inv(x), matrices)


@_in_pieces
def solve(left: Batch, right: Batch) -> Batch:
    """Return x of A x = B, of an A with more rows than columns the least-squares solution.

    Where A is singular, or has fewer rows, it is the shortest of the solutions, by the
    pseudo-inverse: guides/arrays_transformations has it that there is one for any A.
    """
    a, b = _bounded(as_matrices(left)), _bounded(as_matrices(right))
    if a.shape[1] != b.shape[1]:
        raise InvalidRequest(f"A has {a.shape[1]} rows, B {b.shape[1]}; expected as many.")
    if a.shape[1] < a.shape[2]:
        return multiply(pseudo_inverse(a), b)
    if a.shape[1] > a.shape[2]:
        q, a = np.linalg.qr(a)
        b = np.swapaxes(q, 1, 2) @ b
    count = max(len(a), len(b))
    a, b = (np.broadcast_to(each, (count, *each.shape[1:])) for each in (a, b))
    values, sound = _where_possible(np.linalg.solve, a, b)
    if not sound.all():
        values[~sound] = np.linalg.pinv(a[~sound]) @ b[~sound]
    return values


def _where_possible(work: Callable[..., Batch], *batches: Batch) -> Partial:
    """Return results where the first matrices are not singular to the precision of doubles."""
    first = batches[0]
    size = first.shape[1]
    if not size:
        return work(*batches), np.ones(len(first), bool)
    scale = np.abs(first).max(axis=(1, 2), keepdims=True)
    sound = (scale > 0)[:, 0, 0]
    ranks = np.linalg.matrix_rank(first / np.where(scale > 0, scale, 1))
    sound &= ranks == size
    found = work(*(each[sound] for each in batches))
    values = np.zeros((len(first), *found.shape[1:]))
    values[sound] = found
    return values, sound


@_in_pieces
def cholesky(batch: Batch) -> Partial:
    """Return the lower triangles L of L L', of those that are symmetric and positive definite."""
    matrices = _bounded(_square(batch))
    tolerance = 1e-9 * np.abs(matrices).max(axis=(1, 2), initial=0.0, keepdims=True)
    transposed = np.swapaxes(matrices, 1, 2)
    sound = (np.abs(matrices - transposed) <= tolerance).all(axis=(1, 2))
    sound[sound] = (np.linalg.eigvalsh(matrices[sound]) > 0).all(axis=1)
    values = np.zeros(matrices.shape)
    values[sound] = np.linalg.cholesky(matrices[sound])
    return values, sound


@_in_pieces
def lower_upper(batch: Batch) -> tuple[Batch, Batch, Batch]:
    """Return L, U and P of P A = L U, with ones in the diagonal of L."""
    import scipy.linalg

    matrices = _bounded(_square(batch))
    if not matrices.shape[1]:
        return matrices, matrices, matrices
    permutation, lower, upper = scipy.linalg.lu(matrices)
    return lower, upper, np.swapaxes(permutation, 1, 2)


@_in_pieces
def orthogonal_upper(batch: Batch) -> tuple[Batch, Batch]:
    """Return Q and R of A = Q R: Q square and orthogonal, R with zeros below its diagonal."""
    matrices = _bounded(as_matrices(batch))
    check_size((matrices.shape[1], matrices.shape[1]), len(matrices))
    found = np.linalg.qr(matrices, mode="complete")
    return found.Q, found.R


@_in_pieces
def singular_values(batch: Batch) -> tuple[Batch, Batch, Batch]:
    """Return U, S and V of A = U S V', S square with the singular values in descending order."""
    matrices = _bounded(as_matrices(batch))
    u, s, v = np.linalg.svd(matrices, full_matrices=False)
    return u, s[:, :, np.newaxis] * np.eye(s.shape[1]), np.swapaxes(v, 1, 2)


@_in_pieces
def eigen(batch: Batch) -> Partial:
    """Return a row an eigenvalue, in descending order: the value, then its vector of length 1.

    There are none where eigenvalues are complex. Signs: see `_signed`.
    """
    matrices = _bounded(_square(batch))
    transposed = np.swapaxes(matrices, 1, 2)
    if np.allclose(matrices, transposed, rtol=1e-12, atol=0):
        values, vectors = np.linalg.eigh(matrices)
        vectors = _signed(matrices, vectors)
        sound = np.ones(len(matrices), bool)
    else:
        complex_values, complex_vectors = np.linalg.eig(matrices)
        values, vectors = complex_values.real, complex_vectors.real
        sound = (np.abs(np.imag(complex_values)) < 1e-9).all(axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    rows = np.take_along_axis(np.swapaxes(vectors, 1, 2), order[:, :, np.newaxis], axis=1)
    return np.concatenate([values[:, :, np.newaxis], rows], axis=2), sound


def _signed(matrices: Batch, vectors: Batch) -> Batch:
    """Return eigenvectors, in columns, with signs as in the examples of Google's Array.eigen.

    The first number of each vector that is not zero is positive for diagonal matrices, and for
    those of two rows unless the second number in the diagonal is the greater; else it is negative.
    """
    size = matrices.shape[1]
    if not size:
        return vectors
    is_diagonal = np.count_nonzero(matrices * (1 - np.eye(size)), axis=(1, 2)) == 0
    is_positive = is_diagonal
    if size == 2:
        is_positive = is_diagonal | (matrices[:, 0, 0] >= matrices[:, 1, 1])
    at = (np.abs(vectors) > 1e-9).argmax(axis=1)
    leading = np.sign(np.take_along_axis(vectors, at[:, np.newaxis], axis=1))
    wanted = np.where(is_positive, 1.0, -1.0)[:, np.newaxis, np.newaxis]
    signed: Batch = vectors * np.where(leading == 0, 1.0, leading) * wanted + 0.0
    return signed
