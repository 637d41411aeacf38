"""dBASE files: the properties of a shapefile's features.

https://gdal.org/en/stable/drivers/vector/shapefile.html says how encodings are told.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from tileserver.errors import UnreadableRaster

_FIELD_BYTES = 32
_END = 0x0D
_DELETED = ord("*")
_MAX_NAME = 40
_BY_LANGUAGE = {0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x57: "iso-8859-1"}


class _Field(NamedTuple):
    name: str
    kind: str
    start: int
    end: int
    decimals: int


def encoding_of(cpg: bytes, dbf: bytes) -> str:
    """Return the name of the encoding that a .cpg file or the header tells, else UTF-8."""
    text = cpg[:_MAX_NAME].decode("ascii", "ignore").strip().lower()
    for each in (text, f"cp{text}", text.replace("ansi ", "cp").replace("88591", "8859-")):
        try:
            # Those that are no encodings of text, such as zip, raise LookupError here.
            b"a".decode(each)
            return codecs.lookup(each).name
        except (LookupError, ValueError):
            continue
    return _BY_LANGUAGE.get(dbf[29] if len(dbf) > 29 else 0, "utf-8")


def rows(content: bytes, encoding: str, name: str) -> Iterator[dict[str, Any] | None]:
    """Yield the properties of each row; None for one that was deleted.

    Raises:
        UnreadableRaster: it is no dBASE file.
    """
    try:
        count, header, size = struct.unpack_from("<IHH", content, 4)
    except struct.error as exc:
        raise UnreadableRaster(f"{name}: its .dbf cannot be read.") from exc
    fields = _fields(content[:header], encoding)
    if not fields or fields[-1].end > size:
        raise UnreadableRaster(f"{name}: its .dbf cannot be read.")
    for number in range(count):
        start = header + number * size
        row = content[start : start + size]
        if len(row) < size:
            return
        yield None if row[0] == _DELETED else _values(row, fields, encoding)


def _fields(header: bytes, encoding: str) -> list[_Field]:
    found, start = [], 1
    for at in range(_FIELD_BYTES, len(header) - _FIELD_BYTES + 1, _FIELD_BYTES):
        if header[at] == _END:
            break
        name = _text(header[at : at + 11].partition(b"\0")[0], encoding)
        kind, size, decimals = chr(header[at + 11]), header[at + 16], header[at + 17]
        if kind == "C":
            # Long texts keep the upper byte of their length where numbers have decimals.
            size, decimals = size + 256 * decimals, 0
        found.append(_Field(name, kind, start, start + size, decimals))
        start += size
    return found


def _values(row: bytes, fields: list[_Field], encoding: str) -> dict[str, Any]:
    return {each.name: _value(row[each.start : each.end], each, encoding) for each in fields}


def _value(raw: bytes, field: _Field, encoding: str) -> Any:
    if field.kind == "C":
        return _text(raw, encoding).rstrip(" \0") or None
    text = raw.decode("ascii", "replace").strip(" \0")
    match field.kind:
        case "N" | "F":
            return _number(text, field)
        case "L":
            return text in "TtYy" if text and text != "?" else None
        case "D" if len(text) == 8 and text.strip("0"):
            return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text or None


def _number(text: str, field: _Field) -> int | float | None:
    try:
        return int(text) if field.kind == "N" and field.decimals == 0 else float(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _text(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except ValueError:
        return raw.decode("iso-8859-1")
