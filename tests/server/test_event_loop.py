"""Nothing that may block runs on the event loop, and what is slow harms nobody else."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import numpy as np
import pytest
import rasterio
from rasterio import Affine

from tests.support.onloop import Watched
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import ApiSettings, Config, LayerSettings, RasterFolder
from tileserver.expressions.document import call, constant, loaded, to_text
from tileserver.geo import crs as projections
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Waits for calls that take long.

PREFIX = "projects/localhost/assets"
PLACE = Affine(30.0, 0.0, -1000.0, 0.0, -30.0, 1000.0)
"""Around the middle of a CRS."""
BOX = "-112.01,39.99,-111.99,40.01"
REGION = {
    "type": "Polygon",
    "coordinates": [[[-113, 39], [-111, 39], [-111, 41], [-113, 41], [-113, 39]]],
}
SINCE = 'updateTime > "2020-01-01T00:00:00Z"'
ROUTES = (
    "/tiles/{}/10/193/387.png",
    "/tiles/{}/10/193/387.jpg",
    "/tiles/{}/10/193/387.webp",
    "/tiles/{}/10/193/387@2x.png",
    "/tiles/{}/10/193/387.npy",
    "/tiles/{}/3/0/0.png",
    "/preview/{}.png",
    f"/preview/{{}}.png?bbox={BOX}&width=50",
    "/tilejson/{}.json",
    "/info/{}",
    "/point/{}?lon=-112&lat=40",
    "/statistics/{}",
    f"/statistics/{{}}?bbox={BOX}",
    "/legend/{}.svg",
    "/layers",
    "/readyz",
    "/metrics",
    "/",
    "/css/base.css",
    f"/v1/{PREFIX}/{{}}",
    f"/v1/{PREFIX}:listAssets",
    f"/v1/{PREFIX}:listImages?region={quote(json.dumps(REGION))}",
    f"/v1/{PREFIX}:listAssets?filter={quote(SINCE)}",
    "/v1/projects/localhost/algorithms",
    "/$discovery/rest",
)

MORE_ROUTES = (
    "/tiles/{}/10/193/387.npz",
    "/tiles/{}/10/193/387.avif",
    "/tiles/{}/2/0/0.png?tms=EPSG3413",
    "/tiles/{}/9/193/141.png?tms=WorldCRS84Quad",
    "/legend/{}.png",
    "/legend/{}.json",
    f"/profile/{{}}?line={BOX}",
    "/wmts",
    "/wmts/{}",
    "/wmts/{}?service=WMTS&request=GetTile&version=1.0.0&format=image/png"
    "&tilematrixset=WorldCRS84Quad&tilematrix=0&tilerow=0&tilecol=0",
    "/wmts/{}?service=WMTS&request=GetFeatureInfo&version=1.0.0&format=image/png&i=1&j=1"
    "&infoformat=text/plain&tilematrixset=WorldCRS84Quad&tilematrix=0&tilerow=0&tilecol=0",
    "/ogc",
    "/ogc/conformance",
    "/ogc/tileMatrixSets",
    "/ogc/tileMatrixSets/NZTM2000Quad",
    "/ogc/collections",
    "/ogc/collections/{}",
    "/ogc/collections/{}/map/tiles",
    "/ogc/collections/{}/map/tiles/WorldCRS84Quad",
    "/ogc/collections/{}/map/tiles/WorldCRS84Quad/0/0/0",
    "/qgis.xml",
    "/qgis/{}.qlr",
    "/export/{}.html?maxzoom=3",
    f"/export/{{}}.pmtiles?maxzoom=12&bbox={BOX}",
    "/openapi.json",
    "/assets",
    "/colormaps",
)


def centred(number: int) -> str:
    """Return a CRS that nothing has asked PROJ for before."""
    return f"+proj=laea +lat_0=40 +lon_0={-112 + number * 1e-6:.6f} +ellps=WGS84 +units=m"


def raster(path: Path, number: int) -> None:
    write_raster(path, noise(3, 70, 70, "uint8"), centred(number), PLACE, overviews=())


class Asking(NamedTuple):
    """A server, and what it calls on its event loop."""

    client: httpx.Client
    watched: Watched
    name: str
    """Of its only raster, which nothing was asked about yet."""


_numbers = iter(range(1, 10_000))


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    number = next(_numbers)
    name = f"scene{number}"
    folder = tmp_path / "rasters"
    folder.mkdir()
    raster(folder / f"{name}.tif", number)
    asset = f"{PREFIX}/{name}"
    (tmp_path / "half.json").write_text(
        to_text(
            {
                "result": "0",
                "values": {
                    "0": call(
                        "Image.divide",
                        image1=call("Image.load", id=constant(asset)),
                        image2=call("Image.constant", value=constant(2)),
                    )
                },
            }
        )
    )
    config = Config(
        rasters=(RasterFolder(str(folder)),),
        layers=(
            LayerSettings(name, asset),
            LayerSettings("computed", expression=str(tmp_path / "half.json")),
        ),
        api=ApiSettings(graphs=str(tmp_path / "graphs")),
    )
    watched = Watched(create_app(config), monkeypatch)
    with (
        serve(watched) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield Asking(client, watched, name)


@pytest.mark.parametrize("target", ROUTES)
def test_a_route_asks_neither_proj_nor_the_disk_on_the_event_loop(
    asking: Asking, target: str
) -> None:
    answer = asking.client.get(target.format(asking.name))
    assert answer.status_code == 200, answer.text
    assert asking.watched.seen == []


def test_nor_do_the_routes_of_other_programs(asking: Asking) -> None:
    for target in MORE_ROUTES:
        answer = asking.client.get(target.format(asking.name))
        assert answer.status_code == 200, (target, answer.text)
        assert asking.watched.seen == [], target


@pytest.mark.parametrize("target", ROUTES[:14])
def test_nor_does_a_route_of_a_computed_layer(asking: Asking, target: str) -> None:
    answer = asking.client.get(target.format("computed"))
    assert answer.status_code == 200, answer.text
    assert asking.watched.seen == []


def expressions(name: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return POST requests of the API about an image, by what they are."""
    image = loaded(f"{PREFIX}/{name}")
    of_image = {"expression": image}
    grid = {"dimensions": {"width": 8, "height": 8}, "crsCode": "EPSG:4326"}
    box = {"region": REGION, "grid": grid, "fileFormat": "PNG", "bandIds": ["b1"]}
    node = call("Element.geometry", feature=call("Image.load", id=constant(f"{PREFIX}/{name}")))
    bounds = {"expression": {"result": "0", "values": {"0": node}}}
    collection = call(
        "Collection",
        features={
            "arrayValue": {"values": [call("Feature", geometry=node, metadata=constant({}))]}
        },
    )
    features = {"expression": {"result": "0", "values": {"0": collection}}}
    project = "/v1/projects/localhost"
    return {
        "getPixels": (f"/v1/{PREFIX}/{name}:getPixels", box),
        "describe": (f"{project}/value:compute", of_image),
        "outline": (f"{project}/value:compute", bounds),
        "computePixels": (f"{project}/image:computePixels", {**of_image, **box}),
        "map": (f"{project}/maps", {**of_image, "fileFormat": "PNG"}),
        "thumbnail": (f"{project}/thumbnails", {**of_image, **box}),
        "features": (f"{project}/table:computeFeatures", features),
        "table": (f"{project}/tables", features),
    }


