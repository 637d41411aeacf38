"""Settings as fields of frozen dataclasses: where values come from and how they are read.

A field carries its kind and meaning in its metadata (`setting`), a field of the outermost
class the class of its table (`section`). Values from a file, the environment and the command
line are gathered in one `Values`, later ones over earlier ones, each with the place it came
from; `build_config` then reads them, so that every error can name the place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum, auto
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from tileserver.config.kinds import Kind, written
from tileserver.errors import ConfigError

T = TypeVar("T")
KeyPath: TypeAlias = tuple[str, ...]
"""("cache", "memory"), ("rasters", "0", "path") or ("layers", "ndvi", "min")."""

MAX_SHOWN = 80
"""Characters of a wrong value that an error quotes."""


class Shape(Enum):
    """How a section is written in TOML."""

    TABLE = auto()
    """[server]"""
    LIST = auto()
    """[[rasters]]"""
    NAMED = auto()
    """[layers.NAME]"""


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


@dataclass(frozen=True, slots=True)
class Section:
    """One table, or one table each, of the file."""

    settings_class: type[Any]
    shape: Shape

    @property
    def settings(self) -> Mapping[str, Setting]:
        """The keys of the table, in the order of the class."""
        return settings_of(self.settings_class)


Schema: TypeAlias = Mapping[str, Section]


def setting(
    kind: Kind, meaning: str, *, key: str | None = None, is_mapping: bool = False
) -> dict[str, Any]:
    """Return the metadata of a field that is a setting; `key` if it is not the field's name."""
    return {"kind": kind, "meaning": meaning, "key": key, "is_mapping": is_mapping}


def section(settings_class: type[Any], shape: Shape = Shape.TABLE) -> dict[str, Any]:
    """Return the metadata of a field that is a section."""
    return {"section": Section(settings_class, shape)}


def settings_of(settings_class: type[Any]) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by key."""
    found = [
        Setting(
            member=each.name,
            key=each.metadata["key"] or each.name,
            kind=each.metadata["kind"],
            meaning=each.metadata["meaning"],
            default=each.default,
            is_secret=not each.repr,
            is_mapping=each.metadata["is_mapping"],
        )
        for each in fields(settings_class)
        if "kind" in each.metadata
    ]
    return {each.key: each for each in found}


def schema_of(config_class: type[Any]) -> Schema:
    """Return the sections of a dataclass by name."""
    return {each.name: each.metadata["section"] for each in fields(config_class)}


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it came, and from where."""

    value: object = field(repr=False)
    place: str
    """What an error begins with: "tileserver.toml: [cache] memory" or "PORT"."""
    folder: Path | None = None
    """Where relative paths begin; None for the current folder."""
    is_text: bool = False
    """It comes from the environment, where a number is text too."""


class Values(dict[KeyPath, Given]):
    """What was given. Tables have entries of their own, so that an empty one is seen."""

    def put(self, path: KeyPath, given: Given, source: str) -> None:
        """Set a value over an earlier one; `source` is the file, variable or flag."""
        for end in range(1, len(path)):
            self.put_table(path[:end], source)
        self[path] = given

    def put_table(self, path: KeyPath, source: str) -> None:
        """Note that a table exists; the first source to say so is remembered."""
        self.setdefault(path, Given(None, f"{source}: {table_label(path)}"))

    def below(self, path: KeyPath) -> list[str]:
        """Return the names directly below a section or mapping, in the order they came."""
        return [each[-1] for each in self if each[:-1] == path]


def table_label(path: KeyPath) -> str:
    """Return a table's heading as in TOML; tables of a list are counted from one.

    >>> table_label(("layers", "a b")), table_label(("rasters", "0"))
    ('[layers."a b"]', '[[rasters]] #1')
    """
    if len(path) == 2 and path[1].isdecimal() and path[0] == "rasters":
        return f"[[{path[0]}]] #{int(path[1]) + 1}"
    return f"[{'.'.join(quoted_key(part) for part in path)}]"


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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like this one, if any is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def unexpected(given: Given, expected: str, *, is_secret: bool = False) -> ConfigError:
    """Return the error for a value that will not do."""
    got = "a value that is not shown, as it may be secret" if is_secret else shown(given.value)
    return ConfigError(f"{given.place}: expected {expected}, got {got}")


def parse(given: Given, kind: Kind, *, is_secret: bool = False) -> Any:
    """Return the value as its kind reads it.

    Raises:
        ConfigError: it is not of that kind.
    """
    try:
        raw = given.value
        value = kind.parse(kind.from_text(raw) if given.is_text and isinstance(raw, str) else raw)
    except (ValueError, OverflowError, RecursionError):
        # Not chained: urlsplit quotes a piece of the password in its own message.
        raise unexpected(given, kind.expected, is_secret=is_secret) from None
    if kind.is_path and given.folder is not None and "://" not in value:
        return str(given.folder / value)
    return value


def build_config(config_class: type[T], values: Values) -> T:
    """Return the configuration that the values make; absent sections take their default.

    Raises:
        ConfigError: a value is not what its setting may be, or a required one is missing.
    """
    members: dict[str, Any] = {}
    for name, part in schema_of(config_class).items():
        if (name,) not in values:
            continue
        if part.shape is Shape.TABLE:
            members[name] = build(part.settings_class, values, (name,))
        elif part.shape is Shape.LIST:
            members[name] = tuple(_build_list(part.settings_class, values, name))
        else:
            members[name] = tuple(
                build(
                    part.settings_class, values, (name, each), name=checked_name(values, name, each)
                )
                for each in values.below((name,))
            )
    return config_class(**members)


def _build_list(settings_class: type[T], values: Values, name: str) -> Iterator[T]:
    for expected, index in enumerate(sorted(values.below((name,)), key=int)):
        if int(index) != expected:
            source = values[name, index].place
            raise ConfigError(f"{source} comes without #{expected + 1}; they count from 0")
        yield build(settings_class, values, (name, index))


def build(settings_class: type[T], values: Values, at: KeyPath, **members: Any) -> T:
    """Return the dataclass of the table `at`; `members` are fields that are no settings.

    Raises:
        ConfigError: as for `build_config`.
    """
    for each in settings_of(settings_class).values():
        path = (*at, each.key)
        if each.is_mapping:
            members[each.member] = _build_mapping(values, path, each)
        elif path in values:
            members[each.member] = parse(values[path], each.kind, is_secret=each.is_secret)
        elif each.default is MISSING:
            raise ConfigError(f'{values[at].place} needs "{each.key}": {each.meaning}')
    return settings_class(**members)


def _build_mapping(values: Values, path: KeyPath, each: Setting) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (
            checked_name(values, *path, name),
            parse(values[*path, name], each.kind, is_secret=each.is_secret),
        )
        for name in values.below(path)
    )


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


def checked_name(values: Values, *path: str) -> str:
    """Return the last part of the path, a name that a user chose.

    Raises:
        ConfigError: it cannot be a name.
    """
    if fault := name_fault(path[-1]):
        raise ConfigError(f"{values[path].place}: {fault}")
    return path[-1]
