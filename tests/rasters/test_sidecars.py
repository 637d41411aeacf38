"""Files beside a raster, with GDAL's own reading of them as the oracle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, WktVersion

from tests.rasters.engine import asset_of, engine, name_of, raster_of, raw
from tests.support.rasterfiles import noise, write_raster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.rasters.sidecars.bounded_xml import read_xml
from tileserver.rasters.sidecars.pam import read_pam
from tileserver.rasters.sidecars.world_files import read_world_file

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


def opened(path: Path) -> Any:
    """Open a raster as GDAL does, with all that is beside it."""
    return rasterio.open(path)


def without_place(path: Path, values: Any, **profile: Any) -> Path:
    count, height, width = values.shape
    with (
        rasterio.Env(GDAL_PAM_ENABLED=False),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=count,
            dtype=values.dtype,
            **profile,
        ) as dataset,
    ):
        dataset.write(values)
    return path


def pam(path: Path, content: str) -> Path:
    beside = path.with_name(f"{path.name}.aux.xml")
    beside.write_text(f"<PAMDataset>{content}</PAMDataset>")
    return beside


def wkt(code: str) -> str:
    return str(rasterio.crs.CRS.from_string(code).to_wkt()).replace('"', "&quot;")


def bands_of(path: Path) -> Any:
    """Return values and validity of the whole raster, by our engine."""
    rasters = engine(path)
    try:
        return rasters.bands(raw(path, None))
    finally:
        rasters.close()


PLACES: dict[str, Callable[[Path], object]] = {
    "pam": lambda path: pam(
        path,
        f"<SRS>{wkt('EPSG:32612')}</SRS>"
        "<GeoTransform> 4.0e+05, 30, 0, 4.5e6, 0, -30</GeoTransform>",
    ),
    "pam and world file": lambda path: (
        pam(path, f"<SRS>{wkt('EPSG:32612')}</SRS>"),
        path.with_suffix(".tfw").write_text("30\n0\n0\n-30\n400015\n4499985\n"),
    ),
    "turned": lambda path: (
        pam(path, f"<SRS>{wkt('EPSG:32612')}</SRS>"),
        path.with_suffix(".wld").write_text("30\n5\n4\n-30\n400015\n4499985"),
    ),
}


@pytest.mark.parametrize("way", PLACES)
def test_the_place_is_the_one_that_gdal_finds(tmp_path: Path, way: str) -> None:
    path = without_place(tmp_path / "scene.tif", noise(2, 70, 90))
    assert asset_of(path).no_place
    PLACES[way](path)
    asset = asset_of(path)
    assert not asset.no_place
    with opened(path) as dataset:
        t = asset.bands[0].grid.transform
        found = [t.scale_x, t.shear_x, t.translate_x, t.shear_y, t.scale_y, t.translate_y, 0, 0, 1]
        np.testing.assert_allclose(found, list(dataset.transform))
        assert asset.bands[0].grid.crs_code == f"EPSG:{dataset.crs.to_epsg()}"


@pytest.mark.parametrize("name", ["scene.tfw", "scene.TFW", "scene.tifw", "scene.wld"])
def test_world_files_have_the_names_that_gdal_looks_for(tmp_path: Path, name: str) -> None:
    path = without_place(tmp_path / "scene.tif", noise(1, 20, 20))
    (tmp_path / "scene.prj").write_text(
        rasterio.crs.CRS.from_epsg(32612).to_wkt(version=WktVersion.WKT1_ESRI)
    )
    (tmp_path / name).write_text("30\n0\n0\n-30\n400015\n4499985\n")
    asset = asset_of(path)
    with opened(path) as dataset:
        assert tuple(dataset.transform)[:6] == (30, 0, 400_000, 0, -30, 4_500_000)
    assert asset.bands[0].grid.transform.translate_x == 400_000
    assert rasterio.crs.CRS.from_string(asset.bands[0].grid.crs_code).to_epsg() == 32612


def test_a_world_file_alone_is_still_no_place(tmp_path: Path) -> None:
    path = without_place(tmp_path / "scene.tif", noise(1, 20, 20))
    path.with_suffix(".tfw").write_text("30\n0\n0\n-30\n400015\n4499985\n")
    assert asset_of(path).no_place


def test_a_place_in_the_file_goes_before_one_beside_it(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 20, 20), overviews=())
    before = asset_of(path).bands[0].grid
    pam(path, f"<SRS>{wkt('EPSG:3857')}</SRS><GeoTransform>1, 2, 0, 3, 0, -2</GeoTransform>")
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n5\n5\n")
    assert asset_of(path).bands[0].grid == before


@pytest.mark.parametrize("layout", ["by blocks", "by GDAL"])
@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", "7"), ("int16", "-3"), ("float32", "nan")])
def test_nodata_masks_as_gdal_masks(tmp_path: Path, dtype: str, nodata: str, layout: str) -> None:
    values = (noise(2, 300, 300, "uint8") % 10).astype(dtype)
    if nodata == "nan":
        values[:, :50] = np.nan
    if nodata == "-3":
        values -= 5
    compress = "deflate" if layout == "by blocks" else "packbits"
    path = write_raster(tmp_path / "scene.tif", values, nodata=1, overviews=(), compress=compress)
    bands = "".join(
        f'<PAMRasterBand band="{i}"><NoDataValue>{nodata}</NoDataValue></PAMRasterBand>'
        for i in (1, 2)
    )
    pam(path, bands)
    assert bool(raster_of(path).layouts) == (layout == "by blocks")
    found = bands_of(path)
    with opened(path) as dataset:
        np.testing.assert_array_equal(found.valid, dataset.read_masks() > 0)
        assert str(asset_of(path).bands[0].nodata) == str(dataset.nodata)
        assert not found.valid.all()


def test_names_units_colours_and_tags_are_those_that_gdal_shows(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "scene.tif", noise(1, 20, 20, "uint8") % 2, overviews=(), descriptions=["own"]
    )
    pam(
        path,
        '<PAMRasterBand band="1"><Description>land cover</Description><UnitType>m</UnitType>'
        "<ColorInterp>Palette</ColorInterp>"
        '<ColorTable><Entry c1="255" c2="0" c3="1" c4="255"/><Entry c1="0" c2="9" c3="0" c4="255"/>'
        "</ColorTable></PAMRasterBand>",
    )
    asset = asset_of(path)
    with opened(path) as dataset:
        assert dataset.descriptions == ("land cover",)
        assert asset.band_ids == ("land_cover",)
        assert asset.bands[0].notes.unit == dataset.units[0] == "m"
        assert dataset.colorinterp == (ColorInterp.palette,)
        table = ["{:02x}{:02x}{:02x}".format(*dataset.colormap(1)[i][:3]) for i in (0, 1)]
    assert list(asset.color_table[:2]) == table == ["ff0001", "000900"]


RAT = """<PAMRasterBand band="1"><GDALRasterAttributeTable tableType="thematic">
<FieldDefn index="0"><Name>Value</Name><Type>0</Type><Usage>5</Usage></FieldDefn>
<FieldDefn index="1"><Name>Count</Name><Type>1</Type><Usage>1</Usage></FieldDefn>
<FieldDefn index="2"><Name>Kind</Name><Type>2</Type><Usage>2</Usage></FieldDefn>
<FieldDefn index="3"><Name>Red</Name><Type>0</Type><Usage>6</Usage></FieldDefn>
<FieldDefn index="4"><Name>Green</Name><Type>0</Type><Usage>7</Usage></FieldDefn>
<FieldDefn index="5"><Name>Blue</Name><Type>0</Type><Usage>8</Usage></FieldDefn>
<Row index="0"><F>10</F><F>7</F><F>forest</F><F>0</F><F>128</F><F>0</F></Row>
<Row index="1"><F>20</F><F>7</F><F>water</F><F>0</F><F>0</F><F>255</F></Row>
</GDALRasterAttributeTable></PAMRasterBand>"""


def test_classes_of_a_table_of_attributes_have_names_and_colours(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "cover.tif", np.full((1, 20, 20), 10, np.uint8), overviews=())
    pam(path, RAT)
    assert dict(asset_of(path).properties) == {
        "b1_class_values": [10, 20],
        "b1_class_names": ["forest", "water"],
        "b1_class_palette": ["008000", "0000ff"],
    }


def test_each_change_of_a_sidecar_changes_the_version(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 20, 20), overviews=())
    catalogue = Catalogue([Root(str(path))])
    seen = []

    def version() -> str:
        catalogue.expire(name_of(path))
        found = catalogue.find(name_of(path)).asset.version
        assert catalogue.local_versions([name_of(path)]) == {name_of(path): found}
        return found

    seen.append(version())
    beside = pam(path, "")
    seen.append(version())
    pam(path, '<PAMRasterBand band="1"><UnitType>m</UnitType></PAMRasterBand>')
    seen.append(version())
    path.with_suffix(".tfw").write_text("1\n0\n0\n-1\n5\n5\n")
    seen.append(version())
    assert len(set(seen)) == 4
    beside.unlink()
    path.with_suffix(".tfw").unlink()
    assert version() == seen[0]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<PAMDataset",
        b"<Other/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><PAMDataset>&b;</PAMDataset>',
        b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd"><PAMDataset/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><PAMDataset>&x;</PAMDataset>',
        b"<PAMDataset>" + b"<a>" * 40 + b"</a>" * 40 + b"</PAMDataset>",
        b"<PAMDataset>" + b"<a/>" * 210_000 + b"</PAMDataset>",
        b"<PAMDataset>" + b" " * 4_100_000 + b"</PAMDataset>",
        b"\xff\xfe\x00",
    ],
)
def test_hostile_documents_are_left_out_and_the_raster_is_shown(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 20, 20), overviews=())
    path.with_name("scene.tif.aux.xml").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        read_pam(content)
    assert asset_of(path).band_ids == ("b1",)
    assert "scene.tif.aux.xml" in caplog.text
    assert str(tmp_path) not in caplog.text


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f", "nan 0 0 -1 5 5", "inf 0 0 -1 5 5"])
def test_a_broken_world_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_world_file(text)


@pytest.mark.parametrize("end", [".aux.xml", ".ovr", ".msk"])
def test_links_beside_a_raster_are_not_followed(tmp_path: Path, end: str) -> None:
    (tmp_path / "served").mkdir()
    path = without_place(tmp_path / "served/scene.tif", noise(1, 600, 600))
    before = asset_of(path)
    target = write_raster(tmp_path / f"secret{end}", noise(1, 300, 300), overviews=())
    if end == ".aux.xml":
        target.write_text(f"<PAMDataset>{RAT}</PAMDataset>")
    (tmp_path / "served" / f"scene.tif{end}").symlink_to(target)
    after = raster_of(path)
    assert after.asset.version == before.version
    assert (len(after.levels), after.has_mask, dict(after.asset.properties)) == (1, False, {})


def test_a_crs_beside_a_raster_is_vetted_as_any_other(tmp_path: Path) -> None:
    path = without_place(tmp_path / "scene.tif", noise(1, 20, 20))
    pam(
        path,
        "<SRS>+proj=longlat +nadgrids=/etc/passwd +type=crs</SRS>"
        "<GeoTransform>1, 2, 0, 3, 0, -2</GeoTransform>",
    )
    assert asset_of(path).no_place


def test_text_between_elements_is_kept_apart() -> None:
    root = read_xml(b"<a x='1'>one<b>two</b><b/></a>")
    assert (root.text, root.text_of("b"), root.text_of("c")) == ("one", "two", "")
