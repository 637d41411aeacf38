"""Texture: SciPy's entropy, and scikit-image's tables of co-occurrence."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from skimage.feature import graycomatrix, graycoprops

from tests.compute.conftest import GRID, HEIGHTS, HOLES, SIDE, Evaluator, hole_values
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

LEVELS = 6
HIDDEN = hole_values() == -9999
VALUES = np.where(HIDDEN, 0, hole_values() % LEVELS)
OFFSETS = ((-1, -1), (0, -1), (1, -1), (-1, 0))
NAMES = (
    *("asm", "contrast", "corr", "var", "idm", "savg", "svar", "sent", "ent", "dvar", "dent"),
    *("imcorr1", "imcorr2", "maxcorr", "diss", "inertia", "shade", "prom"),
)
PLACES = [(20, 30), (41, 11), (33, 52)]


def levels(ee: ModuleType) -> Any:
    """Return an image of few levels without gaps."""
    return ee.Image(HOLES).mod(LEVELS).unmask(0, False).toUint8()


@pytest.mark.parametrize("radius", [1, 2])
def test_entropy_is_scipys(ee: ModuleType, evaluator: Evaluator, radius: int) -> None:
    built = ee.Image(HOLES).mod(LEVELS).entropy(ee.Kernel.square(radius))
    found = evaluator.masked(built)["b1"]
    assert (np.ma.getmaskarray(found) == HIDDEN).all()
    for row, column in PLACES:
        around = (
            slice(row - radius, row + radius + 1),
            slice(column - radius, column + radius + 1),
        )
        under = VALUES[around][~HIDDEN[around]]
        counts = np.unique(under, return_counts=True)[1]
        if not HIDDEN[row, column]:
            assert found[row, column] == pytest.approx(stats.entropy(counts, base=2))


def table_of(window: NDArray[Any], column: int, row: int) -> NDArray[np.float64]:
    """Return the table of co-occurrence of a window, its sum 1."""
    distance = max(abs(column), abs(row))
    turn = {(-1, -1): 3, (0, -1): 2, (1, -1): 1, (-1, 0): 0}[column // distance, row // distance]
    made = graycomatrix(  # type: ignore[no-untyped-call]
        window.astype(np.uint8), [distance], [turn * np.pi / 4], LEVELS, symmetric=True, normed=True
    )
    found: NDArray[np.float64] = made[:, :, 0, 0]
    return found


def entropy_of(shares: NDArray[np.float64]) -> float:
    return float(stats.entropy(shares.ravel()))


def measures_of(p: NDArray[np.float64]) -> dict[str, float]:
    """Return the measures by their definitions, from a table."""
    i, j = np.mgrid[:LEVELS, :LEVELS]
    px = p.sum(axis=1)
    mu = (i * p).sum()
    sums = np.array([p[i + j == k].sum() for k in range(2 * LEVELS - 1)])
    offs = np.array([p[abs(i - j) == k].sum() for k in range(LEVELS)])
    product = np.outer(px, px)
    ent, hx = entropy_of(p), entropy_of(px)
    hxy1 = -(p[product > 0] * np.log(product[product > 0])).sum()
    hxy2 = entropy_of(product)
    average = (np.arange(len(sums)) * sums).sum()
    table = p[:, :, np.newaxis, np.newaxis]

    def prop(name: str) -> float:
        return float(graycoprops(table, name)[0, 0])  # type: ignore[no-untyped-call]

    return {
        "asm": prop("ASM"),
        "contrast": prop("contrast"),
        "corr": prop("correlation"),
        "var": ((i - mu) ** 2 * p).sum(),
        "idm": prop("homogeneity"),
        "savg": average,
        "svar": ((np.arange(len(sums)) - average) ** 2 * sums).sum(),
        "sent": entropy_of(sums),
        "ent": ent,
        "dvar": (np.arange(LEVELS) ** 2 * offs).sum() - (np.arange(LEVELS) * offs).sum() ** 2,
        "dent": entropy_of(offs),
        "imcorr1": (ent - hxy1) / hx if hx else 0,
        "imcorr2": np.sqrt(1 - np.exp(-2 * (hxy2 - ent))),
        "maxcorr": 0,
        "diss": prop("dissimilarity"),
        "inertia": ((i - j) ** 2 * p).sum(),
        "shade": ((i + j - 2 * mu) ** 3 * p).sum(),
        "prom": ((i + j - 2 * mu) ** 4 * p).sum(),
    }


@pytest.mark.parametrize("size", [1, 3])
def test_measures_are_those_of_the_tables(ee: ModuleType, evaluator: Evaluator, size: int) -> None:
    found = evaluator.pixels(levels(ee).glcmTexture(size))
    assert list(found.dtype.names or ()) == [f"b1_{name}" for name in NAMES]
    assert {found.dtype[name] for name in found.dtype.names or ()} == {np.dtype(np.float32)}
    for row, column in PLACES:
        window = VALUES[row - size : row + size + 1, column - size : column + size + 1]
        each = [measures_of(table_of(window, *offset)) for offset in OFFSETS]
        for name in NAMES:
            expected = np.mean([one[name] for one in each])
            assert found[f"b1_{name}"][row, column] == pytest.approx(expected, abs=2e-5, rel=2e-5)


def test_directions_may_be_kept_apart(ee: ModuleType, evaluator: Evaluator) -> None:
    kernel = ee.Kernel.fixed(weights=[[0, 0, 0], [1, 0, 1], [0, 1, 0]])
    found = evaluator.pixels(levels(ee).glcmTexture(2, kernel, False))
    names = [f"b1_{name}{ending}" for ending in ("_-1_0", "_0_1") for name in NAMES]
    assert list(found.dtype.names or ()) == names
    row, column = PLACES[0]
    window = VALUES[row - 2 : row + 3, column - 2 : column + 3]
    for ending, offset in (("_-1_0", (-1, 0)), ("_0_1", (0, -1))):
        expected = measures_of(table_of(window, *offset))
        for name in NAMES:
            value = found[f"b1_{name}{ending}"][row, column]
            assert value == pytest.approx(expected[name], abs=2e-5, rel=2e-5)


def test_masked_pixels_make_no_pairs(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(HOLES).mod(LEVELS).toUint8()
    found = evaluator.masked(image.glcmTexture(1, ee.Kernel.fixed(weights=[[1, 0, 0]]), False))
    of_pairs: dict[str, Callable[[int, int], int]] = {
        "diss": lambda a, b: abs(a - b),
        "savg": lambda a, b: a + b,
    }
    for name, of_pair in of_pairs.items():
        band = found[f"b1_{name}_-1_0"]
        assert (np.ma.getmaskarray(band) == HIDDEN).all()
        row, column = PLACES[1]
        pairs = [
            of_pair(int(VALUES[y, x]), int(VALUES[y, x - 1]))
            for y in range(row - 1, row + 2)
            for x in range(column, column + 2)
            if not (HIDDEN[y, x] or HIDDEN[y, x - 1])
        ]
        assert band.data[row, column] == pytest.approx(np.mean(pairs))


def test_sixteen_tiles_are_one_picture(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(HOLES).mod(LEVELS).toUint8()
    built = image.glcmTexture(1).select(["b1_corr", "b1_ent"])
    built = built.addBands(image.entropy(ee.Kernel.circle(2)))
    whole = evaluator.masked(built)
    side = SIDE // 4
    for place in range(16):
        window = Window(place % 4 * side, place // 4 * side, side, side)
        for band, found in evaluator.masked(built, GRID.window(window)).items():
            expected = whole[band][window.slices]
            assert (np.ma.getmaskarray(found) == np.ma.getmaskarray(expected)).all()
            np.testing.assert_allclose(found.filled(0), expected.filled(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee, i: i.glcmTexture(0), "size must be from 1 to 50, got 0"),
        (lambda ee, i: i.glcmTexture(10**6), "size must be from 1 to 50"),
        (lambda ee, i: ee.Image(HEIGHTS).glcmTexture(), "'elevation' must be integer valued"),
        (lambda ee, i: i.glcmTexture(1, ee.Kernel.square(0)), "no pixel besides its center"),
        (lambda ee, i: i.glcmTexture(9, ee.Kernel.square(9)), "offsets of pixels, at most 50"),
        (lambda ee, i: i.entropy(ee.Kernel.square(500)), "timed out"),
    ],
)
def test_texture_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(make(ee, ee.Image(HOLES)))
