"""Documents of STAC on disk: which images they lead to, and how far they are followed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from tests.support.rasterfiles import noise, write_raster
from tests.support.scenefiles import BANDS as BANDS_OF_FILES
from tests.support.scenefiles import write_scene
from tests.support.stacfiles import asset, container, item, scene_assets, write
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import UnreadableRaster
from tileserver.rasters.band_files import BandFiles
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Folder, Tree
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.roots import Root
from tileserver.rasters.stac import catalogs

BANDS = ("blue", "red", "nir08", "scl")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("stac") / "files", overviews=())


@pytest.fixture
def top(scene: Path, tmp_path: Path) -> Path:
    """Return a folder whose folder `files` has the files of a scene."""
    (tmp_path / "files").mkdir()
    for path in scene.iterdir():
        os.link(path, tmp_path / "files" / path.name)
    return tmp_path


def names(path: Path) -> list[str]:
    return [each.removeprefix(f"{LOCAL_PREFIX}/") for each in Catalogue([Root(str(path))]).names()]


def test_an_item_is_an_image_named_after_its_file(top: Path) -> None:
    path = write(top / "S2A_T12.json", item("whatever", scene_assets("files/"), cloud=3))
    rasters = LocalRasters(Catalogue([Root(str(path))]))
    (name,) = rasters.catalogue.names()
    assert name == f"{LOCAL_PREFIX}/S2A_T12"
    asset = rasters.catalogue.find(name).asset
    assert asset.band_ids == BANDS
    assert asset.bands[1].notes.common_name == "red"
    assert asset.start_time == "2024-06-01T18:49:19.123000Z"
    assert asset.properties["cloud"] == 3
    found = rasters.bands(PixelRequest(name, ImageFileFormat.NPY, band_ids=("scl",)))
    with rasterio.open(top / "files" / "SCL.tif") as dataset:
        assert np.array_equal(found.values, dataset.read())


def test_an_item_collection_is_a_collection_of_its_items(top: Path) -> None:
    features = [item(name, scene_assets("./files/")) for name in ("one", "two")]
    path = write(top / "search.json", {"type": "FeatureCollection", "features": features})
    catalogue = Catalogue([Root(str(path))])
    below = f"{LOCAL_PREFIX}/search"
    assert catalogue.names() == [f"{below}/one", f"{below}/two"]
    assert Tree(catalogue).folder(below).to_json()["type"] == "IMAGE_COLLECTION"


def test_a_catalogue_leads_to_its_collections_and_items(top: Path) -> None:
    interval = [["2024-01-01T00:00:00Z", None]]
    renders = {"rgb": {"assets": ["nir08", "red", "blue"], "rescale": [[0, 3000]]}}
    write(top / "catalog.json", container("Catalog", "earth", [("child", "./s2/collection.json")]))
    links = [("item", "./a/a.json"), ("item", "b.json"), ("root", "../catalog.json")]
    extent = {"temporal": {"interval": interval}}
    collection = container(
        "Collection", "s2 l2a", links, extent=extent, title="Sentinel", renders=renders
    )
    write(top / "s2/collection.json", collection)
    write(top / "s2/a/a.json", item("a", scene_assets("../../files/")))
    write(top / "s2/b.json", item("b", scene_assets("../files/")))
    catalogue = Catalogue([Root(str(top / "catalog.json"))])
    below = f"{LOCAL_PREFIX}/earth/s2_l2a"
    assert catalogue.names() == [f"{below}/a", f"{below}/b"]
    tree = Tree(catalogue)
    assert [
        each.name for each in tree.children(f"{LOCAL_PREFIX}/earth") if isinstance(each, Folder)
    ]
    said = tree.folder(below).to_json()
    assert (said["type"], said["title"]) == ("IMAGE_COLLECTION", "Sentinel")
    assert said["startTime"] == "2024-01-01T00:00:00Z"
    properties = catalogue.find(f"{below}/a").asset.properties
    assert properties["visualization_0_bands"] == ["nir08", "red", "blue"]


@pytest.mark.parametrize("document", ["files.json", "stac.json", "S2A_SR_stac.json"])
def test_an_item_beside_describes_the_scene_of_its_files(top: Path, document: str) -> None:
    before = names(top)
    renders = {"rgb": {"assets": ["nir08", "red", "blue"], "rescale": [[0, 3000]]}}
    said = item("S2A", scene_assets("https://fetched.example/x/"), cloud=3, renders=renders)
    write(top / "files" / document, said)
    assert names(top) == before
    scene = Catalogue([Root(str(top))]).find(f"{LOCAL_PREFIX}/files").asset
    assert scene.band_ids == tuple(band.id for band in BANDS_OF_FILES)
    assert scene.start_time == "2024-06-01T18:49:19.123000Z"
    assert scene.properties["cloud"] == 3
    assert scene.properties["visualization_0_bands"] == ["B8A", "B04", "B02"]
    notes = {band.id: band.notes.common_name for band in scene.bands}
    assert (notes["B04"], notes["B02"], notes["B11"]) == ("red", "blue", None)


def test_two_items_describe_one_scene(top: Path) -> None:
    write(top / "files" / "a_stac.json", item("a", {"red": scene_assets()["red"]}, cloud=3))
    write(top / "files" / "b_stac.json", item("b", {"nir": scene_assets()["nir08"]}, cloud=4))
    scene = Catalogue([Root(str(top))]).find(f"{LOCAL_PREFIX}/files").asset
    assert scene.properties["cloud"] == 3
    notes = {band.id: band.notes.common_name for band in scene.bands}
    assert (notes["B04"], notes["B8A"]) == ("red", "nir08")


def test_an_item_of_other_files_beside_it_is_an_image(top: Path) -> None:
    for name in ("first", "second"):
        write_raster(top / "files" / f"{name}.tif", noise(1, 50, 50), overviews=())
    other = {name: asset(f"{name}.tif") for name in ("first", "second")}
    write(top / "files" / "other.json", item("S2A", other))
    catalogue = Catalogue([Root(str(top))])
    assert catalogue.find(f"{LOCAL_PREFIX}/files/other").asset.band_ids == ("first", "second")
    # The files stay the assets that they were.
    assert isinstance(catalogue.find(f"{LOCAL_PREFIX}/files/first"), GeoTiff)
    os.unlink(top / "files" / "other.json")
    assert "files/other" not in names(top)


def test_an_item_beside_whose_files_are_elsewhere_is_left_alone(top: Path) -> None:
    before = names(top)
    elsewhere = {"red": asset("https://elsewhere.example/other.tif")}
    write(top / "files" / "item.json", item("S2A", elsewhere))
    assert names(top) == before
    assert not Catalogue([Root(str(top))]).find(f"{LOCAL_PREFIX}/files").asset.properties


def test_an_item_as_sidecar_tells_time_and_properties(top: Path) -> None:
    os.link(top / "files" / "B04.tif", top / "S2A.tif")
    write(top / "S2A.json", item("S2A", {"data": asset("S2A.tif")}, cloud=7))
    asset_of = Catalogue([Root(str(top / "S2A.tif"))]).find(f"{LOCAL_PREFIX}/S2A").asset
    assert asset_of.start_time == "2024-06-01T18:49:19.123000Z"
    assert asset_of.properties["cloud"] == 7


def test_other_json_files_beside_are_left_alone(top: Path) -> None:
    before = names(top)
    for number, text in enumerate(("{}", "[1]", "no JSON", '{"type": "Feature"}', "")):
        (top / "files" / f"other{number}.json").write_text(text)
    assert names(top) == before


def test_a_change_of_the_item_or_of_a_file_is_a_new_version(top: Path) -> None:
    path = write(top / "a.json", item("a", scene_assets("files/")))
    catalogue = Catalogue([Root(str(path))])
    name = f"{LOCAL_PREFIX}/a"
    seen = [catalogue.find(name, 0).asset.version]
    write(path, item("a", scene_assets("files/"), cloud=1))
    catalogue.scan_again()
    seen.append(catalogue.find(name, 0).asset.version)
    assert catalogue.find(name, 0).asset.properties["cloud"] == 1
    os.utime(top / "files" / "SCL.tif")
    seen.append(catalogue.find(name, 0).asset.version)
    assert len(set(seen)) == 3


def test_items_come_and_go_with_their_documents(top: Path) -> None:
    links = [("item", "a.json")]
    path = write(top / "catalog.json", container("Catalog", "c", links))
    write(top / "a.json", item("a", scene_assets("files/")))
    write(top / "b.json", item("b", scene_assets("files/")))
    catalogue = Catalogue([Root(str(path))])
    assert catalogue.names() == [f"{LOCAL_PREFIX}/c/a"]
    write(path, container("Catalog", "c", [*links, ("item", "b.json")]))
    catalogue.scan_again()
    assert catalogue.names() == [f"{LOCAL_PREFIX}/c/a", f"{LOCAL_PREFIX}/c/b"]
    path.write_text("{")
    catalogue.scan_again()
    assert catalogue.names() == [f"{LOCAL_PREFIX}/c/a", f"{LOCAL_PREFIX}/c/b"]


def test_a_broken_item_fails_alone_and_says_why(top: Path) -> None:
    links = [("item", each) for each in ("good.json", "bad.json", "gone.json", "../out.json")]
    path = write(top / "catalog.json", container("Catalog", "c", links))
    write(top / "good.json", item("good", scene_assets("files/")))
    (top / "bad.json").write_text('{"type": "Feature"}')
    catalogue = Catalogue([Root(str(path))])
    assert isinstance(catalogue.find(f"{LOCAL_PREFIX}/c/good"), BandFiles)
    for name, why in (("bad", "expected a STAC"), ("gone", "no 'gone.json'"), ("out", "leads out")):
        with pytest.raises(UnreadableRaster, match=why):
            catalogue.find(f"{LOCAL_PREFIX}/c/{name}")


def test_files_elsewhere_are_not_read(top: Path) -> None:
    (top / "in").mkdir()
    path = write(top / "in" / "a.json", item("a", scene_assets("../files/")))
    with pytest.raises(UnreadableRaster, match="leads out of its folder"):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")
    write(path, item("a", scene_assets("https://files.example.org/")))
    with pytest.raises(UnreadableRaster, match=r'\[remote\] hosts = \["files.example.org"\]'):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")


def test_a_link_out_of_the_folder_is_not_followed(top: Path) -> None:
    (top / "in").mkdir()
    os.symlink(top / "files" / "B04.tif", top / "in" / "B04.tif")
    path = write(top / "in" / "a.json", item("a", {"red": asset("B04.tif")}))
    with pytest.raises(UnreadableRaster, match="gone"):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"type": "Nothing"}, "expected a STAC item"),
        ({"id": "a", "properties": {}}, "expected a STAC item"),
        ([1], "must be a JSON object"),
        ({"type": "Catalog", "id": "no version"}, "expected a STAC item"),
    ],
)
def test_another_document_is_refused(tmp_path: Path, document: Any, why: str) -> None:
    path = write(tmp_path / "a.json", document)
    with pytest.raises(UnreadableRaster, match=why):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")


def test_circles_end(top: Path) -> None:
    write(top / "a.json", container("Catalog", "a", [("child", "b.json"), ("child", "a.json")]))
    write(top / "b.json", container("Catalog", "b", [("child", "a.json"), ("item", "i.json")]))
    write(top / "i.json", item("i", scene_assets("files/")))
    assert names(top / "a.json") == ["a/b/i"]


def test_numbers_are_bounded(
    top: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(catalogs, "MAX_ITEMS", 3)
    monkeypatch.setattr(catalogs, "MAX_DOCUMENTS", 5)
    features = [item(f"i{number}", scene_assets("files/")) for number in range(5)]
    path = write(top / "search.json", {"type": "FeatureCollection", "features": features})
    assert len(names(path)) == 3
    assert caplog.text.count("more than 3 items") == 1
    for number in range(9):
        link = ("child", f"c{number + 1}.json")
        write(top / f"c{number}.json", container("Catalog", f"c{number}", [link]))
    assert names(top / "c0.json") == []
    assert "more than 5 documents" in caplog.text


def test_deep_and_long_documents_are_refused(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = top / "a.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UnreadableRaster, match="not JSON"):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")
    monkeypatch.setattr(catalogs, "MAX_BYTES", 1000)
    path.write_text(json.dumps(item("a", scene_assets("files/"))) + " " * 1000)
    with pytest.raises(UnreadableRaster, match="longer than"):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/a")


def test_two_items_of_one_name_are_refused(top: Path) -> None:
    other = {"red": asset("files/B04.tif")}
    features = [item("a", scene_assets("files/")), item("a", other)]
    path = write(top / "s.json", {"type": "FeatureCollection", "features": features})
    with pytest.raises(UnreadableRaster, match="would both have this name"):
        Catalogue([Root(str(path))]).find(f"{LOCAL_PREFIX}/s/a")


@pytest.mark.parametrize("options", [{}, {"compress": "lzw", "tiled": False, "blockysize": 7}])
def test_the_nodata_value_of_an_item_masks_a_file_without_one(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    values = noise(1, 64, 64, "uint8") % 3
    write_raster(tmp_path / "a.tif", values, overviews=(), **options)
    write_raster(tmp_path / "own.tif", values, overviews=(), nodata=2, **options)
    said = {"raster:bands": [{"nodata": 1}]}
    assets = {"plain": asset("a.tif", **said), "own": asset("own.tif", **said)}
    assets["odd"] = asset("a.tif", **{"raster:bands": [{"nodata": 1.5}]})
    path = write(tmp_path / "i.json", item("i", assets))
    rasters = LocalRasters(Catalogue([Root(str(path))]))
    found = rasters.bands(PixelRequest(f"{LOCAL_PREFIX}/i", ImageFileFormat.NPY))
    assert np.array_equal(found.valid, [values[0] != 1, values[0] != 2, np.ones((64, 64), bool)])
    bands = rasters.catalogue.find(f"{LOCAL_PREFIX}/i").asset.bands
    assert [band.nodata for band in bands] == [1, 2, None]


def test_a_file_that_gdal_reads_has_the_nodata_value_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = noise(1, 64, 64, "uint8") % 3
    write_raster(tmp_path / "a.tif", values, overviews=(), compress="jpeg")
    said = {"raster:bands": [{"nodata": 1}]}
    path = write(tmp_path / "i.json", item("i", {"x": asset("a.tif", **said)}))
    with rasterio.open(tmp_path / "a.tif") as dataset:
        stored = dataset.read(1)
    monkeypatch.setattr("tileserver.rasters.geotiffs._layouts", lambda *given: ())
    rasters = LocalRasters(Catalogue([Root(str(path))]))
    found = rasters.bands(PixelRequest(f"{LOCAL_PREFIX}/i", ImageFileFormat.NPY))
    assert np.array_equal(found.valid[0], stored != 1)
