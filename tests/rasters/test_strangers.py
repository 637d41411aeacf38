"""GeoTIFFs that name other files: they are served from their own pixels, nothing else is opened."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rasters.engine import asset_of, name_of, raster_of, read
from tests.rasters.tiffs import (
    ASCII,
    GEO_ASCII,
    GEO_KEYS,
    METADATA,
    UTM_12N,
    Image,
    decoy,
    poisoned,
    tiff,
    write_tiff,
)
from tests.support.rasterfiles import write_raster
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.ingest.ingest import ingest
from tileserver.layers.statistics import overview_request
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.datasets import gdal_environment, open_raster
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

ITEM = '<Item name="OVERVIEW_FILE" domain="OVERVIEWS">{}</Item>'
SPELLINGS = {
    "plain": ITEM,
    "lower case": ITEM.lower().replace("item", "Item"),
    "entities": ITEM.replace("OVERVIEWS", "&#79;VERVIEWS").replace("OVERVIEW_F", "OVERVIEW&#x5f;F"),
    "elements": "<Item><name>OVERVIEW_FILE</name><domain>OVERVIEWS</domain>{}</Item>",
    "parted": "<Item><name>OVERVIEW<![CDATA[_FILE]]></name><domain>OVER<!-- -->VIEWS</domain>{}"
    "</Item>",
    "twice": '<Item name="A" domain="OVERVIEWS">b</Item>' + ITEM,
    "with a description": '<Item name="DESCRIPTION" sample="0" role="description">red</Item>'
    + ITEM,
}
VRT = (
    '<VRTDataset rasterXSize="256" rasterYSize="256"><VRTRasterBand dataType="Byte" band="1" '
    'subClass="VRTRawRasterBand"><SourceFilename>{}</SourceFilename></VRTRasterBand></VRTDataset>'
)


def preview(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a raster in few pixels, as its preview has them."""
    rasters = LocalRasters(Catalogue([Root(str(path))]))
    asset = rasters.catalogue.find(name_of(path)).asset
    try:
        return rasters.bands(overview_request(asset, (), 32 * 32)).values
    finally:
        rasters.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that nobody must call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(("is_big", "order"), [(False, "<"), (True, "<"), (False, ">")])
def test_an_overview_in_another_file_is_not_shown(
    tmp_path: Path, spelling: str, is_big: bool, order: str
) -> None:
    other = decoy(tmp_path / "other.tif")
    text = f"<GDALMetadata>{SPELLINGS[spelling].format(other)}</GDALMetadata>"
    path = poisoned(tmp_path / "a.tif", text, is_big=is_big, order=order)
    assert len(raster_of(path).levels) == 1
    assert set(preview(path).flat) == {10}
    assert set(read(path, None).values.flat) == {10}


def test_other_metadata_of_such_a_file_is_kept(tmp_path: Path) -> None:
    other = decoy(tmp_path / "other.tif")
    text = SPELLINGS["with a description"].format(other)
    path = poisoned(tmp_path / "a.tif", f"<GDALMetadata>{text}</GDALMetadata>")
    assert asset_of(path).band_ids == ("red",)


def laid_over(path: Path, image: Image, start: bytes, stop: bytes) -> Path:
    """Write an image and a page whose metadata is a stretch of the file between two texts."""
    page = Image(16, 16, tags={254: 2, METADATA: b"Q" * 99})
    body = bytearray(tiff(image, page))
    first = body.index(start) - 1
    entry = body.index(struct.pack("<HHII", METADATA, ASCII, 99, body.index(b"Q" * 99)))
    struct.pack_into("<II", body, entry + 4, body.index(stop) - first, first)
    path.write_bytes(body)
    return path


def test_a_text_that_ends_within_another_does_not_hide_where_an_overview_is(
    tmp_path: Path,
) -> None:
    text = f"<GDALMetadata>{ITEM.format(decoy(tmp_path / 'other.tif'))}</GDALMetadata>"
    image = Image(512, 512, (256, 256), tags={**UTM_12N, METADATA: text.encode() + b"\0"})
    path = laid_over(tmp_path / "a.tif", image, b"<GDALM", b'ain="OVER')
    with pytest.raises(UnreadableRaster, match="lies over other parts of the file"):
        asset_of(path)


