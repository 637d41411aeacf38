"""The plugin, in sessions of its own as a user runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.rasterfiles import write_raster

pytest_plugins = ["pytester"]

TESTS = """
import ee
import numpy as np

SCENE = "projects/localhost/assets/scene"

def test_pixels(earth_engine):
    assert earth_engine.assets == "projects/localhost/assets"
    image = ee.Image(SCENE)
    assert image.bandNames().getInfo() == ["b1", "b2"]
    pixels = ee.data.computePixels(
        {"expression": image.select("b1").add(1), "fileFormat": "NUMPY_NDARRAY"}
    )
    assert pixels["b1"].shape == (8, 6)
    assert (pixels["b1"] == 8).all()

def test_the_same_server_serves_the_next_test(earth_engine):
    assert ee.data.getAsset(SCENE)["type"] == "IMAGE"
    assert earth_engine.url.startswith("http://127.0.0.1:")
"""


@pytest.fixture
def rasters(pytester: pytest.Pytester) -> Path:
    folder = pytester.mkdir("rasters")
    write_raster(folder / "scene.tif", np.full((2, 8, 6), 7, np.uint8), overviews=())
    return folder


def run(pytester: pytest.Pytester, passed: int) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=passed)


def test_a_folder_named_in_the_ini_file_is_served(
    pytester: pytest.Pytester, rasters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    pytester.makeini(f"[pytest]\nearth_engine_rasters = {rasters.name}\n")
    run(pytester, 2)


def test_a_conftest_names_the_folder(
    pytester: pytest.Pytester, rasters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    pytester.makeconftest(
        "import pathlib, pytest\n"
        "@pytest.fixture(scope='session')\n"
        f"def earth_engine_rasters(): return pathlib.Path({str(rasters)!r})\n"
    )
    run(pytester, 2)


def test_a_folder_that_is_not_there_is_told(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    pytester.makeini("[pytest]\nearth_engine_rasters = nowhere\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*earth_engine_rasters: *nowhere does not exist*"])


def test_without_a_word_the_demo_is_served(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    pytester.makepyfile(
        "import ee\n"
        "def test_demo(earth_engine):\n"
        "    image = ee.Image('projects/localhost/assets/srtm_sierra_nevada')\n"
        "    assert image.bandNames().getInfo() == ['elevation']\n"
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
