"""Images of arrays: what Google's pages state of one pixel, and NumPy pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from tests.compute.conftest import (
    GRID,
    HOLES,
    SCENE,
    SERIES,
    Evaluator,
    hole_values,
    scene_values,
    series_values,
)
from tileserver.compute.pixels import plan
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest


def at_point(ee: ModuleType, image: Any, name: str = "array") -> Any:
    """Return a band's value at a point, as the samples of Google's pages do."""
    return image.sample(ee.Geometry.Point([-121, 42]), 500).first().get(name)


def stated(ee: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return images and their values at a point, as the pages of ee.Image state them."""
    six = ee.Image([0, 1, 2, 3, 4, 5]).toArray()
    two = six.arrayReshape(ee.Image([2, 3]).toArray(), 2)
    three = ee.Image([0, 1, 2]).toArray()
    mixed = ee.Image([0, 1, 2, 4, 0, 5]).toArray()
    reducer = ee.Reducer
    return {
        "toArray": (three, [0, 1, 2]),
        "toArray: column": (three.toArray(1), [[0], [1], [2]]),
        "arrayDimensions": (three.toArray(1).arrayDimensions(), 2),
        "arrayLengths": (three.toArray(1).arrayLengths(), [3, 1]),
        "arrayLength": (three.toArray(1).arrayLength(0), 3),
        "arrayProject": (six.toArray(1).arrayProject([0]), [0, 1, 2, 3, 4, 5]),
        "arrayPad": (three.arrayPad([5], 9), [0, 1, 2, 9, 9]),
        "arrayGet": (six.arrayGet(3), 3),
        "arrayGet: matrix": (two.arrayGet(ee.Image([1, 2])), 5),
        "arrayReshape": (two, [[0, 1, 2], [3, 4, 5]]),
        "arrayReduce": (six.arrayReduce(reducer.sum(), [0]), [15]),
        "arrayReduce: rows": (two.arrayReduce(reducer.sum(), [0]), [[3, 5, 7]]),
        "arrayReduce: columns": (two.arrayReduce(reducer.sum(), [1]), [[3], [12]]),
        "arrayReduce: all": (two.arrayReduce(reducer.sum(), [0, 1]), [[15]]),
        "arrayMask": (mixed.arrayMask(mixed.gt(2)), [4, 5]),
        "arrayMask: columns": (
            mixed.arrayReshape(ee.Image([2, 3]).toArray(), 2).arrayMask(
                ee.Image(ee.Array([[4, 0, 5]]))
            ),
            [[0, 2], [4, 5]],
        ),
        "arrayMask: rows": (two.arrayMask(ee.Image(ee.Array([[1], [0]]))), [[0, 1, 2]]),
        "arrayReduce: minMax": (six.toArray(1).arrayReduce(reducer.minMax(), [0], 1), [[0, 5]]),
        "arrayReduce: minMax of a matrix": (
            two.toArray(2).arrayReduce(reducer.minMax(), [0], 2),
            [[[0, 3], [1, 4], [2, 5]]],
        ),
        "arraySort: columns by keys": (
            two.arraySort(ee.Image(ee.Array([[2, 1, 0]]))),
            [[2, 1, 0], [5, 4, 3]],
        ),
        "arraySort: rows by keys": (
            two.arraySort(ee.Image(ee.Array([[1], [0]]))),
            [[3, 4, 5], [0, 1, 2]],
        ),
        "arraySort": (
            ee.Image([0, 10, 6, 5, 4]).toArray().arraySort(),
            [0, 4, 5, 6, 10],
        ),
        "arraySlice": (six.arraySlice(0, 1, 3), [1, 2]),
        "arraySlice: from the end": (six.arraySlice(0, -2), [4, 5]),
        "arraySlice: steps": (six.arraySlice(0, 0, 6, 2), [0, 2, 4]),
        "arrayTranspose": (two.arrayTranspose(), [[0, 3], [1, 4], [2, 5]]),
        "arrayCat": (three.arrayCat(three, 0), [0, 1, 2, 0, 1, 2]),
        "arrayCat: columns": (three.arrayCat(three, 1), [[0, 0], [1, 1], [2, 2]]),
        "arrayRepeat": (three.arrayRepeat(0, 2), [0, 1, 2, 0, 1, 2]),
        "arrayRepeat: new axis": (three.arrayRepeat(1, 2), [[0, 0], [1, 1], [2, 2]]),
        "arrayArgmax": (ee.Image([0, 9, 2]).toArray().arrayArgmax(), [1]),
        "arrayAccum": (six.arrayAccum(0), [0, 1, 3, 6, 10, 15]),
        "arrayDotProduct": (three.arrayDotProduct(three), 5),
        "arithmetic: a number": (three.add(1), [1, 2, 3]),
        "arithmetic: an array": (three.multiply(ee.Image(ee.Array([2, 3, 4]))), [0, 3, 8]),
        "arithmetic: comparison": (three.gt(ee.Image(ee.Array([0, 0, 5]))), [0, 1, 0]),
        "arithmetic: power": (three.pow(2), [0, 1, 4]),
        "arithmetic: root": (three.pow(2).sqrt(), [0, 1, 2]),
        "cast": (three.multiply(1.6).toByte(), [0, 1, 3]),
        "toArray: of arrays": (three.addBands(three).toArray(1), [[0, 0], [1, 1], [2, 2]]),
        "bitsToArrayImage": (ee.Image([5]).rename("array").bitsToArrayImage(), [1, 0, 1]),
        "unmask": (three.updateMask(0).unmask(ee.Image(ee.Array([7, 8])), False), [7, 8]),
        "where": (three.where(1, ee.Image(ee.Array([7]))), [7]),
    }


