"""A file changes hands while it is served: each answer is of one version, and says of which.

All pixels of a version have one value, so that an answer tells which file it was read from.
"""

from __future__ import annotations

import io
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest

from tests.rasters.engine import name_of, raw
from tests.support.limits import SOON_S, cpu_limit, ends_soon
from tests.support.otheruser import let_all_enter
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, RasterFolder
from tileserver.errors import AssetChanged, AssetNotFound, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Waits until a catalogue looks again.

SIDE = 600
ASSET = "projects/localhost/assets"
TILES = ("9/96/192", "10/193/385", "11/386/771", "12/772/1542", "13/1545/3084", "14/3091/6168")


COMPRESSION = ["none"]
"""What rasters are written with: blocks of the first kind are decoded by us."""


@pytest.fixture(autouse=True, params=["none", "packbits"], ids=["read by blocks", "read by GDAL"])
def _written_with(request: pytest.FixtureRequest) -> None:
    COMPRESSION[0] = request.param


def flat(path: Path, value: int) -> Path:
    """Write a raster of one value, the size of whose file does not depend on it."""
    values = np.full((1, SIDE, SIDE), value, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_raster(path, values, overviews=(2, 4), compress=COMPRESSION[0])


def swap_files(path: Path, value: int) -> None:
    os.replace(flat(path.with_name("fresh"), value), path)


def set_back(path: Path, value: int) -> None:
    """Put a file in place that is older by a day, as a roll back does."""
    fresh = flat(path.with_name("fresh"), value)
    yesterday = time.time() - 86400
    os.utime(fresh, (yesterday, yesterday))
    os.replace(fresh, path)


def same_times(path: Path, value: int) -> None:
    """Put a file in place of the same size and time of change."""
    before, fresh = path.stat(), flat(path.with_name("fresh"), value)
    os.utime(fresh, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(fresh, path)


def rewrite_in_place(path: Path, value: int) -> None:
    """Write over a file so that inode, size and time of change stay."""
    before = path.stat()
    content = flat(path.with_name("fresh"), value).read_bytes()
    assert len(content) == before.st_size
    with path.open("r+b", buffering=0) as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def swap_folders(path: Path, value: int) -> None:
    # Beside the root: below it, a second scene.tif would take the short name from the first.
    outside = path.parent.parent.parent
    flat(outside / "next" / path.name, value)
    path.parent.rename(outside / f"old{value}")
    (outside / "next").rename(path.parent)


WAYS: dict[str, Callable[[Path, int], None]] = {
    "replaced": swap_files,
    "set back to an older one": set_back,
    "replaced by one of the same time": same_times,
    "rewritten in place": rewrite_in_place,
    "in a folder that is swapped": swap_folders,
}


@dataclass
class Tile:
    """An answer for a tile."""

    value: int
    """Of all its pixels that are not masked."""
    is_immutable: bool


def told_version(document: httpx.Response) -> str:
    """Return the version token in the URL of the tiles of a TileJSON document."""
    url: str = document.raise_for_status().json()["tiles"][0]
    return parse_qs(urlsplit(url).query)["v"][0]


class Map:
    """A client of the server, that asks for tiles as a map does."""

    def __init__(self, url: str, layer: str) -> None:
        self.client = httpx.Client(base_url=url, trust_env=False, timeout=60)
        self.layer = layer

    def version(self) -> str:
        return told_version(self.client.get(f"/tilejson/{self.layer}.json"))

    def ask(self, tile: str, version: str) -> httpx.Response:
        return self.client.get(f"/tiles/{self.layer}/{tile}.npy", params={"v": version})

    def tile(self, tile: str, version: str) -> Tile:
        answer = self.ask(tile, version).raise_for_status()
        (values,) = {*np.unique(np.load(io.BytesIO(answer.content))["b1"])} - {0}
        return Tile(int(values), "immutable" in answer.headers["cache-control"])


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return flat(tmp_path / "served/scenes/scene.tif", 1)


@pytest.fixture
def shown(scene: Path) -> Iterator[Map]:
    config = Config(rasters=(RasterFolder(str(scene.parent.parent)),))
    with serve(create_app(config)) as url:
        client = Map(url, "scene")
        yield client
        client.client.close()


@pytest.mark.parametrize("way", WAYS)
def test_pixels_that_are_kept_for_ever_are_those_of_their_version(
    shown: Map, scene: Path, way: str
) -> None:
    first = shown.version()
    assert shown.tile(TILES[0], first) == Tile(1, is_immutable=True)
    # The catalogue looks again after two seconds: a second change is for one way of reading.
    for value in (2, 3) if COMPRESSION == ["none"] else (2,):
        before = shown.version()
        WAYS[way](scene, value)
        for tile in TILES[1:]:
            answer = shown.tile(tile, before)
            assert answer.value == value - 1 or not answer.is_immutable, tile
        # After a moment at most the map is told of the new one.
        deadline = time.monotonic() + SOON_S
        while (now := shown.version()) == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for tile in TILES:
            assert shown.tile(tile, now) == Tile(value, is_immutable=True)
            assert shown.tile(tile, first) == Tile(value, is_immutable=False)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_asked_beside_tiles_is_of_one_version_too(
    shown: Map, scene: Path, way: str
) -> None:
    def asked(path: str, **query: object) -> Any:
        parameters: Any = query
        return shown.client.get(path, params=parameters).raise_for_status().json()

    def values() -> list[Any]:
        lon, lat = asked("/info/scene")["bounds"][:2]
        return [
            asked("/point/scene", lon=lon + 0.01, lat=lat + 0.01)["values"]["b1"],
            asked("/statistics/scene")["b1"]["max"],
            asked("/info/scene")["style"]["min"],
        ]

    assert values() in ([1, 1, 1], [1, 1, [1]])
    api = f"/v1/{ASSET}/scenes/scene"
    before = shown.client.get(api).json()["updateTime"]
    WAYS[way](scene, 2)
    body = {"fileFormat": "NPY", "grid": {"dimensions": {"width": 9, "height": 9}}}
    answer = shown.client.post(f"{api}:getPixels", json=body)
    assert np.unique(np.load(io.BytesIO(answer.content))["b1"]).tolist() == [2]
    assert values() in ([2, 2, 2], [2, 2, [2]])
    assert shown.client.get(api).json()["updateTime"] > before


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_what_becomes_a_link_out_of_the_folder_shows_nothing_from_there(
    shown: Map, scene: Path, tmp_path: Path, swapped: str
) -> None:
    secret = flat(tmp_path / "outside/scene.tif", 77)
    version = shown.version()
    assert shown.tile(TILES[0], version).value == 1
    place, target = (scene, secret) if swapped == "file" else (scene.parent, secret.parent)
    place.rename(tmp_path / "kept")
    place.symlink_to(target)
    deadline = time.monotonic() + SOON_S
    answers = []
    while time.monotonic() < deadline:
        for tile in TILES:
            answers.append(shown.ask(tile, version))
        if all(answer.status_code == 404 for answer in answers[-len(TILES) :]):
            break
    else:
        pytest.fail("what is behind the link is served")
    seen = {
        value
        for answer in answers
        if answer.status_code == 200
        for value in np.unique(np.load(io.BytesIO(answer.content))["b1"]).tolist()
    }
    assert seen <= {0, 1}
    assert shown.client.get("/info/scene").status_code == 404


def test_a_name_that_is_pointed_at_another_file_below_the_root_gets_another_version(
    shown: Map, scene: Path
) -> None:
    flat(scene.with_name("two.tif"), 2)
    (scene.parent / "to").symlink_to("two.tif")
    before = shown.version()
    assert shown.tile(TILES[0], before).value == 1
    scene.rename(scene.with_name("one.tif"))
    (scene.parent / "to").rename(scene)
    for tile in TILES:
        answer = shown.tile(tile, before)
        assert answer.value == 1 or not answer.is_immutable
    deadline = time.monotonic() + SOON_S
    while shown.version() == before:
        assert time.monotonic() < deadline
    assert shown.tile(TILES[1], shown.version()) == Tile(2, is_immutable=True)


def open_files(folder: Path) -> list[str]:
    """Return what this process has open below a folder, what was deleted included."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
    return [each for each in found if each.startswith(str(folder))]


@pytest.mark.parametrize("way", ["deleted", *WAYS])
def test_what_is_gone_is_let_go(shown: Map, scene: Path, tmp_path: Path, way: str) -> None:
    version = shown.version()
    for tile in TILES:
        shown.tile(tile, version)
    # Of a file that is read by blocks no descriptor stays open.
    assert bool(open_files(tmp_path)) == (COMPRESSION[0] == "packbits")
    if way == "deleted":
        scene.unlink()
        assert shown.ask("14/3091/6167", version).status_code == 404
    else:
        WAYS[way](scene, 2)
    deadline = time.monotonic() + SOON_S
    while open_files(tmp_path):
        assert time.monotonic() < deadline, open_files(tmp_path)
        time.sleep(0.05)


def test_descriptors_do_not_pile_up_while_a_file_is_replaced_again_and_again(
    tmp_path: Path,
) -> None:
    path = flat(tmp_path / "scene.tif", 1)
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    for value in range(2, 30):
        swap_files(path, value)
        assert np.unique(rasters.bands(raw(path, None)).values).tolist() in ([value], [value - 1])
        rasters.catalogue.expire(name_of(path))
        assert np.unique(rasters.bands(raw(path, None)).values).tolist() == [value]
    rasters.datasets.sweep()
    assert len(open_files(tmp_path)) <= 2
    rasters.close()
    assert open_files(tmp_path) == []


def test_a_request_for_a_version_that_is_gone_is_refused_by_the_engine(tmp_path: Path) -> None:
    path = flat(tmp_path / "scene.tif", 1)
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    old = rasters.catalogue.find(name_of(path)).asset.version
    swap_files(path, 2)
    asked = raw(path, None)
    with pytest.raises(AssetChanged, match=r"scene' changed while it was read; ask again"):
        rasters.bands(type(asked)(asked.asset_id, asked.file_format, asset_version=old))
    assert np.unique(rasters.bands(asked).values).tolist() == [2]
    rasters.close()


@pytest.mark.parametrize("way", ["replaced", "rewritten in place", "deleted"])
def test_a_file_that_changes_under_the_reader_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = flat(tmp_path / "scene.tif", 1)
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    read, changes = rasters._read, itertools.count(2)

    def read_and_change(*arguments: Any) -> Any:
        bands = read(*arguments)
        if (value := next(changes)) == 2:
            path.unlink() if way == "deleted" else WAYS[way](path, value)
            return read(*arguments)
        return bands

    monkeypatch.setattr(rasters, "_read", read_and_change)
    if way == "deleted":
        with pytest.raises(AssetNotFound):
            rasters.bands(raw(path, None))
    else:
        assert np.unique(rasters.bands(raw(path, None)).values).tolist() == [2]
    rasters.close()


def test_readers_and_a_writer_at_once_never_mix_two_versions(shown: Map, scene: Path) -> None:
    told: dict[str, set[int]] = {}
    ended = threading.Event()

    def write() -> None:
        ways = itertools.cycle(WAYS)
        for value in range(2, 12, 2):
            WAYS[next(ways)](scene, value)
            WAYS[next(ways)](scene, value + 1)
            deadline = time.monotonic() + SOON_S
            while {value + 1} not in list(told.values()) and time.monotonic() < deadline:
                time.sleep(0.01)

    def look_on(number: int) -> None:
        client = Map(str(shown.client.base_url), "scene")
        tiles = itertools.cycle(TILES[number:] + TILES[:number])
        while not ended.is_set():
            found = client.client.get("/tilejson/scene.json")
            # While a folder is swapped there is none for a moment.
            if found.status_code in (404, 503):
                continue
            version = told_version(found)
            answer = client.ask(next(tiles), version)
            if answer.status_code in (404, 503):
                continue
            assert answer.status_code == 200, answer.text
            values = {*np.unique(np.load(io.BytesIO(answer.content))["b1"]).tolist()} - {0}
            assert len(values) == 1
            if "immutable" in answer.headers["cache-control"]:
                told.setdefault(version, set()).update(values)
        client.client.close()

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(look_on, number) for number in range(3)]
        try:
            pool.submit(write).result()
        finally:
            ended.set()
        for reader in readers:
            reader.result()
    assert {version: values for version, values in told.items() if len(values) > 1} == {}
    assert len(told) > 2


def test_a_root_that_is_deleted_and_made_again_is_served_again(tmp_path: Path) -> None:
    path = flat(tmp_path / "served/scene.tif", 1)
    catalogue = Catalogue([Root(str(path.parent))])
    before = catalogue.find(name_of(path)).asset.version
    shutil.rmtree(path.parent)
    with pytest.raises(AssetNotFound):
        catalogue.find(name_of(path), 0.0)
    flat(path, 2)
    time.sleep(2.1)
    assert catalogue.find(name_of(path)).asset.version != before


def test_a_root_that_is_a_file_may_be_given_as_a_link_and_becomes_none_later(
    tmp_path: Path,
) -> None:
    secret = flat(tmp_path / "outside/secret.tif", 7)
    plain = flat(tmp_path / "plain.tif", 1)
    linked = tmp_path / "linked.tif"
    linked.symlink_to(secret)
    rasters = LocalRasters(Catalogue([Root(str(plain)), Root(str(linked))]))
    assert np.unique(rasters.bands(raw(plain, None)).values).tolist() == [1]
    assert np.unique(rasters.bands(raw(linked, None)).values).tolist() == [7]
    plain.unlink()
    plain.symlink_to(secret)
    linked.unlink()
    linked.symlink_to(flat(tmp_path / "outside/other.tif", 8))
    for path in (plain, linked):
        rasters.catalogue.expire(name_of(path))
    with pytest.raises(AssetNotFound):
        rasters.bands(raw(plain, None))
    assert np.unique(rasters.bands(raw(linked, None)).values).tolist() == [8]
    rasters.close()


def test_of_roots_in_each_other_each_is_kept_to_itself(tmp_path: Path) -> None:
    flat(tmp_path / "outer/a.tif", 1)
    inner = flat(tmp_path / "outer/inner/b.tif", 2)
    # From the outer root the link stays below, from the inner one it leads out.
    (inner.parent / "link.tif").symlink_to("../a.tif")
    catalogue = Catalogue(
        [Root(str(inner.parent), "projects/inner/assets"), Root(str(tmp_path / "outer"))]
    )
    assert catalogue.names("projects/inner/assets") == ["projects/inner/assets/b"]
    assert f"{ASSET}/inner/link" in catalogue.names()


@pytest.fixture
def nobody() -> Iterator[None]:
    """Run a test as somebody whom the system refuses something."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.mark.parametrize("refused", ["scene.tif", "scene.json", "."])
def test_a_file_that_may_not_be_read_says_so_and_no_path(
    tmp_path: Path, refused: str, request: pytest.FixtureRequest
) -> None:
    path = flat(tmp_path / "scene.tif", 1)
    path.with_suffix(".json").write_text("{}")
    let_all_enter(tmp_path)
    catalogue = Catalogue([Root(str(tmp_path))])
    catalogue.find(name_of(path))
    catalogue.expire(name_of(path))
    (tmp_path / refused).chmod(0)
    # To another user the system does not tell who writes a file: it must look settled.
    os.utime(path, (1, 1))
    request.getfixturevalue("nobody")
    with pytest.raises(UnreadableRaster, match="permission denied; the server must") as caught:
        catalogue.find(name_of(path))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "huge"])
