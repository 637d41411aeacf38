"""Commands called wrongly: one clear line on stderr, exit code 2, and no traceback."""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.limits import ends_soon
from tests.support.rasterfiles import noise, write_raster
from tileserver.server.cli import main

# A command must not stop at what rasterio warns of.
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

ASSET = "projects/localhost/assets/rgb"
SOUND = '[[rasters]]\npath = "rasters"\n'
LAYER = f'[layers.a]\nasset = "{ASSET}"\n'
PATIENCE_S = 120


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rasters, one of them broken, and requests."""
    folder = tmp_path_factory.mktemp("template")
    for below in ("rasters", "empty", "broken"):
        (folder / below).mkdir()
    write_raster(folder / "rasters" / "rgb.tif", noise(3, 64, 64, "uint8"))
    (folder / "broken" / "text.tif").write_text("hello")
    (folder / "picture.png").write_text("hello")
    (folder / "latin1.json").write_bytes(b'{"assetId": "\xff"}')
    (folder / "sound.json").write_text(json.dumps({"assetId": "rasters/rgb.tif"}))
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the template."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    return tmp_path


def run(*args: str) -> Result:
    with ends_soon():
        return CliRunner().invoke(main, args)


def check_refused(result: Result, *said: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output[:500]
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(("tileserver: ", "Error: "))
    for part in said:
        assert part in last
    if last.startswith("tileserver: "):
        told = result.stderr.removeprefix("Ingesting\n")
        assert told.count("\n") == 1, "an error is one line"


def _words(value: list[str] | str) -> str:
    return (value if isinstance(value, str) else " ".join(value))[:50]


SERVE = [
    ([""], "a path is empty; expected a GeoTIFF or a folder"),
    (["nothing.tif"], "nothing.tif: no such file or folder"),
    (["rasters/nothing.tif"], "rasters/nothing.tif: no such file or folder"),
    (
        ["picture.png"],
        "picture.png: expected a GeoTIFF (.tif, .tiff), a folder of them, a .vrt, or STAC (.json)",
    ),
    (["empty"], "empty: no GeoTIFF (.tif, .tiff) in this folder"),
    (["broken/text.tif"], "not a readable GeoTIFF"),
    (["/dev/zero"], "expected a GeoTIFF"),
    (["rasters", "nothing"], "nothing: no such file or folder"),
    (["https://example.org/picture.png"], "expected the URL of a GeoTIFF"),
    (["rasters", "--port", "99999"], "0 to 65535"),
    (["rasters", "--port", "-1"], "0 to 65535"),
    (["rasters", "--port", "http"], "'http' is not a valid integer"),
    (["rasters", "--workers", "0"], "at least 1"),
    (["rasters", "--host", "no such host"], "a host name or an IP address"),
    (["rasters", "--host", "203.0.113.1", "--port", "0"], "cannot listen on 203.0.113.1:0"),
    (["rasters", "--prot", "80"], "No such option"),
    (["--nothing"], "No such option"),
    (["rasters", "--config", "nothing.toml"], "nothing.toml"),
    (["serve", "rasters", "--config", "rasters"], "rasters"),
    (["rasters", "--config"], "requires an argument"),
]
CONFIGS = [
    ("[server\n", "not valid TOML"),
    ("[cach]\n", 'did you mean "cache"?'),
    ("[server]\nport = '80'\n", "[server] port: expected a whole number"),
    ("[server]\nport = 70000\n", "0 to 65535"),
    ("[cache]\nmemory = '-1MB'\n", "[cache] memory"),
    ("[cache]\nttl = 'soon'\n", "[cache] ttl"),
    ("[[rasters]]\npath = 'nothing'\n", "nothing: no such file or folder"),
    ("[[rasters]]\npath = 'picture.png'\n", "expected a GeoTIFF"),
    ("[[rasters]]\npath = 'rasters'\nprefix = 'x'\n", "prefix"),
    ("[[rasters]]\npath = 'empty'\n", "nothing to serve"),
    (f"{SOUND}[layers.a]\nmin = 1\n", "[layers.a] needs one of asset, expression and collection"),
    (f"{SOUND}{LAYER}palette = ['gggggg']\n", "palette"),
    (f"{SOUND}{LAYER}min = 5\nmax = 1\n", "more than min, which is 5"),
    (f"{SOUND}{LAYER}bands = ['B1']\nmin = [1, 2]\n", "one number, or one for each of 1 bands"),
    (f"{SOUND}{LAYER}minzoom = 9\nmaxzoom = 3\n", "at least minzoom, which is 9"),
    (f"{SOUND}{LAYER}gamma = 0\n", "gamma: expected a number above 0"),
]
REQUESTS = [
    ("", "not JSON in UTF-8"),
    ("{", "not JSON in UTF-8"),
    ("[" * 100_000, "not JSON in UTF-8"),
    ("[]", "expected a JSON object"),
    ("{}", "assetId must be the name of an image asset"),
    ('{"assetId": 5}', "got 5"),
    ('{"assetId": "nothing"}', "'nothing' not found"),
    ('{"assetId": "/etc/passwd"}', "not the name of an asset"),
    ('{"assetId": "rasters/rgb.tif\\u0000"}', "not found"),
    ('{"assetId": "rasters/rgb.tif", "fileFromat": "PNG"}', 'Unknown name "fileFromat"'),
    ('{"assetId": "rasters/rgb.tif", "fileFormat": "BMP"}', "expected one of PNG, JPEG"),
    ('{"assetId": "rasters/rgb.tif", "fileFormat": {}}', "expected one of PNG, JPEG"),
    ('{"assetId": "rasters/rgb.tif", "bandIds": ["B9"]}', "Bands: b1, b2, b3"),
    ('{"assetId": "rasters/rgb.tif", "bandIds": "b1"}', "band_ids': expected a list"),
    (
        '{"assetId": "rasters/rgb.tif", "bandIds": %s}' % ("[" * 900 + "]" * 900),
        "expected a string",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "grid": {"dimensions": {"width": 0, "height": 1}}}',
        "must be greater than or equal to 1",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "grid": {"dimensions": {"width": 40000, "height": 1}}}',
        "must be less than or equal to 32768",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "fileFormat": "NPY",'
        ' "grid": {"dimensions": {"width": 9000, "height": 9000}}}',
        "must be less than or equal to 50331648 bytes",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "grid": {"crsCode": "EPSG:99999999"}}',
        "expected one such as EPSG:4326",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "grid": {"crsWkt": "PROJCS[\\u0000"}}',
        "expected one such as EPSG:4326",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "grid": {"affineTransform": {"scaleX": 1}}}',
        "a pixel has no area",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "region": {"type": "Circle"}}',
        "unknown geometry type 'Circle', expected one of Point",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "region": {"type": "Point", "coordinates": [NaN, 0]}}',
        "[longitude, latitude] in degrees",
    ),
    (
        '{"assetId": "rasters/rgb.tif", "visualizationOptions": {"ranges": [{"min": "x"}]}}',
        "expected a finite number, got 'x'",
    ),
]
OTHERS = [
    (["pixels"], "Missing argument 'REQUEST.json'"),
    (["pixels", "nothing.json"], "nothing.json"),
    (["pixels", "rasters"], "rasters"),
    (["pixels", "latin1.json"], "latin1.json: not JSON in UTF-8"),
    (["pixels", "sound.json", "-o", "nowhere/x.png"], "nowhere/x.png: cannot be written"),
    (["pixels", "sound.json", "-o", "rasters"], "rasters"),
    (["pixels", "sound.json", "--format", "png"], "No such option"),
    (["assets", "projects/nothing"], "no asset lies below 'projects/nothing'"),
    (["assets", "../.."], "no asset lies below '../..'"),
    (["assets", "a", "b"], "unexpected extra argument"),
    (["assets", "--config", "nothing.toml"], "nothing.toml"),
    (["check", "extra"], "extra: no such file or folder"),
    (["check", "--config", "nothing.toml"], "nothing.toml"),
    (["ingest"], "Missing argument"),
    (["ingest", "rasters/rgb.tif"], "Missing argument"),
    (["ingest", "nothing.tif", "out.tif"], "nothing.tif"),
    (["ingest", "broken/text.tif", "out.tif"], "text.tif"),
    (["ingest", "rasters/rgb.tif", "out.png"], "must end in .tif or .tiff"),
    (["ingest", "rasters/rgb.tif", "nowhere/out.tif"], "folder must exist and be writable"),
    (["ingest", "rasters/rgb.tif", "rasters/rgb.tif"], "one of the sources"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--policy", "MIDDLE"], "'MIDDLE' is not one of"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--band-policy", "b1"], "expected BAND=POLICY"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--band-policy", "b9=MODE"], "b9"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--bands", "a,b"], "3"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--bands", "a b,c,d"], "'a b'"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--nodata", "x"], "'x' is not a valid float"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--nodata", "1000"], "1000"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--start-time", "soon"], "expected YYYY-MM-DD"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--property", "x"], "expected NAME=VALUE"),
    (["ingest", "rasters/rgb.tif", "out.tif", "--property", "x=NaN"], "properties"),
]


@pytest.mark.parametrize(("args", "said"), SERVE, ids=_words)
def test_serve_refuses(folder: Path, args: list[str], said: str) -> None:
    check_refused(run(*args), said)


@pytest.mark.parametrize(("toml", "said"), CONFIGS)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_broken_configuration_is_refused(
    folder: Path, toml: str, said: str, command: str
) -> None:
    (folder / "tileserver.toml").write_text(toml)
    check_refused(run(command), said)


@pytest.mark.parametrize(("request_text", "said"), REQUESTS, ids=_words)
def test_pixels_refuses_a_request(folder: Path, request_text: str, said: str) -> None:
    (folder / "request.json").write_text(request_text)
    check_refused(run("pixels", "request.json"), said)


@pytest.mark.parametrize(("args", "said"), OTHERS, ids=_words)
def test_a_command_refuses(folder: Path, args: list[str], said: str) -> None:
    check_refused(run(*args), said)
    assert not (folder / "out.tif").exists()
    assert not (folder / "out.json").exists()


def test_ingest_leaves_an_asset_that_is_there(folder: Path) -> None:
    (folder / "out.tif").write_text("precious")
    check_refused(run("ingest", "rasters/rgb.tif", "out.tif"), "exists already")
    assert (folder / "out.tif").read_text() == "precious"


def test_check_names_each_broken_layer_and_exits_with_1(folder: Path) -> None:
    broken = "projects/localhost/assets"
    (folder / "tileserver.toml").write_text(
        f"{SOUND}[[rasters]]\npath = 'broken'\n{LAYER}"
        f"[layers.text]\nasset = '{broken}/text'\n"
        f"[layers.gone]\nasset = '{broken}/gone'\n"
        f"[layers.band]\nasset = '{ASSET}'\nbands = ['B9']\n"
        f"[layers.pair]\nasset = '{ASSET}'\nbands = ['b1', 'b2']\nmin = 0\nmax = 1\n"
    )
    result = run("check")
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert result.exit_code == 1
    assert lines["a"] == "ok"
    assert "not a readable GeoTIFF" in lines["text"]
    assert "not found" in lines["gone"]
    assert "Bands: b1, b2, b3" in lines["band"]
    assert "one or three bands" in lines["pair"]


def started(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Return what becomes of a process of its own."""
    environ = {name: value for name, value in os.environ.items() if name not in ("PORT", "HOST")}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "tileserver", *args],
        timeout=PATIENCE_S,
        text=True,
        stderr=subprocess.PIPE,
        env=environ,
        **options,
    )


def test_a_taken_port_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = started("rasters", "--port", port, stdout=subprocess.PIPE)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"tileserver: cannot listen on 127.0.0.1:{port}: ")
    assert ended.stderr.count("\n") == 1
    assert "--port 0 takes any free port" in ended.stderr


def test_pixels_are_not_written_to_a_terminal(folder: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        ended = started("pixels", "sound.json", stdout=theirs)
    finally:
        os.close(theirs)
        os.close(ours)
    assert ended.returncode == 2
    assert ended.stderr == "tileserver: pixels are binary; -o FILE writes them to a file\n"


def test_a_broken_request_on_stdin_is_named(folder: Path) -> None:
    ended = started("pixels", "-", input="{", stdout=subprocess.PIPE)
    assert ended.returncode == 2
    assert ended.stderr.startswith("tileserver: <stdin>: not JSON in UTF-8: ")
    assert ended.stderr.count("\n") == 1


def test_a_pipe_that_closes_ends_a_command_without_a_traceback(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = started("pixels", "sound.json", stdout=writer)
    finally:
        os.close(writer)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
