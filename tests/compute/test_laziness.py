"""Of the cases of `If` only the one that its condition selects is evaluated."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SERIES, Evaluator
from tests.compute.test_graph import CALLS, add, argument, counting, run
from tileserver.errors import InvalidRequest
from tileserver.expressions.document import call, constant

assert counting  # The fixture that lends `Test.add`, which writes down its calls.


def chosen(condition: Any, yes: Any, no: Any) -> Any:
    return call("If", condition=condition, trueCase=yes, falseCase=no)


CONDITIONS = [
    (True, True), (False, False), (None, False), (0, False), (-1, True), (0.5, True), ("", False),
    ("no", True), ([], False), ([0], True), ({}, False), ({"a": 0}, True),
]  # fmt: skip
"""As the reference of ee.Algorithms.If says it:
https://developers.google.com/earth-engine/apidocs/ee-algorithms-if."""


@pytest.mark.parametrize(("condition", "is_true"), CONDITIONS)
def test_a_value_counts_as_true_or_not(evaluator: Evaluator, condition: Any, is_true: bool) -> None:
    found = run(evaluator, chosen(constant(condition), constant("yes"), constant("no")))
    assert found == ("yes" if is_true else "no")


def test_nan_counts_as_false(ee: ModuleType, evaluator: Evaluator) -> None:
    nan = ee.Number(-1).sqrt()
    assert evaluator.value(ee.Algorithms.If(nan, "yes", "no")) == "no"


def test_the_other_case_may_fail(ee: ModuleType, evaluator: Evaluator) -> None:
    wrong = [
        ee.Image("projects/localhost/assets/none").bandNames(),
        ee.Number.parse("x"),
        ee.ApiFunction.lookup("Model.fromVertexAi").call("endpoint"),
    ]
    for each in wrong:
        assert evaluator.value(ee.Algorithms.If(True, "fine", each)) == "fine"
        assert evaluator.value(ee.Algorithms.If(0, each, "fine")) == "fine"
        with pytest.raises(InvalidRequest):
            evaluator.value(ee.Algorithms.If(False, "fine", each))


def test_each_element_of_a_map_takes_its_own_case(ee: ModuleType, evaluator: Evaluator) -> None:
    def parsed(image: Any) -> Any:
        name = ee.String(image.get("NAME"))
        few = ee.Number(image.get("CLOUD")).lt(15)
        return image.set("n", ee.Algorithms.If(few, name, ee.Number.parse(ee.String("1"))))

    found = ee.ImageCollection(SERIES).map(parsed).aggregate_array("n")
    assert evaluator.value(found) == [1, 1, 1, 1, "t4", "t5"]


def test_a_missing_case_is_null(evaluator: Evaluator) -> None:
    assert run(evaluator, call("If", condition=constant(0), trueCase=constant(1))) is None
    assert run(evaluator, call("If", trueCase=constant(1), falseCase=constant(2))) == 2


def test_an_argument_that_if_does_not_have_is_refused(evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="If: Unrecognized argument 'else'"):
        run(evaluator, call("If", condition=constant(0), **{"else": constant(1)}))


def test_shared_values_are_evaluated_once_a_call(evaluator: Evaluator) -> None:
    shared = {"valueReference": "shared"}
    body = add(chosen(argument("x"), shared, constant(0)), chosen(argument("x"), shared, shared))
    function = {"functionDefinitionValue": {"argumentNames": ["x"], "body": "body"}}
    found = run(
        evaluator,
        call("Test.each", list=constant([1, 2]), each=function),
        body=body,
        shared=add(argument("x"), constant(10)),
    )
    assert found == [22, 24]
    assert CALLS.count((1, 10)) == CALLS.count((2, 10)) == 1


def test_cases_within_cases_need_no_stack(evaluator: Evaluator) -> None:
    values = {
        str(i): chosen(constant(1), {"valueReference": str(i + 1)}, constant(0))
        for i in range(20_000)
    }
    values["20000"] = constant("end")
    assert run(evaluator, {"valueReference": "0"}, **values) == "end"


def test_a_case_that_needs_itself_is_refused(evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="depends on itself"):
        run(
            evaluator,
            {"valueReference": "a"},
            a=chosen(constant(0), {"valueReference": "a"}, constant(1)),
        )
