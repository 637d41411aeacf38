"""Files in a served folder that must be left out, that are broken, or that are merely odd."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest
import rasterio
from rasterio import Affine

from tests.bad_input.files import BROKEN, LEFT_OUT, NAMES, NOT_TIFF, ODD, PREFIX, sound
from tests.bad_input.server import Server
from tests.support.limits import ends_soon
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import Config, RasterFolder
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import DeadlineExceeded
from tileserver.rasters import catalogue as catalogue_module
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

# A server must not stop at what rasterio warns of.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

FLAT = Affine(1e-8, 0, -112, 0, -1e-8, 41)
SECRET = "SECRET-OUTSIDE"  # pragma: allowlist secret
ROUTES = [
    "/tiles/{}/0/0/0.png",
    "/tiles/{}/0/0/0.npy",
    "/preview/{}.png",
    "/legend/{}.svg",
    "/tilejson/{}.json",
    "/info/{}",
    "/point/{}?lon=-112&lat=40.6",
    "/statistics/{}",
]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is not served, beside one that is, with a secret in it."""
    folder = tmp_path_factory.mktemp("files") / "outside"
    folder.mkdir()
    sound(folder / "secret.tif")
    (folder / "secret.json").write_text(f'{{"properties": {{"note": "{SECRET}"}}}}')
    return folder


@pytest.fixture(scope="module")
def files(outside: Path) -> Iterator[Server]:
    """A server of a folder in which everything of the tables above lies."""
    folder = outside.parent / "served"
    folder.mkdir()
    for name, (make, _) in BROKEN.items():
        make(folder / f"{name}.tif")
    for name, make_odd in ODD.items():
        make_odd(folder / f"{name}.tif")
    named = sound(folder / "named.tif").read_bytes()
    for name in NAMES:
        path = folder / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(named)
    for name, make_left_out in LEFT_OUT.items():
        make_left_out(folder / name)
    with serve(create_app(config_of(folder))) as url:
        yield Server(url, folder)


