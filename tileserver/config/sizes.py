"""Amounts as people write them: "512MB" of memory, "1h" of time."""

from __future__ import annotations

import re
from fractions import Fraction

BYTE_UNITS = {
    "TiB": 2**40,
    "TB": 10**12,
    "GiB": 2**30,
    "GB": 10**9,
    "MiB": 2**20,
    "MB": 10**6,
    "KiB": 2**10,
    "kB": 10**3,
    "B": 1,
}
"""Bytes in each unit. A bare M or G is not among them: programs disagree on what it means."""
SECOND_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}

_AMOUNT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Return how many bytes a size is; without a unit it counts bytes.

    Raises:
        ValueError: not a number with one of `BYTE_UNITS`, in upper or lower case.

    >>> parse_bytes("512MB"), parse_bytes("64MiB"), parse_bytes("1.5 kb"), parse_bytes("7")
    (512000000, 67108864, 1500, 7)
    """
    return round(_amount(text, BYTE_UNITS, "B"))


def format_bytes(size_bytes: int) -> str:
    """Return the size in the largest unit that leaves a whole number.

    >>> format_bytes(512_000_000), format_bytes(2**26), format_bytes(1001)
    ('512MB', '64MiB', '1001B')
    """
    unit = next(unit for unit, size in BYTE_UNITS.items() if size_bytes % size == 0)
    return f"{size_bytes // BYTE_UNITS[unit]}{unit}"


def parse_seconds(text: str) -> float:
    """Return how many seconds a duration is; without a unit it counts seconds.

    Raises:
        ValueError: not a number with one of `SECOND_UNITS`.
        OverflowError: more seconds than a float holds.

    >>> parse_seconds("1h"), parse_seconds("1.5m"), parse_seconds("45")
    (3600.0, 90.0, 45.0)
    """
    return float(_amount(text, SECOND_UNITS, "s"))


def format_seconds(duration_s: int) -> str:
    """Return the duration in the largest unit that leaves a whole number.

    >>> format_seconds(3600), format_seconds(172800), format_seconds(61)
    ('1h', '2d', '61s')
    """
    unit = next(unit for unit, size in SECOND_UNITS.items() if duration_s % size == 0)
    return f"{duration_s // SECOND_UNITS[unit]}{unit}"


def _amount(text: str, units: dict[str, int], default_unit: str) -> Fraction:
    """Return number times unit, exactly: floats would lose bytes of large sizes."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError("not a number and a unit")
    sizes = {unit.lower(): size for unit, size in units.items()}
    unit = (match[2] or default_unit).lower()
    if unit not in sizes:
        raise ValueError("no such unit")
    return Fraction(match[1]) * sizes[unit]
