"""Numbers as text: in the shortest form, and in printf patterns as in Java."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from tileserver.errors import InvalidRequest, shown

_CONVERSION = re.compile(r"%([-+ 0,#(]*)(\d{1,3})?(?:\.(\d{1,2}))?([dsfeEgGxXo])")
_MAX_PATTERN = 1000


def number_text(value: float) -> str:
    """Return a number as text; whole ones without a point."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return double_text(value)


def double_text(value: float) -> str:
    """Return a finite number in Java's form: 1.0, 0.001 and 2.5E-4."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    first, *rest = map(str, digits)
    power = int(exponent) + len(rest)
    return f"{'-' if sign else ''}{first}.{''.join(rest) or '0'}E{power}"


def formatted(value: float, pattern: str) -> str:
    """Return a number after a pattern of printf with one conversion, such as '%.2f' or '%05d'.

    Raises:
        InvalidRequest: the pattern is none, or does not suit the number.
    """
    literal = pattern[:_MAX_PATTERN].replace("%%", "\0")
    found = list(_CONVERSION.finditer(literal))
    if len(found) != 1 or "%" in _CONVERSION.sub("", literal) or len(pattern) > _MAX_PATTERN:
        raise InvalidRequest(
            f"Invalid format string {shown(pattern)}; expected one conversion such as '%.2f'."
        )
    flags, width, precision, kind = found[0].groups()
    converted = _converted(value, flags, precision, kind)
    text = _padded(converted, flags, int(width or 0))
    return (literal[: found[0].start()] + text + literal[found[0].end() :]).replace("\0", "%")


def _converted(value: float, flags: str, precision: str | None, kind: str) -> str:
    if kind == "s":
        text = number_text(value)
        return text if precision is None else text[: int(precision)]
    if not math.isfinite(value):
        return number_text(value)
    comma = "," if "," in flags else ""
    sign = "+" if "+" in flags else (" " if " " in flags else "")
    if kind not in "dxXo":
        digits = 6 if precision is None else int(precision)
        return f"{float(value):{sign}{comma}.{digits}{kind}}"
    if value != int(value) or precision is not None:
        raise InvalidRequest(f"{kind} != {number_text(value)}: expected a whole number.")
    return _whole(int(value), sign, comma, kind)


def _whole(value: int, sign: str, comma: str, kind: str) -> str:
    """Return an integer in a base; a negative one in base 8 or 16 as its 64 bits."""
    if kind == "d":
        return f"{value:{sign}{comma}d}"
    return f"{value + 2**64 if value < 0 else value:{sign}{kind}}"


def _padded(text: str, flags: str, width: int) -> str:
    if "-" in flags:
        return text.ljust(width)
    return text.zfill(width) if "0" in flags else text.rjust(width)
