"""A VRT's pixels are those that GDAL reads of it, made of the files' own blocks and levels."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio import Affine

from tests.rasters.engine import engine, name_of, raw
from tests.rasters.vrt.writing import band, by_gdal, by_us, check, source, write_vrt
from tests.support.rasterfiles import UTAH, noise, write_raster
from tileserver.contract.processing import Processing, Resampling
from tileserver.errors import AssetNotFound, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.rasters.vrt.image import VrtImage

WIDTH, HEIGHT = 120, 100
needs_gdal = pytest.mark.skipif(not shutil.which("gdalbuildvrt"), reason="no gdalbuildvrt")


def moved(columns: float, rows: float) -> Affine:
    return Affine(30, 0, UTAH.c + 30 * columns, 0, -30, UTAH.f - 30 * rows)


def picture(seed: int, count: int = 3, dtype: str = "uint8") -> NDArray[Any]:
    return np.roll(noise(count, HEIGHT, WIDTH, dtype), 17 * seed, axis=(1, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two pictures that overlap, and one apart, of three bands."""
    for index, at in enumerate([(0, 0), (70, 40), (300, 10)]):
        write_raster(tmp_path / f"{'abc'[index]}.tif", picture(index), transform=moved(*at))
    return tmp_path


def mosaic(path: Path, kind: str = "SimpleSource", more: str = "", head: str = "") -> Path:
    """Write what gdalbuildvrt makes of that folder."""
    places = {"a": (0, 0), "b": (70, 40), "c": (300, 10)}
    bands = [
        band(
            head,
            *(
                source(f"{name}.tif", i, (0, 0, 120, 100), (*at, 120, 100), kind, more)
                for name, at in places.items()
            ),
        )
        for i in (1, 2, 3)
    ]
    return write_vrt(path, bands, 420, 140)


def test_later_files_are_drawn_over_earlier_ones(folder: Path) -> None:
    valid = check(mosaic(folder / "m.vrt"))
    # As in GDAL pixels are valid where no file is, if there is no nodata value.
    assert valid.all()


def test_where_no_file_is_there_is_nodata(folder: Path) -> None:
    head = "<NoDataValue>7</NoDataValue>"
    path = mosaic(folder / "m.vrt", "ComplexSource", "<NODATA>7</NODATA>", head)
    valid = check(path)
    assert 0.4 < valid.mean() < 0.9
    hidden = mosaic(folder / "h.vrt", head=f"{head}<HideNoDataValue>1</HideNoDataValue>")
    assert check(hidden).all()


def test_a_simple_source_draws_its_nodata_too(tmp_path: Path) -> None:
    hole = picture(0, 1)
    hole[0, 20:80, 30:90] = 9
    write_raster(tmp_path / "a.tif", picture(1, 1))
    write_raster(tmp_path / "b.tif", hole, nodata=9)
    for kind, more in (("SimpleSource", ""), ("ComplexSource", "<NODATA>9</NODATA>")):
        sources = [source(f"{name}.tif", kind=kind, more=more) for name in "ab"]
        bands = [band("<NoDataValue>9</NoDataValue>", *sources)]
        check(write_vrt(tmp_path / f"{kind}.vrt", bands, WIDTH, HEIGHT))


def test_a_stack_has_bands_of_types_of_their_own(tmp_path: Path) -> None:
    values = picture(0, 1, "float32")
    values[0, 5:50, 6:60] = -9999
    write_raster(tmp_path / "f.tif", values, nodata=-9999)
    write_raster(tmp_path / "i.tif", picture(1, 1, "int16"))
    bands = [
        band("<NoDataValue>-9999</NoDataValue>", source("f.tif"), dtype="Float32"),
        band("<Description>count</Description>", source("i.tif"), dtype="Int16"),
    ]
    path = write_vrt(tmp_path / "s.vrt", bands, WIDTH, HEIGHT)
    asset = engine(path).catalogue.find(name_of(path)).asset
    assert [str(each.dtype) for each in asset.bands] == ["float32", "int16"]
    assert asset.bands[0].nodata == -9999
    assert asset.bands[1].notes.description == "count"
    found = by_us(path)
    with rasterio.open(path) as dataset:
        for place in (0, 1):
            np.testing.assert_array_equal(found.valid[place], dataset.read_masks(place + 1) != 0)
            expected = dataset.read(place + 1)
            seen = found.valid[place]
            np.testing.assert_array_equal(found.values[place][seen], expected[seen])


@pytest.mark.parametrize(
    ("src", "dst", "size"),
    [
        ((13, 21, 60, 50), (0, 0, 60, 50), (60, 50)),
        ((0, 0, 120, 100), (0, 0, 60, 50), (60, 50)),
        ((0, 0, 120, 100), (0, 0, 360, 200), (360, 200)),
        ((10, 10, 50, 40), (30, 20, 75, 120), (150, 160)),
        ((0, 0, 120, 100), (10.3, 5.6, 120, 100), (140, 120)),
    ],
)
def test_parts_of_files_are_drawn_at_any_size(
    folder: Path, src: tuple[float, ...], dst: tuple[float, ...], size: tuple[int, int]
) -> None:
    write_raster(folder / "plain.tif", picture(5, 1), overviews=())
    bands = [band("<NoDataValue>0</NoDataValue>", source("plain.tif", 1, src, dst))]
    check(write_vrt(folder / "p.vrt", bands, *size))


