"""The kinds of settings: what each accepts, in words and as a schema of pydantic-core.

The schemas are written out, as pydantic's own derivation from annotations takes ten times as long
as all the rest of reading the settings.
https://docs.pydantic.dev/latest/api/pydantic_core_schema/
"""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from tileserver.contract.grids import Box
from tileserver.contract.processing import Resampling, Terrain
from tileserver.contract.raster_formats import CUBES, SUFFIXES
from tileserver.expressions.document import REDUCERS

Schema: TypeAlias = dict[str, Any]
BYTE_UNITS = {"tib": 2**40, "tb": 10**12, "gib": 2**30, "gb": 10**9, "mib": 2**20, "mb": 10**6}
BYTE_UNITS |= {"kib": 2**10, "kb": 10**3, "b": 1}
"""Bytes in each unit. A bare M or G is not among them: programs disagree on what it means."""
SECOND_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True}
_SWITCHES |= {"false": False, "no": False, "off": False, "0": False}


class PlainText(str):
    """The text of a variable or an option: a path in it is relative to the current folder."""


def written(value: object) -> str:
    """Return a value as TOML would have it, on one line that any terminal can print."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    # JSON leaves some line ends, terminal codes and undecodable bytes as they are.
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """Annotates a setting with what it accepts."""

    expected: str
    """Completes the sentence "expected ..."."""
    schema: Schema
    """The schema of pydantic-core, without conversions."""
    check: Callable[[Any], Any] | None = None
    """Returns a valid value as it is kept; raises ValueError."""
    read: Callable[[Any], object] | None = None
    """Turns what TOML gives into what the schema takes; raises ValueError."""
    from_text: Callable[[str], object] = PlainText
    """Turns the text of an environment variable into what TOML would have given."""
    write: Callable[[Any], str] = written
    """Turns a value back into what a user would write."""
    json: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema in place of the one that follows from `schema`."""
    is_path: bool = False
    """Whether a relative value in a file is relative to the folder of that file."""

    @property
    def core_schema(self) -> Schema:
        """The schema with `read` and `check` around it."""
        function = {"type": "with-info", "function": self._validate}
        return {"type": "function-wrap", "function": function, "schema": self.schema}

    def _validate(self, value: Any, handler: Callable[[object], Any], info: Any) -> Any:
        try:
            found = handler(value if self.read is None else self.read(value))
            found = found if self.check is None else self.check(found)
        except (OverflowError, RecursionError) as exc:
            raise ValueError("too large") from exc
        is_relative = self.is_path and not isinstance(value, PlainText) and "://" not in found
        return str(info.context / found) if is_relative and info.context else found


def parse_bytes(text: str) -> int:
    """Return how many bytes a size is; without a unit it counts bytes.

    Raises:
        ValueError: not a number with one of `BYTE_UNITS`, in upper or lower case.

    >>> parse_bytes("512MB"), parse_bytes("64MiB"), parse_bytes("1.5 kb"), parse_bytes("7")
    (512000000, 67108864, 1500, 7)
    """
    return round(_amount(text, BYTE_UNITS, "b"))


def parse_seconds(text: str) -> float:
    """Return how many seconds a duration is; without a unit it counts seconds.

    Raises:
        ValueError: not a number with one of `SECOND_UNITS`.
        OverflowError: more seconds than a float holds.

    >>> parse_seconds("1h"), parse_seconds("1.5m"), parse_seconds("45")
    (3600.0, 90.0, 45.0)
    """
    return float(_amount(text, SECOND_UNITS, "s"))


