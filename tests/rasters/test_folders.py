from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import AssetNotFound, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.folders import Folder, Tree
from tileserver.rasters.roots import Root

ROOT = "projects/localhost/assets"


def raster(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_raster(path, noise(1, 20, 20), overviews=())


def tree_of(*roots: Root) -> Tree:
    return Tree(Catalogue(roots))


def names(tree: Tree, parent: str) -> list[str]:
    return [each if isinstance(each, str) else each.name for each in tree.children(parent)]


def test_folders_and_collections_are_told_apart(tmp_path: Path) -> None:
    raster(tmp_path / "folder/a.tif")
    raster(tmp_path / "series/b.tif")
    (tmp_path / "series/collection.json").write_text('{"properties": {"x": 1}, "bands": []}')
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    tree = tree_of(Root(str(tmp_path)))
    assert names(tree, ROOT) == [f"{ROOT}/empty", f"{ROOT}/folder", f"{ROOT}/series"]
    assert names(tree, f"{ROOT}/series") == [f"{ROOT}/series/b"]
    assert tree.folder(f"{ROOT}/folder").to_json() == {
        "type": "FOLDER",
        "name": f"{ROOT}/folder",
        "id": f"{ROOT}/folder",
    }
    series = tree.folder(f"{ROOT}/series").to_json()
    assert (series["type"], series["properties"]) == ("IMAGE_COLLECTION", {"x": 1})
    assert "bands" not in series
    assert list(tree.images_below(ROOT)) == [f"{ROOT}/folder/a", f"{ROOT}/series/b"]
    assert tree.is_image(f"{ROOT}/series/b")
    assert not tree.is_image(f"{ROOT}/series")


def test_the_parts_of_a_prefix_are_folders_too(tmp_path: Path) -> None:
    raster(tmp_path / "x.tif")
    (tmp_path / "collection.json").write_text("{}")
    prefix = "projects/earthengine-public/assets/COPERNICUS/S2"
    tree = tree_of(Root(str(tmp_path), prefix))
    assert tree.folder(prefix).is_collection
    assert tree.folder(prefix).to_json()["id"] == "COPERNICUS/S2"
    assert not tree.folder(prefix.removesuffix("/S2")).is_collection
    assert names(tree, "projects/earthengine-public/assets") == [prefix.removesuffix("/S2")]


def test_a_project_s_root_is_a_folder_whatever_lies_in_it(tmp_path: Path) -> None:
    raster(tmp_path / "x.tif")
    (tmp_path / "collection.json").write_text("{}")
    assert tree_of(Root(str(tmp_path))).folder(ROOT) == Folder(ROOT)


def test_what_comes_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raster(tmp_path / "a.tif")
    tree = tree_of(Root(str(tmp_path)))
    assert names(tree, ROOT) == [f"{ROOT}/a"]
    raster(tmp_path / "new/b.tif")
    (tmp_path / "new/collection.json").write_text("{}")
    monkeypatch.setattr("tileserver.rasters.catalogue._RECHECK_S", 0)
    assert names(tree, ROOT) == [f"{ROOT}/a", f"{ROOT}/new"]
    assert tree.folder(f"{ROOT}/new").is_collection


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    tree = tree_of(Root(str(raster(tmp_path / "a.tif"))))
    for name in (f"{ROOT}/a", f"{ROOT}/b", "projects/other/assets"):
        with pytest.raises(AssetNotFound):
            tree.folder(name)
    assert tree.children(f"{ROOT}/b") == []


def test_a_collection_file_that_is_broken_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series/collection.json").write_text("[1")
    with pytest.raises(UnreadableRaster, match=f"{ROOT}/series"):
        tree_of(Root(str(tmp_path))).folder(f"{ROOT}/series").to_json()


def test_a_collection_file_that_is_a_link_or_a_fifo_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"properties": {"secret": 1}}')
    for name in ("top/link", "top/fifo"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "top/link/collection.json").symlink_to(secret)
    os.mkfifo(tmp_path / "top/fifo/collection.json")
    tree = tree_of(Root(str(tmp_path / "top")))
    assert [f.is_collection for f in map(tree.folder, (f"{ROOT}/link", f"{ROOT}/fifo"))] == [
        False,
        False,
    ]


@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "huge", "deleted"])
def test_a_collection_file_that_becomes_something_else_is_not_read(
    tmp_path: Path, kind: str
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"properties": {"secret": 1}}')
    path = tmp_path / "top/series/collection.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"properties": {"x": 1}}')
    folder = tree_of(Root(str(tmp_path / "top"))).folder(f"{ROOT}/series")
    assert folder.to_json()["properties"] == {"x": 1}
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(secret)
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        path.touch()
        os.truncate(path, 1 << 30)
        with pytest.raises(UnreadableRaster, match=r"its collection\.json is longer than 4 MB"):
            folder.to_json()
        return
    assert folder.to_json() == {"type": "FOLDER", "name": folder.name, "id": folder.name}


def test_a_folder_on_the_way_to_a_collection_file_that_becomes_a_link_is_not_entered(
    tmp_path: Path,
) -> None:
    for name in ("top/series", "outside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "collection.json").write_text(f'{{"properties": {{"in": "{name}"}}}}')
    folder = tree_of(Root(str(tmp_path / "top"))).folder(f"{ROOT}/series")
    assert folder.to_json()["properties"] == {"in": "top/series"}
    (tmp_path / "top/series").rename(tmp_path / "kept")
    (tmp_path / "top/series").symlink_to(tmp_path / "outside")
    assert "properties" not in folder.to_json()


def test_the_tree_and_the_catalogue_tell_of_the_same_moment(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    catalogue = Catalogue([Root(str(tmp_path))])
    assert catalogue.names() == [f"{ROOT}/a"]
    raster(tmp_path / "b.tif")
    tree = Tree(catalogue)
    assert names(tree, ROOT) == catalogue.names()
