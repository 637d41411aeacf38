"""Shapes, parts and reductions of arrays are NumPy's, and as Google's pages state them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import Evaluator
from tileserver.errors import InvalidRequest

CUBE = np.arange(24).reshape(2, 3, 4)


def stated(ee: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return computations and their values as the pages of ee.Array state them."""
    a = ee.Array
    empty = a([], ee.PixelType.int8())
    six, rows = a([1, 2, 3, 4, 5, 6]), a([[1, 2], [3, 4], [5, 6]])
    column = a([[1], [2], [3], [4]])
    return {
        "accum": (a([[1, 3], [5, 7]]).accum(1), [[1, 4], [5, 12]]),
        "accum: max": (a([2, -2, 3, 1]).accum(0, ee.Reducer.max()), [2, 2, 3, 3]),
        "accum: mean": (a([2, -2, 3, 1]).accum(0, ee.Reducer.mean()), [2, 0, 1, 1]),
        "accum: product": (a([2, -2, 3]).accum(0, ee.Reducer.product()), [2, -4, -12]),
        "argmax": (a([[3, 4, 2], [6, 5, 7]]).argmax(), [1, 2]),
        "argmax: first": (a([1, 1, 1, 9, 9, 9]).argmax(), [3]),
        "argmax: of a number": (a(3).argmax(), []),
        "argmax: none": (empty.argmax(), None),
        "bitsToArray": (ee.Array.bitsToArray(5), [1, 0, 1]),
        "bitsToArray: 0": (ee.Array.bitsToArray(0), [0]),
        "bitsToArray: -1": (ee.Array.bitsToArray(-1).toInt8(), [1] * 64),
        "cat: empty": (ee.Array.cat([empty, a([1])]), [1]),
        "cat: new axis": (ee.Array.cat([a([0, 1, 2]), a([3, 4, 5])], 1), [[0, 3], [1, 4], [2, 5]]),
        "cat: third axis": (
            ee.Array.cat([a([[0], [1], [2]]), a([[3], [4], [5]])], 2),
            [[[0, 3]], [[1, 4]], [[2, 5]]],
        ),
        "cut": (a([[0, 1, 2], [3, 4, 5]]).cut([-1, 0]), [[0], [3]]),
        "cut: row": (a([[0, 1, 2], [3, 4, 5]]).cut([1, -1]), [[3, 4, 5]]),
        "dotProduct": (a([0, 1, 2]).dotProduct(a([3, 4, 5])), 14),
        "dotProduct: floats": (a([1.5, 2.5]).dotProduct(a([3, 4])), 14.5),
        "get": (a([[0, 1, 2], [3, 4, 5]]).get([1, 2]), 5),
        "identity": (ee.Array.identity(2), [[1, 0], [0, 1]]),
        "identity: 0": (ee.Array.identity(0), []),
        "mask": (a([0, 1, 2, 3]).mask([0, 4, -1, 1.2]), [1, 2, 3]),
        "mask: columns": (a([[1, 2, 3, 4]]).mask([[1, 0, 1, 1]]), [[1, 3, 4]]),
        "mask: nothing": (a([[1, 2, 3, 4]]).mask([[0, 0, 0, 0]]), [[]]),
        "mask: rows": (column.mask([[1], [0], [1], [1]]), [[1], [3], [4]]),
        "mask: no rows": (column.mask([[0], [0], [0], [0]]), []),
        "mask: empty": (empty.mask(empty), []),
        "slice: all": (six.slice(), [1, 2, 3, 4, 5, 6]),
        "slice: past the end": (six.slice(0, 0, 10, 1), [1, 2, 3, 4, 5, 6]),
        "slice: none": (six.slice(0, 6), []),
        "slice: from the end": (six.slice(0, -2, 6), [5, 6]),
        "slice: to before the end": (six.slice(0, 0, -3), [1, 2, 3]),
        "slice: steps": (six.slice(0, 2, 6, 2), [3, 5]),
        "slice: rows": (rows.slice(0, 0, 3, 2), [[1, 2], [5, 6]]),
        "slice: columns": (rows.slice(1, 1), [[2], [4], [6]]),
    }


def test_values_are_as_googles_pages_state_them(ee: ModuleType, evaluator: Evaluator) -> None:
    for name, (built, expected) in stated(ee).items():
        assert evaluator.value(built) == expected, name


