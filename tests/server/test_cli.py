from __future__ import annotations

import io
import json
import os
import pty
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from PIL import Image
from rasterio import Affine

from tests.support.commands import environment, run, serving
from tests.support.rasterfiles import noise, write_raster
from tileserver import get_pixels
from tileserver.server.cli import main

DEMO_NAMES = "great-salt-lake, great-salt-lake-infrared"
UNPREPARED: list[tuple[str, int, str, Affine]] = [
    ("uint8", 3, "EPSG:32612", Affine(30.0, 0.0, 400_000.0, 0.0, -30.0, 4_500_000.0)),
    ("int16", 1, "EPSG:4326", Affine(0.001, 0.0, 10.0, 0.0, -0.001, 50.0)),
    ("float32", 4, "EPSG:3857", Affine(50.0, 0.0, 1_000_000.0, 0.0, -50.0, 6_000_000.0)),
    ("uint16", 7, "EPSG:2056", Affine(25.0, 0.0, 2_600_000.0, 0.0, -25.0, 1_200_000.0)),
    ("float64", 2, "EPSG:3413", Affine(100.0, 5.0, 0.0, 5.0, -100.0, -1_500_000.0)),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) - set(environment({})):
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize(("dtype", "count", "crs", "place"), UNPREPARED)
def test_a_raster_nobody_prepared_is_a_stretched_map_at_once(
    tmp_path: Path, dtype: str, count: int, crs: str, place: Affine
) -> None:
    path = tmp_path / "my scene.tif"
    write_raster(path, noise(count, 300, 400, dtype), crs, place, overviews=(), tiled=False)
    with serving(path.name, "--port", "0", cwd=tmp_path) as server:
        assert "serves 1 layer: my scene" in server.said
        (layer,) = httpx.get(f"{server.url}/layers", timeout=60).json()["layers"]
        west, south, east, north = layer["bounds"]
        zoom = layer["maxzoom"]
        x = int((west + east + 360) / 720 * 2**zoom)
        middle = np.radians((south + north) / 2)
        y = int((1 - np.arcsinh(np.tan(middle)) / np.pi) / 2 * 2**zoom)
        body = httpx.get(layer["tiles"].format(z=zoom, x=x, y=y), timeout=60).content
    pixels = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
    shown = pixels[pixels[..., 3] == 255]
    assert shown.size > 0.2 * pixels.size
    # From percentile 2 to 98: noise uses the whole range, and little of it is cut off.
    assert 30 < shown[:, 0].std() < 110
    assert (shown[:, :3].min(), shown[:, :3].max()) == (0, 255)
    assert (shown[:, :3] == 255).mean() < 0.08


def test_a_folder_is_served_whole(tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        path = tmp_path / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        write_raster(path, noise(1, 50, 50), overviews=())
    with serving(".", "--port", "0", cwd=tmp_path) as server:
        assert "serves 2 layers: a, c" in server.said
        names = [
            each["name"] for each in httpx.get(f"{server.url}/layers", timeout=60).json()["layers"]
        ]
    assert names == ["a", "c"]


def test_without_anything_the_demo_is_served(tmp_path: Path) -> None:
    with serving("serve", "--port", "0", cwd=tmp_path) as server:
        assert f"serves 8 layers: {DEMO_NAMES}" in server.said
        assert f"Tiles {server.url}/tiles/great-salt-lake/{{z}}/{{x}}/{{y}}.png" in server.said
        assert httpx.get(f"{server.url}/", timeout=60).status_code == 200


def test_a_configuration_in_the_folder_is_found_by_itself(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", noise(1, 50, 50), overviews=())
    (tmp_path / "tileserver.toml").write_text(
        '[[rasters]]\npath = "."\n[layers.mine]\nasset = "projects/localhost/assets/scene"\n'
        "[server]\nport = 1\n"
    )
    with serving("--port", "0", cwd=tmp_path) as server:
        assert "serves 1 layer: mine" in server.said


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_host_and_port_come_from_the_environment_unless_they_are_given(tmp_path: Path) -> None:
    port = free_port()
    with serving(cwd=tmp_path, environ={"HOST": "127.0.0.2", "PORT": str(port)}) as server:
        assert server.url == f"http://127.0.0.2:{port}"
        assert httpx.get(f"{server.url}/healthz", timeout=60).status_code == 200
    with serving(
        "--host", "127.0.0.1", "--port", "0", cwd=tmp_path, environ={"HOST": "x", "PORT": "1"}
    ) as server:
        assert server.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.tif"], "none.tif"),
        (["notes.txt"], "notes.txt"),
        (["empty"], "no GeoTIFF"),
        (["broken.tif"], "not a readable GeoTIFF"),
        (["--config", "none.toml"], "none.toml"),
        (["--config", "wrong.toml"], 'did you mean "rasters"'),
        (["--port", "70000"], "70000"),
        (["assets", "projects/none/assets"], "no asset lies below"),
        (["pixels", "wrong.toml"], "not JSON"),
        (["ingest", "none.tif", "out.tif"], "no such file"),
    ],
)
def test_a_fault_is_one_clear_line(here: Path, arguments: list[str], told: str) -> None:
    (here / "notes.txt").write_text("not a raster")
    (here / "broken.tif").write_bytes(b"II*\0")
    (here / "wrong.toml").write_text("[[raster]]\npath = '.'")
    (here / "empty").mkdir()
    ended = CliRunner().invoke(main, arguments)
    line = ended.stderr.splitlines()[-1]
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert line.startswith("tileserver: ")
    assert told in line
    assert "Traceback" not in ended.stderr


