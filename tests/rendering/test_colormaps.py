import re

import pytest

from tileserver.rendering.colormaps import named_palette, names
from tileserver.rendering.colors import parse_palette


@pytest.mark.parametrize("name", names())
def test_every_map_is_a_palette_of_bare_hex_codes(name: str) -> None:
    stops = named_palette(name)
    assert stops is not None
    assert all(re.fullmatch("[0-9a-f]{6}", stop) for stop in stops)
    assert 2 <= len(parse_palette(stops)) <= 33


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
