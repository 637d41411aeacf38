"""Tables of settings: frozen dataclasses that pydantic fills, and what is known of their fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin, get_type_hints

from tileserver.config.kinds import Kind, written

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core.core_schema import CoreSchema

_NAME = "\0"
"""Key under which a table by name is told its name; a layer has no setting "name"."""


def key_of(member: str) -> str:
    """Return the key of a field, whose name may carry the unit: "memory" of memory_bytes."""
    return _NAME if member == "name" else member.removesuffix("_bytes").removesuffix("_s")


class Table:
    """Base of the dataclasses of tables; a field is Annotated with its kind and its meaning."""

    __slots__ = ()
    __pydantic_config__: ClassVar[Mapping[str, Any]] = {
        "extra": "forbid",
        "alias_generator": key_of,
    }


@dataclass(frozen=True, slots=True)
class ByName:
    """Annotates the tuple kept of a table whose keys are names that users choose.

    It holds pairs of name and value, or tables that have their name as a field.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the table, which becomes a tuple."""
        from pydantic_core import core_schema as schemas

        each = get_args(source)[0]
        is_pair = get_origin(each) is tuple
        values = handler.generate_schema(get_args(each)[1] if is_pair else each)
        names = schemas.no_info_after_validator_function(_checked_name, schemas.str_schema())
        table = schemas.dict_schema(names, values)
        if is_pair:
            return schemas.no_info_after_validator_function(lambda t: tuple(t.items()), table)
        named = schemas.no_info_before_validator_function(
            lambda tables: {name: {**each, _NAME: name} for name, each in tables.items()}, table
        )
        return schemas.no_info_after_validator_function(lambda t: tuple(t.values()), named)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON Schema of the table."""
        names = {"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}
        return {**handler(schema), "propertyNames": names}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table."""

    key: str
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


@cache
def settings_of(table: Any) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by key."""
    hints = get_type_hints(table, include_extras=True)
    found: dict[str, Setting] = {}
    for each in fields(table):
        notes = list(_metadata(hints[each.name]))
        kind = next((note for note in notes if isinstance(note, Kind)), None)
        if kind is not None:
            key = key_of(each.name)
            meaning = next(note for note in notes if isinstance(note, str))
            is_mapping = any(isinstance(note, ByName) for note in notes)
            found[key] = Setting(key, kind, meaning, each.default, not each.repr, is_mapping)
    return found


def _metadata(hint: Any) -> list[Any]:
    """Return what Annotated adds to a type, or to an alternative of it."""
    inner = [note for each in get_args(hint) for note in _metadata(each)] if get_args(hint) else []
    return [*getattr(hint, "__metadata__", ())[::-1], *inner]


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