def test_values_are_as_googles_pages_state_them(ee: ModuleType, evaluator: Evaluator) -> None:
    names, values = zip(*stated(ee).items(), strict=True)
    found = evaluator.value(ee.List([at_point(ee, image) for image, _ in values]))
    for name, each, (_, expected) in zip(names, found, values, strict=True):
        assert each == expected, name


def test_the_only_constant_is_its_array(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(ee.Array([[1, 2], [3, 4]]))
    assert evaluator.value(at_point(ee, image, "constant")) == [[1, 2], [3, 4]]
    (band,) = evaluator.value(image)["bands"]
    assert band["data_type"]["dimensions"] == 2
    assert evaluator.value(ee.Image.constant(ee.Array([1, 2])).bandNames()) == ["constant"]
    matrix = ee.Image.matrixIdentity(2)
    assert evaluator.value(at_point(ee, matrix, "constant")) == [[1, 0], [0, 1]]


def pixels_of(evaluator: Evaluator, image: Any, names: list[list[str]]) -> np.ma.MaskedArray:
    """Return a band of arrays as numbers, shape (elements, height, width)."""
    found = evaluator.masked(image.arrayFlatten(names))
    return np.ma.stack(list(found.values()))


ABC = ["a", "b", "c"]


def test_flat_bands_are_the_pixels_of_the_image(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).toArray()
    assert np.array_equal(pixels_of(evaluator, image, [ABC]), scene_values())
    names = evaluator.value(image.toArray(1).arrayFlatten([ABC, ["x"]], "-").bandNames())
    assert names == ["a-x", "b-x", "c-x"]


def test_a_pixel_is_masked_where_one_band_is(ee: ModuleType, evaluator: Evaluator) -> None:
    both = ee.Image(HOLES).addBands(ee.Image(SCENE).select(0)).toArray()
    found = pixels_of(evaluator, both, [["a", "b"]])
    hidden = hole_values() == -9999
    assert np.array_equal(np.ma.getmaskarray(found)[0], hidden)
    assert np.array_equal(found[1].compressed(), scene_values()[0][~hidden])


def test_matrices_are_those_of_numpy(ee: ModuleType, evaluator: Evaluator) -> None:
    b = scene_values().astype(float)
    image = ee.Image(SCENE).toDouble()
    column = image.toArray().toArray(1)
    square = column.matrixMultiply(column.matrixTranspose()).add(
        ee.Image(ee.Array([[1e5, 0, 0], [0, 2e5, 0], [0, 0, 3e5]]))
    )
    vectors = b.reshape(3, -1).T[:, :, np.newaxis]
    matrices = vectors @ np.swapaxes(vectors, 1, 2) + np.diag([1e5, 2e5, 3e5])
    cases = {
        "determinant": (square.matrixDeterminant(), np.linalg.det(matrices)),
        "trace": (square.matrixTrace(), np.trace(matrices, axis1=1, axis2=2)),
        "norm": (square.matrixFnorm(), np.linalg.norm(matrices, axis=(1, 2))),
        "inverse": (
            square.matrixInverse().arrayGet(ee.Image([1, 2])),
            np.linalg.inv(matrices)[:, 1, 2],
        ),
        "pseudo-inverse": (
            column.matrixPseudoInverse().arrayGet(ee.Image([0, 2])),
            np.linalg.pinv(vectors)[:, 0, 2],
        ),
        "solution": (
            square.matrixSolve(column).arrayGet(ee.Image([1, 0])),
            np.linalg.solve(matrices, vectors)[:, 1, 0],
        ),
        "diagonal": (square.matrixDiagonal().arrayGet(ee.Image([1, 0])), matrices[:, 1, 1]),
        "to diagonal": (column.matrixToDiag().arrayGet(ee.Image([2, 2])), vectors[:, 2, 0]),
        "Cholesky": (
            square.matrixCholeskyDecomposition().arrayGet(ee.Image([2, 1])),
            np.linalg.cholesky(matrices)[:, 2, 1],
        ),
        "singular values": (
            square.matrixSingularValueDecomposition().select("S").arrayGet(ee.Image([0, 0])),
            np.linalg.svd(matrices, compute_uv=False)[:, 0],
        ),
    }
    for name, (built, expected) in cases.items():
        (found,) = evaluator.masked(built).values()
        assert not np.ma.is_masked(found), name
        assert np.allclose(found.ravel(), expected, rtol=1e-6, atol=1e-12), name


def test_decompositions_multiply_to_the_matrix(ee: ModuleType, evaluator: Evaluator) -> None:
    matrix = (
        ee.Image(SCENE)
        .toDouble()
        .toArray()
        .toArray(1)
        .arrayCat(ee.Image(ee.Array([[1.0, 2], [4, 3], [6, 7]])), 1)
    )
    lower_upper = matrix.matrixLUDecomposition()
    swapped = lower_upper.select("P").matrixMultiply(matrix)
    triangles = lower_upper.select("L").matrixMultiply(lower_upper.select("U"))
    parts = matrix.matrixQRDecomposition()
    product = parts.select("Q").matrixMultiply(parts.select("R"))
    for difference in (swapped.subtract(triangles), product.subtract(matrix)):
        (found,) = evaluator.masked(difference.matrixFnorm()).values()
        assert float(found.max()) < 1e-8


def test_a_singular_matrix_is_masked(ee: ModuleType, evaluator: Evaluator) -> None:
    numbers = ee.Image(SCENE).select("B1").mod(2)
    matrix = ee.Image(ee.Array([[1, 0], [0, 1]])).multiply(numbers)
    (found,) = evaluator.masked(matrix.matrixInverse().matrixTrace()).values()
    assert np.array_equal(np.ma.getmaskarray(found), scene_values()[0] % 2 == 0)


def test_lengths_may_differ_from_pixel_to_pixel(ee: ModuleType, evaluator: Evaluator) -> None:
    """A collection has fewer images where some are masked; NumPy goes pixel by pixel."""
    stack = series_values()
    there = ~np.ma.getmaskarray(stack)[:, 0]
    counts = there.sum(axis=0)
    image = ee.ImageCollection(SERIES).toArray()
    (lengths,) = evaluator.masked(image.arrayLength(0)).values()
    assert np.array_equal(np.ma.getmaskarray(lengths), counts == 0)
    assert np.array_equal(lengths.filled(0), counts)
    first = image.arraySort(image.arraySlice(1, 1, 2)).arraySlice(0, 0, 1).arrayProject([1])
    found = evaluator.masked(first.arrayFlatten([["B1", "B2"]]))
    best = np.ma.argmin(np.ma.masked_array(stack[:, 1], ~there), axis=0)
    expected = np.take_along_axis(stack.data, best[np.newaxis, np.newaxis], axis=0)[0]
    for place, name in enumerate(("B1", "B2")):
        assert np.array_equal(found[name].filled(0), np.where(counts > 0, expected[place], 0))
    mean = image.arrayReduce(ee.Reducer.mean(), [0]).arrayProject([1]).arrayFlatten([["x", "y"]])
    assert np.ma.allclose(evaluator.masked(mean)["x"], stack[:, 0].mean(axis=0), rtol=1e-5)
    copies = image.arrayRepeat(0, image.arrayLength(0)).arrayLength(0)
    (squares,) = evaluator.masked(copies).values()
    assert np.array_equal(squares.filled(0), counts**2)


def test_bands_of_a_collection_become_arrays(ee: ModuleType, evaluator: Evaluator) -> None:
    stack = series_values()
    there = ~np.ma.getmaskarray(stack)[:, 0]
    series = ee.ImageCollection(SERIES)
    all_there = evaluator.masked(series.toArrayPerBand(0).arrayLength(0))
    assert np.array_equal(np.ma.getmaskarray(all_there["B2"]), ~there.all(axis=0))
    some = evaluator.masked(series.toArrayPerBand(0, True).arrayLength(0))
    assert np.array_equal(some["B1"].filled(0), there.sum(axis=0))
    arrays = series.map(lambda each: each.toArray())
    joined = evaluator.masked(arrays.toArrayPerBand(0, True).arrayLength(0))
    assert np.array_equal(joined["array"].filled(0), 2 * there.sum(axis=0))
    last = evaluator.masked(arrays.mosaic().arrayGet(1))["array"]
    plain = evaluator.masked(series.mosaic().select("B2"))["B2"]
    assert np.array_equal(last.filled(0), plain.filled(0))


def test_bits_differ_in_length(ee: ModuleType, evaluator: Evaluator) -> None:
    values = scene_values()[0]
    bits = ee.Image(SCENE).select("B1").bitsToArrayImage()
    (lengths,) = evaluator.masked(bits.arrayLength(0)).values()
    expected = np.maximum(1, np.ceil(np.log2(values.astype(float) + 1)))
    assert np.array_equal(lengths, expected)
    (ones,) = evaluator.masked(bits.arrayReduce(ee.Reducer.sum(), [0]).arrayGet(0)).values()
    assert np.array_equal(ones, np.bitwise_count(values))


def test_pieces_give_what_the_whole_gives(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 tiles and one; and pieces that are cut as their arrays are too large."""
    array = ee.ImageCollection(SERIES).toArray()
    image = array.arrayReduce(ee.Reducer.median(), [0]).arrayProject([1])
    image = image.arrayFlatten([["x", "y"]])
    whole = evaluator.masked(image)["y"]
    side = GRID.width // 4
    for row in range(4):
        for column in range(4):
            window = Window(column * side, row * side, side, side)
            part = evaluator.masked(image, GRID.window(window))["y"]
            assert np.array_equal(part.filled(0), whole[window.slices].filled(0))
    large = ee.Image(SCENE).select(0).toArray().arrayRepeat(0, 40_000)
    total = large.arrayReduce(ee.Reducer.max(), [0]).arrayGet(0)
    (found,) = evaluator.masked(total).values()
    assert np.array_equal(found, scene_values()[0])
    assert plan.PIECE_PX * 40_000 > 4_000_000


def test_pictures_show_the_first_element(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).toArray()
    request = evaluator.request(image, GRID, ImageFileFormat.PNG)
    bands = evaluator.computing.bands(request)
    assert np.array_equal(bands.values[0], scene_values()[0])
    with pytest.raises(InvalidRequest, match="cannot hold bands of arrays: array"):
        evaluator.pixels(image)


def test_regions_and_samples_give_arrays(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).toArray()
    point = ee.Image(SCENE).geometry().centroid(1)
    first = image.reduceRegion(ee.Reducer.first(), point, 30)
    row = evaluator.value(ee.Image(SCENE).reduceRegion(ee.Reducer.first(), point, 30))
    assert evaluator.value(first)["array"] == [row["B1"], row["B2"], row["B3"]]
    sums = ee.Array(first.get("array")).reduce(ee.Reducer.sum(), [0])
    assert evaluator.value(sums) == [sum(row.values())]
    listed = image.reduceRegion(ee.Reducer.toList(), point, 30)
    assert evaluator.value(listed)["array"] == [[row["B1"], row["B2"], row["B3"]]]
    rows = evaluator.value(ee.ImageCollection([image]).getRegion(point, 30))
    numbers = evaluator.value(ee.ImageCollection([ee.Image(SCENE)]).getRegion(point, 30))
    assert rows[1][-1] == numbers[1][-3:]


@pytest.mark.parametrize("name", ["gamma", "digamma", "erf", "erfc", "erfInv", "lanczos"])
def test_special_functions_are_scipys(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    image = ee.Image(SCENE).select("B1").divide(4100.0).add(0.001)
    (found,) = evaluator.masked(getattr(image, name)()).values()
    x = scene_values()[0] / 4100.0 + 0.001
    t = x + 607 / 128 + 0.5
    oracle: dict[str, Callable[[Any], Any]] = {
        "digamma": scipy.special.psi,
        "erfInv": scipy.special.erfinv,
        "lanczos": lambda x: (
            scipy.special.gamma(x) * x / np.sqrt(2 * np.pi) / t ** (x + 0.5) * np.exp(t)
        ),
    }
    expected = oracle.get(name, getattr(scipy.special, name, None))(x)  # type: ignore[misc]
    assert np.allclose(found, expected, rtol=2e-5)


def test_gammainc_and_bits_of_images(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    b1, b2 = (values.astype(float) for values in scene_values()[:2])
    share = image.select("B1").divide(1000.0).gammainc(image.select("B2").divide(1000.0))
    (found,) = evaluator.masked(share).values()
    expected = scipy.special.gammainc(b2 / 1000, b1 / 1000)
    assert np.allclose(found, np.nan_to_num(expected, nan=0), rtol=1e-4, equal_nan=True) or (
        np.ma.allclose(found, np.ma.masked_invalid(expected), rtol=1e-4)
    )
    (bits,) = evaluator.masked(image.select("B1").bitCount()).values()
    assert np.array_equal(bits, np.bitwise_count(scene_values()[0]))
    old = ee.apply("Image.bitwise_and", {"image1": image.select("B1"), "image2": ee.Image(255)})
    (low,) = evaluator.masked(ee.Image(old)).values()
    assert np.array_equal(low, scene_values()[0] & 255)


def test_polynomials_are_numpys(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).divide(1000.0).polynomial([1, -2, 0.5])
    found = evaluator.masked(image)["B2"]
    expected = np.polynomial.polynomial.polyval(scene_values()[1] / 1000.0, [1, -2, 0.5])
    assert np.allclose(found, expected, rtol=1e-5)


ENDMEMBERS = [[100.0, 3000.0, 500.0], [2500.0, 200.0, 900.0], [700.0, 800.0, 3500.0]]


@pytest.mark.parametrize("is_positive", [False, True])
@pytest.mark.parametrize("sums_to_one", [False, True])
def test_shares_of_endmembers_are_the_best(
    ee: ModuleType, evaluator: Evaluator, sums_to_one: bool, is_positive: bool
) -> None:
    found = evaluator.masked(ee.Image(SCENE).unmix(ENDMEMBERS, sums_to_one, is_positive))
    assert list(found) == ["band_0", "band_1", "band_2"]
    shares = np.stack([each.data for each in found.values()]).reshape(3, -1)
    spectra = np.array(ENDMEMBERS).T
    for place in range(0, shares.shape[1], 211):
        pixel = scene_values().reshape(3, -1)[:, place].astype(float)
        matrix, right = spectra, pixel
        if sums_to_one and is_positive:
            matrix, right = np.vstack([spectra, 1e8 * np.ones(3)]), np.append(pixel, 1e8)
        if sums_to_one and not is_positive:
            # One share less: the last is 1 minus the others.
            inner = np.linalg.lstsq(spectra[:, :2] - spectra[:, 2:], pixel - spectra[:, 2])[0]
            expected = np.append(inner, 1 - inner.sum())
        elif is_positive:
            expected = scipy.optimize.nnls(matrix, right)[0]
        else:
            expected = np.linalg.lstsq(matrix, right)[0]
        assert np.allclose(shares[:, place], expected, atol=1e-5)


REFUSED: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "labels": (
        lambda ee: ee.Image(SCENE).toArray().arrayFlatten([["a", "b"]]),
        r"labels are for arrays of lengths \[2\], a pixel has \[3\]",
    ),
    "axes of labels": (
        lambda ee: ee.Image(SCENE).toArray().arrayFlatten([["a"], ["b"]]),
        "labels for 2 axes, the arrays have 1",
    ),
    "numbers": (lambda ee: ee.Image(SCENE).arrayLength(0), "'B1' has numbers; expected arrays"),
    "matrices": (lambda ee: ee.Image(SCENE).toArray().matrixInverse(), "expected matrices"),
    "projection": (
        lambda ee: ee.Image(SCENE).toArray().toArray(1).arrayProject([1]).arrayGet(0),
        "Axis 0 has length 3",
    ),
    "lengths": (
        lambda ee: ee.Image(SCENE).toArray().add(ee.Image(ee.Array([1, 2]))).arrayGet(0),
        r"same lengths, got \[3\] and \[2\]",
    ),
    "interpolation": (
        lambda ee: (
            ee.Image(SCENE)
            .toArray()
            .resample("bilinear")
            .reproject("EPSG:3857", None, 50)
            .arrayGet(0)
        ),
        "'array' has arrays, which cannot be interpolated",
    ),
    "median": (
        lambda ee: ee.ImageCollection([ee.Image(SCENE).toArray()] * 2).median().arrayGet(0),
        "not defined for bands of arrays",
    ),
    "mask": (
        lambda ee: ee.Image(SCENE).updateMask(ee.Image(SCENE).toArray()),
        "not defined for bands of arrays",
    ),
    "a bomb": (
        lambda ee: (
            ee.Image(1)
            .toArray()
            .arrayRepeat(0, 2000)
            .arrayRepeat(1, 3000)
            .arrayGet(ee.Image([0, 0]))
        ),
        "User memory limit exceeded",
    ),
    "endmembers": (lambda ee: ee.Image(SCENE).unmix([[1, 2]]), "a list of 3 numbers, one a band"),
    "coefficients": (lambda ee: ee.Image(SCENE).polynomial(["x"]), "A coefficient is not a number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_arrays_are_refused(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    built, message = REFUSED[name]
    with pytest.raises(InvalidRequest, match=message):
        evaluator.pixels(built(ee))


def test_arrays_are_reprojected_by_nearest_neighbour(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).reproject("EPSG:32612", None, 60)
    flat = evaluator.masked(ee.Image(SCENE).toArray().reproject("EPSG:32612", None, 60).arrayGet(1))
    assert np.array_equal(flat["array"].filled(0), evaluator.masked(image)["B2"].filled(0))