def test_a_text_that_holds_a_directory_changes_nothing_in_it(tmp_path: Path) -> None:
    tags = {**UTM_12N, GEO_ASCII: b"domain|\0", 65_000: b"<OVERVIEW_FILE\0"}
    image = Image(512, 512, (256, 256), tags=tags)
    path = laid_over(tmp_path / "a.tif", image, b"domain", b"QQ")
    with pytest.raises(UnreadableRaster, match="lies over other parts of the file"):
        asset_of(path)


def test_directories_may_share_the_text_that_names_a_file(tmp_path: Path) -> None:
    text = f"<GDALMetadata>{ITEM.format(decoy(tmp_path / 'other.tif'))}</GDALMetadata>"
    image = Image(512, 512, (256, 256), tags={**UTM_12N, METADATA: text.encode() + b"\0"})
    path = laid_over(tmp_path / "a.tif", image, b"<GDALM", b"QQ")
    body = bytearray(path.read_bytes())
    at = body.index(b"<GDALM")
    entry = body.index(struct.pack("<I", at - 1))
    struct.pack_into("<II", body, entry - 4, len(text) + 1, at)
    path.write_bytes(body)
    assert set(preview(path).flat) == {10}


@pytest.mark.parametrize("scheme", ["/vsicurl/http://", "http://", "/vsicurl_streaming/http://"])
def test_an_overview_at_an_address_is_not_called(
    tmp_path: Path, listener: socket.socket, scheme: str
) -> None:
    address = "{}:{}/a.tif".format(*listener.getsockname())
    text = f"<GDALMetadata>{ITEM.format(scheme + address)}</GDALMetadata>"
    path = poisoned(tmp_path / "a.tif", text)
    assert set(preview(path).flat) == {10}
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_an_overview_that_reads_any_bytes_of_the_disk_is_not_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes([77]) * 65536)
    (tmp_path / "other.vrt").write_text(VRT.format(secret))
    text = f"<GDALMetadata>{ITEM.format(tmp_path / 'other.vrt')}</GDALMetadata>"
    path = poisoned(tmp_path / "a.tif", text)
    assert set(preview(path).flat) == {10}


@pytest.mark.parametrize(
    "name", ["a.tif.ovr", "a.tif.msk", "a.tif.aux.xml", "a.aux", "a.tfw", "a.tab", "a.IMD", "a.xml"]
)
def test_what_lies_beside_a_raster_is_not_read(tmp_path: Path, name: str) -> None:
    path = write_tiff(tmp_path / "a.tif", Image(512, 512, (256, 256), tags=UTM_12N))
    before = raster_of(path)
    os.mkfifo(tmp_path / name)  # Whoever opens it waits for ever.
    after = raster_of(path)
    assert (after.grid, after.levels, after.has_mask) == (before.grid, before.levels, False)
    assert set(preview(path).flat) == {10}


GEOGRAPHIC = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]{}],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
)
PROJECTED = (
    'PROJCS["x",{},PROJECTION["Transverse_Mercator"],PARAMETER["central_meridian",-111],'
    'PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],UNIT["metre",1]{}]'
)
NAMING = {
    "grids": PROJECTED.format(GEOGRAPHIC.format(',EXTENSION["PROJ4_GRIDS","{}"]'), ""),
    "proj": PROJECTED.format(
        GEOGRAPHIC.format(""), ',EXTENSION["PROJ4","+proj=utm +zone=12 +nadgrids={}"]'
    ),
    "geographic": GEOGRAPHIC.format(',EXTENSION["proj4_grids","{}"]'),
}


