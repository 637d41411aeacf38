"""Features of collections over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.rest.conftest import LOCAL
from tests.rest.test_door import check_error
from tileserver.expressions import call, constant

SERIES = f"{LOCAL}/series"
EXPRESSION = {"result": "0", "values": {"0": call("ImageCollection.load", id=constant(SERIES))}}
URL = "/v1/projects/p/table:computeFeatures"


def ask(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(URL, json={"expression": EXPRESSION, **body})


def test_pages_follow_one_another(client: httpx.Client) -> None:
    first = ask(client, pageSize=3, workloadTag="x").json()
    assert (first["type"], len(first["features"])) == ("FeatureCollection", 3)
    rest = ask(client, pageSize=3, pageToken=first["nextPageToken"]).json()
    assert "nextPageToken" not in rest
    found = [each["properties"]["CLOUD"] for each in first["features"] + rest["features"]]
    assert found == [10, 20, 30, 40]
    assert {each["geometry"]["type"] for each in first["features"]} == {"Polygon"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"pageToken": "x"}, "Invalid value at 'page_token'"),
        ({"pageToken": "9" * 99}, "Invalid value at 'page_token'"),
        ({"pageSize": -1}, "Invalid value at 'page_size'"),
        ({"pageSize": True}, "Invalid value at 'page_size'"),
        ({"rows": 1}, 'Unknown name "rows"'),
        ({"expression": None}, "Invalid value at 'expression'"),
        ({"expression": constant(3) | {"result": "0"}}, "'expression'"),
        ({"expression": {"result": "0", "values": {"0": constant(3)}}}, "FeatureCollection"),
    ],
)
def test_what_is_no_page_of_a_table_is_refused(
    client: httpx.Client, body: dict[str, Any], said: str
) -> None:
    check_error(ask(client, **body), 400, "INVALID_ARGUMENT", said)
