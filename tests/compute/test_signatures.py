"""Every algorithm has the signature that Earth Engine's own list gives it."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import Any

import pytest

from tileserver.compute.engine import Computing as Computing  # Registers them all.
from tileserver.compute.registry import ALGORITHMS


def official() -> dict[str, Any]:
    """Return Earth Engine's list, which the official client ships for its own tests."""
    listed = json.loads(resources.files("ee").joinpath("tests/algorithms.json").read_bytes())
    return {each["name"].removeprefix("algorithms/"): each for each in listed["algorithms"]}


OFFICIAL = official()
NOT_LISTED = {"Image.bandTypes"}
"""Algorithms that the list of the client's tests leaves out, and the service has."""


def plain(type_name: str) -> str:
    """Return a type without what it is a type of."""
    return re.sub(r"<.*>", "", type_name)


@pytest.mark.parametrize("name", sorted(set(ALGORITHMS) - NOT_LISTED))
def test_an_algorithm_is_as_earth_engine_lists_it(name: str) -> None:
    ours, theirs = ALGORITHMS[name], OFFICIAL[name]
    assert [(each.name, each.type, each.is_optional, each.default) for each in ours.arguments] == [
        (
            each["argumentName"],
            plain(each["type"]),
            each.get("optional", False),
            each.get("defaultValue"),
        )
        for each in theirs.get("arguments", [])
    ]
    assert plain(ours.returns) == plain(theirs["returnType"])
    assert ours.signature.is_hidden == theirs.get("hidden", False)
    assert ours.to_json().get("deprecated") == theirs.get("deprecated")


def test_every_algorithm_says_what_it_does() -> None:
    assert all(each.description for each in ALGORITHMS.values())
