"""Graphs: each node once, functions with what is around them, and bombs refused quickly."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tests.support.limits import cpu_limit
from tileserver.compute.budget import Budget
from tileserver.compute.context import Context
from tileserver.compute.graph import assets_named, evaluate
from tileserver.compute.registry import ALGORITHMS, Algorithm, algorithm
from tileserver.errors import InvalidRequest
from tileserver.expressions.document import call, constant, reference

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def counting() -> Any:
    """Lend the registry a function that counts, for one test."""
    before = dict(ALGORITHMS)

    @algorithm("Test.add(a: Number, b: Number = 1) -> Number")
    def add(a: float, b: float) -> float:
        """Return a sum."""
        CALLS.append((a, b))
        return a + b

    @algorithm("Test.each(list: List, each: Algorithm) -> List")
    def each(context: Context, values: list[Any], function: Any) -> list[Any]:
        """Return a function's value for each."""
        return [function.call(context, value) for value in values]

    CALLS.clear()
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(before)


def run(evaluator: Evaluator, node: Any, **values: Any) -> Any:
    document = {"result": "0", "values": {"0": node, **values}}
    context = Context(evaluator.computing.world, Budget(time.monotonic() + 10))
    return evaluate(document, context)


def add(a: Any, b: Any = None) -> Any:
    given = {"a": a} if b is None else {"a": a, "b": b}
    return call("Test.add", **given)


def defined(names: list[str], body: str) -> Any:
    return {"functionDefinitionValue": {"argumentNames": names, "body": body}}


def argument(name: str) -> Any:
    return {"argumentReference": name}


def test_nodes_of_every_kind_have_a_value(evaluator: Evaluator) -> None:
    node = {
        "dictionaryValue": {
            "values": {
                "a": {"arrayValue": {"values": [constant(1), constant(None), constant([2, "x"])]}},
                "b": {"integerValue": "9007199254740993"},
                "c": reference("1"),
                "d": add(constant(1)),
            }
        }
    }
    found = run(evaluator, node, **{"1": constant("one")})
    assert found == {"a": [1, None, [2, "x"]], "b": 9007199254740993, "c": "one", "d": 2}


def test_what_is_shared_is_evaluated_once(evaluator: Evaluator) -> None:
    values = {str(i): add(reference(str(i + 1)), reference(str(i + 1))) for i in range(1, 50)}
    values["50"] = add(constant(1))
    assert run(evaluator, reference("1"), **values) == 2 * 2**49
    assert len(CALLS) == 50


def test_a_function_sees_its_arguments_and_what_is_around_it(evaluator: Evaluator) -> None:
    values = {
        "outer": call(
            "Test.each",
            list=constant([10, 20]),
            each=defined(["x"], "inner"),
        ),
        "inner": call("Test.each", list=constant([1, 2, 3]), each=defined(["y"], "sum")),
        "sum": add(add(argument("x"), argument("y")), reference("closed")),
        "closed": add(constant(100)),
    }
    found = run(evaluator, reference("outer"), **values)
    assert found == [[112, 113, 114], [122, 123, 124]]
    assert CALLS.count((100, 1)) == 1


def test_a_function_can_be_a_value_that_is_called(evaluator: Evaluator) -> None:
    node = {
        "functionInvocationValue": {
            "functionReference": "f",
            "arguments": {"x": constant(5)},
        }
    }
    values = {"f": defined(["x"], "body"), "body": add(argument("x"), argument("x"))}
    assert run(evaluator, node, **values) == 10


def nested(depth: int) -> Any:
    node = add(constant(1))
    for _ in range(depth):
        node = add(node)
    return node