def with_definition(path: Path, text: str) -> Path:
    """Write a raster whose CRS is defined by a text in its GeoAsciiParams."""
    content = f"ESRI PE String = {text}|".encode()
    keys = (1, 1, 0, 3, 1024, 0, 1, 32767, 3072, 0, 1, 32767, 3073, GEO_ASCII, len(content), 0)
    tags = {**UTM_12N, GEO_KEYS: keys, GEO_ASCII: content + b"\0"}
    return write_tiff(path, Image(64, 64, (64, 64), tags=tags))


@pytest.mark.parametrize("name", NAMING)
def test_a_crs_that_names_a_file_is_refused_before_it_is_opened(tmp_path: Path, name: str) -> None:
    grid = tmp_path / "shifts.gsb"
    os.mkfifo(grid)  # PROJ would wait for ever.
    path = with_definition(tmp_path / "a.tif", NAMING[name].format(grid))
    with pytest.raises(UnreadableRaster, match="citation of its CRS"):
        asset_of(path)
    with pytest.raises(UnreadableRaster, match="citation of its CRS"):
        ingest([path], tmp_path / "out.tif")


def test_a_crs_defined_by_a_text_without_files_is_served(tmp_path: Path) -> None:
    text = PROJECTED.format(GEOGRAPHIC.format(""), "")
    path = with_definition(tmp_path / "a.tif", text)
    assert set(read(path, None).values.flat) == {10}


@pytest.mark.parametrize("name", ["GTIFF_DIR:1:x.tif", "GTIFF_RAW:x.tif", "<VRTDataset.tif"])
def test_a_name_that_gdal_would_understand_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    decoy(tmp_path / "x.tif")
    write_tiff(tmp_path / name, Image(64, 64, (64, 64), tags=UTM_12N))
    ingest([Path(name)], tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert set(dataset.read().flat) == {10}


def test_ingest_reads_the_pixels_and_the_mask_of_the_source_alone(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", Image(512, 512, (256, 256), tags=UTM_12N))
    os.mkfifo(tmp_path / "a.tif.msk")
    os.mkfifo(tmp_path / "a.tif.aux.xml")
    result = ingest([path], tmp_path / "out.tif")
    with rasterio.open(result.path) as dataset:
        assert set(dataset.read().flat) == {10}
        assert dataset.read_masks(1).all()


def test_a_file_by_the_number_of_its_descriptor_is_read(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", np.full((1, 512, 512), 10, np.uint8), overviews=(2,))
    with path.open("rb") as file:
        link = Path(f"/proc/self/fd/{file.fileno()}")
        if not link.exists():
            pytest.skip("no /proc here")
        with gdal_environment(), open_raster(str(link), "a", 0) as dataset:
            assert dataset.shape == (256, 256)


NAMES = """OVERVIEW_FILE OVERVIEWS xml:XMP RPC IMD DERIVED_SUBDATASETS COLOR_PROFILE SUBDATASETS
GEOLOCATION IMAGE_STRUCTURE ProxyOverviewRequest X_SRS FILENAME X_DATASET NODATA_VALUES
INTERNAL_MASK_FLAGS_1 &#79;VERVIEWS"""
WORDS = st.sampled_from(NAMES.split())


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(items=st.lists(st.tuples(WORDS, WORDS, st.booleans()), max_size=6))
def test_no_metadata_whatever_leads_to_another_file(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, str, bool]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    other = decoy(folder / "other.tif")
    text = "".join(
        f'<Item name="{name}" domain="{domain}"{" sample=" + chr(34) + "0" + chr(34) if s else ""}>'
        f"{other}</Item>"
        for name, domain, s in items
    )
    path = poisoned(folder / "a.tif", f"<GDALMetadata>{text}</GDALMetadata>")
    assert 77 not in preview(path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(changes=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), max_size=8))
def test_a_file_of_changed_bytes_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    other = decoy(folder / "other.tif")
    text = f"<GDALMetadata>{ITEM.format(other)}</GDALMetadata>"
    path = poisoned(folder / "a.tif", text)
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[-1 - place % len(content)] = value
    path.write_bytes(content)
    try:
        assert 77 not in read(path, None).values
        assert 77 not in preview(path)
    except (UnreadableRaster, InvalidRequest):  # Its native grid may be larger than is answered.
        pass
