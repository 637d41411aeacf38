from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root
from tileserver.rest.listing import MAX_BASIC_PAGE, MAX_PAGE, list_page, read_page

ROOT = "projects/localhost/assets"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of a, b and d, looked at anew with each call."""
    monkeypatch.setattr("tileserver.rasters.catalogue._RECHECK_S", 0)
    for name in "abd":
        raster(tmp_path, name)
    return tmp_path


def raster(folder: Path, name: str) -> None:
    write_raster(folder / f"{name}.tif", noise(1, 20, 20), overviews=())


def names(page: dict[str, Any]) -> str:
    return "".join(each["id"][-1] for each in page.get("assets", []))


def everything(name: str) -> bool:
    return True


def test_what_comes_and_goes_between_two_pages_disturbs_neither(folder: Path) -> None:
    tree = Tree(Catalogue([Root(str(folder))]))
    first = list_page(tree, ROOT, read_page({"pageSize": "2"}), everything)
    assert names(first) == "ab"
    (folder / "a.tif").unlink()
    (folder / "b.tif").unlink()
    raster(folder, "c")
    query = {"pageSize": "2", "pageToken": first["nextPageToken"]}
    second = list_page(tree, ROOT, read_page(query), everything)
    assert names(second) == "cd"
    assert "nextPageToken" not in second


def test_a_page_that_ends_with_the_last_has_no_token(folder: Path) -> None:
    tree = Tree(Catalogue([Root(str(folder))]))
    page = list_page(tree, ROOT, read_page({"pageSize": "3"}), everything)
    assert (names(page), set(page)) == ("abd", {"assets"})


def test_pages_are_as_long_as_earth_engine_s_at_most() -> None:
    sizes = [
        read_page({"pageSize": size, "view": view}).size
        for size in ("", "0", "7", "99999")
        for view in ("", "BASIC")
    ]
    assert sizes == [MAX_PAGE, MAX_BASIC_PAGE] * 2 + [7, 7] + [MAX_PAGE, MAX_BASIC_PAGE]


def test_what_may_not_be_read_is_neither_listed_nor_told_from_what_is_not_there(
    folder: Path,
) -> None:
    tree = Tree(Catalogue([Root(str(folder), f"{ROOT}/deep")]))
    page = list_page(tree, f"{ROOT}/deep", read_page({}), lambda name: name.endswith("b"))
    assert names(page) == "b"
    for name in (f"{ROOT}/deep", f"{ROOT}/none"):
        with pytest.raises(AssetNotFound, match=name):
            list_page(tree, name, read_page({}), lambda name: False)
    with pytest.raises(InvalidRequest, match="is an IMAGE"):
        list_page(tree, f"{ROOT}/deep/b", read_page({}), everything)


def test_a_broken_image_is_left_out_with_a_word_in_the_log(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "c.tif").write_bytes(b"nothing")
    (folder / "series").mkdir()
    (folder / "series/collection.json").write_text("{")
    tree = Tree(Catalogue([Root(str(folder))]))
    with caplog.at_level(logging.WARNING):
        assert names(list_page(tree, ROOT, read_page({}), everything)) == "abd"
    assert f"{ROOT}/c" in caplog.text
    assert f"{ROOT}/series" in caplog.text
