"""Tables of settings: frozen dataclasses, and the schemas with which pydantic-core fills them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Any, get_type_hints

from tileserver.config.kinds import Kind, Schema, written


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table."""

    member: str
    """Name of the dataclass field, which may carry the unit: "memory_bytes"."""
    key: str
    """What users write: "memory"."""
    kind: Kind
    meaning: str
    default: Any
    """`dataclasses.MISSING` when the key is required."""
    is_secret: bool
    """Never shown; the field has repr=False."""
    is_mapping: bool
    """A table of names that users choose, each with a value of the kind."""

    @property
    def default_text(self) -> str:
        """The default as a user would write it; "required" or "none" when there is none."""
        if self.default is MISSING:
            return "required"
        return "none" if self.default in (None, ()) else self.kind.write(self.default)

    @property
    def schema(self) -> Schema:
        """The schema of pydantic-core."""
        schema = self.kind.core_schema
        if self.is_mapping:
            schema = after(lambda table: tuple(table.items()), by_name(schema))
        return schema if self.default is MISSING else with_default(schema, self.default)


@cache
def settings_of(table: Any) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by key.

    A field is Annotated[type, kind, meaning]; a mapping is kept as a tuple of pairs.
    """
    hints = get_type_hints(table, include_extras=True)
    found = {}
    for each in fields(table):
        if hasattr(hints[each.name], "__metadata__"):
            kind, meaning = hints[each.name].__metadata__
            key = each.name.removesuffix("_bytes").removesuffix("_s")
            is_mapping = hints[each.name].__origin__ == tuple[tuple[str, str], ...]
            found[key] = Setting(
                each.name, key, kind, meaning, each.default, not each.repr, is_mapping
            )
    return found


def table_schema(table: Any) -> Schema:
    """Return the schema of a table; a field "name" is no setting, and filled in later."""
    members = {each.key: (each.member, each.schema) for each in settings_of(table).values()}
    schema = dataclass_schema(table, members)
    if any(each.name == "name" for each in fields(table)):
        name = {"type": "dataclass-field", "name": "name", "init": False}
        schema["schema"]["fields"].append({**name, "schema": with_default({"type": "any"}, "")})
    return schema


def dataclass_schema(table: Any, members: Mapping[str, tuple[str, Schema]]) -> Schema:
    """Return the schema of a dataclass, from names and schemas of its fields by key."""
    found = [
        {"type": "dataclass-field", "name": name, "validation_alias": key, "schema": schema}
        for key, (name, schema) in members.items()
    ]
    name, names = table.__name__, [each.name for each in fields(table)]
    arguments = {"type": "dataclass-args", "dataclass_name": name, "fields": found}
    arguments["extra_behavior"] = "forbid"
    extra = {"fields": names, "slots": True, "config": {"extra_fields_behavior": "forbid"}}
    return {"type": "dataclass", "cls": table, "schema": arguments, **extra}


def with_default(schema: Schema, default: object) -> Schema:
    """Return the schema of a value that may be absent."""
    return {"type": "default", "schema": schema, "default": default}


def by_name(values: Schema) -> Schema:
    """Return the schema of a table whose keys are names that users choose."""
    names = after(_checked_name, {"type": "str"})
    return {"type": "dict", "keys_schema": names, "values_schema": values}


def after(function: Any, schema: Schema) -> Schema:
    """Return the schema of what a function makes of a valid value."""
    return {
        "type": "function-after",
        "function": {"type": "no-info", "function": function},
        "schema": schema,
    }


def name_fault(name: str) -> str | None:
    """Return why a layer or key cannot have this name, or None if it can.

    >>> name_fault("sentinel-2.rgb")
    >>> name_fault("-rgb")
    'a name begins with a letter or a digit'
    """
    if not 1 <= len(name) <= 64:
        return f"a name has 1 to 64 characters, this one has {len(name)}"
    if not re.match(r"[A-Za-z0-9]", name):
        return "a name begins with a letter or a digit"
    if wrong := re.search(r"[^A-Za-z0-9._-]", name):
        return f'a name has letters, digits, ".", "_" and "-" only, not {written(wrong[0])}'
    return None


def _checked_name(name: str) -> str:
    if fault := name_fault(name):
        raise ValueError(fault)
    return name
