"""Errors of settings, from the faults that pydantic finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tileserver.config.kinds import written
from tileserver.config.layers import Contradiction
from tileserver.config.tables import name_fault, settings_of
from tileserver.config.values import KeyPath, Values, shown, table_depth, table_label
from tileserver.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_UNKNOWN = "unexpected_keyword_argument"


def explain(faults: Sequence[ErrorDetails], values: Values) -> ConfigError:
    """Return one error for all faults: of the first unknown key, or else the first value."""
    fault = min(faults, key=lambda each: each["type"] != _UNKNOWN)
    path = tuple(map(str, fault["loc"]))
    if fault["type"] == _UNKNOWN:
        return _unknown_key(path, values)
    if fault["type"] == "missing" and len(path) == table_depth(path) + 1:
        setting = values.setting(path)
        meaning = "" if setting is None else f": {setting.meaning}"
        return ConfigError(f'{values.table_place(path[:-1])} needs "{path[-1]}"{meaning}')
    if path[-1] == "[key]":
        path = path[:-1]
        is_table = len(path) == table_depth(path)
        place = values.table_place(path) if is_table else values.place(path)
        return ConfigError(f"{place}: {name_fault(path[-1])}")
    while path not in values:
        path = path[:-1]
    setting = values.setting(path)
    return values.unexpected(path, setting.kind.expected if setting else "a table")


def contradicts(exc: Contradiction, table: KeyPath, values: Values) -> ConfigError:
    """Return the error for settings of a layer that do not go together."""
    if exc.key is None:
        return ConfigError(f"{values.table_place(table)} {exc}")
    path = (*table, exc.key)
    got = f", got {shown(values[path].value)}" if exc.shows else ""
    return ConfigError(f"{values.place(path)}: {exc}{got}")


def _unknown_key(path: KeyPath, values: Values) -> ConfigError:
    *table, key = path
    label = f"{table_label(tuple(table))} " if table else ""
    known = list(settings_of(values.tables[path[0]]) if table else values.tables)
    problem = f"{values[path].source}: {label}unknown key {written(key)}"
    homes = [name for name, each in values.tables.items() if key in settings_of(each)]
    if homes and not table:
        return ConfigError(f"{problem}, did you mean it in [{homes[0]}]?")
    if similar := nearest(key, known):
        return ConfigError(f'{problem}, did you mean "{similar}"?')
    if path[0] == "layers" and isinstance(values[path].value, dict):
        return ConfigError(f"{problem}; a layer's name with a dot in it is written in quotes")
    return ConfigError(f"{problem}, expected one of: {', '.join(known)}")
