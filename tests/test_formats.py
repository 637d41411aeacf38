"""Every file format, walked through all that makes or passes on its bytes."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shutil
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from rasterio import Affine

import tileserver
from tests.earthengine.test_tokens import credentials_in
from tests.support.rasterfiles import write_raster
from tests.support.serving import serve
from tests.support.standin import StandIn
from tests.support.standin_tokens import TokenServer
from tileserver.config.config import Config
from tileserver.contract.formats import (
    EARTH_ENGINE_FORMATS,
    TILE_FORMATS,
    TILE_SUFFIXES,
    ImageFileFormat,
)
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.blocks import Block, decode_block
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import make_client
from tileserver.earthengine.splitting import stitch
from tileserver.earthengine.tokens import GoogleAuth
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.rendering.encoders import PICTURE_WRITERS, RAW_WRITERS, empty, media_type
from tileserver.server.app import create_app

SIGNATURES = {
    "NPY": b"\x93NUMPY\x01\x00",
    "NPZ": b"PK\x03\x04",
    "GEO_TIFF": b"II*\x00",
    "ZIPPED_GEO_TIFF": b"PK\x03\x04",
    "ZIPPED_GEO_TIFF_PER_BAND": b"PK\x03\x04",
}
TILE = Tile(8, 7, 4)
BLOCK = Block(TILE, 2, 2, 64)
STYLE = VisualizationOptions((Range(0, 255),))
CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
ROUTES = Path(__file__).parents[1] / "docs" / "pages" / "reference" / "routes.md"

every_format = pytest.mark.parametrize("file_format", list(ImageFileFormat))
formats_in_parts = pytest.mark.parametrize(
    "file_format", [each for each in ImageFileFormat if each.of_parts]
)
tile_suffixes = pytest.mark.parametrize("suffix", list(TILE_FORMATS))


def check(body: bytes, file_format: ImageFileFormat) -> None:
    """Check that bytes are what their format and media type say."""
    if file_format.is_picture:
        with Image.open(io.BytesIO(body)) as image:
            image.load()
        assert image.get_format_mimetype() == media_type(file_format, body)
        assert file_format is ImageFileFormat.AUTO_JPEG_PNG or image.format == file_format
    elif file_format is ImageFileFormat.TF_RECORD_IMAGE:
        assert len(body) == struct.unpack_from("<Q", body)[0] + 16
    else:
        assert body.startswith(SIGNATURES[file_format])
    if file_format is ImageFileFormat.NPY:
        assert np.load(io.BytesIO(body)).dtype.names
    if file_format is ImageFileFormat.NPZ:
        assert {"bands", "values", "valid"} <= set(np.load(io.BytesIO(body)))
    if file_format.row.suffixes == ("zip",):
        assert zipfile.ZipFile(io.BytesIO(body)).testzip() is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of one raster, of which a quarter is masked."""
    path = tmp_path_factory.mktemp("rasters")
    rows, columns = np.mgrid[0:400, 0:400]
    values = np.stack([columns // 2, rows // 2, (rows + columns) // 4]).astype(np.uint8)
    mask = (rows < 200) | (columns < 200)
    write_raster(path / "scene.tif", values, "EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 20), mask=mask)
    return path


@pytest.fixture(scope="module")
def rasters(folder: Path) -> LocalRasters:
    return LocalRasters(Catalogue([Root(str(folder))]))


def request(file_format: ImageFileFormat, asset: str = "") -> PixelRequest:
    options = STYLE if file_format.is_picture else None
    grid = tile_grid(TILE, 64)
    return PixelRequest(asset, file_format, grid, None, ("b1", "b2", "b3"), options)


def local(rasters: LocalRasters, file_format: ImageFileFormat) -> PixelRequest:
    (name,) = rasters.catalogue.names()
    return request(file_format, name)


@every_format
def test_a_format_has_one_writer(file_format: ImageFileFormat) -> None:
    assert (file_format in PICTURE_WRITERS, file_format in RAW_WRITERS) == (
        file_format.is_picture,
        not file_format.is_picture,
    )
    # Of Earth Engine's PNG only pictures can be made, of its NPY only NPZ.
    is_own = file_format.row.is_earth_engines
    assert is_own or file_format.is_picture or file_format is ImageFileFormat.NPZ
    assert ImageFileFormat(str(file_format)) is file_format


@every_format
def test_the_local_engine_writes_it(rasters: LocalRasters, file_format: ImageFileFormat) -> None:
    check(rasters.pixels(local(rasters, file_format)), file_format)
    check(empty(file_format, 64, 64, ("b1",), "uint8"), file_format)


@formats_in_parts
def test_it_is_cut_from_a_block(rasters: LocalRasters, file_format: ImageFileFormat) -> None:
    assert file_format.of_parts is not None
    block = replace(local(rasters, file_format.of_parts), grid=BLOCK.grid)
    decoded = decode_block(rasters.pixels(block), BLOCK, file_format)
    for tile, _ in BLOCK.places():
        check(decoded.encode_tile(tile), file_format)


@formats_in_parts
def test_it_is_stitched_from_quarters(rasters: LocalRasters, file_format: ImageFileFormat) -> None:
    assert file_format.of_parts is not None
    part = local(rasters, file_format.of_parts)
    grid = tile_grid(TILE, 64)
    pieces = [
        (each, rasters.pixels(replace(part, grid=grid.window(each))))
        for each in grid.whole.quarters()
    ]
    check(stitch(file_format, grid, pieces), file_format)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    """Serve the raster."""
    app = create_app(Config(), [Root(str(folder))])
    with serve(app) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@tile_suffixes
@pytest.mark.parametrize("tile", [TILE, Tile(0, 0, 4)])
def test_tiles_and_previews_have_its_suffix(client: httpx.Client, suffix: str, tile: Tile) -> None:
    for path in (f"/tiles/scene/{tile.z}/{tile.x}/{tile.y}", "/preview/scene"):
        answer = client.get(f"{path}.{suffix}").raise_for_status()
        check(answer.content, TILE_FORMATS[suffix])
        assert answer.headers["content-type"] == media_type(TILE_FORMATS[suffix], answer.content)


@tile_suffixes
def test_the_tiles_of_a_tilejson_come_with_its_suffix(client: httpx.Client, suffix: str) -> None:
    (template,) = client.get("/tilejson/scene.json").raise_for_status().json()["tiles"]
    url = template.format(z=TILE.z, x=TILE.x, y=TILE.y).replace(".png", f".{suffix}")
    check(client.get(url).raise_for_status().content, TILE_FORMATS[suffix])


def test_an_unknown_suffix_is_refused_with_those_there_are(client: httpx.Client) -> None:
    for path in ("/tiles/scene/0/0/0.bmp", "/preview/scene.bmp"):
        answer = client.get(path)
        assert answer.status_code == 400
        assert f"expected one of {', '.join(TILE_SUFFIXES)}" in answer.text


@pytest.mark.parametrize("file_format", list(dict.fromkeys(TILE_FORMATS.values())))
def test_the_routes_are_documented_with_its_suffix(file_format: ImageFileFormat) -> None:
    if "FORMATS_UNDOCUMENTED" in os.environ:
        pytest.skip("the documentation is that of another package")
    assert f"`{file_format.row.suffixes[0]}`" in ROUTES.read_text("utf-8")


@every_format
def test_v1_takes_earth_engines_own_formats_only(
    client: httpx.Client, file_format: ImageFileFormat
) -> None:
    body = {"fileFormat": str(file_format), "grid": {"dimensions": {"width": 8, "height": 8}}}
    answer = client.post("/v1/projects/localhost/assets/scene:getPixels", json=body)
    if file_format.row.is_earth_engines:
        check(answer.raise_for_status().content, file_format)
    else:
        assert answer.status_code == 400
        assert "expected one of PNG" in answer.json()["error"]["message"]


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture(scope="module")
def standin(folder: Path, tokens: TokenServer) -> Iterator[StandIn]:
    with StandIn(folder, accepts=tokens.accepts) as server:
        yield server


# The stand-in writes all others.
@pytest.mark.parametrize(
    "file_format", [each for each in ImageFileFormat if each is not ImageFileFormat.TF_RECORD_IMAGE]
)
def test_earth_engine_is_asked_for_a_format_of_its_own(
    standin: StandIn, tokens: TokenServer, tmp_path: Path, file_format: ImageFileFormat
) -> None:
    key = tokens.write_service_account(tmp_path / "key.json")

    async def ask() -> bytes:
        async with make_client(GoogleAuth(credentials_in(key), "stand-in"), 4) as client:
            source = EarthEngine(client, "stand-in", standin.url)
            return await source.get_pixels(request(file_format, "projects/stand-in/assets/scene"))

    standin.forget()
    check(asyncio.run(ask()), file_format)
    (asked,) = (each for each in standin.seen if each.path.endswith("Pixels"))
    assert asked.json()["fileFormat"] in EARTH_ENGINE_FORMATS


def recipe() -> tuple[str, str, str]:
    """Return the row, the writer and its line in the table, of a format that CONTRIBUTING adds."""
    text = CONTRIBUTING.read_text("utf-8")
    recipe = text[text.index("**A file format of pictures**") :]
    row, writer, line = re.findall(r"\n\n((?:      .*\n|\n(?=\n?      ))+)", recipe)[:3]
    return textwrap.dedent(row), textwrap.dedent(writer), textwrap.dedent(line)


def insert(path: Path, text: str, before: str) -> None:
    source = path.read_text("utf-8")
    assert source.count(before) == 1
    path.write_text(source.replace(before, f"{text}{before}"))


def test_a_format_added_as_contributing_says_comes_back_right_everywhere(tmp_path: Path) -> None:
    package = shutil.copytree(Path(tileserver.__file__).parent, tmp_path / "tileserver")
    (tmp_path / "web").symlink_to(Path(tileserver.__file__).parents[1] / "web")
    row, writer, line = recipe()
    insert(package / "contract" / "formats.py", textwrap.indent(row, "    "), "    NPY = (")
    encoders = package / "rendering" / "encoders.py"
    insert(encoders, f"{writer}\n\n", "def write_webp(")
    insert(encoders, textwrap.indent(line, "    "), "    ImageFileFormat.WEBP: write_webp,")
    # The plug-in of the copy is imported before the tests, and so is all of the package after it.
    options = ("-q", "-p", "no:cacheprovider", "-k", "jp2 or JPEG2000")
    command = [sys.executable, "-P", "-m", "pytest", __file__, *options]
    found = subprocess.run(
        command,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "FORMATS_UNDOCUMENTED": "1",
            # The one that it skips is run by this very process.
            "NO_SKIPS": "",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert found.returncode == 0, found.stdout[-4000:] + found.stderr[-2000:]
    passed = re.search(r"(\d+) passed", found.stdout)
    # As many as each suffix and format has; none fewer for want of a row.
    assert passed is not None
    assert int(passed[1]) >= 9
