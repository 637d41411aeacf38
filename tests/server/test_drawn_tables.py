"""Tables in a folder as layers, against shapely's areas and Pillow's pictures."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from PIL import Image

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tests.tables.files import geojson_text, write_features
from tileserver.config.config import AccessSettings, Config, RasterFolder
from tileserver.config.layers import LayerSettings
from tileserver.errors import ConfigError
from tileserver.server.app import create_app

LOCAL = "projects/localhost/assets"
AREAS = [shapely.box(10 + 2 * i, 40, 11 + 2 * i, 42) for i in range(3)]
PLACES = [shapely.Point(10.5, 45), shapely.Point(14, 46), shapely.Point(-179.9995, 0)]
FILL = 0x40 / 255


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of a raster, tables that can be drawn, and tables that cannot."""
    top = tmp_path / "data"
    top.mkdir()
    write_features(top / "areas.gpkg", AREAS, {"name": ["a", "b", "c"], "n": [1, 2, 3]})
    (top / "places.geojson").write_text(geojson_text(PLACES, {"site": ["x", "y", "z"]}))
    (top / "broken.geojson").write_text("{")
    (top / "figures.csv").write_text("a,b\n1,2\n")
    write_raster(top / "scene.tif", noise(1, 50, 50), overviews=())
    (top / "scene.csv").write_text("lon,lat\n1,2\n")
    return top


def served(folder: Path, *layers: LayerSettings, access: AccessSettings | None = None) -> Config:
    return Config(
        rasters=(RasterFolder(str(folder), LOCAL),),
        layers=layers,
        access=access or AccessSettings(),
    )


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    with serve(create_app(served(folder))) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def read(client: httpx.Client, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ready(client: httpx.Client) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the layers by name and the reasons of those that fail, once all have been read."""
    found: dict[str, Any] = {}

    def are_read() -> bool:
        found.update(read(client, "/layers"))
        return not any(each.get("pending") for each in found["layers"])

    until(are_read)
    layers = {each["name"]: each for each in found["layers"]}
    return layers, {each["name"]: each["reason"] for each in found.get("errors", ())}


def picture(client: httpx.Client, path: str) -> NDArray[np.uint8]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def lonlat(z: int, x: int, y: int, side: int = 256) -> NDArray[Any]:
    """Return the longitudes and latitudes of the pixels' centres of a tile as points."""
    steps = (np.arange(side) + 0.5) / side
    lon = (x + steps) / 2**z * 360 - 180
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + steps) / 2**z))))
    return np.asarray(shapely.points(*np.meshgrid(lon, lat)))


def test_tables_are_layers_above_the_rasters(client: httpx.Client) -> None:
    layers, reasons = ready(client)
    assert list(layers) == ["areas", "places", "scene.csv", "scene"]
    np.testing.assert_allclose(layers["areas"]["bounds"], [10, 40, 15, 42], atol=1e-4)
    assert layers["areas"]["title"] == "areas"
    assert layers["areas"]["table"]["pointShape"] == "circle"
    assert "table" not in layers["scene"]
    assert reasons.keys() == {"broken", "figures"}
    assert "none of its features has a geometry" in reasons["figures"]
    assert "GeoJSON" in reasons["broken"]


@pytest.mark.parametrize(("scale", "side"), [("", 256), ("@2x", 512)])
def test_a_tile_has_translucent_areas_with_outlines(
    client: httpx.Client, scale: str, side: int
) -> None:
    z, x, y = 6, 34, 23
    found = picture(client, f"/tiles/areas/{z}/{x}/{y}{scale}.png")
    places = lonlat(z, x, y, side)
    every = shapely.union_all(AREAS)
    pixel_deg = 360 / 2**z / side
    inside = shapely.contains(shapely.buffer(every, -2 * pixel_deg), places)
    outside = ~shapely.intersects(shapely.buffer(every, 2 * pixel_deg), places)
    assert inside.any()
    assert outside.any()
    color = bytes.fromhex(read(client, "/layers")["layers"][0]["table"]["color"].removeprefix("#"))
    np.testing.assert_allclose(found[inside][:, :3], [list(color)] * inside.sum(), atol=2)
    np.testing.assert_allclose(found[inside][:, 3], 255 * FILL, atol=1)
    assert not found[outside][:, 3].any()
    edge = shapely.dwithin(every.boundary, places, 0.1 * pixel_deg)
    assert (found[edge][:, 3] == 255).all()


def test_a_point_is_a_circle_on_each_tile_that_it_reaches(client: httpx.Client) -> None:
    # It lies at the edge of the world, a pixel from the antimeridian at zoom 10.
    z = 10
    found = picture(client, f"/tiles/places/{z}/0/512.png")
    assert found[..., 3].any()
    assert picture(client, f"/tiles/places/{z}/1023/512.png")[..., 3].any()
    whole = picture(client, "/tiles/places/4/8/5.png")
    y = 1 - np.arcsinh(np.tan(np.radians([45, 46]))) / np.pi
    at = np.column_stack([(np.array([10.5, 14]) + 180) / 360, y / 2]) * 16 * 256 - (
        8 * 256,
        5 * 256,
    )
    columns, rows = np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5)
    away = np.min([np.hypot(columns - px, rows - py) for px, py in at], axis=0)
    clear = np.abs(away - 4.75) > 0.1
    np.testing.assert_array_equal((whole[..., 3] > 0)[clear], (away < 4.75)[clear])