def config_of(folder: Path) -> Config:
    return Config(rasters=(RasterFolder(str(folder)),))


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch, outside: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of one sound raster, `scene.tif`, that looks at the disk at every request."""
    monkeypatch.setattr(catalogue_module, "_RECHECK_S", 0.0)
    sound(tmp_path / "scene.tif")
    with serve(create_app(config_of(tmp_path))) as url:
        yield Server(url, tmp_path)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_what_is_wrong_with_it(files: Server, name: str) -> None:
    _, said = BROKEN[name]
    for route in ROUTES:
        target = route.format(f"{PREFIX}/{name}")
        files.check_refuses(target, f"{PREFIX}/{name}", *said, status=502)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_served(files: Server, name: str) -> None:
    for route in ROUTES:
        answer = files.ask(route.format(f"{PREFIX}/{name}"))
        is_too_much = "must be less than or equal to" in answer.text
        assert answer.status == 200 or (name == "bands-1000" and is_too_much), answer.text[:300]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_an_odd_name_is_served(files: Server, name: str) -> None:
    asset = quote(f"{PREFIX}/{name}")
    assert files.ask(f"/info/{asset}").json["asset"] == f"{PREFIX}/{name}"
    document = files.ask(f"/tilejson/{asset}.json").json
    address = document["tiles"][0].removeprefix(files.url)
    tile = address.replace("{z}/{x}/{y}", "0/0/0")
    answer = files.ask(tile)
    assert answer.status == 200
    assert answer.headers["cache-control"].endswith("immutable")


@pytest.mark.parametrize("name", LEFT_OUT, ids=ascii)
def test_what_must_not_be_served_is_not_there(files: Server, name: str) -> None:
    stem = quote(os.path.splitext(name)[0].encode("utf-8", "surrogateescape"))
    for path in (stem, f"{stem}/inside", f"{stem}/secret"):
        for asset in (path, f"{PREFIX}/{path}"):
            assert files.ask(f"/info/{asset}").status == 404
            assert files.ask(f"/tiles/{asset}/0/0/0.png").status == 404


def test_the_list_has_what_is_sound_and_tells_why_of_all_else(files: Server) -> None:
    listed: set[str] = set()
    told: dict[str, str] = {}
    target: str | None = "/layers?limit=1000"
    while target:
        page = files.ask(target).json
        listed |= {layer["asset"].removeprefix(f"{PREFIX}/") for layer in page["layers"]}
        told |= {error["name"]: error["reason"] for error in page.get("errors", [])}
        target = page["next"] and page["next"].removeprefix(files.url)
    assert listed == {*ODD, *NAMES, "named"}
    assert set(told) == set(BROKEN)
    for name, (_, said) in BROKEN.items():
        assert all(part.casefold() in told[name].casefold() for part in said), told[name]


@pytest.mark.parametrize("name", [*BROKEN, *ODD])
def test_the_api_answers_for_any_file_without_a_fault_of_its_own(files: Server, name: str) -> None:
    answer = files.ask(f"/v1/{PREFIX}/{name}")
    assert answer.status in ((200,) if name in ODD else (200, 400)), answer.text[:300]


def test_a_sidecar_that_is_a_link_is_not_followed(unguarded: Server, outside: Path) -> None:
    (unguarded.folder / "scene.json").symlink_to(outside / "secret.json")
    answer = unguarded.ask("/info/scene")
    assert answer.status == 200
    assert SECRET not in answer.text


def test_a_file_that_is_removed_is_not_found_any_more(unguarded: Server) -> None:
    assert unguarded.ask("/tiles/scene/0/0/0.png").status == 200
    (unguarded.folder / "scene.tif").unlink()
    unguarded.check_refuses("/tiles/scene/0/0/0.png", "'scene' not found", status=404)


def test_a_file_that_is_cut_while_it_is_open_is_refused(unguarded: Server) -> None:
    assert unguarded.ask("/tiles/scene/0/0/0.png").status == 200
    os.truncate(unguarded.folder / "scene.tif", 200)
    # It may be a copy in progress: for the first seconds it is not called damaged.
    unguarded.check_refuses("/tiles/scene/0/0/0.png", "is being written", status=503)
    until(lambda: unguarded.ask("/tiles/scene/0/0/0.png").status == 502)
    unguarded.check_refuses("/tiles/scene/0/0/0.png", NOT_TIFF, status=502)


def test_a_file_that_is_replaced_while_it_is_open_is_read_anew(unguarded: Server) -> None:
    before = unguarded.ask("/tiles/scene/0/0/0.npy")
    write_raster(unguarded.folder / "new", noise(2, 64, 64, "int16"))
    os.replace(unguarded.folder / "new", unguarded.folder / "scene.tif")
    after = unguarded.ask("/tiles/scene/0/0/0.npy")
    assert before.status == after.status == 200
    assert len(after.body) > len(before.body)
    assert len(unguarded.ask("/info/scene").json["bands"]) == 2


@pytest.mark.parametrize("what", ["fifo", "link", "folder", "folder link"])
def test_a_file_that_becomes_something_else_is_not_opened(
    unguarded: Server, outside: Path, what: str
) -> None:
    path = unguarded.folder / "scene.tif"
    assert unguarded.ask("/tiles/scene/0/0/0.png").status == 200
    path.unlink()
    if what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(outside / "secret.tif" if what == "link" else outside)
    for target in ("/tiles/scene/0/0/0.png", "/info/scene", "/statistics/scene"):
        unguarded.check_refuses(target, "'scene' not found", status=404)


def test_a_folder_that_becomes_a_link_is_not_entered(unguarded: Server, outside: Path) -> None:
    (unguarded.folder / "below").mkdir()
    shutil.copy(unguarded.folder / "scene.tif", unguarded.folder / "below" / "secret.tif")
    target = f"/info/{PREFIX}/below/secret"
    assert unguarded.ask(target).status == 200
    shutil.rmtree(unguarded.folder / "below")
    (unguarded.folder / "below").symlink_to(outside)
    unguarded.check_refuses(target, "not found", status=404)


def test_an_enormous_empty_raster_ends_at_the_deadline_and_not_in_all_memory(
    tmp_path: Path,
) -> None:
    profile = {"dtype": "uint8", "count": 1, "crs": "EPSG:4326", "transform": FLAT}
    with rasterio.open(
        tmp_path / "sparse.tif",
        "w",
        driver="GTiff",
        width=2**31 - 1,
        height=4096,
        sparse_ok=True,
        tiled=True,
        blockxsize=16384,
        blockysize=4096,
        compress="deflate",
        bigtiff="yes",
        **profile,
    ):
        pass
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]), deadline_s=0.3)
    told = "`tileserver ingest` makes a copy"
    with ends_soon(), pytest.raises(DeadlineExceeded, match=told):
        anyio.run(whole, rasters)


async def whole(rasters: LocalRasters) -> None:
    """Ask for all of the raster in 64 x 64 pixels."""
    native = (await rasters.get_asset(f"{PREFIX}/sparse")).common_grid
    across, down = native.width / 64, native.height / 64
    t = native.transform
    enlarged = replace(t, scale_x=t.scale_x * across, scale_y=t.scale_y * down)
    grid = PixelGrid(64, 64, enlarged, native.crs_code)
    await rasters.read_bands(PixelRequest(f"{PREFIX}/sparse", grid=grid))
