"""Colours as Earth Engine writes them: hex digits or CSS names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import MAX_COLORS
from tileserver.errors import InvalidRequest

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII)
_MAX_CHARACTERS = 40


def hex_color(text: str) -> str:
    """Return the six lower-case hex digits of a colour.

    Raises:
        InvalidRequest: it is neither three or six hex digits (a leading # may be there) nor a
            CSS colour name. Alpha belongs to `opacity`, so four and eight digits are refused.

    >>> hex_color("#F80"), hex_color("teal")
    ('ff8800', '008080')
    """
    # Longer texts are mostly blanks, which caches would keep with the palette.
    lower = text.strip().lower() if len(text) <= _MAX_CHARACTERS else ""
    match = _HEX.fullmatch(lower) or _HEX.fullmatch(_named(lower))
    if match:
        return match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
    raise InvalidRequest(
        f"Palette color {text[:_MAX_CHARACTERS]!r} is neither 3 or 6 hex digits, "
        "such as ff8800, nor a CSS color name, such as teal."
    )


def _named(name: str) -> str:
    """Return "#rrggbb" for a CSS colour name, or "" if it is none."""
    # Late, as most colours are digits, and tiles are PNGs without Pillow.
    from PIL import ImageColor

    # Its getrgb would also take rgb(), hsl() and alpha.
    return str(ImageColor.colormap.get(name, ""))


def parse_color(text: str) -> tuple[int, int, int]:
    """Return the red, green and blue of a colour, each 0..255; raises as `hex_color`.

    >>> parse_color("#f80")
    (255, 136, 0)
    """
    red, green, blue = bytes.fromhex(hex_color(text))
    return red, green, blue


def check_palette_length(count: int) -> None:
    """Check the number of colours of a palette.

    Raises:
        InvalidRequest: there is none, or there are more than `MAX_COLORS`.
    """
    if not 1 <= count <= MAX_COLORS:
        raise InvalidRequest(f"A palette has 1 to {MAX_COLORS} colors, got {count}.")


def parse_palette(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the colours of a palette, shape (colours, 3), read-only.

    Raises:
        InvalidRequest: there is no colour, there are more than `MAX_COLORS`, or one is unknown.
    """
    check_palette_length(len(names))
    return _palette(tuple(names))


@lru_cache(maxsize=256)
def _palette(names: tuple[str, ...]) -> NDArray[np.uint8]:
    palette = np.array([parse_color(name) for name in names], dtype=np.uint8)
    palette.flags.writeable = False
    return palette
