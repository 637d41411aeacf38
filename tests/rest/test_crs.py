"""CRSs that name files or hosts, through every method that takes one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rasterio.crs import CRS

from tests.bad_input.tiffs import write_citation
from tests.rest.conftest import LOCAL
from tests.support.canaries import Canary, canary
from tests.support.crstexts import texts_with_files
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import Stopwatch
from tileserver.config.config import Config, RasterFolder
from tileserver.expressions.document import call, constant, loaded, reference
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Seconds of computation.

SCENE = f"{LOCAL}/scene"
KINDS = (
    "file",
    "url",
    "+init",
    "nadgrids",
    "extension of a projection",
    "shift of WKT2",
    "remark of PROJJSON",
)
POINT = {"type": "Point", "coordinates": [-111.9, 40.9]}


@pytest.fixture(scope="module")
def bird(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    with canary(tmp_path_factory.mktemp("canary")) as found:
        yield found


def value(**nodes: Any) -> dict[str, Any]:
    return {"expression": {"result": "out", "values": nodes}}


def requests_with(text: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return requests, by the method and the argument, in which a text stands for a CRS."""
    crs, image = constant(text), call("Image.load", id=constant(SCENE))
    projection = call("Projection", crs=crs)
    point = constant(POINT)
    reduced = {
        "image": image,
        "reducer": call("Reducer.mean"),
        "geometry": point,
        "scale": constant(30),
    }
    grid = {"dimensions": {"width": 4, "height": 4}}
    pixels = {"expression": loaded(SCENE), "fileFormat": "NPY"}
    reprojected = call("Image.reproject", image=image, crs=crs, scale=constant(30))
    made = call("GeometryConstructors.Point", coordinates=constant([0, 0]), crs=crs)
    features = call("Image.sample", image=image, region=point, scale=constant(30), projection=crs)
    compute = "/v1/projects/p/value:compute"
    drawn = {**grid, "affineTransform": {"scaleX": 1, "scaleY": -1}}
    return {
        "Projection": (compute, value(out=projection)),
        "Projection.wkt": (compute, value(out=call("Projection.wkt", projection=projection))),
        "reduceRegion": (compute, value(out=call("Image.reduceRegion", **reduced, crs=crs))),
        "geometry": (compute, value(out=made)),
        "geometry moved": (
            compute,
            value(out=call("Geometry.transform", geometry=point, proj=crs)),
        ),
        "table": ("/v1/projects/p/table:computeFeatures", value(out=features)),
        "computed pixels": (
            "/v1/projects/p/image:computePixels",
            {"expression": {"result": "out", "values": {"out": reprojected}}, "grid": grid},
        ),
        "grid of computed pixels": (
            "/v1/projects/p/image:computePixels",
            {**pixels, "grid": {**grid, "crsWkt": text}},
        ),
        "whole grid of computed pixels": (
            "/v1/projects/p/image:computePixels",
            {**pixels, "grid": {**drawn, "crsWkt": text}},
        ),
        "code of computed pixels": (
            "/v1/projects/p/image:computePixels",
            {**pixels, "grid": {**grid, "crsCode": text}},
        ),
        "pixels": (
            f"/v1/{SCENE}:getPixels",
            {"fileFormat": "NPY", "grid": {**grid, "crsWkt": text}},
        ),
        "GeoTIFF": (
            f"/v1/{SCENE}:getPixels",
            {"fileFormat": "GEO_TIFF", "grid": {**drawn, "crsWkt": text}},
        ),
        "thumbnail": (
            "/v1/projects/p/thumbnails",
            {"expression": loaded(SCENE), "fileFormat": "PNG", "grid": {**grid, "crsWkt": text}},
        ),
    }


@pytest.mark.parametrize("route", requests_with(""))
@pytest.mark.parametrize("kind", KINDS)
def test_a_crs_that_names_a_file_is_refused_and_opens_none(
    client: httpx.Client, bird: Canary, kind: str, route: str
) -> None:
    path, body = requests_with(texts_with_files(bird.path, bird.url)[kind])[route]
    answer = client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert bird.touched() == []


