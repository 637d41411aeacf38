"""Which file an asset's name leads to, and files that would share a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rasterfiles import noise, write_raster
from tests.support.waiting import until
from tileserver.errors import UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root

PREFIX = "projects/localhost/assets"


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_raster(path, noise(1, 20, 20), overviews=())


@pytest.mark.parametrize(("one", "other"), [("x.tif", "x.tiff"), ("x.tif", "x.TIF")])
def test_two_files_of_one_name_in_a_folder_are_refused_by_name(
    tmp_path: Path, one: str, other: str
) -> None:
    write(tmp_path / "folder" / one)
    catalogue = Catalogue([Root(str(tmp_path / "folder"))])
    assert catalogue.find(f"{PREFIX}/x").asset.name == f"{PREFIX}/x"
    write(tmp_path / "folder" / other)
    catalogue = Catalogue([Root(str(tmp_path / "folder"))])
    assert catalogue.names() == [f"{PREFIX}/x"]
    with pytest.raises(UnreadableRaster) as refused:
        catalogue.find(f"{PREFIX}/x")
    assert f"folder/{one}" in str(refused.value)
    assert f"folder/{other}" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_files_of_one_name_in_two_folders_are_refused_and_the_others_served(
    tmp_path: Path,
) -> None:
    for each in ("a/x.tif", "b/x.tif", "b/y.tif"):
        write(tmp_path / each)
    catalogue = Catalogue([Root(str(tmp_path / "a")), Root(str(tmp_path / "b"))])
    assert catalogue.names() == [f"{PREFIX}/x", f"{PREFIX}/y"]
    assert catalogue.find(f"{PREFIX}/y").asset.name == f"{PREFIX}/y"
    with pytest.raises(UnreadableRaster, match=r"a/x\.tif and b/x\.tif would both have this name"):
        catalogue.find(f"{PREFIX}/x")


def test_a_file_that_is_given_twice_is_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a/x.tif")
    catalogue = Catalogue([Root(str(path)), Root(str(path.parent)), Root(str(path))])
    assert catalogue.find(f"{PREFIX}/x").asset.name == f"{PREFIX}/x"


@pytest.mark.parametrize("first", ["a/x.tif", "b/x.tif"])
def test_a_link_to_a_file_of_another_root_is_that_file(tmp_path: Path, first: str) -> None:
    write(tmp_path / "a/x.tif")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.tif").symlink_to(tmp_path / "a/x.tif")
    roots = sorted(("a/x.tif", "b/x.tif"), key=first.__ne__)
    catalogue = Catalogue([Root(str(tmp_path / each)) for each in roots])
    assert catalogue.find(f"{PREFIX}/x").asset.name == f"{PREFIX}/x"
    (tmp_path / "b/x.tif").unlink()
    write(tmp_path / "b/x.tif")
    with pytest.raises(UnreadableRaster, match="would both have this name"):
        Catalogue([Root(str(tmp_path / each)) for each in roots]).find(f"{PREFIX}/x")


def test_a_local_file_is_told_from_a_remote_one_before_the_first_look(tmp_path: Path) -> None:
    write(tmp_path / "x.tif")
    roots = [Root("https://example.org/far.tif"), Root(str(tmp_path))]
    catalogue = Catalogue(roots)
    assert [catalogue.is_remote(f"{PREFIX}/{name}") for name in ("far", "x", "none")] == [
        True,
        False,
        False,
    ]


def test_prefixes_tell_files_of_one_name_apart(tmp_path: Path) -> None:
    roots = [
        Root(str(write(tmp_path / each / "x.tif").parent), f"projects/{each}/assets")
        for each in ("first", "other")
    ]
    assert len({id(Catalogue(roots).find(f"{root.prefix}/x")) for root in roots}) == 2


def test_a_clash_is_over_when_one_of_the_files_is_gone(tmp_path: Path) -> None:
    for each in ("a/x.tif", "b/x.tif"):
        write(tmp_path / each)
    catalogue = Catalogue([Root(str(tmp_path / "a")), Root(str(tmp_path / "b"))])
    with pytest.raises(UnreadableRaster):
        catalogue.find(f"{PREFIX}/x")
    (tmp_path / "b/x.tif").unlink()

    def is_found() -> bool:
        try:
            return bool(catalogue.find(f"{PREFIX}/x"))
        except UnreadableRaster:
            return False

    until(is_found)


def test_a_root_that_is_written_in_two_ways_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a/x.tif")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path)
    catalogue = Catalogue([Root("a"), Root("./a"), Root("b/../a"), Root("./a/x.tif")])
    assert catalogue.find(f"{PREFIX}/x").asset.name == f"{PREFIX}/x"
