"""Strict parsers of paths and query strings; errors name the parameter."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import TILE_FORMATS, TILE_SUFFIXES, ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.tiles import MAX_ZOOM, Tile, tile_at
from tileserver.contract.times import TimeRange, parse_time_range
from tileserver.errors import InvalidRequest
from tileserver.layers.styles import parse_number

TIME_PARAMETER = "time"
VERSION_PARAMETER = "v"
"""The version token in the URLs of documents; any value is accepted."""
TABLE_FORMATS = ("json", "csv")
LEGEND_FORMATS = ("svg", "png", "json")
EXPORT_FORMATS = ("html", "pmtiles")
_MAX_QUERY = 8192
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}", re.ASCII)
_FORMULA = re.compile(rb"(?:^|(?<=&))expression=[^&]*")
_START = rb"[\w(.'\"~]|!(?!=)|%(?:28|2[27E]|7E)"
_END = rb"(?:(?<![%]..)(?<=[\w)\]'\"])|(?<=%29|%5D|%5d|%22|%27))"
_PLUS = re.compile(_END + rb"((?:%20)*)\+(?=(?:%20)*(?:" + _START + rb"))")
_MIN_BOX_DEGREES = 1e-9
"""0.1 mm; the ratio of smaller sides overflows."""
_TILE_NAME = re.compile(r"(?P<y>[^.@]*)(?P<scale>@[^.]*)?(?:\.(?P<suffix>.*))?", re.DOTALL)
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?", re.ASCII)


def parse_query(query: bytes, known: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query string.

    Raises:
        InvalidRequest: one is unknown, given twice, empty or not UTF-8.
    """
    parameters: dict[str, str] = {}
    for name, value in _pairs(query):
        _check_known(name, known)
        if name in parameters:
            raise InvalidRequest(f"{name}: given twice, expected once")
        if not value or not value.isprintable():
            raise InvalidRequest(f"{name}: expected a value, got {value[:80]!r}")
        parameters[name] = value
    return parameters