@pytest.mark.parametrize("route", requests_with(""))
def test_a_crs_of_another_body_is_refused_at_once(client: httpx.Client, route: str) -> None:
    path, body = requests_with("+proj=longlat +R=3396190 +no_defs")[route]
    with Stopwatch() as watch:
        answer = client.post(path, json=body)
    assert answer.status_code == 400
    assert "not of the Earth" in answer.text or route.startswith("code")
    assert watch.took_s < 5


@pytest.mark.parametrize("route", [r for r in requests_with("") if not r.startswith("code")])
@pytest.mark.parametrize("text", ["EPSG:32612", "+proj=utm +zone=12 +datum=WGS84 +units=m"])
def test_a_crs_of_no_file_is_taken_wherever_one_may_be_given(
    client: httpx.Client, route: str, text: str
) -> None:
    path, body = requests_with(text)[route]
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text


ODD = "+proj=topocentric +lat_0=45 +lon_0=5 +ellps=WGS84"
UNTOLD = "+proj=webmerc +lat_0=45 +lon_0=5 +ellps=WGS84"


@pytest.mark.parametrize("route", requests_with(""))
@pytest.mark.parametrize("text", [ODD, UNTOLD])
def test_a_crs_that_proj_cannot_write_is_the_fault_of_the_request(
    client: httpx.Client, route: str, text: str
) -> None:
    path, body = requests_with(text)[route]
    assert client.post(path, json=body).status_code in (200, 400)


def test_a_constant_that_stands_for_a_projection_is_checked_as_well(
    client: httpx.Client, bird: Canary
) -> None:
    proj = {"type": "Projection", "crs": bird.path, "transform": [1, 0, 0, 0, 1, 0]}
    nodes = {"p": constant(proj), "out": call("Projection.crs", projection=reference("p"))}
    answer = client.post("/v1/projects/p/value:compute", json=value(**nodes))
    assert answer.status_code == 400
    assert bird.touched() == []


@pytest.fixture
def files(tmp_path: Path, bird: Canary) -> Iterator[tuple[httpx.Client, Path]]:
    """Serve a folder of GeoTIFFs: whose citation names the canary, of Mars, and a good one."""
    evil = texts_with_files(bird.path, bird.url)["extension of PROJ's own"]
    for order in "<>":
        for is_big in (False, True):
            kind = {"<": "le", ">": "be"}[order] + ("-big" if is_big else "")
            write_citation(tmp_path / f"{kind}.tif", f"ESRI PE String = {evil}|", order, is_big)
    write_citation(tmp_path / "moved.tif", f"{evil[:17]}{evil} ESRI PE String = |", "<", False)
    degrees = CRS.from_epsg(4267).to_wkt()
    write_citation(tmp_path / "good.tif", f"ESRI PE String = {degrees}|", "<", False)
    write_raster(tmp_path / "mars.tif", noise(1, 64, 64), crs="+proj=longlat +R=3396190")
    write_raster(tmp_path / "plain.tif", noise(1, 64, 64))
    config = Config(rasters=(RasterFolder(str(tmp_path), LOCAL),))
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client, tmp_path


def test_a_file_whose_crs_names_a_file_is_not_opened_by_gdal(
    files: tuple[httpx.Client, Path], bird: Canary
) -> None:
    client, _ = files
    for name in ("le", "be", "le-big", "be-big", "moved"):
        answer = client.get(f"/v1/{LOCAL}/{name}")
        assert answer.status_code >= 400, name
        assert bird.touched() == [], name


def test_a_file_of_another_body_is_shown_as_it_is_and_says_why(
    files: tuple[httpx.Client, Path],
) -> None:
    client, _ = files
    with Stopwatch() as watch:
        answer = client.post(f"/v1/{LOCAL}/mars:getPixels", json={"fileFormat": "NPY"})
        info = client.get("/info/mars").json()
    assert answer.status_code == 200
    assert "not of the Earth" in info["no_place"]
    assert watch.took_s < 5


@pytest.mark.parametrize("name", ["good", "plain"])
def test_other_files_are_served_beside_it(files: tuple[httpx.Client, Path], name: str) -> None:
    client, _ = files
    answer = client.get(f"/v1/{LOCAL}/{name}")
    assert answer.status_code == 200, answer.text
