"""Values as they were given, each with its source, before they are validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tileserver.config.kinds import written
from tileserver.config.tables import Setting, settings_of
from tileserver.errors import ConfigError

KeyPath: TypeAlias = tuple[str, ...]
"""("cache", "memory"), ("rasters", "0", "path") or ("layers", "ndvi", "min")."""
LIST = "rasters"
REPEATED = (LIST, "layers", "base_maps")
"""Sections of several tables: [[rasters]], [layers.NAME] and [base_maps.NAME]."""
MAX_SHOWN = 80
"""Characters of a wrong value that an error quotes."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it came, and from where."""

    value: object = field(repr=False)
    source: str
    """The file, variable or option."""
    in_file: bool = False


class Values(dict[KeyPath, Given]):
    """What was given. Tables have entries of their own, so that an empty one is seen."""

    def __init__(self, tables: Mapping[str, Any]) -> None:
        super().__init__()
        self.tables = tables
        """The dataclass of each section's tables."""

    def put(self, path: KeyPath, given: Given) -> None:
        """Set a value over an earlier one; the first source of a table is remembered."""
        for end in range(1, len(path)):
            self.setdefault(path[:end], Given({}, given.source, given.in_file))
        self[path] = given

    def below(self, path: KeyPath) -> list[str]:
        """Return the names directly below a section or mapping, in the order they came."""
        return [each[-1] for each in self if each[:-1] == path]

    def setting(self, path: KeyPath) -> Setting | None:
        """Return the setting that a path is, or lies in."""
        depth = table_depth(path)
        known = settings_of(self.tables[path[0]]) if path[0] in self.tables else {}
        return known.get(path[depth]) if len(path) > depth else None

    def place(self, path: KeyPath) -> str:
        """Return where a value was given, as an error begins: "PORT", or the place in a file."""
        given = self[path]
        return f"{given.source}: {value_label(path)}" if given.in_file else given.source

    def table_place(self, path: KeyPath) -> str:
        """Return which source was the first to give a table."""
        return f"{self[path].source}: {table_label(path)}"

    def unexpected(self, path: KeyPath, expected: str) -> ConfigError:
        """Return the error for a value that will not do."""
        setting = self.setting(path)
        hidden = setting is not None and setting.is_secret
        got = "a value that is not shown, as it may be secret"
        got = got if hidden else shown(self[path].value)
        return ConfigError(f"{self.place(path)}: expected {expected}, got {got}")

    def document(self) -> dict[str, Any]:
        """Return the values as nested tables, all as TOML would give them.

        Raises:
            ConfigError: the text of a variable is not what its setting reads.
        """
        root: dict[str, Any] = {}
        for path, given in self.items():
            table = root
            for key in path[:-1]:
                table = table[key]
            table[path[-1]] = {} if given.value == {} else self._converted(path, given)
        if LIST in root:
            root[LIST] = self._in_order(root[LIST])
        return root

    def _converted(self, path: KeyPath, given: Given) -> object:
        setting = self.setting(path)
        if given.in_file or setting is None or not isinstance(given.value, str):
            return given.value
        try:
            return setting.kind.from_text(given.value)
        except (ValueError, OverflowError, RecursionError):
            error = self.unexpected(path, setting.kind.expected)
        raise error

    def _in_order(self, tables: Mapping[str, object]) -> list[object]:
        for expected, index in enumerate(sorted(tables, key=int)):
            if int(index) != expected:
                place = self.table_place((LIST, index))
                raise ConfigError(f"{place} comes without #{expected + 1}; they count from 0")
        return [tables[index] for index in sorted(tables, key=int)]


def table_depth(path: KeyPath) -> int:
    """Return how many parts of a path lead to its table: 2 in ("layers", "ndvi", "min")."""
    return 2 if path[0] in REPEATED else 1


def table_label(path: KeyPath) -> str:
    """Return a table's heading as in TOML; tables of a list are counted from one.

    >>> table_label(("layers", "a b")), table_label(("rasters", "0"))
    ('[layers."a b"]', '[[rasters]] #1')
    """
    if len(path) == 2 and path[0] == LIST:
        return f"[[{path[0]}]] #{int(path[1]) + 1}"
    return f"[{'.'.join(quoted_key(part) for part in path)}]"


def value_label(path: KeyPath) -> str:
    """Return a table's heading and the key in it: "[access] keys.dashboard"."""
    depth = table_depth(path)
    return f"{table_label(path[:depth])} {'.'.join(map(quoted_key, path[depth:]))}"


def quoted_key(key: str) -> str:
    """Return a key as TOML wants it, quoted if need be."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else written(key)


def shown(value: object) -> str:
    """Return a wrong value for an error: one short line without passwords or tokens."""
    if isinstance(value, dict):
        return "a table"
    line = re.sub(r"//[^\s\"]*@", "//***@", written(value))
    line = re.sub(r"(://[^\s?]*\?)[^\s\"]*", r"\1***", line)
    return line if len(line) <= MAX_SHOWN else f"{line[: MAX_SHOWN - 1]}…"