@pytest.mark.slow
def test_a_chain_of_names_may_be_as_long_as_it_likes(evaluator: Evaluator) -> None:
    values = {str(i): add(reference(str(i + 1))) for i in range(1, 20_000)}
    values["20000"] = constant(0)
    assert run(evaluator, reference("1"), **values) == 19_999


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "expression must be an object"),
        ({"result": "0"}, "expression.values must be an object"),
        ({"result": "1", "values": {}}, "no value is named '1'"),
        ({"result": "0", "values": {"0": reference("0")}}, "depends on itself"),
        ({"result": "0", "values": {"0": add(reference("1")), "1": add(reference("0"))}}, "itself"),
        ({"result": "0", "values": {"0": argument("x")}}, "'x' is an argument of no function"),
        ({"result": "0", "values": {"0": {"valueReference": "9"}}}, "no value is named '9'"),
        ({"result": "0", "values": {"0": {}}}, "a node has one member"),
        ({"result": "0", "values": {"0": {"what": 1}}}, "a node of kind 'what'"),
        ({"result": "0", "values": {"0": {"arrayValue": {"values": 3}}}}, "must be a list"),
        ({"result": "0", "values": {"0": {"integerValue": "1e5"}}}, "expected an integer"),
        ({"result": "0", "values": {"0": {"integerValue": "9" * 5000}}}, "expected an integer"),
        ({"result": "0", "values": {"0": call("Image.hypotenuse")}},
         "Unrecognized function 'Image.hypotenuse'."),
        ({"result": "0", "values": {"0": call("Image.hypott")}}, " Similar ones are Image.hypot"),
        ({"result": "0", "values": {"0": call("Test.add")}}, "Test.add: Parameter 'a' is required"),
        ({"result": "0", "values": {"0": call("Test.add", a=constant(1), z=constant(1))}},
         "Test.add: Unrecognized argument 'z'; expected a, b."),
        ({"result": "0", "values": {"0": add(constant("x"))}},
         "Test.add: Parameter 'a': expected Number, got String."),
        ({"result": "0", "values": {"0": {"functionInvocationValue": {
            "functionReference": "1", "arguments": {}}}, "1": constant(1)}}, "Expected a function"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused(evaluator: Evaluator, document: Any, told: str) -> None:
    context = Context(evaluator.computing.world, Budget(time.monotonic() + 10))
    with pytest.raises(InvalidRequest) as refused:
        evaluate(document, context)
    assert told in str(refused.value)


def bomb_of_functions(depth: int) -> dict[str, Any]:
    """Return functions that call each other ten times each, ten to the depth calls in all."""
    values: dict[str, Any] = {}
    for i in range(depth):
        one = argument(f"x{i}") if i else constant(0)
        ten = {"arrayValue": {"values": [one] * 10}}
        values[f"f{i}"] = call("Test.each", list=ten, each=defined([f"x{i + 1}"], f"f{i + 1}"))
    values[f"f{depth}"] = add(argument(f"x{depth}"))
    return values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "told"),
    [
        (bomb_of_functions(12), "calls more than 200000 functions"),
        ({"f0": {"arrayValue": {"values": [constant(1)] * 300_000}}}, "more than 200000 nodes"),
        ({"f0": call("Image.select", input=call("Image.load", id=constant(SCENE)),
                     bandSelectors=constant([".*"] * 5000))}, "1026 bands, at most 1024"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_quickly(evaluator: Evaluator, values: dict[str, Any], told: str) -> None:
    with cpu_limit(5), pytest.raises(InvalidRequest) as refused:
        run(evaluator, reference("f0"), **values)
    assert told in str(refused.value)


def test_a_graph_that_never_ends_is_stopped_by_the_clock(evaluator: Evaluator) -> None:
    context = Context(evaluator.computing.world, Budget(time.monotonic() - 1))
    values = bomb_of_functions(3)
    with pytest.raises(InvalidRequest, match=r"Computation timed out\."):
        evaluate({"result": "f0", "values": values}, context)


def test_the_assets_of_an_expression_can_be_told() -> None:
    document = {
        "result": "0",
        "values": {
            "0": call(
                "Image.add", image1=call("Image.load", id=constant("a/b")), image2=reference("1")
            ),
            "1": call("ImageCollection.load", id=constant("c")),
            "2": call("Image.load", id=reference("3")),
        },
    }
    assert assets_named(document) == {"a/b", "c"}
    assert assets_named(json.loads("[[[[]]]]")) == set()


def test_every_algorithm_is_registered_under_its_name() -> None:
    assert all(isinstance(each, Algorithm) for each in ALGORITHMS.values())
    assert all(each.name == name for name, each in ALGORITHMS.items())
