"""QGIS loads the connections and layer definitions that the server hands out, and paints them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest

import tileserver
from tests.clients.test_consumers import LAKE, extent
from tests.support.qgis import opened, picture
from tests.support.serving import serve
from tileserver.server.app import create_app
from tileserver.server.get_pixels import find_config

STYLE = {"bands": "B5,B4,B3", "min": "10", "max": "150", "gamma": "1.2"}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Ask a server of the demo."""
    app = create_app(find_config(None, {}, {}))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def tile_of(client: httpx.Client, template: str) -> bytes:
    return client.get(template.format(**LAKE._asdict())).raise_for_status().content


def test_the_connections_of_a_server_name_each_layer_once(client: httpx.Client) -> None:
    answer = client.get("/qgis.xml").raise_for_status()
    assert answer.headers["content-type"] == "application/xml"
    assert answer.headers["content-disposition"] == 'attachment; filename="qgis-xyz.xml"'
    assert "<!DOCTYPE connections>" in answer.text
    root = ET.fromstring(answer.content)
    assert (root.tag, root.get("version")) == ("qgsXYZTilesConnections", "1.0")
    listed = client.get("/layers").json()["layers"]
    assert [each.get("name") for each in root] == [each["title"] for each in listed]
    for each, layer in zip(root, listed, strict=True):
        assert each.get("url") == layer["tiles"].replace("{y}.png", "{y}@2x.png")
        assert (each.get("zmin"), each.get("zmax")) == (
            str(layer["minzoom"]),
            str(layer["maxzoom"]),
        )
        assert each.get("tilePixelRatio") == "2"
        assert [each.get(name) for name in ("authcfg", "username", "password")] == ["", "", ""]
        assert "v" in parse_qs(urlsplit(each.get("url") or "").query)


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/qgis.xml?bands=B1", 400, "bands: goes with layer alone"),
        ("/qgis.xml?layer=nothing", 404, "nothing"),
        # By its name in the path it may be read, and the access rules look at it there.
        ("/qgis.xml?layer=projects/localhost/assets/blue_marble", 404, "blue_marble"),
        ("/qgis.xml?layer=blue-marble&min=x", 400, "min: expected a number"),
        ("/qgis/blue-marble.qlr?layer=x", 400, "layer"),
        ("/qgis/nothing.qlr", 404, "nothing"),
    ],
)
def test_a_file_that_cannot_be_made_says_why(
    client: httpx.Client, path: str, status: int, message: str
) -> None:
    answer = client.get(path)
    assert (answer.status_code, message in answer.text) == (status, True)


def test_titles_that_no_xml_or_setting_can_have_are_made_fit(tmp_path: Path) -> None:
    config = tmp_path / "tileserver.toml"
    demo = "projects/localhost/assets/blue_marble"
    titles = {"a": "Same", "b": "Same", "c": 'A/B <&"\\u0001'}
    layers = "".join(
        f'[layers.{name}]\nasset = "{demo}"\ntitle = "{title}"\n'.replace('<&"', '<&\\"')
        for name, title in titles.items()
    )
    rasters = Path(tileserver.__file__).parent / "demo"
    config.write_text(f'[[rasters]]\npath = "{rasters}"\n{layers}')
    with serve(create_app(find_config(config, {}, {}))) as url:
        root = ET.fromstring(httpx.get(f"{url}/qgis.xml", timeout=60).content)
        assert [each.get("name") for each in root] == ["Same (a)", "Same (b)", 'A-B <&"']
        qlr = ET.fromstring(httpx.get(f"{url}/qgis/c.qlr", timeout=60).content)
        assert qlr.findtext(".//layername") == 'A/B <&"'


@pytest.mark.usefixtures("qgis")
def test_qgis_loads_both_files_and_paints_what_the_server_has(
    client: httpx.Client, tmp_path: Path
) -> None:
    # The connections of all layers have the same titles, of which the browser has one each.
    files = []
    for name, path, parameters in (
        ("styled.xml", "/qgis.xml", {"layer": "great-salt-lake", **STYLE}),
        ("styled.qlr", "/qgis/great-salt-lake.qlr", STYLE),
        ("own.qlr", "/qgis/great-salt-lake.qlr", {}),
    ):
        file = tmp_path / name
        file.write_bytes(client.get(path, params=parameters).raise_for_status().content)
        files.append(file)
    west, south, east, north = extent(LAKE)
    # A micrometre within the tile, as QGIS rounds the sides of pixels outwards.
    inner = (west + 1e-6, south + 1e-6, east - 1e-6, north - 1e-6)
    layers = opened(files, inner, tmp_path, 512)
    assert [Path(each["file"]).name for each in layers] == [each.name for each in files]
    tilejson = client.get("/tilejson/great-salt-lake.json").json()
    for each in layers:
        source = each["source"]
        assert each["name"] == tilejson["name"]
        assert (source["type"], source["tilePixelRatio"]) == ("xyz", "2")
        zooms = (int(source["zmin"]), int(source["zmax"]))
        assert zooms == (tilejson["minzoom"], tilejson["maxzoom"])
        query = parse_qs(urlsplit(source["url"]).query)
        is_styled = "styled" in each["file"]
        assert {name: query[name] for name in query if name != "v"} == (
            {name: [text] for name, text in STYLE.items()} if is_styled else {}
        )
        expected = picture(tile_of(client, source["url"]))
        found = picture(Path(each["picture"]).read_bytes())
        assert len(np.unique(expected[..., 0])) > 50
        np.testing.assert_array_equal(found, expected)
    assert [each["attribution"] for each in layers[1:]] == [tilejson["attribution"]] * 2
