"""Linear algebra of arrays is NumPy's and SciPy's, and as Google's page of eigen states it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

A = np.array([[4.0, 1.0, 2.0], [1.0, 5.0, 3.0], [2.0, 3.0, 6.0]])
TALL = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 4.0], [1.0, 7.0]])
RIGHT = np.array([[1.0], [3.0], [4.0], [9.0]])
ROOT = np.sqrt(0.5)


def operations(ee: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return computations, and NumPy's."""
    a, tall, right = ee.Array(A.tolist()), ee.Array(TALL.tolist()), ee.Array(RIGHT.tolist())
    return {
        "matrixDiagonal": (a.matrixDiagonal(), np.diag(A)[:, np.newaxis]),
        "matrixToDiag": (right.matrixToDiag(), np.diag(RIGHT[:, 0])),
        "matrixInverse": (a.matrixInverse(), np.linalg.inv(A)),
        "matrixPseudoInverse": (tall.matrixPseudoInverse(), scipy.linalg.pinv(TALL)),
        "matrixFnorm": (a.matrixFnorm(), np.linalg.norm(A)),
        "matrixTrace": (a.matrixTrace(), np.trace(A)),
        "matrixDeterminant": (a.matrixDeterminant(), np.linalg.det(A)),
        "matrixMultiply": (a.matrixMultiply(a), A @ A),
        "matrixMultiply: whole": (ee.Array([[1, 2]]).matrixMultiply([[3], [4]]), [[11]]),
        "matrixSolve": (a.matrixSolve(right.slice(0, 0, 3)), np.linalg.solve(A, RIGHT[:3])),
        "matrixSolve: overdetermined": (
            tall.matrixSolve(right),
            np.linalg.lstsq(TALL, RIGHT, rcond=None)[0],
        ),
        "matrixSolve: singular": (
            ee.Array([[1, 2], [2, 4]]).matrixSolve([[1], [2]]),
            np.linalg.lstsq(np.array([[1, 2], [2, 4]]), np.array([[1], [2]]), rcond=None)[0],
        ),
        "matrixSolve: underdetermined": (
            ee.Array([[1, 2, 3]]).matrixSolve([[6]]),
            np.linalg.lstsq(np.array([[1, 2, 3]]), np.array([[6]]), rcond=None)[0],
        ),
        "matrixTranspose": (tall.matrixTranspose(), TALL.T),
        "cholesky": (a.matrixCholeskyDecomposition().get("L"), np.linalg.cholesky(A)),
        "singular values": (
            tall.matrixSingularValueDecomposition().get("S"),
            np.diag(scipy.linalg.svdvals(TALL)),
        ),
        "eigen: values": (
            a.eigen().slice(1, 0, 1).project([0]),
            np.linalg.eigvalsh(A)[::-1],
        ),
    }


def test_operations_are_numpys(ee: ModuleType, evaluator: Evaluator) -> None:
    for name, (built, expected) in operations(ee).items():
        found = evaluator.value(built)
        assert np.shape(found) == np.shape(expected), name
        assert np.allclose(found, expected), name


def test_decompositions_multiply_to_the_matrix(ee: ModuleType, evaluator: Evaluator) -> None:
    a, tall = ee.Array((A[::-1] + 1).tolist()), ee.Array(TALL.tolist())
    found = evaluator.value(a.matrixLUDecomposition())
    low, up, swap = (np.array(found[name]) for name in "LUP")
    assert np.allclose(swap @ (A[::-1] + 1), low @ up)
    assert np.allclose(np.diag(low), 1)
    assert np.allclose(np.triu(low, 1), 0)
    found = evaluator.value(tall.matrixQRDecomposition())
    q, r = np.array(found["Q"]), np.array(found["R"])
    assert np.allclose(q @ r, TALL)
    assert np.allclose(q @ q.T, np.eye(4))
    assert np.allclose(np.tril(r, -1), 0)
    found = evaluator.value(tall.matrixSingularValueDecomposition())
    u, s, v = (np.array(found[name]) for name in "USV")
    assert np.allclose(u @ s @ v.T, TALL)


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[1, 0], [0, 0]], [[1, 1, 0], [0, 0, 1]]),
        ([[0, 0], [0, 1]], [[1, 0, 1], [0, 1, 0]]),
        ([[1, 0], [0, 1]], [[1, 1, 0], [1, 0, 1]]),
        ([[0, 1], [1, 0]], [[1, ROOT, ROOT], [-1, ROOT, -ROOT]]),
        ([[1, 1], [1, 1]], [[2, ROOT, ROOT], [0, ROOT, -ROOT]]),
        ([[1, 1], [0, 0]], [[1, 1, 0], [0, -ROOT, ROOT]]),
        ([[2, 0, 0], [0, 3, 0], [0, 0, 4]], [[4, 0, 0, 1], [3, 0, 1, 0], [2, 1, 0, 0]]),
        ([[1, 0, 0], [0, 0, 0], [0, 0, 0]], [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_eigenvectors_are_as_googles_page_states_them(
    ee: ModuleType, evaluator: Evaluator, matrix: Any, expected: Any
) -> None:
    assert np.allclose(evaluator.value(ee.Array(matrix).eigen()), expected)


REFUSED: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "inverse": (lambda ee: ee.Array([[1, 2], [2, 4]]).matrixInverse(), "singular"),
    "eigen": (lambda ee: ee.Array([[0, -1], [1, 0]]).eigen(), "complex eigenvalues"),
    "square": (lambda ee: ee.Array([[1, 2]]).matrixDeterminant(), r"square, got \[1, 2\]"),
    "cholesky": (
        lambda ee: ee.Array([[1, 2], [2, 1]]).matrixCholeskyDecomposition(),
        "positive definite",
    ),
    "multiply": (lambda ee: ee.Array([[1, 2]]).matrixMultiply([[1, 2]]), "2 columns"),
    "vectors": (lambda ee: ee.Array([1]).matrixInverse(), "Expected matrices"),
    "products": (
        lambda ee: ee.Array([[1]]).repeat(0, 4000).matrixMultiply(ee.Array([[1]]).repeat(1, 4000)),
        "User memory limit exceeded",
    ),
    "sides": (lambda ee: ee.Array.identity(1500).matrixInverse(), "User memory limit exceeded"),
    "dotProduct": (lambda ee: ee.Array([1]).dotProduct([[1]]), "Expected two arrays of 1"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_matrices_are_refused(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    built, message = REFUSED[name]
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(built(ee))