def parse_kvp(query: bytes, words: Sequence[str], own: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a query to a service of OGC, with names in lower case.

    Names may be in upper or lower case. A parameter without a value is as none; unknown ones are
    ignored, as OWS Common (06-121r3) has it, unless they look like a mistyped one of `own`.

    Args:
        query: the query string.
        words: names that OGC defines.
        own: other names.

    Raises:
        InvalidRequest: one is given twice, or is not UTF-8, or looks mistyped.
    """
    known = (*words, *own, VERSION_PARAMETER)
    parameters: dict[str, str] = {}
    for given, value in _pairs(query):
        name = given.lower()
        if name not in known:
            if difflib.get_close_matches(name, own, n=1):
                _check_known(name, own)
            continue
        if name in parameters:
            raise InvalidRequest(f"{name}: given twice, expected once")
        if not value.isprintable():
            raise InvalidRequest(f"{name}: expected a value, got {value[:80]!r}")
        parameters[name] = value
    return {name: value for name, value in parameters.items() if value}


def _pairs(query: bytes) -> list[tuple[str, str]]:
    if len(query) > _MAX_QUERY:
        raise InvalidRequest(f"the query has {len(query)} bytes, at most {_MAX_QUERY} may be")
    if b"expression=" in query:
        query = _FORMULA.sub(_with_plus, query)
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as exc:
        raise InvalidRequest("the query is not percent-encoded UTF-8") from exc


def _with_plus(match: re.Match[bytes]) -> bytes:
    """Return a formula's parameter with %2B for each + between two operands.

    A + of forms is a space; a space between two operands is in no formula, so there it is a plus
    sign that was written as it is, as in `expression=B8+B4`; browsers make B8%20+%20B4 of
    `B8 + B4`.
    """
    return _PLUS.sub(rb"\1%2B", match[0])


def _check_known(name: str, known: Sequence[str]) -> None:
    if name in (*known, VERSION_PARAMETER):
        return
    close = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {close[0]}?" if close else "."
    raise InvalidRequest(
        f"unknown parameter {name[:80]!r}{hint} Known here: {', '.join(known) or 'none'}"
    )


def parse_tile(z: str, x: str, name: str) -> tuple[Tile, int, ImageFileFormat]:
    """Return the address, size in pixels and format of a tile, from /{z}/{x}/{name}.

    Raises:
        InvalidRequest: a number, the scale or the suffix is malformed.
        TileOutOfRange: there is no such tile.

    >>> parse_tile("3", "5", "2@2x.png")[:2]
    (Tile(x=5, y=2, z=3), 512)
    """
    x_y_z, size, file_format = parse_address(z, x, name)
    return tile_at(*x_y_z), size, file_format


def parse_address(z: str, x: str, name: str) -> tuple[tuple[int, int, int], int, ImageFileFormat]:
    """Return (x, y, z), size in pixels and format of a tile of any pyramid.

    Raises:
        InvalidRequest: a number, the scale or the suffix is malformed.
    """
    parts = _TILE_NAME.fullmatch(name)
    assert parts is not None, "every text matches"
    address = parse_integer("x", x), parse_integer("y", parts["y"]), parse_integer("z", z)
    return address, _size_px(parts["scale"]), parse_format(parts["suffix"])


def _size_px(scale: str | None) -> int:
    if scale not in (None, "@2x"):
        raise InvalidRequest(
            f"tile size {scale[:20]!r}: expected @2x for 512 pixels, or nothing for 256"
        )
    return 512 if scale else 256


def parse_format(suffix: str | None) -> ImageFileFormat:
    """Return the format of a suffix without its dot.

    Raises:
        InvalidRequest: no format has that suffix.
    """
    if suffix not in TILE_FORMATS:
        got = "none" if suffix is None else f".{suffix[:20]}"
        expected = ", ".join(TILE_SUFFIXES)
        raise InvalidRequest(f"suffix: expected one of {expected}, got {got!r}")
    return TILE_FORMATS[suffix]


def parse_integer(name: str, text: str) -> int:
    """Return a whole number; raises InvalidRequest, which names it, if it is none."""
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest(f"{name}: expected a whole number such as 12, got {text[:40]!r}")
    return int(text)


def parse_bbox(text: str) -> Box:
    """Return a box in degrees; west > east crosses the antimeridian.

    Raises:
        InvalidRequest: it is not four numbers, or they are not a box on Earth.
    """
    parts = text.split(",")
    if (count := len(parts)) != 4:
        raise InvalidRequest(f"bbox: expected west,south,east,north in degrees, got {count} values")
    west, east = (parse_number("bbox", parts[i], -180, 180) for i in (0, 2))
    south, north = (parse_number("bbox", parts[i], -90, 90) for i in (1, 3))
    if abs(east - west) < _MIN_BOX_DEGREES or north - south < _MIN_BOX_DEGREES:
        raise InvalidRequest(
            "bbox: expected west,south,east,north with south below north and west unlike east, "
            f"by {_MIN_BOX_DEGREES:g} degrees or more, got {text[:80]!r}"
        )
    return Box(west, south, east, north)


def parse_place(parameters: Mapping[str, str]) -> tuple[float, float]:
    """Return (longitude, latitude) in degrees from the parameters lon and lat.

    Raises:
        InvalidRequest: one is missing, malformed or out of range.
    """
    for name in ("lon", "lat"):
        if name not in parameters:
            raise InvalidRequest(f"{name}: missing; expected lon and lat in degrees")
    return (
        parse_number("lon", parameters["lon"], -180, 180),
        parse_number("lat", parameters["lat"], -90, 90),
    )


def parse_times(parameters: Mapping[str, str], asset: ImageAsset) -> TimeRange | None:
    """Return the range of the parameter `time`, or None without it.

    Raises:
        InvalidRequest: it is none, or the asset is of one time.
    """
    text = parameters.get(TIME_PARAMETER)
    if text is None:
        return None
    times = parse_time_range(text)
    if asset.mosaic is None:
        raise InvalidRequest(
            f"time: {asset.name} is one image, with no times to choose from; expected a mosaic"
        )
    return times


def parse_side(name: str, parameters: Mapping[str, str], most: int) -> int | None:
    """Return a number of pixels or of layers, or None without the parameter.

    Raises:
        InvalidRequest: it is not a whole number from 1 to `most`.
    """
    text = parameters.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text, re.ASCII) or int(text) > most:
        raise InvalidRequest(f"{name}: expected a whole number from 1 to {most}, got {text[:40]!r}")
    return int(text)


def parse_table_format(name: str, parameters: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of a layer without a suffix of a table, and the format: json or csv.

    Raises:
        InvalidRequest: `format` is neither, or not that of the suffix.

    >>> parse_table_format("scenes.csv", {})
    ('scenes', 'csv')
    """
    layer, _, suffix = name.rpartition(".")
    if not layer or suffix not in TABLE_FORMATS:
        layer, suffix = name, ""
    wanted = parameters.get("format", suffix or "json")
    if wanted not in TABLE_FORMATS or suffix not in ("", wanted):
        expected = " or ".join([suffix] if suffix else TABLE_FORMATS)
        raise InvalidRequest(f"format: expected {expected}, got {wanted[:40]!r}")
    return layer, wanted


def parse_export(name: str) -> tuple[str, str]:
    """Return the layer and the format of an export's file name; "" is no format of one."""
    layer, _, suffix = name.rpartition(".")
    return (layer, suffix) if suffix in EXPORT_FORMATS else (name, "")


def parse_zoom(name: str, text: str) -> int:
    """Return a zoom.

    Raises:
        InvalidRequest: it is none; names the parameter.
    """
    if not re.fullmatch(r"[0-9]{1,2}", text, re.ASCII) or int(text) > MAX_ZOOM:
        raise InvalidRequest(
            f"{name}: expected a whole number from 0 to {MAX_ZOOM}, got {text[:40]!r}"
        )
    return int(text)


def parse_legend(name: str) -> tuple[str, str]:
    """Return the layer and the format of a legend's file name; the format may be anything."""
    layer, _, suffix = name.rpartition(".")
    return (layer, suffix) if suffix in LEGEND_FORMATS else (name, "")


def check_host(host: str, name: str = "Host") -> str:
    """Return a Host header that is safe to repeat in a document; `name` is the header's.

    Raises:
        InvalidRequest: it is not a host name or address, with or without a port.
    """
    if not _HOST.fullmatch(host):
        raise InvalidRequest(f"{name}: expected a host name, got {host[:80]!r}")
    return host
