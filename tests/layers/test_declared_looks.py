"""Earth Engine's visualization properties of an asset as its default style."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.layers.declared_looks import declared_look
from tileserver.layers.styles import Style

GRID = PixelGrid(10, 10, AffineTransform(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), "EPSG:4326")


def look(prefix: str = "visualization_0_", **properties: Any) -> Style | None:
    bands = tuple(Band(band, np.dtype("uint16"), GRID) for band in ("B4", "B3", "B2"))
    members = {f"{prefix}{name}": value for name, value in properties.items()}
    return declared_look(ImageAsset("projects/p/assets/a", "1", bands, properties=members))


@pytest.mark.parametrize("prefix", ["visualization_0_", "system:visualization_0_"])
def test_texts_are_those_of_earth_engine(prefix: str) -> None:
    found = look(prefix, bands="B4,B3,B2", min="0.0", max="3000.0", name="RGB")
    assert found == Style(("B4", "B3", "B2"), (0.0,), (3000.0,))


def test_lists_are_those_of_stac() -> None:
    found = look(bands=["B4", "B3", "B2"], min=[0, 1, 2], max=[3, 4, 5])
    assert found == Style(("B4", "B3", "B2"), (0, 1, 2), (3, 4, 5))
    assert look(bands=["B2"], palette=["ff0000", "0000ff"]) == Style(
        ("B2",), palette=("ff0000", "0000ff")
    )


def test_a_colour_map_goes_by_its_name_and_an_unknown_one_is_left_out() -> None:
    known = look(bands="B4", min=0, max=1, palette="RdYlGn")
    assert known is not None
    assert len(known.palette) > 2
    assert look(bands="B4", min=0, max=1, palette="nobodys") == Style(("B4",), (0.0,), (1.0,))


@pytest.mark.parametrize(
    "properties",
    [
        {"bands": "B9"},
        {"bands": "B4,B3"},
        {"bands": ""},
        {"bands": None},
        {"bands": {"a": 1}},
        {"bands": "B4,B4,B4"},
        {"bands": "B4", "min": "low", "max": "high"},
        {"bands": "B4", "min": 5, "max": [1, 2]},
        {"bands": "B4", "gamma": -1},
        {"min": 0, "max": 1},
        {},
    ],
)
def test_what_does_not_fit_is_no_style(properties: dict[str, Any]) -> None:
    assert look(**properties) is None