@pytest.mark.parametrize("dtype", ["Byte", "UInt16", "Int16", "Int32", "Float32", "Float64"])
@pytest.mark.parametrize("of_file", ["uint8", "int16", "float32", "int32"])
def test_values_are_scaled_and_converted_as_by_gdal(
    tmp_path: Path, dtype: str, of_file: str
) -> None:
    values = picture(0, 1, of_file)
    values[0, :10] = 3
    write_raster(tmp_path / "a.tif", values)
    more = "<NODATA>3</NODATA><ScaleOffset>-17.5</ScaleOffset><ScaleRatio>1.37</ScaleRatio>"
    bands = [
        band("<NoDataValue>0</NoDataValue>", source("a.tif", kind=kind, more=what), dtype=dtype)
        for kind, what in (("ComplexSource", more), ("SimpleSource", ""))
    ]
    check(write_vrt(tmp_path / "s.vrt", bands, WIDTH, HEIGHT))


def test_masks_of_files_are_one(tmp_path: Path) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:60, 20:90] = True
    write_raster(tmp_path / "a.tif", picture(0, 1), mask=mask)
    write_raster(tmp_path / "b.tif", picture(1, 1), mask=mask[::-1])
    used = "<UseMaskBand>true</UseMaskBand>"
    rects = (0, 0, WIDTH, HEIGHT), (30, 20, WIDTH, HEIGHT)
    by_band = {
        which: [
            source("a.tif", which, rects[0], rects[0], "ComplexSource", used),
            source("b.tif", which, *rects, "ComplexSource", used),
        ]
        for which in (1, "mask,1")
    }
    whole = f"<MaskBand>{band(*by_band['mask,1'])}</MaskBand>"
    path = write_vrt(tmp_path / "m.vrt", [band(*by_band[1])], 150, 120, whole)
    assert 0.2 < check(path).mean() < 0.8


@pytest.mark.parametrize("kind", ["SimpleSource", "ComplexSource"])
def test_alpha_is_a_mask(tmp_path: Path, kind: str) -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:60, 20:90] = True
    write_raster(tmp_path / "a.tif", picture(0), mask=mask, alpha=True)
    write_raster(tmp_path / "b.tif", picture(1), mask=mask[::-1], alpha=True)
    more = "<UseMaskBand>true</UseMaskBand>" if kind == "ComplexSource" else ""
    rects = (0, 0, WIDTH, HEIGHT), (30, 20, WIDTH, HEIGHT)
    colors = ["Red", "Green", "Blue", "Alpha"]
    bands = [
        band(
            f"<ColorInterp>{color}</ColorInterp>",
            source("a.tif", i, rects[0], rects[0], kind, more),
            source("b.tif", i, *rects, kind, more),
        )
        for i, color in enumerate(colors, start=1)
    ]
    path = write_vrt(tmp_path / "m.vrt", bands, 150, 120)
    assert 0.1 < check(path).mean() < 0.8
    smooth = Processing(resampling=Resampling.BILINEAR)
    found = engine(path).bands(replace(raw(path, None), processing=smooth))
    np.testing.assert_array_equal(found.masked_to_zero(), by_gdal(path)[0])


def test_tiles_read_the_levels_of_the_files(folder: Path) -> None:
    path = mosaic(folder / "m.vrt")
    rasters = engine(path)
    grid = rasters.catalogue.find(name_of(path)).grid.coarsened(210, 70)
    found = rasters.bands(raw(path, grid)).values
    with rasterio.open(folder / "c.tif", overview_level=0) as level:
        np.testing.assert_array_equal(found[:, 5:55, 150:210], level.read())


def test_files_lie_where_the_vrt_says(folder: Path) -> None:
    write_raster(folder / "far.tif", picture(4, 1), crs="EPSG:4326", transform=Affine.scale(0.1))
    path = write_vrt(folder / "p.vrt", [band(source("far.tif"))], WIDTH, HEIGHT)
    check(path)
    assert engine(path).catalogue.find(name_of(path)).grid.crs_code == "EPSG:32612"


def test_resampling_does_not_blend_nodata(tmp_path: Path) -> None:
    values = np.full((1, HEIGHT, WIDTH), 100, np.float32)
    values[:, :, 60:] = -9999
    write_raster(tmp_path / "a.tif", values, nodata=-9999)
    bands = [band("<NoDataValue>-9999</NoDataValue>", source("a.tif"), dtype="Float32")]
    path = write_vrt(tmp_path / "v.vrt", bands, WIDTH, HEIGHT)
    rasters = engine(path)
    grid = rasters.catalogue.find(name_of(path)).grid
    steps = Processing(resampling=Resampling.BILINEAR)
    request = replace(raw(path, grid.coarsened(77, 63)), processing=steps)
    found = rasters.bands(request)
    assert 0 < found.valid.mean() < 1
    np.testing.assert_allclose(found.values[found.valid], 100)


