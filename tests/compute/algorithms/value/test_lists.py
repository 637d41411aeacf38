"""Lists are Python's."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda e: e([1, 2, 3]).get(-1), 3),
        (lambda e: e([1, 2, 3]).getNumber(1), 2),
        (lambda e: e(["a"]).getString(0), "a"),
        (lambda e: e([1, 2, 3]).size(), 3),
        (lambda e: e([1, 2, 3]).length(), 3),
        (lambda e: e([1]).add(2), [1, 2]),
        (lambda e: e([1]).cat([2, 3]), [1, 2, 3]),
        (lambda e: e([1, 2]).insert(1, 9), [1, 9, 2]),
        (lambda e: e([1, 2]).set(-1, 9), [1, 9]),
        (lambda e: e([1, 2]).set(2, 9), [1, 2, 9]),
        (lambda e: e([1, 2, 3]).swap(0, -1), [3, 2, 1]),
        (lambda e: e([0, 1, 2, 3, 4]).slice(1, -1), [1, 2, 3]),
        (lambda e: e([0, 1, 2, 3, 4]).slice(0, 99, 2), [0, 2, 4]),
        (lambda e: e([0, 1, 2, 3]).splice(1, 2, ["a"]), [0, "a", 3]),
        (lambda e: e([1, 2, 3]).reverse(), [3, 2, 1]),
        (lambda e: e([1, 2, 3, 4]).rotate(1), [4, 1, 2, 3]),
        (lambda e: e([1, 2, 3, 4]).rotate(-1), [2, 3, 4, 1]),
        (lambda e: e.repeat("x", 3), ["x", "x", "x"]),
        (lambda e: e.sequence(1, 4), [1, 2, 3, 4]),
        (lambda e: e.sequence(4, 1, -1), [4, 3, 2, 1]),
        (lambda e: e.sequence(2, 1), []),
        (lambda e: e.sequence(0, 10, None, 3), [0, 5, 10]),
        (lambda e: e.sequence(0, None, 2, 3), [0, 2, 4]),
        (lambda e: e.sequence(0, 1, 0.1).size(), 11),
        (lambda e: e([1, 2]).zip(["a", "b", "c"]), [[1, "a"], [2, "b"]]),
        (lambda e: e([[1, "a"], [2, "b"]]).unzip(), [[1, 2], ["a", "b"]]),
        (lambda e: e([1, [2, [3, []]], 4]).flatten(), [1, 2, 3, 4]),
        (lambda e: e([3, 1.5, 2]).sort(), [1.5, 2, 3]),
        (lambda e: e(["b", "a"]).sort(), ["a", "b"]),
        (lambda e: e(["a", "b", "c"]).sort([3, 1, 2]), ["b", "c", "a"]),
        (lambda e: e([1, "a"]).contains("a"), True),
        (lambda e: e([1, 2, 3]).containsAll([3, 1]), True),
        (lambda e: e([1, 2, 1]).indexOf(1), 0),
        (lambda e: e([1, 2, 1]).indexOf(5), -1),
        (lambda e: e([1, 1, 2, 1, 1, 2]).indexOfSublist([1, 2]), 1),
        (lambda e: e([1, 1, 2, 1, 1, 2]).lastIndexOfSubList([1, 2]), 4),
        (lambda e: e([1, 1, 1]).lastIndexOfSubList([1, 1]), 1),
        (lambda e: e([1, 2, 1]).frequency(1), 2),
        (lambda e: e([1, [2]]).equals([1, [2]]), True),
        (lambda e: e([2, 1, 2.0, "2"]).distinct(), [2, 1, "2"]),
        (lambda e: e([1, 2, 1]).remove(1), [2, 1]),
        (lambda e: e([1, 2, 1]).removeAll([1, 9]), [2]),
        (lambda e: e([1, 2, 1]).replace(1, 9), [9, 2, 1]),
        (lambda e: e([1, 2, 1]).replaceAll(1, 9), [9, 2, 9]),
        (lambda e: e([1, "a", 2.5, True]).join("-"), "1-a-2.5-true"),
    ],
)
def test_a_list_is_changed(ee: ModuleType, evaluator: Evaluator, make: Any, expected: Any) -> None:
    assert evaluator.value(make(ee.List)) == expected


def test_a_function_is_called_for_each_element(ee: ModuleType, evaluator: Evaluator) -> None:
    doubled = ee.List.sequence(1, 4).map(lambda x: ee.Number(x).multiply(2))
    assert evaluator.value(doubled) == [2, 4, 6, 8]
    odd = ee.List([1, 2, 3]).map(
        lambda x: ee.Algorithms.If(ee.Number(x).mod(2), x, None), dropNulls=True
    )
    assert evaluator.value(odd) == [1, 3]


def test_functions_within_functions_see_the_arguments_around_them(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    table = ee.List([1, 2]).map(
        lambda x: ee.List([10, 20]).map(lambda y: ee.Number(x).multiply(ee.Number(y)))
    )
    assert evaluator.value(table) == [[10, 20], [20, 40]]


def test_a_list_is_iterated_over_with_what_came_before(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    def next_of(_: Any, before: Any) -> Any:
        numbers = ee.List(before)
        return numbers.add(ee.Number(numbers.get(-1)).add(ee.Number(numbers.get(-2))))

    found = evaluator.value(ee.List.sequence(1, 5).iterate(next_of, [0, 1]))
    assert found == [0, 1, 1, 2, 3, 5, 8]


def test_a_shuffle_is_the_same_for_a_seed(ee: ModuleType, evaluator: Evaluator) -> None:
    numbers = list(range(50))
    first, again, other = (evaluator.value(ee.List(numbers).shuffle(seed)) for seed in (7, 7, 8))
    assert first == again != other
    assert sorted(first) == sorted(other) == numbers != first
    assert sorted(evaluator.value(ee.List(numbers).shuffle(False))) == numbers


def test_a_geometry_is_got(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.List(["a", ee.Geometry.Point([1, 2])]).getGeometry(1)
    assert evaluator.value(found.coordinates()) == [1, 2]


def test_images_are_elements(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.List([ee.Image(1), ee.Image(SCENE)]).get(1)
    assert evaluator.value(ee.Image(found).bandNames()) == ["B1", "B2", "B3"]


@pytest.mark.slow
def test_lists_of_lists_do_not_take_all_memory(ee: ModuleType, evaluator: Evaluator) -> None:
    rows = ee.List.sequence(1, 90_000).map(lambda i: ee.List.sequence(i, None, 1, 90_000))
    with pytest.raises(InvalidRequest, match=r"User memory limit exceeded\."):
        evaluator.value(rows.size())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda e: e([1, 2]).get(2), "List.get: List index 2 is out of range: the list has 2"),
        (lambda e: e([1, 2]).get(-3), "out of range"),
        (lambda e: e(["a"]).getNumber(0), "is not a number"),
        (lambda e: e.sequence(0, 1e9), "elements in a list, at most 100000"),
        (lambda e: e.sequence(0, 1e300, 1e-300), "elements in a list, at most 100000"),
        (lambda e: e.sequence(0, 1, 0), "the step must not be zero"),
        (lambda e: e.sequence(0), "At least one of 'end' and 'count'"),
        (lambda e: e.repeat(1, 10**9), "elements in a list, at most 100000"),
        (lambda e: e.repeat(1, 60_000).cat(e.repeat(1, 60_000)), "at most 100000"),
        (lambda e: e([1, [2]]).unzip(), "Expected a list of lists"),
        (lambda e: e([1, 2]).sort([1]), "Expected as many keys"),
        (lambda e: e([{"a": 1}]).sort(), "Expected numbers or strings to sort"),
        (lambda e: e([1]).slice(0, 1, 0), "The step must be 1 or more"),
    ],
)
def test_what_cannot_be_done_with_a_list_is_said(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(ee.List))
