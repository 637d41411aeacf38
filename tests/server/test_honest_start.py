"""What a server and `check` say of layers that can and cannot be shown."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from tests.support.commands import run, serving
from tests.support.limits import SOON_S, ends_soon
from tests.support.otheruser import let_all_enter
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import LayerDefinition, Layers
from tileserver.layers.listed import ListedLayer
from tileserver.layers.styles import Style
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.server.cli import main
from tileserver.server.first_look import first_look

PREFIX = "projects/localhost/assets"


def cut(path: Path, share: float = 0.6) -> Path:
    """Cut off the end of a file whose directories come first."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: two good rasters among others; none has blocks of more than 256."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").mkdir()
    for name in ("good", "fine"):
        write_raster(tmp_path / f"f/{name}.tif", noise(1, 300, 300), overviews=())
    # Written in one go, so that its directory is at the beginning.
    cut(write_raster(tmp_path / "f/cut.tif", noise(1, 900, 900), overviews=()))
    (tmp_path / "f/text.tif").write_text("hello")
    return tmp_path


def command(*arguments: str | Path) -> Result:
    with ends_soon():
        return CliRunner().invoke(main, [str(each) for each in arguments])


def told(result: Result) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in result.stdout.splitlines())


def test_a_server_counts_the_layers_that_work_and_says_why_others_do_not(folder: Path) -> None:
    with serving("f", "--port", "0", cwd=folder) as server:
        assert "serves 2 layers: fine, good\n" in server.said
        assert re.search(r"WARNING: layer cut cannot be shown: .*the file ends before", server.said)
        assert re.search(r"WARNING: layer text cannot be shown: .*does not begin as", server.said)
        found = httpx.get(f"{server.url}/layers", timeout=SOON_S).json()
    assert [each["name"] for each in found["layers"]] == ["fine", "good"]
    reasons = {each["name"]: each["reason"] for each in found["errors"]}
    # The name of the layer stands beside the reason.
    assert reasons["cut"].startswith("the file ends before")
    assert "does not begin as a TIFF" in reasons["text"]


def test_a_wrong_band_and_a_cut_file_of_a_configuration_are_no_layers(folder: Path) -> None:
    styled = 'min = 0\nmax = 9\nbands = ["b1"]'
    tables = {
        "right": f'asset = "{PREFIX}/good"\n{styled}',
        "cut": f'asset = "{PREFIX}/cut"\n{styled}',
        "band": f'asset = "{PREFIX}/good"\nbands = ["B9"]',
        "pair": f'asset = "{PREFIX}/good"\nbands = ["b1", "b1"]\nmin = 0\nmax = 1',
    }
    text = "\n".join(f"[layers.{name}]\n{table}" for name, table in tables.items())
    (folder / "tileserver.toml").write_text(f'[[rasters]]\npath = "f"\n{text}\n')
    with serving("--port", "0", cwd=folder) as server:
        assert "serves 1 layer: right\n" in server.said
        assert "Bands: b1." in server.said
        found = httpx.get(f"{server.url}/layers", timeout=SOON_S).json()
    assert [each["name"] for each in found["layers"]] == ["right"]
    assert {each["name"] for each in found["errors"]} == {"cut", "band", "pair"}
    checked = command("check")
    assert checked.exit_code == 1
    assert {name for name, text in told(checked).items() if text == "ok"} == {"right"}


def test_check_looks_at_files_and_folders(folder: Path) -> None:
    checked = command("check", "f", "--config", "none.toml")
    assert checked.exit_code == 2
    checked = command("check", "f")
    assert checked.exit_code == 1
    assert {name: text for name, text in told(checked).items() if text == "ok"} == {
        "good": "ok",
        "fine": "ok",
    }
    assert "ends before its last pixels" in told(checked)["cut"]
    assert str(folder) not in checked.stdout
    alone = command("check", "f/good.tif", folder / "f/fine.tif")
    assert (alone.exit_code, told(alone)) == (0, {"good": "ok", "fine": "ok"})
    assert command("check", "none.tif").exit_code == 2


