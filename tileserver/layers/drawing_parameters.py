"""Parses the parameters `stretch` and `colormap`, from a URL or from TOML."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from tileserver.contract.drawing import ColorClass, Curve, RangeRule, Stretch
from tileserver.errors import InvalidRequest, shown
from tileserver.layers.styles import parse_number
from tileserver.rendering.colors import hex_color

_MAX_CLASSES = 1024
_STRETCH = re.compile(
    r"(?:(?P<minmax>minmax)|(?P<percentile>percentile)(?::(?P<low>[^,:]*),(?P<high>[^,:]*))?"
    r"|(?P<stddev>stddev)(?::(?P<count>[^,:]*))?)?(?:(?:^|(?<=.),)(?P<curve>sqrt|log|equalize))?"
)
_STRETCHES = (
    "minmax, percentile:2,98, stddev:2, each perhaps with ,sqrt or ,log behind it, or sqrt, log, "
    "equalize"
)
_COLORMAPS = (
    'a JSON object of colours by value, such as {"1":"#ff0000","2":"#00ff0080"}, or a list of '
    'intervals, such as [[0,10,"#ff0000"],[10,20,"#00ff00"]]'
)


def parse_stretch(text: str) -> Stretch:
    """Return a stretch.

    Raises:
        InvalidRequest: it is malformed; says what may be.
    """
    match = _STRETCH.fullmatch(text) if text else None
    if match is None:
        raise InvalidRequest(f"stretch: expected {_STRETCHES}; got {text[:60]!r}")
    curve = Curve(match["curve"]) if match["curve"] else None
    has_rule = any(match[each.value] for each in RangeRule)
    if curve is Curve.EQUALIZE and has_rule:
        raise InvalidRequest("stretch: equalize takes no range; expected equalize alone")
    if match["minmax"] or curve is Curve.EQUALIZE:
        return Stretch(RangeRule.MINMAX, curve=curve)
    if match["stddev"]:
        count = parse_number("stretch", match["count"] or "2", 0.01, 100)
        return Stretch(RangeRule.STDDEV, count, count, curve)
    low = parse_number("stretch", match["low"] or "2", 0, 100)
    high = parse_number("stretch", match["high"] or "98", 0, 100)
    if low >= high:
        raise InvalidRequest(
            f"stretch: expected two percentiles, the first below the other; "
            f"got {low:g} and {high:g}"
        )
    return Stretch(RangeRule.PERCENTILE, low, high, curve)


def parse_colormap(text: str) -> tuple[ColorClass, ...]:
    """Return colours of classes or of intervals.

    Raises:
        InvalidRequest: it is malformed; says what may be.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"colormap: expected {_COLORMAPS}; it is not JSON") from exc
    if not isinstance(found, dict | list) or not 1 <= len(found) <= _MAX_CLASSES:
        raise InvalidRequest(f"colormap: expected {_COLORMAPS}, with 1 to {_MAX_CLASSES} entries")
    if isinstance(found, dict):
        return tuple(
            ColorClass(parse_number("colormap", value), None, _color(color))
            for value, color in found.items()
        )
    return tuple(_interval(each) for each in found)


def _interval(entry: Any) -> ColorClass:
    parts = list(entry) if isinstance(entry, list) else []
    if len(parts) == 2 and isinstance(parts[0], list):
        parts = [*parts[0], parts[1]]
    is_whole = len(parts) == 3 and all(_is_number(each) for each in parts[:2])
    if not is_whole or not parts[0] < parts[1]:
        raise InvalidRequest(
            f'colormap: expected intervals such as [0,10,"#ff0000"], got {shown(entry)}'
        )
    return ColorClass(float(parts[0]), float(parts[1]), _color(parts[2]))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def _color(value: Any) -> tuple[int, int, int, int]:
    if isinstance(value, list):
        channels = [*value, 255] if len(value) == 3 else value
        if len(channels) == 4 and all(type(c) is int and 0 <= c <= 255 for c in channels):
            red, green, blue, alpha = channels
            return red, green, blue, alpha
    elif isinstance(value, str):
        alpha = 255
        if re.fullmatch(r"#?[0-9a-fA-F]{8}", value, re.ASCII):
            value, alpha = value[:-2], int(value[-2:], 16)
        try:
            red, green, blue = bytes.fromhex(hex_color(value))
        except InvalidRequest as exc:
            raise InvalidRequest(f"colormap: {exc}") from exc
        return red, green, blue, alpha
    raise InvalidRequest(
        f'colormap: expected a colour such as "#ff0000" or [255,0,0,255], got {shown(value)}'
    )
