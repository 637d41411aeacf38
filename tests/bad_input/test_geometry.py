"""Rasters in awkward places, asked about awkward places: answered or refused, never a 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rasterio import Affine

from tests.bad_input.client import check_refusal
from tests.bad_input.server import Server
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, RasterFolder
from tileserver.server.app import create_app

WGS84 = "EPSG:4326"
GEOSTATIONARY = "+proj=geos +h=35785831 +lon_0=0 +sweep=y"
# width, height, CRS, pixel corner to CRS
PLACES = {
    "north-pole": (64, 64, "EPSG:3413", Affine(10_000, 0, -320_000, 0, -10_000, 320_000)),
    "south-pole": (64, 64, "EPSG:3031", Affine(10_000, 0, -320_000, 0, -10_000, 320_000)),
    "on-the-antimeridian": (64, 64, WGS84, Affine(0.1, 0, 177, 0, -0.1, 3)),
    "antimeridian-in-utm": (64, 64, "EPSG:32601", Affine(3000, 0, 200_000, 0, -3000, 200_000)),
    "world": (360, 180, WGS84, Affine(1, 0, -180, 0, -1, 90)),
    "world-from-0-to-360": (360, 180, WGS84, Affine(1, 0, 0, 0, -1, 90)),
    "twice-the-world": (360, 180, WGS84, Affine(2, 0, -360, 0, -2, 180)),
    "world-in-mercator": (
        64,
        64,
        "EPSG:3857",
        Affine(626_172, 0, -2.0037e7, 0, -626_172, 2.0037e7),
    ),
    "world-in-mollweide": (64, 64, "ESRI:54009", Affine(600_000, 0, -1.8e7, 0, -300_000, 9e6)),
    "disc-from-space": (64, 64, GEOSTATIONARY, Affine(180_000, 0, -5.6e6, 0, -180_000, 5.6e6)),
    "last-degree": (4, 4, WGS84, Affine(0.25, 0, 179, 0, -0.25, 90)),
    "off-the-earth": (64, 64, WGS84, Affine(1, 0, 1e6, 0, -1, 1e6)),
    "off-the-zone": (64, 64, "EPSG:32612", Affine(30, 0, 1e12, 0, -30, 1e12)),
    "smaller-than-a-pixel": (2, 2, WGS84, Affine(1e-9, 0, 10, 0, -1e-9, 10)),
}
SAID = ("outside the domain of", "within 85.05 degrees of the equator", "must be less than")
QUESTIONS = [
    "/tiles/{}/0/0/0.png",
    "/tiles/{}/0/0/0@2x.npy",
    "/tiles/{}/1/1/1.webp",
    "/tiles/{}/24/16777215/0.png",
    "/tiles/{}/24/0/16777215.png",
    "/preview/{}.png",
    "/preview/{}.png?bbox=-180,-90,180,90",
    "/preview/{}.png?bbox=170,-10,-170,10&width=64",
    "/preview/{}.npy?bbox=0,0,1e-9,1e-9&width=1&height=1",
    "/info/{}",
    "/tilejson/{}.json",
    "/statistics/{}",
    "/statistics/{}?bbox=-180,-90,180,90",
    "/statistics/{}?bbox=170,-10,-170,10",
    "/statistics/{}?bbox=0,0,1e-9,1e-9",
    *(f"/point/{{}}?lon={lon}&lat={lat}" for lon in (-180, 0, 180) for lat in (-90, 0, 90)),
]


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the rasters above."""
    folder = tmp_path_factory.mktemp("places")
    for name, (width, height, crs, transform) in PLACES.items():
        values = noise(1, height, width, "uint8")
        write_raster(folder / f"{name}.tif", values, crs, transform, overviews=())
    with serve(create_app(Config(rasters=(RasterFolder(str(folder)),)))) as url:
        yield Server(url, folder)


@pytest.mark.parametrize("name", PLACES)
def test_a_raster_anywhere_is_answered_for_or_refused_with_a_reason(
    placed: Server, name: str
) -> None:
    for question in QUESTIONS:
        target = question.format(name)
        answer = placed.ask(target)
        if answer.status != 200:
            assert answer.status in (400, 502), f"{target}: {answer.text[:300]}"
            check_refusal(answer, target, status=answer.status)
            assert any(said in answer.text for said in SAID), answer.text[:300]


@pytest.mark.parametrize("name", sorted(PLACES.keys() - {"off-the-earth", "off-the-zone"}))
def test_a_raster_on_earth_has_tiles_and_a_document(placed: Server, name: str) -> None:
    for target in (f"/tiles/{name}/0/0/0.png", f"/info/{name}", f"/tilejson/{name}.json"):
        assert placed.ask(target).status == 200
    west, south, east, north = placed.ask(f"/info/{name}").json["bounds"]
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert -90 <= south <= north <= 90
