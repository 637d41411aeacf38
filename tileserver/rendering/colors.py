"""Colours as Earth Engine writes them: hex digits or CSS names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from tileserver.contract.pixels import MAX_COLORS
from tileserver.errors import InvalidRequest

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII)
_MAX_CHARACTERS = 40


def parse_color(text: str) -> tuple[int, int, int]:
    """Return the red, green and blue, each 0..255, that a text names.

    Raises:
        InvalidRequest: it is neither three or six hex digits (a leading # may be there) nor a
            CSS colour name. Alpha belongs to `opacity`, so four and eight digits are refused.

    >>> parse_color("#f80"), parse_color("teal")
    ((255, 136, 0), (0, 128, 128))
    """
    # More than that is blanks, which caches would keep with the palette.
    lower = text.strip().lower() if len(text) <= _MAX_CHARACTERS else ""
    if match := _HEX.fullmatch(lower):
        digits = match[1] if len(match[1]) == 6 else "".join(digit * 2 for digit in match[1])
        return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    # getrgb alone would also take rgb(), hsl() and alpha, which Earth Engine does not know.
    if lower in ImageColor.colormap:
        red, green, blue = ImageColor.getrgb(lower)[:3]
        return red, green, blue
    raise InvalidRequest(
        f"Palette color {text[:_MAX_CHARACTERS]!r} is neither 3 or 6 hex digits, "
        "such as ff8800, nor a CSS color name, such as teal."
    )


def parse_palette(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return the colours of a palette, shape (colours, 3), read-only.

    Raises:
        InvalidRequest: there is no colour, there are more than `MAX_COLORS`, or one is unknown.
    """
    if not 1 <= len(names) <= MAX_COLORS:
        raise InvalidRequest(f"A palette has 1 to {MAX_COLORS} colors, got {len(names)}.")
    return _palette(tuple(names))


@lru_cache(maxsize=256)
def _palette(names: tuple[str, ...]) -> NDArray[np.uint8]:
    palette = np.array([parse_color(name) for name in names], dtype=np.uint8)
    palette.flags.writeable = False
    return palette
