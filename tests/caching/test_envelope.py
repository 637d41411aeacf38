from __future__ import annotations

from dataclasses import replace

import pytest

from tileserver.caching.envelope import key_of, unwrap, wrap
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import PixelRequest

GRID = PixelGrid(256, 256, AffineTransform(1.0, 0.0, 0.5, 0.0, -1.0, 2.0), "EPSG:3857")
REQUEST = PixelRequest("projects/localhost/assets/scene", ImageFileFormat.PNG, GRID)


def test_a_body_comes_back_with_its_time() -> None:
    assert unwrap("key", wrap("key", b"pixels", 12.5)) == (b"pixels", 12.5)


@pytest.mark.parametrize("place", range(-6, 50, 7))
def test_a_flipped_bit_anywhere_is_seen(place: int) -> None:
    value = bytearray(wrap("key", b"pixels", 12.5))
    value[place] ^= 4
    assert unwrap("key", bytes(value)) is None


def test_a_body_under_another_key_is_none() -> None:
    assert unwrap("other", wrap("key", b"pixels")) is None


@pytest.mark.parametrize("length", [0, 1, 43, 44, 45])
def test_a_body_cut_short_is_none(length: int) -> None:
    assert unwrap("key", wrap("key", b"pixels")[:length]) is None


@pytest.mark.parametrize(
    "change",
    [
        {"asset_id": "projects/localhost/assets/other"},
        {"asset_version": "newer"},
        {"band_ids": ("B1",)},
        {"file_format": ImageFileFormat.NPY},
        {"expression": "{}"},
        {"grid": replace(GRID, transform=replace(GRID.transform, translate_x=0.5000000001))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_changes_pixels_changes_the_key(change: dict[str, object]) -> None:
    changed = replace(REQUEST, **change)  # type: ignore[arg-type]
    assert key_of("here", changed) != key_of("here", REQUEST)


def test_a_tag_for_accounting_does_not_change_the_key() -> None:
    assert key_of("here", replace(REQUEST, workload_tag="tag")) == key_of("here", REQUEST)


def test_who_may_not_see_the_same_shares_no_key() -> None:
    assert key_of("here", REQUEST) != key_of("there", REQUEST)


def test_a_key_tells_no_name() -> None:
    assert "scene" not in key_of("here", REQUEST)
    assert len(key_of("here", REQUEST)) == 64
