"""Values, pixels, maps and thumbnails of expressions over HTTP, with few functions behind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.rest.conftest import LOCAL, Served, config_of
from tests.rest.test_router import check_error
from tests.support.serving import serve
from tileserver.compute.registry import algorithm_list
from tileserver.config.config import AccessSettings
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import grid_to_json
from tileserver.earthengine.tuning import Tuning
from tileserver.expressions.document import call, constant, loaded, reference
from tileserver.server.app import create_app

SCENE = f"{LOCAL}/scene"
EXPRESSION = loaded(SCENE)
MISSING = loaded(f"{LOCAL}/none")
BYTES = loaded(f"{LOCAL}/bytes")
TILE = Tile(771, 1539, 12)
STRETCH = {"ranges": [{"min": 0, "max": 255}]}
SMALL = {"dimensions": {"width": 5, "height": 4}}
NOT_FOUND = (
    f"Image.load: Image asset '{LOCAL}/none' not found (does not exist or caller does not have "
    "access)."
)


def test_algorithms_are_those_of_the_computer(client: httpx.Client) -> None:
    assert client.get("/v1/projects/p/algorithms").json() == {"algorithms": algorithm_list()}


def test_every_project_is_registered(client: httpx.Client) -> None:
    config = client.get("/v1/projects/any/config").json()
    assert config == {
        "name": "projects/any/config",
        "registrationState": "REGISTERED_NOT_COMMERCIALLY",
    }


def test_a_value_is_computed(client: httpx.Client) -> None:
    body = {"expression": EXPRESSION, "workloadTag": "x"}
    answer = client.post("/v1/projects/p/value:compute?prettyPrint=false&alt=json", json=body)
    bands = answer.json()["result"]["bands"]
    assert [band["id"] for band in bands] == ["B2", "B3", "B4"]


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("value:compute", {}, "Invalid value at 'expression'"),
        ("value:compute", [], "expected a JSON object"),
        ("value:compute", {"expression": EXPRESSION, "grid": {}}, 'Unknown name "grid"'),
        ("value:compute", {"expression": {"result": "0", "values": {}}}, "'expression'"),
        ("value:compute", {"expression": MISSING}, NOT_FOUND),
        ("image:computePixels", {"fileFormat": "NPY"}, "Invalid value at 'expression'"),
        ("image:computePixels", {"expression": MISSING}, NOT_FOUND),
        ("image:computePixels", {"expression": EXPRESSION, "x": 1}, 'Unknown name "x"'),
        ("image:computePixels", {"expression": EXPRESSION, "filenamePrefix": 1}, "filename_prefix"),
        ("image:computePixels", {"expression": EXPRESSION, "bandIds": ["no"]}, "no"),
        ("maps", {"expression": MISSING}, NOT_FOUND),
        ("maps", {"expression": EXPRESSION, "bandIds": ["no"]}, "no"),
        ("maps", {"expression": EXPRESSION, "fileFormat": "NPY"}, "A map is of PNG"),
        ("maps", {"expression": EXPRESSION, "grid": SMALL}, "neither grid nor region"),
        ("thumbnails", {"expression": MISSING}, NOT_FOUND),
        (
            "thumbnails",
            {"expression": EXPRESSION, "grid": {"dimensions": {"width": 9999, "height": 9999}}},
            "Total request size",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused_when_it_is_asked_for(
    client: httpx.Client, method: str, body: Any, said: str
) -> None:
    check_error(client.post(f"/v1/projects/p/{method}", json=body), 400, "INVALID_ARGUMENT", said)


def test_computed_pixels_of_an_image_are_its_pixels(client: httpx.Client) -> None:
    body = {"fileFormat": "NPY", "bandIds": ["B3"], "grid": SMALL}
    stored = client.post(f"/v1/{SCENE}:getPixels", json=body)
    computed = client.post(
        "/v1beta/projects/p/image:computePixels",
        json={"expression": EXPRESSION, "filenamePrefix": None, **body},
    )
    assert computed.content == stored.content
    assert np.load(io.BytesIO(computed.content)).dtype.names == ("B3",)


def make(client: httpx.Client, kind: str, **body: Any) -> str:
    answer = client.post(f"/v1/projects/p/{kind}?fields=name&alt=json", json=body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"name"}
    name: str = answer.json()["name"]
    assert name.startswith(f"projects/p/{kind}/")
    return name


def test_the_tiles_of_a_map_are_the_tiles_of_its_image(client: httpx.Client) -> None:
    name = make(
        client, "maps", expression=BYTES, bandIds=[], fileFormat="PNG", visualizationOptions=STRETCH
    )
    tile = client.get(f"/v1/{name}/tiles/{TILE.z}/{TILE.x}/{TILE.y}")
    body = {
        "fileFormat": "PNG",
        "grid": grid_to_json(tile_grid(TILE)),
        "visualizationOptions": STRETCH,
    }
    assert tile.content == client.post(f"/v1/{LOCAL}/bytes:getPixels", json=body).content
    assert tile.headers["content-type"] == "image/png"
    assert tile.headers["cache-control"].startswith("public, max-age=")
    again = client.get(tile.request.url, headers={"if-none-match": tile.headers["etag"]})
    assert again.status_code == 304


def test_x_goes_around_the_earth_and_all_else_outside_is_not_there(client: httpx.Client) -> None:
    name = make(client, "maps", expression=BYTES)
    tile = client.get(f"/v1/{name}/tiles/{TILE.z}/{TILE.x}/{TILE.y}")
    for turns in (-2, -1, 1, 1000):
        x = TILE.x + turns * 2**TILE.z
        assert client.get(f"/v1/{name}/tiles/{TILE.z}/{x}/{TILE.y}").content == tile.content
    for path in ("2/0/4", "2/0/-1", "-1/0/0", "99/0/0", "2/a/0", "2/0/0.png", "2/0/1e1", "30/0/0"):
        check_error(client.get(f"/v1/{name}/tiles/{path}"), 404, "NOT_FOUND")


def test_a_map_is_asked_for_without_a_token_and_by_the_same_name_again(
    client: httpx.Client,
) -> None:
    name = make(client, "maps", expression=BYTES, workloadTag="a")
    assert name == make(client, "maps", workloadTag="b", expression=BYTES)
    assert name != make(client, "maps", expression=BYTES, bandIds=["b1"])
    tile = f"/v1/{name}/tiles/0/0/0"
    assert client.get(tile).status_code == 200
    assert client.get(tile, headers={"authorization": "Bearer nonsense"}).status_code == 200


def test_a_thumbnail_is_a_file_to_download(client: httpx.Client) -> None:
    name = make(
        client,
        "thumbnails",
        expression=EXPRESSION,
        fileFormat="NPY",
        bandIds=["B2"],
        grid=SMALL,
        filenamePrefix="my scene",
    )
    answer = client.get(f"/v1/{name}:getPixels")
    assert np.load(io.BytesIO(answer.content)).shape == (4, 5)
    assert answer.headers["content-disposition"] == 'attachment; filename="my_scene.npy"'
    picture = make(client, "thumbnails", expression=BYTES, fileFormat="PNG", grid=SMALL)
    shown = client.get(f"/v1/{picture}:getPixels")
    assert shown.headers["content-type"] == "image/png"
    assert "content-disposition" not in shown.headers


def test_a_map_is_no_thumbnail(client: httpx.Client) -> None:
    name = make(client, "maps", expression=BYTES).replace("maps", "thumbnails")
    check_error(client.get(f"/v1/{name}:getPixels"), 404, "NOT_FOUND")


def test_urls_outlive_the_server(served: Served, tmp_path: Path) -> None:
    config = config_of(served.folder, tmp_path / "graphs")
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as one:
        name = make(one, "maps", expression=BYTES)
        tile = one.get(f"/v1/{name}/tiles/0/0/0")
    with serve(create_app(config)) as url:
        assert httpx.get(f"{url}/v1/{name}/tiles/0/0/0", timeout=60).content == tile.content


def test_what_may_not_be_read_may_not_be_computed_from(served: Served, tmp_path: Path) -> None:
    config = replace(config_of(served.folder, tmp_path), access=AccessSettings((f"{LOCAL}/scene",)))
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as one:
        assert make(one, "thumbnails", expression=EXPRESSION, fileFormat="NPY", grid=SMALL)
        answer = one.post("/v1/projects/p/maps", json={"expression": BYTES})
        check_error(answer, 400, "INVALID_ARGUMENT", "bytes' not found")


def test_what_takes_too_long_is_refused_in_earth_engine_s_words(
    served: Served, tmp_path: Path
) -> None:
    config = config_of(served.folder, tmp_path)
    values = {str(i): call("Image.sqrt", value=reference(str(i + 1))) for i in range(300)}
    values["300"] = call("Image.load", id=constant(f"{LOCAL}/bytes"))
    body = {
        "expression": {"result": "0", "values": values},
        "fileFormat": "NPY",
        "grid": {"dimensions": {"width": 1500, "height": 1500}},
    }
    with serve(create_app(config, tuning=Tuning(deadline_s=0.3))) as url:
        answer = httpx.post(f"{url}/v1/projects/p/image:computePixels", json=body, timeout=60)
    check_error(answer, 400, "INVALID_ARGUMENT", "Computation timed out.")
