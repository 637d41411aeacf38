"""The JSON Schema of the file: it agrees with `load_config` on right and wrong files."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.config.test_config import DESIGN_EXAMPLE
from tileserver.config.schema import describe, json_schema

ROOT = Path(__file__).parents[2]
SHOWN = [
    found[1]
    for path in [ROOT / "README.md", *sorted((ROOT / "docs" / "pages").rglob("*.md"))]
    for found in re.finditer(r"^```toml\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)
]
DEMO = (ROOT / "tileserver" / "demo" / "tileserver.toml").read_text("utf-8")
SCHEMA = json_schema()


def as_json(value: Any) -> Any:
    """Return a value of TOML as editors hand it to their validator: days are text."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value


def faults(toml: str) -> list[str]:
    validator = Draft202012Validator(SCHEMA)
    return [each.message for each in validator.iter_errors(as_json(tomllib.loads(toml)))]


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("toml", [DEMO, DESIGN_EXAMPLE, *SHOWN])
def test_a_file_that_can_be_loaded_is_valid(toml: str) -> None:
    assert faults(toml) == []


@pytest.mark.parametrize(
    "toml",
    [
        "[cach]\nmemory = 1",
        "[cache]\nmemroy = '1GB'",
        "[cache]\nmemory = '5M'",
        "[cache]\nmemory = 1",
        "[cache]\nttl = '1y'",
        "[server]\nport = 65536",
        "[server]\nport = '80'",
        "[server]\nport = true",
        "[access]\nkeys = { 'a b' = 'x' }",
        "[access]\nkeys = { a = 1 }",
        "[access]\nassets = 'a'",
        "[rasters]\npath = 'a'",
        "[[rasters]]\nprefix = 'projects/localhost/assets'",
        "[earth_engine]\nconcurrency = 4",
        "[layers.a]\nname = 'a'\nasset = 'b'",
        "[layers.'a b']\nasset = 'a'",
        "[layers.a]\nasset = 7",
        "[layers.a]\ncollection = 'a'\nreduce = 'average'",
        "[layers.a]\ncollection = 'a'\nstart = '1 April'",
        "[layers.a]\ncollection = 'a'\nbounds = [0, 0, 1]",
        "[layers.a]\nasset = 'a'\ntiles_per_side = 3",
        "[layers.a]\nasset = 'a'\nmin = 'a'",
        "[layers.a]\nasset = 'a'\npalette = 7",
        "[layers.a]\nasset = 'a'\nopacity = 1.01",
    ],
)
def test_a_wrong_file_is_not_valid(toml: str) -> None:
    assert len(faults(toml)) == 1


def properties() -> dict[str, dict[str, Any]]:
    found = {}
    for name, section in SCHEMA["properties"].items():
        inner = section.get("items") or section.get("additionalProperties") or section
        owner = "[]" if "items" in section else ".NAME" if "propertyNames" in section else ""
        for key, each in inner["properties"].items():
            found[f"{name}{owner}.{key}{'.NAME' if 'propertyNames' in each else ''}"] = each
    return found


def test_every_setting_has_a_title_and_a_description_and_a_type() -> None:
    found = properties()
    assert list(found) == [row.key for row in describe()]
    for row in describe():
        each = found[row.key]
        assert row.meaning[1:] in each["description"]
        assert row.type in each["description"]
        assert each["title"]
        assert {"type", "enum", "anyOf"} & set(each)
        assert ("default" in each) == (row.default not in {"none", "required"})


def test_enums_and_examples_are_offered() -> None:
    found = properties()
    assert found["layers.NAME.reduce"]["enum"][:2] == ["mosaic", "first"]
    assert found["layers.NAME.tiles_per_side"]["enum"] == [1, 2, 4, 8]
    assert "64MiB" in found["cache.memory"]["examples"]
    assert found["cache.ttl"]["default"] == "1h"