def operations(ee: ModuleType) -> dict[str, tuple[Any, Any]]:
    """Return computations, and NumPy's."""
    a, reducer = ee.Array(CUBE.tolist()), ee.Reducer
    keys = np.array([2, 0, 1])
    return {
        "length": (a.length(), CUBE.shape),
        "pad": (
            a.pad([2, 4, 2], 9),
            np.pad(CUBE, [(0, 0), (0, 1), (0, 0)], constant_values=9),
        ),
        "project": (a.slice(0, 0, 1).project([2, 1]), CUBE[0].T),
        "repeat": (a.repeat(1, 2), np.tile(CUBE, (1, 2, 1))),
        "repeat: new axis": (ee.Array([1, 2]).repeat(1, 3), [[1, 1, 1], [2, 2, 2]]),
        "reshape": (a.reshape([4, -1]), CUBE.reshape(4, 6)),
        "sort": (ee.Array([[3], [1], [2]]).sort(), [[1], [2], [3]]),
        "sort: keys": (
            a.sort(ee.Array(keys.reshape(1, 3, 1).tolist())),
            CUBE[:, np.argsort(keys)],
        ),
        "transpose": (a.transpose(0, 2), CUBE.swapaxes(0, 2)),
        "transpose: one dimension": (ee.Array([1, 2]).transpose(), [[1, 2]]),
        "toList": (a.toList(), CUBE),
        "reduce: sum": (a.reduce(reducer.sum(), [0, 2]), CUBE.sum(axis=(0, 2), keepdims=True)),
        # apidocs/ee-array-reduce: of one input and output all axes but the reduced are unaffected.
        "reduce: no fields": (a.reduce(reducer.sum(), [0], 1), CUBE.sum(axis=0, keepdims=True)),
        "reduce: median": (a.reduce(reducer.median(), [1]), np.median(CUBE, axis=1, keepdims=True)),
        "reduce: minMax": (
            a.slice(2, 0, 1).reduce(reducer.minMax(), [1], 2),
            np.concatenate(
                [CUBE[:, :, :1].min(axis=1, keepdims=True), CUBE[:, :, :1].max(1, keepdims=True)],
                axis=2,
            ),
        ),
        "reduce: two inputs": (
            ee.Array([[1, 3], [2, 5], [4, 9]]).reduce(reducer.linearFit(), [0], 1),
            [np.polyfit([1, 2, 4], [3, 5, 9], 1)],
        ),
        "accum: along the middle": (a.accum(1), CUBE.cumsum(axis=1)),
        "accum: count": (
            ee.Array([[5, 6, 7]]).accum(1, reducer.count()),
            [[1, 2, 3]],
        ),
    }


def test_operations_are_numpys(ee: ModuleType, evaluator: Evaluator) -> None:
    for name, (built, expected) in operations(ee).items():
        found = evaluator.value(built)
        assert np.shape(found) == np.shape(expected), name
        assert np.allclose(found, expected), name


def test_arrays_are_taken_from_elements_and_dictionaries(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    feature = ee.Feature(None, {"a": 1, "b": 2.5, "c": ee.Array([3, 4])})
    assert evaluator.value(feature.toArray(["b", "a"])) == [2.5, 1]
    assert evaluator.value(feature.getArray("c").add(1)) == [4, 5]
    assert evaluator.value(feature)["properties"]["c"] == [3, 4]
    assert evaluator.value(ee.List([1, ee.Array([3, 4])]).getArray(-1)) == [3, 4]
    dictionary = ee.Dictionary({"b": 1, "a": 2})
    assert evaluator.value(dictionary.toArray()) == [2, 1]
    assert evaluator.value(dictionary.toArray(["b"], 1)) == [[1]]
    assert evaluator.value(ee.Dictionary({"x": ee.Array([5])}).getArray("x")) == [5]
    assert evaluator.value(ee.Array(ee.Number(3)).add(ee.Number(4))) == 7
    assert evaluator.value(ee.Algorithms.IsEqual(ee.Array([1, 2]), ee.Array([1, 2]))) is True
    assert evaluator.value(ee.Algorithms.ObjectType(ee.Array([1]))) == "Array"


REFUSED: dict[str, tuple[Callable[[ModuleType], Any], str]] = {
    "axis": (lambda ee: ee.Array([1]).slice(1), "Axis 1 is out of range"),
    "get": (lambda ee: ee.Array([1]).get([3]), r"Position \[3\] is out of range"),
    "project": (lambda ee: ee.Array([[1, 2]]).project([0]), "must be at most 1 long"),
    "reshape": (lambda ee: ee.Array([1, 2]).reshape([3]), "Cannot reshape"),
    "cat": (lambda ee: ee.Array.cat([ee.Array([1]), ee.Array([[1]])]), "same number of dim"),
    "mask": (lambda ee: ee.Array([1, 2]).mask([1]), "has length 1 along axis 0"),
    "sort": (lambda ee: ee.Array([[1, 2], [3, 4]]).sort(), "longer than 1 along one axis"),
    "reduce": (lambda ee: ee.Array([1]).reduce(ee.Reducer.minMax(), [0]), "needs a fieldAxis"),
    "toArray": (lambda ee: ee.Feature(None, {"a": "x"}).toArray(["a"]), "'a' is not a number"),
    "getArray": (lambda ee: ee.List(["x"]).getArray(0), "Element 0 is not an array"),
    "repeat": (lambda ee: ee.Array([1]).repeat(0, 10**8), "User memory limit exceeded"),
    "pad": (lambda ee: ee.Array([1]).pad([10**8]), "User memory limit exceeded"),
    "identity": (lambda ee: ee.Array.identity(10**5), "User memory limit exceeded"),
    "nesting": (lambda ee: ee.Array(eval("[" * 12 + "1" + "]" * 12)), "at most 10 dimensions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_arguments_are_refused(ee: ModuleType, evaluator: Evaluator, name: str) -> None:
    built, message = REFUSED[name]
    with pytest.raises(InvalidRequest, match=message):
        evaluator.value(built(ee))


def test_pixel_types_have_dimensions(ee: ModuleType, evaluator: Evaluator) -> None:
    type_ = ee.PixelType("float", None, None, 2)
    assert evaluator.value(type_) == {"type": "PixelType", "precision": "float", "dimensions": 2}
    assert evaluator.value(type_.dimensions()) == 2
    many = ee.PixelType("double", None, None, 1e8)  # apidocs/ee-pixeltype
    assert evaluator.value(many)["dimensions"] == 100_000_000
    with pytest.raises(InvalidRequest, match="dimensions must be 0 or more, got -1"):
        evaluator.value(ee.PixelType("float", None, None, -1))
