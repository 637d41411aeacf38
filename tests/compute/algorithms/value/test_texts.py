"""Strings are Python's; patterns cannot take for ever."""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tests.support.limits import cpu_limit
from tileserver.errors import InvalidRequest


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda s: s("ab").cat("cd"), "abcd"),
        (lambda s: s("abc").length(), 3),
        (lambda s: s("abcd").slice(1, 3), "bc"),
        (lambda s: s("abcd").slice(-2), "cd"),
        (lambda s: s("abcabc").index("c"), 2),
        (lambda s: s("abcabc").rindex("c"), 5),
        (lambda s: s("abc").index("x"), -1),
        (lambda s: s("aBc").toLowerCase(), "abc"),
        (lambda s: s("aBc").toUpperCase(), "ABC"),
        (lambda s: s("  a b ").trim(), "a b"),
        (lambda s: s("a").compareTo("b"), -1),
        (lambda s: s("b").compareTo("b"), 0),
        (lambda s: s("b").equals("b"), True),
        (lambda s: s("T10SFH_2020").split("_"), ["T10SFH", "2020"]),
        (lambda s: s("abc").split(""), ["a", "b", "c"]),
        (lambda s: s("aXbxc").split("x", "i"), ["a", "b", "c"]),
        (lambda s: s("a1b22").match("[0-9]+"), ["1"]),
        (lambda s: s("a1b22").match("[0-9]+", "g"), ["1", "22"]),
        (lambda s: s("ab").match("(a)(b)(c)?"), ["ab", "a", "b", ""]),
        (lambda s: s("ab").match("x"), []),
        (lambda s: s("aaa").replace("a", "b"), "baa"),
        (lambda s: s("aaa").replace("A", "b", "gi"), "bbb"),
        (lambda s: s("2020-04").replace(r"(\d+)-(\d+)", r"$2/$1 \$"), "04/2020 $"),
        (lambda s: s('{"a": [1, 2.5, null]}').decodeJSON(), {"a": [1, 2.5, None]}),
    ],
)
def test_a_string_is_changed(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: Any
) -> None:
    assert evaluator.value(make(ee.String)) == expected


def test_values_are_told_as_strings(ee: ModuleType, evaluator: Evaluator) -> None:
    string = ee.ApiFunction.lookup("String")
    assert evaluator.value(string.call(ee.Number(2.0))) == "2"
    assert evaluator.value(string.call(ee.Number(2.5))) == "2.5"
    text = evaluator.value(ee.String.encodeJSON(ee.Dictionary({"a": [1, ee.Date(5)]})))
    assert json.loads(text) == {"a": [1, {"type": "Date", "value": 5}]}


@pytest.mark.parametrize("pattern", ["(a|a)*b", "(a+)+b", "(.*)*(.*)*(.*)*b", "(a|ab|b)*c"])
def test_a_pattern_that_would_take_for_ever_is_stopped(
    ee: ModuleType, evaluator: Evaluator, pattern: str
) -> None:
    with cpu_limit(5):
        try:
            found = evaluator.value(ee.String("a" * 5000).match(pattern))
            assert found == []
        except InvalidRequest as exc:
            assert "takes too long" in str(exc)  # noqa: PT017  # Either way it has to end.


def test_a_string_cannot_grow_without_end(ee: ModuleType, evaluator: Evaluator) -> None:
    text = ee.String("x" * 1000)
    for _ in range(20):
        text = text.cat(text)
    with pytest.raises(InvalidRequest, match="characters in a string, at most"):
        evaluator.value(text)
    with pytest.raises(InvalidRequest, match="characters in a string, at most"):
        evaluator.value(ee.String("x" * 10000).replace("x", "y" * 1000, "g"))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [(1, "yes"), (0, "no"), ("", "no"), ("a", "yes"), ([], "no"), (True, "yes"), (None, "no")],
)
def test_a_condition_chooses(
    ee: ModuleType, evaluator: Evaluator, condition: Any, expected: str
) -> None:
    assert evaluator.value(ee.Algorithms.If(condition, "yes", "no")) == expected


def test_values_are_compared(ee: ModuleType, evaluator: Evaluator) -> None:
    same = ee.Algorithms.IsEqual
    point = ee.Geometry.Point
    pairs = [
        (1, 1.0, True),
        ("1", 1, False),
        (ee.List([1, {"a": 2}]), ee.List([1, {"a": 2}]), True),
        (ee.List([1, 2]), ee.List([2, 1]), False),
        (point([1, 2]), point([1, 2]), True),
        (point([1, 2]), point([1, 3]), False),
        (ee.Date(5), ee.Date(5), True),
        (ee.Image(1), ee.Image(2), False),
    ]
    assert [evaluator.value(same(a, b)) for a, b, _ in pairs] == [each for *_, each in pairs]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda ee: 1, "Integer"),
        (lambda ee: 1.5, "Float"),
        (lambda ee: "a", "String"),
        (lambda ee: ee.List([1]), "List"),
        (lambda ee: ee.Dictionary({"a": 1}), "Dictionary"),
        (lambda ee: ee.Image(SCENE), "Image"),
        (lambda ee: ee.Geometry.Point([0, 0]), "Geometry"),
        (lambda ee: ee.Date(0), "Date"),
    ],
)
def test_the_kind_of_a_value_is_told(
    ee: ModuleType, evaluator: Evaluator, make: Any, expected: str
) -> None:
    assert evaluator.value(ee.Algorithms.ObjectType(make(ee))) == expected


@pytest.mark.slow
def test_a_value_nested_by_reference_is_not_spelt_out_without_end(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    nested = ee.List([1, 2])
    for _ in range(30):
        nested = ee.List([nested, nested])
    for asked in (nested.flatten(), ee.Algorithms.IsEqual(nested, nested), nested.distinct()):
        with pytest.raises(InvalidRequest):
            evaluator.value(asked)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda s: s("a").match("(", ""), "is no regular expression"),
        (lambda s: s("a").match("a", "x"), "Unknown flag 'x'; expected g or i."),
        (lambda s: s("a").match("a" * 2000), "longer than 1000"),
        (lambda s: s("a").replace("a", "$7"), "There is no group '7'."),
        (lambda s: s("{").decodeJSON(), "Expected JSON"),
        (lambda s: s("[" * 100_000).decodeJSON(), "Expected JSON"),
        (lambda s: s("NaN").decodeJSON(), "Expected JSON"),
    ],
)
def test_what_cannot_be_done_with_a_string_is_said(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee.String))