def test_a_sidecar_that_is_no_plain_file_or_too_long_is_never_read(
    tmp_path: Path, kind: str
) -> None:
    path = flat(tmp_path / "served/scene.tif", 1)
    sidecar = path.with_suffix(".json")
    secret = tmp_path / "secret.json"
    secret.write_text('{"properties": {"secret": 1}}')
    if kind == "fifo":
        os.mkfifo(sidecar)
    elif kind == "link":
        sidecar.symlink_to(secret)
    elif kind == "folder":
        sidecar.mkdir()
    else:
        sidecar.touch()
        os.truncate(sidecar, 1 << 30)
    catalogue = Catalogue([Root(str(path.parent))])
    with ends_soon(), cpu_limit(2):
        if kind == "huge":
            with pytest.raises(UnreadableRaster, match=r"its \.json sidecar is longer than 4 MB"):
                catalogue.find(name_of(path))
        else:
            assert catalogue.find(name_of(path)).asset.properties == {}
    assert open_files(tmp_path) == []


def test_a_sidecar_changes_the_version_and_the_time_of_the_last_change(tmp_path: Path) -> None:
    path = flat(tmp_path / "scene.tif", 1)
    catalogue = Catalogue([Root(str(tmp_path))])
    sidecar = path.with_suffix(".json")
    sidecar.write_text('{"properties": {"a": 1}}')
    before = catalogue.find(name_of(path)).asset
    stamps = sidecar.stat()
    sidecar.write_text('{"properties": {"a": 2}}')
    os.utime(sidecar, ns=(stamps.st_atime_ns, stamps.st_mtime_ns))
    after = catalogue.find(name_of(path), 0.0).asset
    assert (before.properties, after.properties) == ({"a": 1}, {"a": 2})
    assert after.version != before.version
    assert (after.update_time or "") > (before.update_time or "")


def test_a_file_that_changes_at_every_try_is_refused_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restless, sound = flat(tmp_path / "restless.tif", 1), flat(tmp_path / "sound.tif", 2)
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    read, tries = rasters._read, []

    def change_and_read(*arguments: Any) -> Any:
        tries.append(1)
        os.utime(restless)
        return read(*arguments)

    monkeypatch.setattr(rasters, "_read", change_and_read)
    with pytest.raises(AssetChanged):
        rasters.bands(raw(restless, None))
    assert len(tries) == 3
    assert np.unique(rasters.bands(raw(sound, None)).values).tolist() == [2]
    monkeypatch.undo()
    assert np.unique(rasters.bands(raw(restless, None)).values).tolist() == [1]
    rasters.close()
