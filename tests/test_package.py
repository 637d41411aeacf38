from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import tileserver
from tileserver.server.get_pixels import DEMO, find_config

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
MAX_DEMO_BYTES = 8_000_000


def test_the_version_is_the_one_on_top_of_the_changelog() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    top = re.search(r"\d+\.\d+\.\d+", headings[0])
    assert top is not None
    assert top[0] == PROJECT["version"] == version("ee-tileserver")


def test_the_package_offers_get_pixels_and_show() -> None:
    assert tileserver.__all__ == ["get_pixels", "show"]
    assert callable(tileserver.get_pixels)
    assert callable(tileserver.show)


def test_the_demo_is_small_and_complete() -> None:
    files = list(DEMO.parent.iterdir())
    assert sum(path.stat().st_size for path in DEMO.parent.rglob("*")) <= MAX_DEMO_BYTES
    rasters = {path.stem for path in files if path.suffix == ".tif"}
    config = find_config(DEMO, {}, {})
    layers = config.layers
    mosaics = {Path(each.path).name for each in config.rasters if each.mosaic}
    assert mosaics == {path.name for path in files if path.is_dir()}
    computed = {Path(layer.expression).stem for layer in layers if layer.expression}
    assert rasters | computed == {path.stem for path in files if path.suffix == ".json"}
    drawn = {layer.asset.rsplit("/", 1)[-1] for layer in layers if layer.asset}
    assert drawn == rasters | mosaics