def test_the_version_is_that_of_the_vrt_and_all_its_files(folder: Path) -> None:
    path = mosaic(folder / "m.vrt")

    def version() -> str:
        catalogue = Catalogue([Root(str(path))])
        name = name_of(path)
        assert catalogue.local_versions([name]) == {name: catalogue.find(name).asset.version}
        return catalogue.find(name).asset.version

    seen = [version()]
    assert version() == seen[0]
    write_raster(folder / "b.tif", 255 - picture(1), transform=moved(70, 40))
    seen.append(version())
    mosaic(path, head="<NoDataValue>0</NoDataValue>")
    seen.append(version())
    path.with_suffix(".json").write_text('{"properties": {"a": 1}}')
    seen.append(version())
    assert len(set(seen)) == 4


def test_a_change_is_seen_by_a_server_that_runs(folder: Path) -> None:
    path = mosaic(folder / "m.vrt")
    rasters = engine(path)
    before = rasters.catalogue.find(name_of(path))
    assert isinstance(before, VrtImage)
    assert rasters.catalogue.find(name_of(path), max_age_s=0) is before
    write_raster(folder / "c.tif", 255 - picture(2), transform=moved(300, 10))
    rasters.catalogue.expire(name_of(path))
    np.testing.assert_array_equal(rasters.bands(raw(path, None)).values, by_gdal(path)[0])
    (folder / "c.tif").unlink()
    rasters.catalogue.expire(name_of(path))
    with pytest.raises(UnreadableRaster, match=r"c\.tif: the file of this band is gone"):
        rasters.bands(raw(path, None))


def test_a_vrt_in_a_folder_is_not_served(folder: Path) -> None:
    mosaic(folder / "m.vrt")
    names = Catalogue([Root(str(folder))]).names()
    assert [name.rpartition("/")[2] for name in names] == ["a", "b", "c"]
    (folder / "only").mkdir()
    os.link(folder / "m.vrt", folder / "only" / "m.vrt")
    with pytest.raises(AssetNotFound):
        Catalogue([Root(str(folder / "only"))]).find(name_of(folder / "m.vrt"))


@needs_gdal
@pytest.mark.parametrize(
    "options",
    [
        ("gdalbuildvrt",),
        ("gdalbuildvrt", "-addalpha"),
        ("gdalbuildvrt", "-srcnodata", "5", "-vrtnodata", "5"),
        ("gdalbuildvrt", "-separate"),
        ("gdalbuildvrt", "-tr", "60", "60"),
        ("gdal_translate", "-of", "VRT", "-srcwin", "13", "14", "50", "60"),
        ("gdal_translate", "-of", "VRT", "-ot", "UInt16", "-scale", "0", "255", "10", "2000"),
        ("gdal_translate", "-of", "VRT", "-b", "2", "-b", "2", "-b", "1"),
        ("gdal_translate", "-of", "VRT", "-outsize", "50%", "50%"),
    ],
    ids=" ".join,
)
def test_what_gdals_own_commands_write_is_read(folder: Path, options: tuple[str, ...]) -> None:
    path = folder / "m.vrt"
    files = [str(folder / f"{name}.tif") for name in "abc"]
    is_mosaic = options[0] == "gdalbuildvrt"
    ends = [str(path), *files] if is_mosaic else [files[0], str(path)]
    subprocess.run([*options, *ends], check=True, capture_output=True)
    check(path)


@pytest.mark.parametrize("how", [each for each in Resampling if each is not Resampling.NEAREST])
@pytest.mark.parametrize("side", [50, 77, 300])
def test_resampling_knows_no_seam_between_files(tmp_path: Path, how: Resampling, side: int) -> None:
    values = (noise(1, 200, 200, "float32") * 10).round(2)
    values[0, 60:90, 90:130] = -9999
    whole = write_raster(tmp_path / "whole.tif", values, nodata=-9999, overviews=())
    sources = []
    for row, column in ((0, 0), (0, 100), (100, 0), (100, 100)):
        part = values[:, row : row + 100, column : column + 100]
        write_raster(tmp_path / f"{row}-{column}.tif", part, nodata=-9999, overviews=())
        rects = (0, 0, 100, 100), (column, row, 100, 100)
        sources.append(source(f"{row}-{column}.tif", 1, *rects))
    bands = [band("<NoDataValue>-9999</NoDataValue>", *sources, dtype="Float32")]
    path = write_vrt(tmp_path / "v.vrt", bands, 200, 200)
    grid = engine(path).catalogue.find(name_of(path)).grid.coarsened(side, side)
    steps = Processing(resampling=how)
    found, expected = (
        engine(each).bands(replace(raw(each, grid), processing=steps)) for each in (path, whole)
    )
    np.testing.assert_array_equal(found.valid, expected.valid)
    np.testing.assert_array_equal(found.masked_to_zero(), expected.masked_to_zero())