# pixels


REQUEST: dict[str, Any] = {
    "assetId": "projects/localhost/assets/landsat7_great_salt_lake",
    "fileFormat": "PNG",
    "bandIds": ["B3", "B2", "B1"],
    "grid": {"dimensions": {"width": 64, "height": 32}},
    "visualizationOptions": {"ranges": [{"min": 20, "max": 140}]},
}


def test_pixels_to_a_file_and_to_stdout_are_get_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = get_pixels(REQUEST)
    text = json.dumps(REQUEST)
    (tmp_path / "request.json").write_text(text)
    to_file = run("pixels", "request.json", "-o", "out.png", cwd=tmp_path)
    assert (to_file.returncode, to_file.stdout, to_file.stderr) == (0, b"", b"")
    assert (tmp_path / "out.png").read_bytes() == expected
    to_stdout = run("pixels", "-", cwd=tmp_path, stdin=text.encode())
    assert (to_stdout.returncode, to_stdout.stdout) == (0, expected)


def test_an_array_is_written_as_npy(tmp_path: Path) -> None:
    request = {**REQUEST, "fileFormat": "NUMPY_NDARRAY"}
    del request["visualizationOptions"]
    ended = run("pixels", "-", cwd=tmp_path, stdin=json.dumps(request).encode())
    array = np.load(io.BytesIO(ended.stdout))
    assert (array.shape, array.dtype.names) == ((32, 64), ("B3", "B2", "B1"))


def test_a_request_that_cannot_be_is_one_line_and_writes_nothing(here: Path) -> None:
    request = json.dumps({**REQUEST, "bandIds": ["B9"]})
    ended = CliRunner().invoke(main, ["pixels", "-", "-o", "out"], input=request)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "B9" in ended.stderr
    assert not (here / "out").exists()


# assets, check


def test_assets_are_listed_all_or_those_below_a_parent(here: Path) -> None:
    (here / "a").mkdir()
    for name in ("a/x", "b"):
        write_raster(here / f"{name}.tif", noise(1, 20, 20), overviews=())
    (here / "tileserver.toml").write_text('[[rasters]]\npath = "."')
    prefix = "projects/localhost/assets"
    everything = CliRunner().invoke(main, ["assets"]).stdout.split()
    assert everything == [f"{prefix}/a/x", f"{prefix}/b"]
    below = CliRunner().invoke(main, ["assets", f"{prefix}/a"]).stdout.split()
    assert below == everything[:1]


def test_check_says_that_all_is_well(here: Path) -> None:
    ended = CliRunner().invoke(main, ["check"])
    lines = ended.stdout.splitlines()
    assert (ended.exit_code, len(lines)) == (0, 8)
    assert all(": ok" in line for line in lines)