def test_check_counts_the_files_of_a_mosaic(folder: Path) -> None:
    (folder / "f/cut.tif").unlink()
    checked = command("check", "--mosaic", "f")
    assert checked.exit_code == 0
    said = told(checked)["f"]
    assert said.startswith("ok, 2 files, 1 left out, such as text: not a readable GeoTIFF")
    (folder / "f/text.tif").unlink()
    assert told(command("check", "--mosaic", "f")) == {"f": "ok, 2 files"}


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_check_says_of_a_picture_that_it_has_no_place_on_earth(folder: Path) -> None:
    write_raster(folder / "f/scan.tif", noise(1, 300, 300), None, overviews=())  # type: ignore[arg-type]
    checked = command("check", "f/scan.tif", "f/good.tif")
    assert checked.exit_code == 0
    assert told(checked) == {
        "good": "ok",
        "scan": "ok, no place on Earth: the GeoTIFF has no CRS; gdal_edit.py -a_srs EPSG:… "
        "writes one",
    }


def test_a_command_line_of_which_nothing_works_is_refused_with_the_reasons(folder: Path) -> None:
    alone = command("f/cut.tif", "--port", "0")
    assert (alone.exit_code, alone.stdout) == (2, "")
    assert alone.stderr.startswith(f"tileserver: {PREFIX}/cut: the file ends before")
    both = command("f/cut.tif", "f/text.tif", "--port", "0")
    assert both.exit_code == 2
    assert re.match("tileserver: none of 2 layers can be shown: cut: .*; text: ", both.stderr)
    assert both.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("word", "meant"), [("sevre", "serve"), ("chek", "check"), ("Ingest", "ingest")]
)
def test_a_misspelt_command_gets_the_one_that_was_meant(
    folder: Path, word: str, meant: str
) -> None:
    refused = command(word, "f")
    assert refused.exit_code == 2
    assert refused.stderr == (
        f"tileserver: {word}: no such file or folder, and no such command; "
        f"did you mean '{meant}'?\n"
    )


def test_a_path_that_is_not_there_is_no_misspelt_command(folder: Path) -> None:
    for path in ("serve.tif", "./sevre", "xyz"):
        refused = command("serve", path)
        assert refused.stderr == f"tileserver: {path}: no such file or folder\n"