def test_documents_name_it_as_any_other_layer(client: httpx.Client) -> None:
    ready(client)
    tilejson = read(client, "/tilejson/areas.json")
    np.testing.assert_allclose(tilejson["bounds"], [10, 40, 15, 42], atol=1e-4)
    legend = read(client, "/legend/areas.json")
    info = read(client, "/info/areas")
    assert legend["classes"] == [{"label": "areas", "color": info["table"]["color"]}]
    assert "<svg" in client.get("/legend/areas.svg").text
    assert picture(client, "/preview/areas.png")[..., 3].any()
    assert ">areas<" in client.get("/wmts/1.0.0/WMTSCapabilities.xml").text


def test_a_point_asked_for_has_the_features_there(client: httpx.Client) -> None:
    found = read(client, "/point/areas", lon=12.5, lat=41)
    assert [each["properties"] for each in found["features"]] == [{"name": "b", "n": 2}]
    assert not read(client, "/point/areas", lon=11.5, lat=41)["features"]
    near = read(client, "/point/areas", lon=11.5, lat=41, radius=60_000)["features"]
    assert [each["properties"]["name"] for each in near] == ["a", "b"]
    found = read(client, "/point/places", lon=179.9998, lat=0, radius=200)
    assert [each["properties"]["site"] for each in found["features"]] == ["z"]
    assert client.get("/point/areas?lon=1&lat=1&radius=-1").status_code == 400
    query = (
        "service=WMTS&request=GetFeatureInfo&version=1.0.0&layer=areas&style=default"
        "&format=image/png&tilematrixset=WebMercatorQuad&tilematrix=6&tilecol=34&tilerow=23"
        "&i=57&j=228&infoformat=application/json"
    )
    answer = client.get(f"/wmts?{query}")
    assert answer.status_code == 200, answer.text


def test_of_many_features_twenty_are_told(folder: Path) -> None:
    many = [shapely.Point(5 + i / 1000, 5) for i in range(30)]
    (folder / "places.geojson").write_text(geojson_text(many, {"n": list(range(30))}))
    with serve(create_app(served(folder))) as url:
        found = httpx.get(f"{url}/point/places?lon=5&lat=5&radius=10000").json()
    assert [each["properties"]["n"] for each in found["features"]] == list(range(20))
    assert found["more"]


def test_tables_come_change_and_go_as_rasters_do(client: httpx.Client, folder: Path) -> None:
    before = ready(client)[0]["places"]
    shutil.copy(folder / "places.geojson", folder / "new.geojson")
    until(lambda: "new" in ready(client)[0])
    (folder / "places.geojson").write_text(geojson_text([shapely.Point(3, 4)], {"site": ["w"]}))

    def has_moved() -> bool:
        return bool(abs(ready(client)[0]["places"]["bounds"][0] - 3) < 0.01)

    until(has_moved)
    assert ready(client)[0]["places"]["tiles"] != before["tiles"]
    assert read(client, "/point/places", lon=3, lat=4)["features"]
    (folder / "new.geojson").unlink()
    until(lambda: "new" not in ready(client)[0])


def test_a_layer_has_a_style_of_its_own(folder: Path) -> None:
    styled = LayerSettings(
        "red", asset=f"{LOCAL}/areas", color="#ff0000", fill_color="00ff0080", width=0
    )
    plain = LayerSettings("plain", asset=f"{LOCAL}/areas")
    app = create_app(served(folder, styled, plain))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert list(ready(client)[0]) == ["red", "plain"]
        found = picture(client, "/tiles/red/6/34/23.png")
        assert set(map(tuple, found.reshape(-1, 4).tolist())) == {(0, 0, 0, 0), (0, 255, 0, 128)}
        assert picture(client, "/tiles/plain/6/34/23.png")[..., 3].max() == 255
        assert read(client, "/info/red")["table"]["color"] == "#ff0000"
        assert read(client, "/point/red", lon=10.5, lat=41)["features"]


@pytest.mark.parametrize(
    ("style", "wrong"),
    [({"color": "reddish"}, "color"), ({"point_shape": "blob"}, "point_shape")],
)
def test_a_wrong_style_is_named(folder: Path, style: dict[str, str], wrong: str) -> None:
    layer = LayerSettings("a", asset=f"{LOCAL}/areas", **style)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=rf"\[layers\.a\] {wrong}: "):
        create_app(served(folder, layer))


def test_a_table_that_may_not_be_read_is_no_layer(folder: Path) -> None:
    access = AccessSettings(assets=(f"{LOCAL}/scene",))
    app = create_app(served(folder, access=access))
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert list(ready(client)[0]) == ["scene"]
        assert client.get(f"/point/{LOCAL}/areas?lon=10.5&lat=41").status_code == 404
        assert client.get("/tiles/areas/0/0/0.png").status_code == 404


def test_a_broken_table_is_refused_by_its_reason_alone(client: httpx.Client) -> None:
    answer = client.get("/tiles/broken/0/0/0.png")
    assert answer.status_code == client.get("/info/broken").status_code >= 400
    assert "it is no GeoJSON" in answer.text
    assert client.get("/tiles/scene/0/0/0.png").status_code == 200
