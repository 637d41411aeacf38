"""Colours as Earth Engine takes them: hex digits, CSS names, and CSS's rgb() and hsl().

Source: "Formats of colours" of CSS Color Module Level 3, which Google's pages name.
"""

from __future__ import annotations

import colorsys
import math
import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import MAX_COLORS
from tileserver.errors import InvalidRequest

_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII)
_HEX_ALPHA = re.compile(r"#?([0-9a-f]{4}|[0-9a-f]{8})", re.ASCII)
_FUNCTION = re.compile(r"(rgb|hsl)(a?)\(([0-9.,%+\- ]{1,36})\)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(%?)", re.ASCII)
_MAX_CHARACTERS = 40


def hex_color(text: str) -> str:
    """Return the six lower-case hex digits of a colour.

    Raises:
        InvalidRequest: it is neither three or six hex digits (a leading # may be there) nor a
            CSS colour name nor rgb() or hsl(). Alpha belongs to `opacity`, so translucent colours
            and four and eight digits are refused.

    >>> hex_color("#F80"), hex_color("teal"), hex_color("rgb(0, 50%, 255)")
    ('ff8800', '008080', '0080ff')
    """
    # Longer texts are mostly blanks, which caches would keep with the palette.
    lower = text.strip().lower() if len(text) <= _MAX_CHARACTERS else ""
    match = _HEX.fullmatch(lower) or _HEX.fullmatch(_named(lower))
    if match:
        return _doubled(match[1], 6)
    made = _by_function(lower)
    if made is not None and made[3] == 1:
        return bytes(made[:3]).hex()
    raise InvalidRequest(
        f"Palette color {text[:_MAX_CHARACTERS]!r} is neither 3 or 6 hex digits, "
        "such as ff8800, nor a CSS color name, such as teal."
    )


def _doubled(digits: str, length: int) -> str:
    return digits if len(digits) == length else "".join(digit * 2 for digit in digits)


def parse_css_color(text: str) -> tuple[int, int, int, float]:
    """Return the red, green and blue of a colour, each 0..255, and its opacity, 0..1.

    Raises:
        InvalidRequest: it is no colour of CSS, with or without the # of hex digits.

    >>> parse_css_color("ff000080"), parse_css_color("rgba(0, 128, 255, 0.5)")
    ((255, 0, 0, 0.5019607843137255), (0, 128, 255, 0.5))
    """
    lower = text.strip().lower() if len(text) <= _MAX_CHARACTERS else ""
    if lower == "transparent":
        return 0, 0, 0, 0.0
    if match := _HEX_ALPHA.fullmatch(lower):
        red, green, blue, alpha = bytes.fromhex(_doubled(match[1], 8))
        return red, green, blue, alpha / 255
    return _by_function(lower) or (*parse_color(text), 1.0)


def _by_function(text: str) -> tuple[int, int, int, float] | None:
    """Return the colour of rgb(), rgba(), hsl() or hsla(), or None if it is none of them."""
    match = _FUNCTION.fullmatch(text)
    parts = [_NUMBER.fullmatch(each.strip()) for each in match[3].split(",")] if match else []
    if match is None or None in parts or len(parts) != 3 + len(match[2]):
        return None
    numbers = [(float(each[0].rstrip("%")), bool(each[1])) for each in parts if each]
    alpha = _share(numbers[3], 1) if match[2] else 1.0
    if match[1] == "rgb":
        shares = [_share(each, 255) for each in numbers[:3]]
    else:
        (hue, _), saturation, lightness = numbers[0], *(_share(n, 100) for n in numbers[1:3])
        shares = list(colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation))
    red, green, blue = (math.floor(255 * share + 0.5) for share in shares)
    return red, green, blue, alpha


def _share(number: tuple[float, bool], whole: float) -> float:
    """Return a number or a percentage as a share, 0..1."""
    value, is_percent = number
    return min(max(value / (100 if is_percent else whole), 0.0), 1.0)


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
