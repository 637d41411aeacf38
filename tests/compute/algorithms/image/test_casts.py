"""Casts of images, and shifts of bits, at the ends of their types."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from tests.compute.conftest import Evaluator
from tileserver.contract.grids import AffineTransform, PixelGrid

PIXEL = PixelGrid(1, 1, AffineTransform(1, 0, 10, 0, -1, 10), "EPSG:4326")
LIMITS = [
    (kind, given)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64")
    for given in (-1e20, -1.9, 1.9, 1e20, float(2**63))
]


@pytest.mark.parametrize(("kind", "given"), LIMITS)
def test_numbers_beyond_a_type_become_its_ends(
    ee: ModuleType, evaluator: Evaluator, kind: str, given: float
) -> None:
    ends = np.iinfo(kind)
    # Python's whole numbers have no ends of their own.
    expected = min(max(int(given), ends.min), ends.max)
    image = getattr(ee.Image(given), f"to{kind.title()}" if kind != "int64" else "toInt64")()
    assert int(evaluator.masked(image, PIXEL)["constant"][0, 0]) == expected


@pytest.mark.parametrize("by", [-1, 0, 1, 3, 62, 63, 64, 70])
def test_bits_shifted_to_the_left_as_of_a_number(
    ee: ModuleType, evaluator: Evaluator, by: int
) -> None:
    image = ee.Image(5).leftShift(ee.Image.constant(by))
    expected = (5 << by) & (2**64 - 1) if 0 <= by < 64 else 0
    signed = expected - 2**64 if expected >= 2**63 else expected
    assert evaluator.value(ee.Number(5).leftShift(by)) == signed
    if by < 62:  # What is more has the type of floating point numbers.
        assert int(evaluator.masked(image, PIXEL)["constant"][0, 0]) == signed