@pytest.mark.parametrize("what", expressions("x"))
def test_nor_does_a_method_of_the_api(asking: Asking, what: str) -> None:
    path, body = expressions(asking.name)[what]
    answer = asking.client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    rest = {"map": "/tiles/3/1/3", "thumbnail": ":getPixels", "table": ":getFeatures"}.get(what)
    if rest:
        stored = asking.client.get(f"/v1/{answer.json()['name']}{rest}")
        assert stored.status_code == 200, stored.text
    assert asking.watched.seen == []


NOT_SHOWN = "its CRS takes too long to bring to longitude and latitude"
OF_LAYER = ROUTES[:14]
OF_ONE = (*OF_LAYER, f"/v1/{PREFIX}/{{}}")


class Probed:
    """A server that is asked for its health all the while."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def __enter__(self) -> Probed:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ends.set()
        self._thread.join()

    def _probe(self) -> None:
        with httpx.Client(base_url=self.url, trust_env=False, timeout=60) as client:
            while not self._ends.wait(0.01):
                self.answered += client.get("/healthz").status_code == 200

    def check(self) -> None:
        """Fail unless the health is told from now on, whatever threads wait for."""
        answered = self.answered
        until(lambda: self.answered > answered + 5)


class SlowProj:
    """PROJ, which does not return from one CRS before it is let."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_return = threading.Event()
        self._transform = vars(projections)["transform"]

    def __call__(self, source: Any, target: Any, xs: Any, ys: Any) -> Any:
        if any("-97" in crs.to_wkt() for crs in (source, target)):
            self.calls += 1
            self.may_return.wait()
        return self._transform(source, target, xs, ys)


