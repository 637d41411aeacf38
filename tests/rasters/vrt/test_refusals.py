"""What a VRT may not say is refused by name, and leads to no other file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.rasters.engine import engine, name_of, raw
from tests.rasters.vrt.writing import band, source, write_vrt
from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import UnreadableRaster
from tileserver.rasters.sidecars.bounded_xml import MAX_BYTES
from tileserver.rasters.vrt.document import MAX_BANDS, MAX_FILES, MAX_SOURCES
from tileserver.server.cli import main

WHOLE = source("a.tif")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "in"
    inner.mkdir()
    for path in (inner / "a.tif", tmp_path / "secret.tif"):
        write_raster(path, noise(1, 20, 20, "uint8"))
    return inner


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableRaster) as caught:
        engine(path).bands(raw(path, None))
    message = str(caught.value)
    assert message.startswith(name_of(path))
    assert str(path.parent) not in message
    return message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (band(WHOLE.replace("SimpleSource", "KernelFilteredSource")), "'KernelFilteredSource' in"),
        (band(WHOLE.replace("SimpleSource", "AveragedSource")), "'AveragedSource' in"),
        (band(more='subClass="VRTRawRasterBand"'), "'VRTRawRasterBand' is not read"),
        (band(WHOLE, more='subClass="VRTDerivedRasterBand"'), "'VRTDerivedRasterBand' is not"),
        (band(WHOLE, "<PixelFunctionType>sum</PixelFunctionType>"), "'PixelFunctionType' in"),
        (band(source("a.tif", kind="ComplexSource", more="<LUT>0:1</LUT>")), "'LUT' in"),
        (band(source("a.tif", more="<OpenOptions/>")), "'OpenOptions' in SimpleSource"),
        (band(source("a.tif", more="<NODATA>0</NODATA>")), "'NODATA' in SimpleSource"),
        (band(WHOLE, dtype="CFloat32"), "dataType 'CFloat32' is not read, expected Byte,"),
        (band(source("a.tif", 0)), "SourceBand is '0', expected a number from 1"),
        (band(source("a.tif", 7)), "no band 7 to draw"),
        (band(source("a.tif", "alpha,1")), "expected a number from 1, or mask,1"),
        (band(source("a.tif", 1, (0, 0, -1, -1))), "SrcRect is '-1', expected a number"),
        (band(source("a.tif", 1, (0, 0, "nan", 1))), "SrcRect is 'nan'"),  # type: ignore[arg-type]
        (band("<NoDataValue>x</NoDataValue>"), "NoDataValue is 'x', expected a number"),
        ("<GCPList/>", "'GCPList' in VRTDataset is not read, expected GeoTransform,"),
        ("", "it has 0 bands"),
        (band() * (MAX_BANDS + 1), f"it has {MAX_BANDS + 1} bands"),
        (band(WHOLE * (MAX_SOURCES + 1)), f"{MAX_SOURCES + 1} sources, at most {MAX_SOURCES}"),
        (
            band(*(source(f"{i}.tif") for i in range(MAX_FILES + 1))),
            f"{MAX_FILES + 1} files, at most {MAX_FILES} are read; `mosaic = true`",
        ),
    ],
)
def test_other_elements_are_refused_by_name(folder: Path, content: str, part: str) -> None:
    assert part in refusal(write_vrt(folder / "x.vrt", [content], 20, 20))


@pytest.mark.parametrize("kind", ["VRTWarpedDataset", "VRTPansharpenedDataset", "VRTProcessed"])
def test_other_kinds_are_refused_by_name(folder: Path, kind: str) -> None:
    path = write_vrt(folder / "x.vrt", [band(WHOLE)], 20, 20, kind=f'subClass="{kind}"')
    assert f"'{kind}' is not read" in refusal(path)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("../secret.tif", "'../secret.tif' must be in the folder of the VRT, without .."),
        ("sub/../../secret.tif", "without .."),
        ("/etc/secret.tif", "'…/secret.tif' is not in the folder of the VRT"),
        (
            "/vsicurl/https://me:pw@example.org/a.tif",  # pragma: allowlist secret
            "is an address or begins with /vsi",
        ),
        ("/vsizip/x.zip/a.tif", "is an address or begins with /vsi"),
        (
            "https://me:pw@example.org/a.tif",  # pragma: allowlist secret
            "is an address or begins with /vsi",
        ),
        ("x.vrt", "expected a GeoTIFF, ending in .tif or .tiff"),
        ("GTIFF_DIR:1:a.png", "expected a GeoTIFF, ending in .tif or .tiff"),
        ("", "expected a GeoTIFF"),
        ("gone.tif", "x/gone.tif: the file of this band is gone"),
    ],
)
def test_names_lead_to_no_other_place(folder: Path, name: str, part: str) -> None:
    message = refusal(write_vrt(folder / "x.vrt", [band(source(name))], 20, 20))
    assert part in message
    assert "pw@" not in message
    assert "/etc" not in message


def test_a_name_is_relative_to_the_vrt(folder: Path) -> None:
    path = write_vrt(folder / "x.vrt", [band(source("a.tif", relative=0))], 20, 20)
    assert 'expected relativeToVRT="1", or an absolute path' in refusal(path)
    absolute = write_vrt(folder / "y.vrt", [band(source(f"{folder}/a.tif", relative=0))], 20, 20)
    assert engine(absolute).bands(raw(absolute, None)).valid.all()
    dotted = write_vrt(folder / "z.vrt", [band(source("./a.tif"))], 20, 20)
    assert engine(dotted).bands(raw(dotted, None)).valid.all()


def test_links_lead_to_no_other_folder(folder: Path) -> None:
    (folder / "link.tif").symlink_to("../secret.tif")
    (folder / "up").symlink_to("..")
    os.mkfifo(folder / "pipe.tif")
    for name in ("link.tif", "up/secret.tif", "pipe.tif"):
        path = write_vrt(folder / "x.vrt", [band(source(name))], 20, 20)
        assert "the file of this band is gone" in refusal(path)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"II*\0", "not well-formed"),
        (b"<GDALTileCache/>", "its root element is 'GDALTileCache', expected VRTDataset"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><VRTDataset/>', "a document type"),
        (b"<VRTDataset>" + b"<a>" * 50, "in one another"),
        (b"<VRTDataset rasterXSize='0'>" + band().encode() + b"</VRTDataset>", "rasterXSize is"),
        (b" " * (MAX_BYTES + 1), "longer than 4 MB"),
    ],
)
def test_what_is_no_vrt_is_refused(folder: Path, content: bytes, part: str) -> None:
    path = folder / "x.vrt"
    path.write_bytes(content)
    assert part in refusal(path)


@pytest.mark.parametrize("crs", ["../a.prj", "https://example.org/crs", "EPSG:99999", "nonsense"])
def test_a_crs_is_no_file_and_no_address(folder: Path, crs: str) -> None:
    path = write_vrt(folder / "x.vrt", [band(WHOLE)], 20, 20, crs=crs)
    assert "the SRS of the VRT cannot be used" in refusal(path)


def test_check_tells_of_a_vrt(folder: Path) -> None:
    good = write_vrt(folder / "good.vrt", [band(WHOLE)], 20, 20)
    bad = write_vrt(folder / "bad.vrt", [band(source("../secret.tif"))], 20, 20)
    found = CliRunner().invoke(main, ["check", str(good), str(bad)])
    assert found.exit_code == 1
    assert "without .." in found.output
    assert CliRunner().invoke(main, ["check", str(good)]).exit_code == 0


def test_a_configuration_names_a_vrt(folder: Path) -> None:
    write_vrt(folder / "x.vrt", [band(WHOLE)], 20, 20)
    config = folder / "tileserver.toml"
    config.write_text('[[rasters]]\npath = "x.vrt"\nprefix = "projects/virtual/assets"\n')
    found = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert found.exit_code == 0, found.output
    assert "x: ok" in found.output


def test_a_link_is_the_vrt_that_it_leads_to(folder: Path, tmp_path: Path) -> None:
    write_vrt(folder / "x.vrt", [band(WHOLE)], 20, 20)
    link = tmp_path / "link.vrt"
    link.symlink_to(folder / "x.vrt")
    assert engine(link).bands(raw(link, None)).valid.all()
    other = tmp_path / "other.vrt"
    other.symlink_to(folder / "a.tif")
    assert "it is a link to a file that is no .vrt" in refusal(other)


def test_a_vrt_is_no_mosaic_of_a_folder(folder: Path) -> None:
    path = write_vrt(folder / "x.vrt", [band(WHOLE)], 20, 20)
    config = folder / "tileserver.toml"
    config.write_text('[[rasters]]\npath = "x.vrt"\nmosaic = true\n')
    for arguments in (["--mosaic", str(path)], ["--config", str(config)]):
        found = CliRunner().invoke(main, arguments)
        assert found.exit_code != 0
        assert "x.vrt: expected a folder of GeoTIFFs" in found.output
