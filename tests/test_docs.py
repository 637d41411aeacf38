"""README and the documentation: current, short, and right in every snippet."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.support.commands import serving
from tests.test_imports import LEVELS
from tileserver.config.config import load_config
from tileserver.rasters.geotiffs import read_sidecar
from tileserver.server.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "pages").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?:^    tileserver.*\n)+", re.MULTILINE)
_DEMO_URL = "http://127.0.0.1:8080"


def snippets(language: str) -> Iterator[object]:
    for path in PAGES:
        for number, found in enumerate(_BLOCK.finditer(path.read_text("utf-8"))):
            if found[1] == language:
                yield pytest.param(found[2], id=f"{path.relative_to(ROOT)}-{number}")


def test_the_reference_is_what_the_code_says() -> None:
    reference = runpy.run_path(str(ROOT / "docs" / "reference.py"))
    for name, text in reference["pages"]().items():
        held = (ROOT / "docs" / "pages" / "reference" / name).read_text("utf-8")
        assert held == text, f"{name}: run `python docs/reference.py`"


def test_the_readme_is_short_and_draws_the_levels() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.split()) < 900
    drawn = (ROOT / "docs" / "pages" / "how" / "architecture.md").read_text("utf-8")
    rank = {name: n for n, names in enumerate(LEVELS) for name in names.split()}
    for where in (text, drawn):
        lines = [line for line in where.splitlines() if re.match(r" *[a-z_]+(  |$)", line)]
        found = [
            (name, rank[name])
            for line in lines
            for name in re.split(r"  +", re.split(r" {3,}", line.strip())[0])
            if name in rank
        ]
        assert {name for name, _ in found} == set(rank) - {"__init__"}
        assert [level for _, level in found] == sorted((r for _, r in found), reverse=True)


@pytest.mark.parametrize("text", list(snippets("toml")))
def test_a_configuration_that_is_shown_can_be_loaded(text: str, tmp_path: Path) -> None:
    for name in ("scenes", "public"):
        (tmp_path / name).mkdir()
    path = tmp_path / "tileserver.toml"
    path.write_text(text, "utf-8")
    load_config(path, {}, {})


@pytest.mark.parametrize("text", list(snippets("json")))
def test_a_sidecar_that_is_shown_can_be_read(text: str) -> None:
    assert read_sidecar(text, "scene")
    assert json.loads(text)


def commands() -> Iterator[object]:
    for path in PAGES:
        text = path.read_text("utf-8")
        blocks = [found[2] for found in _BLOCK.finditer(text) if found[1] == "sh"]
        blocks += [textwrap.dedent(found[0]) for found in _INDENTED.finditer(text)]
        for line in "\n".join(blocks).splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "tileserver":
                words = words[: words.index(">")] if ">" in words else words
                yield pytest.param(words[1:], id=f"{path.relative_to(ROOT)}: {line[:60]}")


@pytest.mark.parametrize("words", list(commands()))
def test_a_command_that_is_shown_has_the_options_it_names(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "request.json").write_text("{}")
    name = words.pop(0) if words and words[0] in main.commands else "serve"
    with main.commands[name].make_context(name, list(words)) as context:
        assert isinstance(context, click.Context)


@pytest.fixture(scope="module")
def demo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving("--port", "0", cwd=tmp_path_factory.mktemp("demo"), patience_s=300) as server:
        yield server.url


@pytest.mark.parametrize("text", list(snippets("python")))
def test_python_that_is_shown_runs(text: str, demo_url: str, tmp_path: Path) -> None:
    path = tmp_path / "test_shown.py"
    path.write_text(text.replace(_DEMO_URL, demo_url), "utf-8")
    is_test = "def test_" in text
    module = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_test else []
    done = subprocess.run(
        [sys.executable, *module, str(path)],
        cwd=tmp_path,
        timeout=280,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-f", "docs/mkdocs.yml"]
    done = subprocess.run(
        [*command, "-d", str(tmp_path / "site")],
        cwd=ROOT,
        timeout=280,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