@pytest.fixture
def nobody() -> Iterator[None]:
    """Run a test as somebody whom the system refuses something."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_no_permission_is_neither_damage_nor_an_empty_folder(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    let_all_enter(folder)
    (folder / "outer/inner").mkdir(parents=True)
    shutil.copy("f/good.tif", "outer/inner")
    (folder / "empty").mkdir()
    (folder / "outer/inner").chmod(0)
    (folder / "f/fine.tif").chmod(0)
    os.utime(folder / "f/good.tif", (1, 1))
    os.utime(folder / "f/fine.tif", (1, 1))
    request.getfixturevalue("nobody")
    inner = command("check", "outer")
    assert inner.exit_code == 2
    assert "outer: permission denied to look into outer/inner;" in inner.stderr
    empty = command("check", "empty")
    assert "empty: no GeoTIFF (.tif, .tiff) in this folder" in empty.stderr
    below = command("check", "outer/inner/good.tif")
    assert "permission denied; the server must be allowed to enter the folders" in below.stderr
    file = told(command("check", "f"))
    assert "permission denied; the server must be allowed to read" in file["fine"]
    assert file["good"] == "ok"


def test_a_folder_that_is_not_shown_is_named_beside_the_layers(
    folder: Path, request: pytest.FixtureRequest
) -> None:
    let_all_enter(folder)
    (folder / "f/closed").mkdir()
    (folder / "f/closed").chmod(0)
    for name in ("good", "fine", "cut", "text"):
        os.utime(folder / f"f/{name}.tif", (1, 1))
    request.getfixturevalue("nobody")
    checked = command("check", "f")
    assert checked.exit_code == 1
    assert told(checked)["f/closed"].startswith("permission denied")
    assert told(checked)["good"] == "ok"


def test_the_advice_for_a_file_without_overviews_can_be_pasted(tmp_path: Path) -> None:
    place = tmp_path / 'my "big" scene\'s folder'
    place.mkdir()
    values = np.zeros((1, 2100, 2100), np.uint8)
    values[0, 5, 5] = 9
    write_raster(place / "a b$HOME'c.tif", values, overviews=())
    file = place / "a b$HOME'c.tif"
    checked = run("check", file, cwd=tmp_path, TILESERVER_PYRAMIDS__ENABLED="false")
    (line,) = checked.stderr.decode().splitlines()
    pasted = line.partition("is made by: ")[2]
    name, *arguments = shlex.split(pasted)
    assert name == "tileserver"
    made = run(*arguments, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    with rasterio.open(place / "a b$HOME'c_cog.tif") as dataset:
        assert dataset.overviews(1)


def test_no_librarys_warning_stands_beside_our_message(tmp_path: Path) -> None:
    options = {"driver": "GTiff", "width": 9, "height": 9, "count": 1, "dtype": "uint8"}
    with (
        pytest.warns(rasterio.errors.NotGeoreferencedWarning),
        rasterio.open(tmp_path / "flat.tif", "w", crs="EPSG:4326", **options),
    ):
        pass
    path = write_raster(tmp_path / "torn.tif", noise(1, 600, 600), overviews=(), compress="lzw")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    ended = run("check", "flat.tif", "torn.tif", "--", cwd=tmp_path)
    assert ended.stderr == b""
    assert len(ended.stdout.splitlines()) == 2


def test_a_list_never_waits_long_for_a_layer_that_does_not_answer(tmp_path: Path) -> None:
    for name in ("quick", "slow"):
        write_raster(tmp_path / f"{name}.tif", noise(1, 60, 70), overviews=())
    stuck = threading.Event()

    class Slow(LocalRasters):
        async def read_bands(self, request: PixelRequest) -> BandArrays:
            if "slow" in request.asset_id:
                await asyncio.to_thread(stuck.wait, SOON_S)
            return await super().read_bands(request)

    definitions = [LayerDefinition(name, f"{PREFIX}/{name}") for name in ("slow", "quick")]
    layers = Layers(definitions, Slow(Catalogue([Root(str(tmp_path))])))
    assert LayerList(layers).patience_s <= 2.0

    async def scenario() -> None:
        listed = LayerList(layers, patience_s=0.2)
        slow, quick = (await listed.page(None, 9)).layers
        assert isinstance(slow, ListedLayer)
        assert slow.entry is None
        assert quick.name == "quick"
        stuck.set()
        listed.patience_s = SOON_S
        again = await listed.page(None, 9)
        assert not any(isinstance(each, ListedLayer) for each in again.layers)

    asyncio.run(scenario())


def test_a_first_look_leaves_what_takes_long_for_later(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", noise(1, 60, 70), overviews=())
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    scene = LayerDefinition("scene", f"{PREFIX}/scene")
    wrong = LayerDefinition("wrong", f"{PREFIX}/scene", style=Style(("b9",)))
    elsewhere = LayerDefinition("earth", "USGS/SRTMGL1_003")
    look = first_look(rasters, [scene, wrong, elsewhere])
    assert (list(look.works), list(look.faults), look.unseen) == ([scene, elsewhere], ["wrong"], 0)
    hurried = first_look(rasters, [scene, wrong], patience_s=0.0)
    assert (len(hurried.works), hurried.faults, hurried.unseen) == (2, {}, 2)
    many = [LayerDefinition(f"l{number}", scene.asset_name) for number in range(101)]
    assert first_look(rasters, many).unseen == 101
    rasters.close()
