import json
import math

import pytest

from tileserver.errors import InvalidRequest
from tileserver.rest.requests import read_json, read_query


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting"),
        (b"\xff", "not UTF-8"),
        (b'{"a": NaN}', "finite number, got NaN"),
        (b'{"a": -Infinity}', "finite number"),
        (b'{"a": NaN, "expression": {"values": [NaN]}}', "finite number, got NaN"),
        (b"[Infinity]", "finite number"),
        (b'{"a": 1e999}', "finite number, got 1e999"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b'{"a": "\\ud800"}', "not UTF-8"),
        (b"[" * 401 + b"]" * 401, "nested more than 400"),
        (b"[" * 200_000, "nested more than 400"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested more than 400"),
        (b"1" * 5000, "Invalid JSON payload"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=r"Invalid JSON payload received\.") as refusal:
        read_json(body)
    assert said in str(refusal.value)


def test_json_is_read_as_it_is() -> None:
    document = {"a": [1, 2.5, {"b": None}], "ü": "😀"}
    assert read_json(json.dumps(document).encode()) == document
    assert read_json(b"[" * 400 + b"]" * 400)


def test_an_expression_may_hold_infinity_and_nan_as_python_writes_them() -> None:
    expression = {"result": "0", "values": {"0": {"constantValue": [math.inf, -math.inf, 1]}}}
    assert read_json(json.dumps({"expression": expression}).encode()) == {"expression": expression}
    (found,) = read_json(b'{"expression": [NaN]}')["expression"]
    assert math.isnan(found)


def test_of_a_parameter_given_twice_the_last_counts() -> None:
    assert read_query(b"alt=json&%24.xgafv=2&a=1&a=x%20y") == {
        "alt": "json",
        "$.xgafv": "2",
        "a": "x y",
    }
    assert read_query(b"") == {}


@pytest.mark.parametrize("query", [b"a=%ff", b"\xff=1", b"a=1&" * 2000])
def test_a_query_that_cannot_be_read_is_refused(query: bytes) -> None:
    with pytest.raises(InvalidRequest, match="percent-encoded"):
        read_query(query)
