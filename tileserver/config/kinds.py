"""What a setting's value may be: each kind says so in words and reads it.

A kind's `parse` gets what TOML gave (or `from_text` made of an environment variable) and
raises ValueError or OverflowError when that will not do; the messages of those are never
shown, as they could quote a secret. `expected` is shown instead.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tileserver.config.sizes import format_bytes, format_seconds, parse_bytes, parse_seconds

PROJECT = r"(?:[a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{4,28}[a-z0-9]"
"""A Google Cloud project id or number, with the domain that old ones carry."""
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]*"
_ON = frozenset({"true", "yes", "on", "1"})
_OFF = frozenset({"false", "no", "off", "0"})


def _as_is(text: str) -> object:
    return text


def written(value: object) -> str:
    """Return a value as TOML would have it, on one line that any terminal can print."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    # JSON leaves some line ends, terminal codes and undecodable bytes as they are.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    expected: str
    """Completes the sentence "expected ..."."""
    parse: Callable[[object], Any]
    from_text: Callable[[str], object] = _as_is
    """Turns the text of an environment variable into what TOML would have given."""
    write: Callable[[Any], str] = written
    """Turns a parsed value back into what a user would write."""
    is_path: bool = False
    """Whether a relative value is relative to the folder of the configuration file."""


def whole(low: int, high: int | None = None) -> Kind:
    """Return the kind of whole numbers from `low` to `high`, both included."""

    def parse(value: object) -> int:
        # bool is an int to Python, and `port = true` is a mistake.
        _require(isinstance(value, int) and not isinstance(value, bool))
        assert isinstance(value, int)
        _require(low <= value and (high is None or value <= high))
        return value

    span = f"from {low} to {high}" if high is not None else f"of at least {low}"
    return Kind(f"a whole number {span}", parse, from_text=int)


def number(expected: str, accept: Callable[[float], bool]) -> Kind:
    """Return the kind of finite numbers that `accept` agrees to."""

    def parse(value: object) -> float:
        found = _finite(value)
        _require(accept(found))
        return found

    return Kind(expected, parse, from_text=float, write=lambda value: f"{value:g}")


def text(expected: str = "text that is not blank", accept: str = r"(?s:.*\S.*)") -> Kind:
    """Return the kind of text that matches the pattern `accept` as a whole."""

    def parse(value: object) -> str:
        found = _text(value)
        _require(re.fullmatch(accept, found) is not None)
        return found

    return Kind(expected, parse)


def url(expected: str, schemes: Sequence[str], *, is_base: bool = False) -> Kind:
    """Return the kind of URLs with one of these schemes.

    Args:
        expected: As in `Kind`.
        schemes: In lower case, without "://".
        is_base: Paths are appended to it, so it has no query, and loses a final slash. It is
            shown to clients, so it has no user and password either.
    """

    def parse(value: object) -> str:
        found = _text(value)
        parts = urlsplit(found)
        _require(parts.scheme in schemes and not re.search(r"\s", found))
        _require(bool(parts.path if parts.scheme == "unix" else parts.hostname))
        # Reading the port raises for one that is no number or above 65535.
        _require(parts.port != 0)
        _require(not is_base or not (parts.query or parts.fragment or "@" in parts.netloc))
        return found.rstrip("/") if is_base else found

    return Kind(expected, parse)


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("not what is expected")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not text")
    return value


def _finite(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    if not math.isfinite(found := float(value)):
        raise ValueError("not finite")
    return found


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")
    return value


def _flag_from_text(value: str) -> bool:
    word = value.strip().lower()
    _require(word in _ON | _OFF)
    return word in _ON


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError("not a list")
    return tuple(_text(item) for item in value)


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple):
        return (_finite(value),)
    _require(len(value) > 0)
    return tuple(_finite(item) for item in value)


def _palette(value: object) -> tuple[str, ...]:
    return _texts(_split(value) if isinstance(value, str) else value)


def _split(value: str) -> list[str]:
    return [item.strip() for item in value.split(",")]


def _bracketed(value: str) -> object:
    """Return the array written as JSON or, with single quotes say, as TOML."""
    try:
        return json.loads(value)
    except ValueError:
        return tomllib.loads(f"value = {value}")["value"]


def _list_from_text(value: str) -> object:
    return _bracketed(value) if value.lstrip().startswith("[") else _split(value)


def _numbers_from_text(value: str) -> object:
    found = _list_from_text(value)
    return found if value.lstrip().startswith("[") else [float(item) for item in _split(value)]


def table_from_text(value: str) -> object:
    """Return the table written as a JSON object or a TOML inline table.

    Raises:
        ValueError: it is neither.
    """
    _require(value.lstrip().startswith("{"))
    return _bracketed(value)


def _memory(value: object) -> int:
    found = parse_bytes(value) if isinstance(value, str) else value
    found = whole(10**6).parse(found)
    assert isinstance(found, int)
    return found


def _duration(value: object) -> float:
    found = parse_seconds(value) if isinstance(value, str) else _finite(value)
    _require(0 < found < math.inf)
    return found


def _host(value: object) -> str:
    found = _text(value)
    if ":" in found:
        # Otherwise "localhost:8080" would fail much later, while binding.
        ipaddress.IPv6Address(found)
    _require(re.fullmatch(r"[^\s/\[\]]+", found) is not None)
    return found


def _folder_path(value: object) -> str:
    found = _text(value)
    _require("\0" not in found and "://" not in found)
    return found


def _raster_path(value: object) -> str:
    found = _text(value)
    scheme, separator, rest = found.partition("://")
    _require(not separator or (scheme in {"s3", "gs", "https", "http"} and bool(rest)))
    _require("\0" not in found)
    return found


def _asset_prefix(value: object) -> str:
    found = _text(value).rstrip("/")
    _require(re.fullmatch(rf"projects/{PROJECT}/assets(/{_SEGMENT})*", found) is not None)
    return found


def _secret(value: object) -> str:
    found = _text(value)
    is_reference = found.startswith("env:")
    _require(not is_reference or re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*", found) is not None)
    return found


FLAG = Kind("true or false", _flag, _flag_from_text)
TEXT = text()
TEXTS = Kind("a list of texts", _texts, _list_from_text)
NUMBERS = Kind("a number or a list of numbers", _numbers, _numbers_from_text)
PALETTE = Kind(
    "a list of colours, or the name of a colour map",
    _palette,
    lambda value: _bracketed(value) if value.lstrip().startswith("[") else value,
)
MEMORY = Kind(
    'a size of at least 1MB, such as "512MB", "64MiB", "1GB" or a whole number of bytes',
    _memory,
    write=lambda value: written(format_bytes(value)),
)
DURATION = Kind(
    'a time above zero, such as "1h", "30m", "45s", "2d" or a number of seconds',
    _duration,
    write=lambda value: written(format_seconds(value)),
)
HOST = Kind('a host name or an IP address, such as "0.0.0.0" or "::"', _host)
RASTER_PATH = Kind(
    "a file, a folder, or an s3://, gs:// or https:// address", _raster_path, is_path=True
)
FOLDER_PATH = Kind("a folder of this machine", _folder_path, is_path=True)
ASSET_PREFIX = Kind('"projects/", a project id of 6 to 30 characters, "/assets"', _asset_prefix)
SECRET = Kind('the secret itself, or "env:NAME" for the environment variable NAME', _secret)
