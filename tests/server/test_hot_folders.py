"""Files that come, go and change in a folder that is served."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.commands import serving
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.waiting import until
from tileserver.config.config import Config
from tileserver.rasters.roots import Root
from tileserver.server.app import create_app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served").mkdir()
    flat(tmp_path / "served" / "first.tif", 1)
    return tmp_path / "served"


@pytest.fixture
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        serve(create_app(Config(), [Root(str(folder))])) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        yield client


def flat(path: Path, value: int) -> Path:
    return write_raster(path, np.full((1, 64, 64), value, np.uint8), overviews=())


def listed(client: httpx.Client) -> list[str]:
    layers = client.get("/layers").raise_for_status().json()
    assert layers.get("errors", []) == []
    return [each["name"] for each in layers["layers"]]


def shown(client: httpx.Client, name: str) -> list[int]:
    """Return the values that the layer's preview has."""
    document = client.get(f"/tilejson/{name}.json").raise_for_status().json()
    lon, lat, _ = document["center"]
    point = client.get(f"/point/{name}", params={"lon": lon, "lat": lat}).raise_for_status()
    return list(point.json()["values"].values())


def test_files_that_come_and_go_are_layers_that_come_and_go(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    assert listed(client) == ["first"]
    flat(tmp_path / "made.tif", 7).rename(folder / "second.tif")
    until(lambda: listed(client) == ["first", "second"])
    assert shown(client, "second") == [7]
    (folder / "first.tif").unlink()
    until(lambda: listed(client) == ["second"])
    assert client.get("/tilejson/first.json").status_code == 404


def test_folders_that_come_are_looked_into(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made/deep"
    made.mkdir(parents=True)
    flat(made / "third.tif", 3)
    (tmp_path / "made").rename(folder / "new")
    until(lambda: listed(client) == ["first", "third"])
    flat(folder / "new/deep/fourth.tif", 4)
    until(lambda: listed(client) == ["first", "fourth", "third"])
    shutil.rmtree(folder / "new")
    until(lambda: listed(client) == ["first"])


def test_a_copy_in_progress_is_not_shown_and_the_finished_one_is(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    content = flat(tmp_path / "source.tif", 9).read_bytes()
    with (folder / "copy.tif").open("wb") as file:
        file.write(content[: len(content) // 2])
        file.flush()
        # It was looked for since: a file that came later is there.
        flat(folder / "later.tif", 5)
        until(lambda: "later" in listed(client))
        assert listed(client) == ["first", "later"]
        assert client.get("/tilejson/copy.json").status_code == 404
        file.write(content[len(content) // 2 :])
        file.flush()
        flat(folder / "latest.tif", 5)
        until(lambda: "latest" in listed(client))
        assert "copy" not in listed(client)
    until(lambda: "copy" in listed(client))
    assert shown(client, "copy") == [9]


def test_a_file_that_changes_shows_its_new_pixels(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    assert shown(client, "first") == [1]
    flat(tmp_path / "made.tif", 8).replace(folder / "first.tif")
    until(lambda: shown(client, "first") == [8])


def test_a_file_that_is_rewritten_is_busy_meanwhile(client: httpx.Client, folder: Path) -> None:
    assert shown(client, "first") == [1]
    content = (folder / "first.tif").read_bytes()
    with (folder / "first.tif").open("r+b") as file:
        file.write(content[:50])
        file.flush()
        until(lambda: client.get("/tilejson/first.json").status_code == 503)
        answer = client.get("/tilejson/first.json")
        assert "being written" in answer.text
        assert answer.headers["retry-after"] == "2"
    until(lambda: client.get("/tilejson/first.json").status_code == 200)


def test_a_short_list_becomes_long_and_keeps_its_search_by_place(
    client: httpx.Client, folder: Path, tmp_path: Path
) -> None:
    source = flat(tmp_path / "source.tif", 1)
    for number in range(120):
        shutil.copyfile(source, folder / f"many{number:03}.tif")

    def found() -> int:
        query = {"limit": "300", "bbox": "-180,-85,180,85"}
        return len(client.get("/layers", params=query).raise_for_status().json()["layers"])

    until(lambda: found() == 121)


def test_all_workers_follow_a_folder(folder: Path, tmp_path: Path) -> None:
    with serving(folder, "--workers", "2", "--port", "0", cwd=tmp_path) as server:
        flat(tmp_path / "made.tif", 7).rename(folder / "second.tif")

        def answers() -> set[tuple[str, ...]]:
            found = set()
            for _ in range(8):
                # Connections of their own, for either worker.
                with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
                    found.add(tuple(listed(client)))
            return found

        until(lambda: answers() == {("first", "second")})
