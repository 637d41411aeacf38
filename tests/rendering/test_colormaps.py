import importlib.util
import logging
import re
from pathlib import Path
from types import ModuleType

import cmap
import numpy as np
import pytest

from tileserver.contract.pixels import Range, VisualizationOptions
from tileserver.rendering.colormaps import colormaps, named_palette, names
from tileserver.rendering.colors import parse_palette
from tileserver.rendering.render import ramp

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", names())
def test_every_map_is_a_palette_of_bare_hex_codes(name: str) -> None:
    stops = named_palette(name)
    assert stops is not None
    assert all(re.fullmatch("[0-9a-f]{6}", stop) for stop in stops)
    assert 2 <= len(parse_palette(stops)) <= 256


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("viridis", "440154", "fde725"),
        ("MAGMA", "000004", "fcfdbf"),
        ("turbo", "30123b", "7a0403"),
        ("ylgn", "ffffe5", "004529"),
        ("rdylgn", "a50026", "006837"),
        ("greys", "ffffff", "000000"),
        ("gray", "000000", "ffffff"),
        ("grey", "000000", "ffffff"),
        (" ndvi ", "ffffff", "011301"),
    ],
)
def test_known_maps_begin_and_end_as_they_should(name: str, first: str, last: str) -> None:
    stops = named_palette(name)
    assert stops is not None
    assert (stops[0], stops[-1]) == (first, last)


@pytest.mark.parametrize("name", ["viridis", "gray", "Spectral"])
def test_the_suffix_r_turns_a_map_around(name: str) -> None:
    stops = named_palette(name)
    assert stops is not None
    assert named_palette(f"{name}_R") == stops[::-1]


@pytest.mark.parametrize("name", ["", "_r", "virides", "viridis_r_r", "red"])
def test_an_unknown_name_is_none(name: str) -> None:
    assert named_palette(name) is None


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("colormaps", ROOT / "docs" / "colormaps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_maps_are_those_that_the_script_writes(script: ModuleType) -> None:
    assert script.FILE.read_text("ascii") == script.text()


@pytest.mark.parametrize(
    "name",
    ["viridis", "terrain", "jet", "cividis", "YlGn", "RdBu", "cmocean:thermal", "cmocean:topo",
     "crameri:batlow", "crameri:oleron", "crameri:romaO", "gist_earth", "nipy_spectral"],
)  # fmt: skip
def test_the_colours_drawn_are_those_of_cmap(name: str) -> None:
    logging.getLogger("cmap").setLevel(logging.ERROR)
    stops = named_palette(name.rpartition(":")[2])
    assert stops is not None
    at = np.linspace(0, 1, 256)
    drawn = ramp(VisualizationOptions((Range(0, 1),), stops), at).astype(float)
    expected = np.asarray(cmap.Colormap(name)(at, N=4096))[:, :3] * 255
    assert np.abs(drawn - expected).max() <= 3


@pytest.mark.parametrize(
    "name",
    ["twilight_shifted", "tab20c", "Set3", "gist_ncar", "CMRmap", "haline", "balance", "oslo",
     "batlowK", "vik", "PuOr", "ndvi"],
)  # fmt: skip
def test_the_usual_palettes_are_all_there(name: str) -> None:
    assert named_palette(name)
    assert named_palette(f"{name}_r")


def test_a_map_for_classes_has_the_colours_of_its_classes() -> None:
    set1 = colormaps()["set1"]
    assert set1.kind == "qualitative"
    assert set1.stops[:3] == ("e41a1c", "377eb8", "4daf4a")
    assert len(set1.stops) == 9
