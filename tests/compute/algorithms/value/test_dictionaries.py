"""Dictionaries are Python's."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest

B_AND_A = {"b": 2, "a": 1}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda e: e(B_AND_A), B_AND_A),
        (lambda e: e(["a", 1, "b", 2]), B_AND_A),
        (lambda e: e.fromLists(["a", "b"], [1, 2]), B_AND_A),
        (lambda e: e(B_AND_A).get("a"), 1),
        (lambda e: e(B_AND_A).get("c", 9), 9),
        (lambda e: e(B_AND_A).getNumber("a").add(1), 2),
        (lambda e: e({"a": "x"}).getString("a"), "x"),
        (lambda e: e(B_AND_A).contains("b"), True),
        (lambda e: e(B_AND_A).keys(), ["a", "b"]),
        (lambda e: e(B_AND_A).values(), [1, 2]),
        (lambda e: e(B_AND_A).values(["b"]), [2]),
        (lambda e: e(B_AND_A).size(), 2),
        (lambda e: e(B_AND_A).set("c", 3), {**B_AND_A, "c": 3}),
        (lambda e: e(B_AND_A).combine({"a": 9, "c": 3}), {"b": 2, "a": 9, "c": 3}),
        (lambda e: e(B_AND_A).combine({"a": 9}, False), B_AND_A),
        (lambda e: e({"a": None, "b": 2}).combine({"a": 1}, False), B_AND_A),
        (lambda e: e(B_AND_A).combine({"a": None}), B_AND_A),
        (lambda e: e({"B1": 1, "B2": 2, "QA": 3}).select(["B.*"]), {"B1": 1, "B2": 2}),
        (lambda e: e(B_AND_A).remove(["a"]), {"b": 2}),
        (lambda e: e(B_AND_A).remove(["x"], True), B_AND_A),
        (lambda e: e(B_AND_A).rename(["a"], ["c"]), {"b": 2, "c": 1}),
        (lambda e: e(B_AND_A).rename(["a", "b"], ["b", "a"]), {"b": 1, "a": 2}),
        (lambda e: e(B_AND_A).rename(["a"], ["b"], True), {"b": 1}),
    ],
)
def test_a_dictionary_is_changed(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: Any
) -> None:
    assert evaluator.value(make(ee.Dictionary)) == expected


def test_a_function_gets_each_key_and_value(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.Dictionary(B_AND_A).map(lambda key, value: ee.Number(value).add(1))
    assert evaluator.value(found) == {"a": 2, "b": 3}


def test_a_dictionary_is_an_image_of_constants(ee: ModuleType, evaluator: Evaluator) -> None:
    pixels = evaluator.pixels(ee.Dictionary(B_AND_A).toImage())
    assert pixels.dtype.names == ("a", "b")
    assert [np.unique(pixels[band]).tolist() for band in "ab"] == [[1], [2]]
    named = ee.Dictionary(B_AND_A).toImage(["b"])
    assert evaluator.value(named.bandNames()) == ["b"]


def test_the_properties_of_an_image_are_a_dictionary(ee: ModuleType, evaluator: Evaluator) -> None:
    assert evaluator.value(ee.Image(SCENE).toDictionary().get("CLOUD_COVER")) == 3.25


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda e: e(B_AND_A).get("c"), "Dictionary.get: Dictionary does not contain key: 'c'."),
        (lambda e: e(B_AND_A).select(["c"]), "Dictionary does not contain key: 'c'."),
        (lambda e: e(B_AND_A).rename(["a"], ["b"]), "Dictionary already contains key: 'b'."),
        (lambda e: e.fromLists(["a"], [1, 2]), "Expected as many values as keys, 1, got 2."),
        (lambda e: e([1, 2]), "Dictionary keys must be strings, got 1."),
        (lambda e: e(["a"]), "an odd number of elements"),
        (lambda e: e({"a": "x"}).toImage(), "is not a number"),
    ],
)
def test_what_cannot_be_done_with_a_dictionary_is_said(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee.Dictionary))
