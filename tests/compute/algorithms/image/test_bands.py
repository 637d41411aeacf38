"""Names of bands: Python's re is the oracle."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tests.compute.conftest import SCENE, Evaluator
from tileserver.errors import InvalidRequest


@pytest.mark.parametrize(
    ("pattern", "replacement", "python", "is_all"),
    [("B", "band_", "band_", True), (r"(\w)(\d)", "$2$1", r"\2\1", True), ("^|$", "x", "x", False)],
)
def test_bands_are_renamed_by_a_pattern(
    ee: ModuleType,
    evaluator: Evaluator,
    pattern: str,
    replacement: str,
    python: str,
    is_all: bool,
) -> None:
    image = ee.Image(SCENE).regexpRename(pattern, replacement, is_all)
    count = 0 if is_all else 1
    expected = [re.sub(pattern, python, name, count=count) for name in ("B1", "B2", "B3")]
    assert evaluator.value(image.bandNames()) == expected


def test_names_must_not_become_the_same(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Image.regexpRename: The names of bands must not"):
        evaluator.value(ee.Image(SCENE).regexpRename(r"\d", ""))
