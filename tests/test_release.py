"""What a release is made of: locked dependencies, a wheel with its notices, both commands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.commands import ROOT, serving
from tileserver.server.get_pixels import DEMO

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOCKS = {
    "requirements.txt": PROJECT["dependencies"],
    "constraints.txt": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
}
PLATFORMS = [
    {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    for python in ("3.11", "3.12", "3.13")
]


def locked(name: str) -> list[Requirement]:
    text = (ROOT / name).read_text("utf-8").replace("\\\n", "")
    return [Requirement(line.partition(" --hash")[0]) for line in text.splitlines()]


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda each: each["python_version"])
def test_the_lock_satisfies_every_dependency_once(name: str, platform: dict[str, str]) -> None:
    here = [each for each in locked(name) if not each.marker or each.marker.evaluate(platform)]
    pins = {canonicalize_name(each.name): str(each.specifier) for each in here}
    assert len(pins) == len(here)
    for wanted in map(Requirement, LOCKS[name]):
        pin = pins.get(canonicalize_name(wanted.name), "")
        assert pin.startswith("=="), f"{wanted}: not in {name}; `make lock` writes it"
        assert wanted.specifier.contains(pin[2:]), f"{wanted}: {name} has {pin}; run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_holds_the_address_of_a_registry(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert not re.findall(r"^.*(?:://|--index|--find-links|--extra|@ ).*$", text, re.MULTILINE)


def test_what_the_image_installs_has_hashes_and_is_what_ci_tries() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    rows = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in row for row in rows)
    shipped, tried = (
        {(each.name, str(each.specifier)) for each in locked(name)}
        for name in ("requirements.txt", "constraints.txt")
    )
    assert shipped <= tried
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "PIP_CONSTRAINT=$PWD/constraints.txt" in ci


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with what the environment has."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_carries_the_notices_of_all_that_it_ships(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        (notices,) = (each for each in names if each.endswith("licenses/THIRD_PARTY.md"))
        text = packed.read(notices).decode("utf-8")
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text("utf-8"))
    vendored = {each.split("/")[3] for each in names if each.startswith("tileserver/web/vendor/")}
    # Outlines are made of the package.
    packages = {"world": "world-atlas"}
    for folder in vendored:
        assert f"tileserver/web/vendor/{folder}/LICENSE" in names
        package = packages.get(folder, folder)
        pinned = lock["packages"][f"node_modules/{package}"]
        assert re.search(rf"^## {package} {pinned['version']}$", text, re.MULTILINE | re.IGNORECASE)
        assert pinned["license"] in text
    paths = (each.removeprefix("tileserver/demo/") for each in names if each.endswith(".tif"))
    # The files of a folder come from one source.
    rasters = {path.partition("/")[0] + "/" * ("/" in path) for path in paths}
    assert vendored
    assert {each for each in rasters if f"`{each}`" not in text} == set()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel, and its dependencies from here."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "-q"]
    subprocess.run([*uv, "--python", python, wheel], check=True, timeout=60)
    (site,) = folder.glob("lib/python*/site-packages")
    here = [each for each in sys.path if each.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(here))
    return folder / "bin"


@pytest.mark.parametrize("name", ["tileserver", "ee-tileserver"])
def test_both_names_of_the_command_serve_a_raster_from_the_wheel(
    installed: Path, name: str, tmp_path: Path
) -> None:
    scene = DEMO.parent / "srtm_sierra_nevada.tif"
    environ = {"PYTHONPATH": "", "PYTHONUNBUFFERED": "1"}
    with serving(
        scene, "--port", "0", cwd=tmp_path, environ=environ, command=[installed / name]
    ) as server:
        with urllib.request.urlopen(f"{server.url}/tiles/{scene.stem}/6/10/24.png") as answer:
            assert answer.read(8) == b"\x89PNG\r\n\x1a\n"
        with urllib.request.urlopen(f"{server.url}/vendor/leaflet/leaflet.js") as answer:
            assert answer.status == 200
        loaded = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
        assert str(installed).encode() in loaded


def test_the_wheel_is_of_the_version_that_the_command_tells(wheel: Path, installed: Path) -> None:
    said = subprocess.run(
        [installed / "ee-tileserver", "--version"], capture_output=True, text=True, timeout=30
    )
    assert wheel.name.split("-")[1] == PROJECT["version"] == version("ee-tileserver")
    assert said.stdout.split()[-1] == PROJECT["version"]
