"""Which files are one scene, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rasterfiles import noise, write_raster
from tests.support.scenefiles import BANDS, write_scene
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.errors import UnreadableRaster
from tileserver.rasters.band_files import BandFiles
from tileserver.rasters.band_sets import MAX_FILES, band_sets
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.files import Place
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.roots import Root


def scenes(*paths: str) -> dict[str, list[str]]:
    """Return the ids of the bands of each scene among files."""
    found = band_sets({path: Place("/data", path) for path in paths})
    return {scene: [file.id for file in each.files] for scene, each in found.items()}


def test_files_named_by_bands_alone_are_the_scene_of_their_folder() -> None:
    names = [f"S2A_T12/{band}.tif" for band in ("B09", "B8A", "B08", "B02", "B12", "SCL")]
    assert scenes(*names) == {"S2A_T12": ["B02", "B08", "B8A", "B09", "B12", "SCL"]}
    assert scenes("B2.tif", "B3.TIFF") == {"": ["B2", "B3"]}


@pytest.mark.parametrize(
    ("names", "scene", "bands"),
    [
        (
            [f"LC08_T1_{band}.TIF" for band in ("SR_B4", "ST_B10", "QA_PIXEL", "SR_B2")],
            "LC08_T1",
            ["SR_B2", "SR_B4", "ST_B10", "QA_PIXEL"],
        ),
        (
            ["T32TQM_20240101T101411_B03_10m.tif", "T32TQM_20240101T101411_B05_20m.tif"],
            "T32TQM_20240101T101411",
            ["B03", "B05"],
        ),
        (
            ["IMG/R10m/T32_B03_10m.tif", "IMG/R20m/T32_B03_20m.tif", "IMG/R20m/T32_B05_20m.tif"],
            "IMG/T32",
            ["B03", "B05"],
        ),
        (
            ["HLS.S30.T10SEG.2020.v2.0.B8A.tif", "HLS.S30.T10SEG.2020.v2.0.Fmask.tif"],
            "HLS.S30.T10SEG.2020.v2.0",
            ["B8A", "Fmask"],
        ),
        (["s1_vh.tif", "s1_vv.tif"], "s1", ["vv", "vh"]),
        (
            [f"s1a-iw-grd-{band}-20200101t0-030-00{n}.tiff" for n, band in enumerate(("vh", "vv"))],
            "s1a-iw-grd_20200101t0-030",
            ["vv", "vh"],
        ),
        (
            [f"LE07_T1_{band}.TIF" for band in ("B8", "B6_VCID_2", "B6_VCID_1", "B5")],
            "LE07_T1",
            ["B5", "B6_VCID_1", "B6_VCID_2", "B8"],
        ),
        (
            [f"MOD09GA.A2020001.sur_refl_{band}.tif" for band in ("b02", "b01")],
            "MOD09GA.A2020001.sur_refl",
            ["b01", "b02"],
        ),
        (["a/red.tif", "a/nir08.tif", "a/blue.tif"], "a", ["blue", "red", "nir08"]),
        (["LT05_x_sr_band4.tif", "LT05_x_sr_band1.tif"], "LT05_x", ["sr_band1", "sr_band4"]),
    ],
)
def test_the_usual_names_are_known(names: list[str], scene: str, bands: list[str]) -> None:
    assert scenes(*names) == {scene: bands}


def test_scenes_in_one_folder_stay_apart() -> None:
    names = [f"in/{day}_{band}.tif" for day in ("mon", "tue") for band in ("B1", "B2")]
    assert scenes(*names) == {"in/mon": ["B1", "B2"], "in/tue": ["B1", "B2"]}


@pytest.mark.parametrize(
    "names",
    [
        ["B02.tif"],
        ["a/B02.tif", "b/B03.tif"],
        ["january.tif", "february.tif"],
        ["blueberry.tif", "redwood.tif"],
        ["B02.tif", "b02.tiff"],
        [f"B{number}.tif" for number in range(1, MAX_FILES + 2)],
    ],
)
def test_other_files_are_no_scene(names: list[str]) -> None:
    assert scenes(*names) == {}


def test_the_finest_file_of_a_band_is_taken() -> None:
    names = ["x_B02_20m.tif", "x_B02_10m.tif", "x_B02_60m.tif", "x_B05_20m.tif"]
    (found,) = band_sets({name: Place("/data", name) for name in names}).values()
    places = [file.location.below for file in found.files if isinstance(file.location, Place)]
    assert places == ["x_B02_10m.tif", "x_B05_20m.tif"]


def test_the_files_keep_their_names(tmp_path: Path) -> None:
    write_scene(tmp_path / "up" / "S2A")
    catalogue = Catalogue([Root(str(tmp_path))])
    scene = f"{LOCAL_PREFIX}/up/S2A"
    assert catalogue.names() == sorted([scene, *(f"{scene}/{band.id}" for band in BANDS)])
    image = catalogue.find(scene)
    assert isinstance(image, BandFiles)
    assert image.asset.band_ids == tuple(band.id for band in BANDS)
    assert isinstance(catalogue.find(f"{scene}/B04"), GeoTiff)


def test_a_root_is_a_scene_by_its_own_name(tmp_path: Path) -> None:
    write_scene(tmp_path / "S2A")
    names = Catalogue([Root(f"{tmp_path}/S2A/")]).names()
    assert f"{LOCAL_PREFIX}/S2A" in names
    assert f"{LOCAL_PREFIX}/B04" in names


def test_a_file_of_the_name_stays_what_it_is(tmp_path: Path) -> None:
    write_scene(tmp_path, "S2A_")
    assert isinstance(Catalogue([Root(str(tmp_path))]).find(f"{LOCAL_PREFIX}/S2A"), BandFiles)
    write_raster(tmp_path / "S2A.tif", noise(1, 50, 50), overviews=())
    assert isinstance(Catalogue([Root(str(tmp_path))]).find(f"{LOCAL_PREFIX}/S2A"), GeoTiff)


def test_a_collection_is_no_scene(tmp_path: Path) -> None:
    (write_scene(tmp_path / "S2A") / "collection.json").write_text("{}")
    assert f"{LOCAL_PREFIX}/S2A" not in Catalogue([Root(str(tmp_path))]).names()


def test_scenes_of_one_name_are_refused(tmp_path: Path) -> None:
    roots = [Root(str(write_scene(tmp_path / each / "S2A"))) for each in "ab"]
    with pytest.raises(UnreadableRaster, match="would both have this name"):
        Catalogue(roots).find(f"{LOCAL_PREFIX}/S2A")


def test_the_same_root_twice_is_one(tmp_path: Path) -> None:
    roots = [Root(str(write_scene(tmp_path / "S2A")))] * 2
    assert Catalogue(roots).find(f"{LOCAL_PREFIX}/S2A").asset.band_ids