@pytest.fixture
def slow_proj(monkeypatch: pytest.MonkeyPatch) -> SlowProj:
    slow = SlowProj()
    monkeypatch.setattr(projections, "transform", slow)
    return slow


@pytest.fixture
def mixed(tmp_path: Path, slow_proj: SlowProj) -> Iterator[httpx.Client]:
    """Serve a good raster among fourteen of a slow CRS."""
    raster(tmp_path / "good.tif", next(_numbers))
    crs = "+proj=laea +lat_0=40 +lon_0=-97 +ellps=WGS84 +units=m"
    for number in range(len(OF_LAYER)):
        path = tmp_path / f"slow{number}.tif"
        write_raster(path, noise(1, 70, 70, "uint8"), crs, PLACE, overviews=())
    with (
        serve(create_app(Config(rasters=(RasterFolder(str(tmp_path)),)))) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client
        slow_proj.may_return.set()


def place_of_good(mixed: httpx.Client) -> None:
    """Have the place of the good raster found; on a busy machine even that may take too long."""
    until(lambda: mixed.get("/info/good").status_code == 200)


def test_a_slow_crs_costs_its_own_layer_alone(mixed: httpx.Client, slow_proj: SlowProj) -> None:
    names = sorted(f"slow{number}" for number in range(len(OF_LAYER)))
    place_of_good(mixed)
    with Probed(str(mixed.base_url)) as probed:
        # A list waits two seconds; it has those that take longer without their places.
        first = {layer["name"]: layer for layer in mixed.get("/layers").json()["layers"]}
        assert all(layer["pending"] for name, layer in first.items() if name != "good")
        until(lambda: len(mixed.get("/layers").json().get("errors", [])) == len(names))
        # A list waits for none of them long.
        until(
            lambda: not any(each.get("pending") for each in mixed.get("/layers").json()["layers"])
        )
        page = mixed.get("/layers").json()
        assert [layer["name"] for layer in page["layers"]] == ["good"]
        assert sorted(error["name"] for error in page["errors"]) == names
        assert all(NOT_SHOWN in error["reason"] for error in page["errors"])
        # From now on no request waits for it.
        calls = slow_proj.calls
        assert mixed.get("/layers").json() == page
        for target in OF_ONE:
            assert mixed.get(target.format("good")).status_code == 200
        assert slow_proj.calls == calls
        probed.check()


def test_each_route_of_a_slow_crs_says_so_in_time_and_then_at_once(
    mixed: httpx.Client, slow_proj: SlowProj
) -> None:
    targets = [target.format(f"slow{number}") for number, target in enumerate(OF_LAYER)]
    with ThreadPoolExecutor(len(targets)) as pool:
        first = list(pool.map(mixed.get, targets))
    # One thread is all that each of them gets.
    assert slow_proj.calls == len(targets)
    again = [mixed.get(target) for target in targets]
    assert slow_proj.calls == len(targets)
    for target, *answers in zip(targets, first, again, strict=True):
        assert [(target, answer.status_code) for answer in answers] == [(target, 502)] * 2
        assert all(NOT_SHOWN in answer.text for answer in answers)


def test_many_requests_for_a_slow_crs_leave_the_threads_to_others(
    mixed: httpx.Client, slow_proj: SlowProj
) -> None:
    good = "/tiles/good/10/193/387.png"
    place_of_good(mixed)
    with ThreadPoolExecutor(30) as pool, Probed(str(mixed.base_url)) as probed:
        targets = [f"/tiles/slow{n % 8}/10/193/{380 + n}.png" for n in range(30)]
        asked = [pool.submit(mixed.get, target) for target in targets]
        until(lambda: slow_proj.calls >= 4)
        for gamma in (2, 3, 4):
            assert mixed.get(f"{good}?gamma={gamma}").status_code == 200
        probed.check()
        assert {each.result().status_code for each in asked} == {502}


def test_the_watch_sees_what_is_called_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tif"
    raster(path, next(_numbers))

    async def careless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        with rasterio.open(path):
            pass
        path.read_bytes()
        path.stat()
        ones = np.ones(1)
        projections.transform_points(centred(next(_numbers)), "EPSG:4326", ones, ones)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    watched = Watched(careless, monkeypatch)
    with serve(watched) as url:
        httpx.get(url, trust_env=False, timeout=60)
    for what in ("open", "stat", "transform", "CRS."):
        assert any(each.startswith(what) for each in watched.seen), what