def test_check_says_what_is_wrong_and_where(here: Path) -> None:
    write_raster(here / "scene.tif", noise(1, 50, 50), overviews=())
    (here / "broken.tif").write_bytes(b"II*\0")
    layers = {
        "good": 'asset = "projects/localhost/assets/scene"',
        "torn": 'asset = "projects/localhost/assets/broken"',
        "gone": 'asset = "projects/localhost/assets/none"',
        "odd": 'asset = "projects/localhost/assets/scene"\nbands = ["B9"]',
    }
    tables = [f"[layers.{name}]\n{table}" for name, table in layers.items()]
    (here / "tileserver.toml").write_text("\n".join(['[[rasters]]\npath = "."', *tables]))
    ended = CliRunner().invoke(main, ["check"])
    told = dict(line.split(": ", 1) for line in ended.stdout.splitlines())
    assert ended.exit_code == 1
    assert told["good"] == "ok"
    assert "not a readable GeoTIFF" in told["torn"]
    assert "not found" in told["gone"]
    assert "B9" in told["odd"]


# ingest


def test_ingest_makes_an_asset_and_says_so(tmp_path: Path) -> None:
    write_raster(tmp_path / "in.tif", noise(2, 600, 700), overviews=())
    options = ["--bands", "ndvi,class", "--band-policy", "class=mode", "--start-time", "2020-04-01"]
    ended = run("ingest", "in.tif", "out", *options, "--property", "a=1", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode() == "out.tif: 700x600 pixels, 2 overviews, bands ndvi, class\n"
    sidecar = json.loads((tmp_path / "out.json").read_text())
    assert sidecar["properties"] == {"a": 1}
    assert [band["pyramidingPolicy"] for band in sidecar["bands"]] == ["MEAN", "MODE"]
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
    with serving("out.tif", "--port", "0", cwd=tmp_path) as server:
        info = httpx.get(f"{server.url}/info/out", timeout=60).json()
    assert [band["id"] for band in info["bands"]] == ["ndvi", "class"]


def test_ingest_says_that_classes_are_not_averaged(tmp_path: Path) -> None:
    values = np.kron([[10, 20], [20, 30]], np.ones((200, 200))).astype("uint8")[None]
    write_raster(tmp_path / "in.tif", values, overviews=())
    ended = run("ingest", "in.tif", "out", cwd=tmp_path)
    first, second = ended.stdout.decode().splitlines()
    assert first.endswith("bands b1")
    assert second.startswith("b1: classes, so overviews have the most frequent")


def test_ingest_shows_how_far_it_is(tmp_path: Path) -> None:
    write_raster(tmp_path / "in.tif", noise(1, 600, 700), overviews=())
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tileserver", "ingest", "in.tif", "out.tif"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment({}), stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        assert process.wait(60) == 0
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    percents = [int(each) for each in re.findall(r"(\d+)%", shown)]
    assert "Ingesting" in shown
    assert percents == sorted(percents)
    assert percents[-1] == 100


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--band-policy", "b1"], "BAND=POLICY"),
        (["--band-policy", "b1=best"], "BAND=POLICY"),
        (["--property", "novalue"], "NAME=VALUE"),
        (["--start-time", "April"], "start_time"),
    ],
)
def test_ingest_refuses_what_it_cannot_read(here: Path, options: list[str], told: str) -> None:
    write_raster(here / "in.tif", noise(1, 20, 20), overviews=())
    ended = CliRunner().invoke(main, ["ingest", "in.tif", "out.tif", *options])
    assert ended.exit_code == 2
    assert told in ended.stderr.splitlines()[-1]
    assert sorted(path.name for path in here.iterdir()) == ["in.tif"]


def test_help_and_version_are_no_paths(here: Path) -> None:
    shown = CliRunner().invoke(main, ["--help"]).stdout
    assert all(word in shown for word in ("serve", "pixels", "assets", "ingest", "check"))
    version = CliRunner().invoke(main, ["--version"]).stdout
    assert re.match(r"tileserver, version \d", version)


@pytest.mark.parametrize("name", sorted(main.commands))
def test_the_example_of_each_command_can_be_parsed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text("{}")
    command = main.commands[name]
    shown = CliRunner().invoke(main, [name, "--help"], terminal_width=200).output
    (example,) = re.findall(r"Example: tileserver (\S+) ([^>\n]*)", shown)
    assert example[0] == name
    with command.make_context(name, shlex.split(example[1])) as context:
        assert context.params


def test_the_schema_of_the_configuration_is_printed() -> None:
    done = CliRunner().invoke(main, ["config", "--schema"])
    assert done.exit_code == 0
    assert "cache" in json.loads(done.output)["properties"]


def test_commands_start_without_importing_pydantic() -> None:
    code = "import sys, tileserver.server.cli; print([m for m in sys.modules if 'pydantic' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
