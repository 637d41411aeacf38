from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.band_notes import BandNotes
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.true_color import is_picture, true_color

GRID = PixelGrid(4, 4, AffineTransform(1, 0, -1, 0), "EPSG:3857")


def image(
    ids: Sequence[str],
    notes: Sequence[BandNotes] = (),
    name: str = "scene",
    properties: Mapping[str, Any] | None = None,
    dtype: str = "uint16",
) -> ImageAsset:
    every = notes or [BandNotes()] * len(ids)
    bands = [
        Band(each, np.dtype(dtype), GRID, notes=note) for each, note in zip(ids, every, strict=True)
    ]
    return ImageAsset(
        f"projects/localhost/assets/{name}", "1", tuple(bands), properties=properties or {}
    )


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ("B2 B3 B4 B8", "B4 B3 B2"),
        ("B02 B03 B04 B05 B06 B07 B8A B11", "B04 B03 B02"),
        ("B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12", "B4 B3 B2"),
        ("SR_B1 SR_B2 SR_B3 SR_B4 SR_B5 SR_B6 SR_B7 ST_B10", "SR_B4 SR_B3 SR_B2"),
        ("SR_B1 SR_B2 SR_B3 SR_B4 SR_B5 SR_B7 ST_B6", "SR_B3 SR_B2 SR_B1"),
        ("B1 B2 B3 B4 B5 B6_VCID_1 B6_VCID_2 B7 B8", "B3 B2 B1"),
        ("B1 B2 B3", "B3 B2 B1"),
        ("blue green red nir", "red green blue"),
        ("Blue Green Red_edge Red NIR", "Red Green Blue"),
        ("coastal_blue blue green_i green yellow red rededge", "red green blue"),
        ("nir b g r", "r g b"),
        ("sr_blue sr_green sr_red", "sr_red sr_green sr_blue"),
        (
            "sur_refl_b01 sur_refl_b02 sur_refl_b03 sur_refl_b04",
            "sur_refl_b01 sur_refl_b04 sur_refl_b03",
        ),
        ("b1 b2 b3 b4", None),
        ("VV VH angle", None),
        ("infrared green blue", None),
        ("elevation", None),
    ],
)
def test_colours_are_found_by_the_names_of_bands(ids: str, expected: str | None) -> None:
    found = true_color(image(ids.split()))
    assert found == (tuple(expected.split()) if expected else None)


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("LT05_L1TP_042034_20110829", {}, "B3 B2 B1"),
        ("LC08_L1TP_042034_20210829", {}, "B4 B3 B2"),
        ("scene", {"SPACECRAFT_ID": "LANDSAT_5"}, "B3 B2 B1"),
        ("scene", {"platform": "landsat-9"}, "B4 B3 B2"),
        ("scene", {"platform": 9}, "B4 B3 B2"),
    ],
)
def test_the_sensor_tells_what_the_numbers_of_bands_mean(
    name: str, properties: dict[str, Any], expected: str
) -> None:
    ids = ["B1", "B2", "B3", "B4", "B5", "B6", "B7"]
    found = true_color(image(ids, name=name, properties=properties))
    assert found == tuple(expected.split())


def test_what_a_file_says_of_its_bands_comes_before_their_names() -> None:
    ids = ["B2", "B3", "B4", "B8"]
    by_color = [BandNotes(color=each) for each in ("red", "green", "blue", "undefined")]
    assert true_color(image(ids, by_color)) == ("B2", "B3", "B4")
    by_name = [BandNotes(common_name=each) for each in ("nir", "blue", "green", "red")]
    assert true_color(image(ids, by_name)) == ("B8", "B4", "B3")
    by_text = [BandNotes(description=f"band {each}") for each in ("blue", "green", "red", "NIR")]
    assert true_color(image(["b1", "b2", "b3", "b4"], by_text)) == ("b3", "b2", "b1")


def test_the_bands_nearest_to_red_green_and_blue_light_are_taken() -> None:
    lengths = np.linspace(0.4, 2.4, 201)
    notes = [BandNotes(wavelength_um=float(each)) for each in lengths]
    found = true_color(image([f"b{place + 1}" for place in range(201)], notes))
    assert found is not None
    chosen = [lengths[int(each[1:]) - 1] for each in found]
    assert chosen == pytest.approx([0.665, 0.56, 0.48], abs=0.0051)
    infrared = [BandNotes(wavelength_um=float(each)) for each in np.linspace(0.7, 2.4, 20)]
    assert true_color(image([f"b{place + 1}" for place in range(20)], infrared)) is None


def test_a_picture_has_eight_bits_a_channel_and_says_which_are_its_colours() -> None:
    colors = [BandNotes(color=each) for each in ("red", "green", "blue", "undefined")]
    ids = ["b1", "b2", "b3", "b4"]
    assert is_picture(image(ids, colors, dtype="uint8"), ids[:3])
    assert not is_picture(image(ids, colors, dtype="uint16"), ids[:3])
    assert not is_picture(image(ids, colors, dtype="uint8"), ids[1:])
    assert not is_picture(image(ids, colors, dtype="uint8"), ids[:1])
    assert not is_picture(image(ids, dtype="uint8"), ids[:3])
