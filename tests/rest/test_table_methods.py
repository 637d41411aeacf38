"""Features of collections over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.rest.conftest import LOCAL
from tests.rest.test_router import check_error
from tileserver.expressions.document import call, constant

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


TABLES = "/v1/projects/p/tables"


def test_the_url_of_a_table_is_for_anybody(client: httpx.Client) -> None:
    body = {"expression": EXPRESSION, "fileFormat": "CSV", "selectors": ["CLOUD"], "filename": None}
    made = client.post(f"{TABLES}?fields=name&alt=json", json=body).json()
    assert set(made) == {"name"}
    answer = client.get(f"/v1/{made['name']}:getFeatures")
    assert answer.text.split() == ["CLOUD", "10", "20", "30", "40"]
    again = made["name"].replace("tables", "thumbnails")
    check_error(client.get(f"/v1/{again}:getPixels"), 404, "NOT_FOUND")
    check_error(client.get(f"{TABLES}/{'0' * 32}:getFeatures"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"fileFormat": "XLS"}, "Invalid value at 'file_format', 'XLS'; expected CSV or GEO_JSON"),
        ({"fileFormat": ["CSV"]}, "Invalid value at 'file_format'"),
        ({"selectors": "CLOUD"}, "Invalid value at 'selectors'"),
        ({"selectors": [1]}, "Invalid value at 'selectors'"),
        ({"filename": 1}, "Invalid value at 'filename'"),
        ({"grid": {}}, 'Unknown name "grid"'),
        ({"expression": {"result": "0", "values": {"0": constant(3)}}}, "FeatureCollection"),
    ],
)
def test_what_is_no_table_is_refused_when_it_is_asked_for(
    client: httpx.Client, body: dict[str, Any], said: str
) -> None:
    answer = client.post(TABLES, json={"expression": EXPRESSION, **body})
    check_error(answer, 400, "INVALID_ARGUMENT", said)
