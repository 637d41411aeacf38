"""What documentation and editors are told of the settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from tileserver.config.config import TABLES, config_schema
from tileserver.config.tables import Setting, settings_of
from tileserver.config.values import LIST, REPEATED

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_NAMES = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}


class Description(NamedTuple):
    """A row of the table of settings in the documentation."""

    key: str
    """As in "cache.memory", "rasters[].path", "layers.NAME.asset"."""
    type: str
    default: str
    """As a user would write it; "required" or "none" when there is no default."""
    meaning: str


def describe() -> list[Description]:
    """Return every setting with its type, default and meaning, in the order of the classes."""
    owners = {name: "[]" if name == LIST else ".NAME" for name in REPEATED}
    return [
        Description(
            f"{name}{owners.get(name, '')}.{each.key}{'.NAME' if each.is_mapping else ''}",
            each.kind.expected,
            each.default_text,
            each.meaning,
        )
        for name, table in TABLES.items()
        for each in settings_of(table).values()
    ]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of tileserver.toml, draft 2020-12, for editors."""
    from pydantic.json_schema import GenerateJsonSchema

    schema = GenerateJsonSchema(by_alias=True).generate(cast("CoreSchema", config_schema()))
    for name, table in TABLES.items():
        section = schema["properties"][name]
        section.pop("default")
        inner = section.get("items") or section.get("additionalProperties") or section
        section["title"] = inner["title"] = name
        section["description"] = table.__doc__.splitlines()[0]
        if inner is not section and name != LIST:
            section["propertyNames"] = _NAMES
        inner["properties"].pop("name", None)
        for each in settings_of(table).values():
            inner["properties"][each.key] = _described(each, inner["properties"][each.key])
    title = {"$schema": GenerateJsonSchema.schema_dialect, "title": "tileserver.toml"}
    return {**schema, **title, "description": "The configuration of tileserver."}


def _described(each: Setting, schema: dict[str, Any]) -> dict[str, Any]:
    meaning = f"{each.meaning[0].upper()}{each.meaning[1:]}. Expected: {each.kind.expected}."
    found = {"title": each.key, "description": meaning, **(dict(each.kind.json) or schema)}
    found.update({"title": each.key, "propertyNames": _NAMES} if each.is_mapping else {})
    found.pop("default", None)
    if each.default_text not in {"none", "required"}:
        found["default"] = json.loads(each.default_text)
    return found
