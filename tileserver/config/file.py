"""Settings from a TOML file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tileserver.config.fields import (
    Given,
    KeyPath,
    Schema,
    Section,
    Shape,
    Values,
    nearest,
    quoted_key,
    table_label,
    unexpected,
)
from tileserver.config.kinds import written
from tileserver.errors import ConfigError


def gather_file(values: Values, schema: Schema, path: Path) -> None:
    """Put the values of a TOML file into `values`.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has unknown tables or keys.
    """
    document = parse_toml(read_text(path), str(path))
    _Gatherer(values, schema, str(path), path.parent).document(document)


def read_text(path: Path) -> str:
    """Return the text of a file, without the byte order mark that some editors write.

    Raises:
        ConfigError: there is no such file, or it is not UTF-8 text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file, expected a TOML file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: expected a TOML file, got a folder") from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise ConfigError(f"{path}: cannot be read: {reason}") from exc
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = content[: exc.start].decode("utf-8", "replace")
        wrong = content[exc.start]
        raise ConfigError(
            f"{path}: expected UTF-8 text, got the byte 0x{wrong:02x} {_position(before)}"
        ) from None


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the document.

    Raises:
        ConfigError: it is not TOML; with line and column.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        reason = re.sub(r"\(at end of document\)$", _position(text), str(exc))
        raise ConfigError(f"{name}: not valid TOML: {reason}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{name}: not valid TOML: a number or a nesting is too long") from None


def _position(before: str) -> str:
    """Return the line and column, both from 1, that follow this text."""
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return f"(at line {line}, column {column})"


@dataclass(frozen=True, slots=True)
class _Gatherer:
    """Walks a document along the schema."""

    values: Values
    schema: Schema
    source: str
    folder: Path

    def document(self, document: Mapping[str, object]) -> None:
        for name, content in document.items():
            if name not in self.schema:
                raise self.unknown_key("", name, self.schema)
            part = self.schema[name]
            if part.shape is Shape.LIST:
                self.list_of_tables(name, part, content)
            else:
                self.values.put_table((name,), self.source)
                self.named_or_single(name, part, content)

    def list_of_tables(self, name: str, part: Section, content: object) -> None:
        if not isinstance(content, list):
            raise unexpected(
                Given(content, f"{self.source}: [{name}]"), f"tables that begin with [[{name}]]"
            )
        self.values.put_table((name,), self.source)
        for index, each in enumerate(content):
            self.table((name, str(index)), part, each)

    def named_or_single(self, name: str, part: Section, content: object) -> None:
        if part.shape is Shape.TABLE:
            self.table((name,), part, content)
            return
        for key, each in self.members((name,), content).items():
            self.table((name, key), part, each)

    def table(self, path: KeyPath, part: Section, content: object) -> None:
        self.values.put_table(path, self.source)
        for key, value in self.members(path, content).items():
            if key not in part.settings:
                raise self.unknown_key(f"{table_label(path)} ", key, part.settings, value)
            if part.settings[key].is_mapping:
                self.mapping((*path, key), value, is_secret=part.settings[key].is_secret)
            else:
                self.put((*path, key), value)

    def mapping(self, path: KeyPath, content: object, *, is_secret: bool) -> None:
        if not isinstance(content, dict):
            raise unexpected(
                self.given(path, content),
                'a table such as {name = "env:NAME"}',
                is_secret=is_secret,
            )
        for key, value in content.items():
            self.put((*path, key), value)

    def members(self, path: KeyPath, content: object) -> Mapping[str, object]:
        if not isinstance(content, dict):
            # Not quoted: it may be a secret that was meant for a key inside.
            came = (
                "text" if isinstance(content, str) else f"a value of type {type(content).__name__}"
            )
            raise ConfigError(f"{self.source}: {table_label(path)}: expected a table, got {came}")
        return content

    def given(self, path: KeyPath, value: object) -> Given:
        # A mapping's names are written after its key: [access] keys.dashboard
        depth = 1 if self.schema[path[0]].shape is Shape.TABLE else 2
        key = ".".join(quoted_key(part) for part in path[depth:])
        place = f"{self.source}: {table_label(path[:depth])} {key}"
        return Given(value, place, self.folder)

    def put(self, path: KeyPath, value: object) -> None:
        self.values.put(path, self.given(path, value), self.source)

    def unknown_key(
        self, label: str, key: str, known: Mapping[str, object], value: object = None
    ) -> ConfigError:
        problem = f"{self.source}: {label}unknown key {written(key)}"
        homes = [name for name, part in self.schema.items() if key in part.settings]
        if similar := nearest(key, known):
            return ConfigError(f'{problem}, did you mean "{similar}"?')
        if label.startswith("[layers.") and isinstance(value, dict):
            return ConfigError(f"{problem}; a layer's name with a dot in it is written in quotes")
        if homes and not label:
            return ConfigError(f"{problem}, did you mean it in [{homes[0]}]?")
        return ConfigError(f"{problem}, expected one of: {', '.join(known)}")