def _amount(text: str, units: Mapping[str, int], default_unit: str) -> Fraction:
    """Return number times unit, exactly: floats would lose bytes of large sizes."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or (unit := (match[2] or default_unit).lower()) not in units:
        raise ValueError("not a number and a unit")
    return Fraction(match[1]) * units[unit]


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError("not what is expected")


def _switch(text: str) -> bool:
    _require((word := text.strip().lower()) in _SWITCHES)
    return _SWITCHES[word]


def bracketed(text: str) -> object:
    """Return an array or a table that is written as JSON or as TOML.

    Raises:
        ValueError: it is neither.
    """
    try:
        return json.loads(text)
    except ValueError:
        return tomllib.loads(f"value = {text}")["value"]


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _items(text: str) -> object:
    return bracketed(text) if text.lstrip().startswith("[") else _split(text)


def _numbers(text: str) -> object:
    is_array = text.lstrip().startswith("[")
    return bracketed(text) if is_array else [float(item) for item in _split(text)]


def _rectangle(value: Sequence[float]) -> Box:
    west, south, east, north = value
    _require(-180 <= west < 180 and west < east <= west + 360 and -90 <= south < north <= 90)
    return Box(west, south, east, north)


def _host(value: str) -> str:
    if ":" in value:
        # Otherwise "localhost:8080" would fail much later, while binding.
        ipaddress.IPv6Address(value)
    return value


def _networks(value: str) -> Sequence[str]:
    """Check an address or a network; "*" is every one."""
    if value == "*":
        return "0.0.0.0/0", "::/0"
    ipaddress.ip_network(value)
    return (value,)


def _power_of_two(value: int) -> int:
    _require(not value & (value - 1))
    return value


def _address(value: str) -> str:
    parts = urlsplit(value)
    # Reading the port raises for one that is no number or above 65535.
    _require(bool(parts.path if parts.scheme == "unix" else parts.hostname) and parts.port != 0)
    return value


def _base(value: str) -> str:
    """Refuse what no path can be appended to, and passwords: clients are shown the address."""
    parts = urlsplit(_address(value))
    _require(not (parts.query or parts.fragment or "@" in parts.netloc))
    return value.rstrip("/")


def _tiles(value: str) -> str:
    """Refuse a template without all of z, x and y, or whose host is not fixed."""
    parts = urlsplit(_address(value))
    _require(all(name in parts.path + parts.query for name in ("{z}", "{x}", "{y}")))
    _require(not re.search(r"[^A-Za-z0-9.:\[\]-]", parts.netloc))
    return value


def _path(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    _require(not separator or (scheme in {"s3", "gs", "https", "http"} and bool(rest)))
    return value


def _folder(value: str) -> str:
    _require("://" not in value)
    return value


def _secret(value: str) -> str:
    _require(
        not value.startswith("env:") or re.fullmatch(r"env:[A-Za-z_]\w*", value, re.A) is not None
    )
    return value


def _text(pattern: str) -> Schema:
    return {"type": "str", "strict": True, "pattern": pattern}


def _whole(least: int, most: int | None = None) -> Schema:
    limits = {"ge": least} if most is None else {"ge": least, "le": most}
    return {"type": "int", "strict": True, **limits}


def _number(**limits: float) -> Schema:
    return {"type": "float", "strict": True, "allow_inf_nan": False, **limits}


def _list(item: Schema, **limits: int) -> Schema:
    return {"type": "tuple", "items_schema": [item], "variadic_item_index": 0, **limits}


def _or_text(json_schema: Schema, pattern: str, *examples: object) -> Schema:
    text = {"type": "string", "pattern": pattern}
    return {"anyOf": [json_schema, text], "examples": list(examples)}


_PROJECT = r"([a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{4,28}[a-z0-9]"
"""A Google Cloud project id or number, with the domain that old ones carry."""
_PATH = _text(r"^[^\x00]*[^\s\x00][^\x00]*$")
_NUMBER_LIST = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_TEXT_LIST = {"type": "array", "items": {"type": "string", "pattern": r"\S"}}

FLAG = Kind("true or false", {"type": "bool", "strict": True}, from_text=_switch)
COUNT = Kind("a whole number of at least 1", _whole(1), from_text=int)
PORT = Kind("a whole number from 0 to 65535", _whole(0, 65535), from_text=int)
ZOOM = Kind("a whole number from 0 to 24", _whole(0, 24), from_text=int)
SIDE = Kind("1, 2, 4 or 8", _whole(1, 8), _power_of_two, from_text=int, json={"enum": [1, 2, 4, 8]})
POSITIVE = Kind("a number above 0", _number(gt=0), from_text=float, write=lambda v: f"{v:g}")
LINE_WIDTH = Kind("a number from 0 to 500", _number(ge=0, le=500), from_text=float)
POINT_SIZE = Kind("a whole number from 0 to 500", _whole(0, 500), from_text=int)
OPACITY = Kind("a number from 0 to 1", _number(ge=0, le=1), from_text=float)
PERCENT = Kind("per cent, above 0 and at most 100", _number(gt=0, le=100), from_text=float)
NUMBER = Kind("a number", _number(), from_text=float)
NUMBERS = Kind(
    "a number or a list of numbers",
    _list(_number(), min_length=1),
    read=lambda value: value if isinstance(value, list | tuple) else [value],
    from_text=_numbers,
    json={"anyOf": [{"type": "number"}, _NUMBER_LIST]},
)
TEXT = Kind("text that is not blank", _text(r"\S"))
TEXTS = Kind("a list of texts", _list(_text(r"\S")), from_text=_items)
_FORMATS = [*SUFFIXES, *CUBES]
RASTER_FORMATS = Kind(
    f"a list of {', '.join(_FORMATS)}",
    {**_list({"type": "literal", "expected": _FORMATS}), "min_length": 1},
    from_text=_items,
    json={
        "type": "array",
        "items": {"enum": _FORMATS},
        "minItems": 1,
    },
)
PALETTE = Kind(
    "a list of colours, or the name of a colour map",
    _list(_text(r"\S")),
    read=lambda value: _split(value) if isinstance(value, str) else value,
    from_text=lambda text: bracketed(text) if text.lstrip().startswith("[") else text,
    json=_or_text(_TEXT_LIST, r"\S", "viridis", ["000000", "ffffff"]),
)
COLORMAP = Kind(
    "a table of colours by value, a list of intervals with colours, or either as JSON",
    _text(r"\S"),
    read=lambda value: value if isinstance(value, str) else json.dumps(value),
    json={"type": ["string", "object", "array"]},
)
MEMORY = Kind(
    'a size of at least 1MB, such as "512MB", "64MiB", "1GB" or a whole number of bytes',
    _whole(10**6),
    read=lambda value: parse_bytes(value) if isinstance(value, str) else value,
    write=lambda value: f'"{value // 10**6}MB"',
    json=_or_text(
        {"type": "integer", "minimum": 10**6},
        r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?)?[Bb]\s*$|^\s*[0-9]{7,}\s*$",
        *("512MB", "64MiB", "1GB"),
    ),
)
DURATION = Kind(
    'a time above zero, such as "1h", "30m", "45s", "2d" or a number of seconds',
    _number(gt=0),
    read=lambda value: parse_seconds(value) if isinstance(value, str) else value,
    write=lambda value: f'"{value // 3600}h"',
    json=_or_text(
        {"type": "number", "exclusiveMinimum": 0},
        r"^\s*[0-9]+(\.[0-9]+)?\s*[DHMSdhms]?\s*$",
        *("1h", "30m", "45s", "2d"),
    ),
)
DAY = Kind(
    'a day such as "2020-04-01"',
    _text("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    lambda value: date.fromisoformat(value).isoformat(),
    read=lambda value: value.isoformat() if type(value) is date else value,
)
BOUNDS = Kind(
    "[west, south, east, north] in degrees, west below east, which may lie past 180",
    _list(_number(), min_length=4, max_length=4),
    _rectangle,
    from_text=_numbers,
)
REDUCER = Kind(
    f"one of {', '.join(REDUCERS)}",
    {"type": "literal", "expected": list(REDUCERS)},
)
PIXEL_SELECTION = Kind(
    "newest, oldest, first, last, mean, median, min, max, lowest:PROPERTY or highest:PROPERTY",
    _text(r"^(newest|oldest|first|last|mean|median|min|max|(lowest|highest):.*\S.*)$"),
)
ALGORITHM = Kind(
    f"one of {', '.join(Terrain)}",
    {"type": "literal", "expected": [str(each) for each in Terrain]},
)
RESAMPLING = Kind(
    f"one of {', '.join(Resampling)}",
    {"type": "literal", "expected": [str(each) for each in Resampling]},
)
HOST = Kind(
    'a host name or an IP address, such as "0.0.0.0" or "::"', _text(r"^[^\s/\[\]]+$"), _host
)
PROXIES = Kind(
    'a list of IP addresses and networks, such as "10.0.0.0/8", or "*" for all',
    _list(_text(r"\S")),
    lambda value: tuple(each for item in value for each in _networks(item)),
    from_text=_items,
    json={"type": "array", "items": {"type": "string"}},
)
BASE_URL = Kind(
    'an address such as "https://tiles.example.org", without user, query or fragment',
    _text(r"^[Hh][Tt][Tt][Pp][Ss]?:\S+$"),
    _base,
)
TILES_URL = Kind(
    'an address such as "https://tiles.example.org/{z}/{x}/{y}.png", with no {s} in the host',
    _text(r"^[Hh][Tt][Tt][Pp][Ss]?:\S+$"),
    _tiles,
)
STORE_URL = Kind(
    'an address such as "redis://localhost:6379"',
    _text(r"^([Rr][Ee][Dd][Ii][Ss]{1,2}|[Uu][Nn][Ii][Xx]):\S+$"),
    _address,
)
RASTER_PATH = Kind(
    "a file, a folder, or an s3://, gs:// or https:// address", _PATH, _path, is_path=True
)
FOLDER_PATH = Kind("a folder of this machine", _PATH, _folder, is_path=True)
FILE_PATH = Kind("a file", _text(r"^[^\x00-\x1f]*[^\s\x00-\x1f][^\x00-\x1f]*$"), is_path=True)
ASSET = Kind("the name of an asset", _text(r"^[^\s\x00-\x1f]([^\x00-\x1f]*[^\s\x00-\x1f])?$"))
ASSET_PREFIX = Kind(
    '"projects/", a project id of 6 to 30 characters, "/assets"',
    _text(rf"^projects/{_PROJECT}/assets(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/*$"),
    lambda value: value.rstrip("/"),
)
PROJECT = Kind("a Google Cloud project id of 6 to 30 characters", _text(f"^{_PROJECT}$"))
SECRET = Kind(
    'the secret itself, or "env:NAME" for the environment variable NAME', _text(r"\S"), _secret
)
