"""STAC's Render extension as Earth Engine's visualization properties.

https://github.com/stac-extensions/render. Of several the first that a style can follow is taken:
one or three assets, a range, a colour map by its name or as colours of values.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

_MAX_RENDERS = 100
_MAX_COLORS = 256


def visualization(renders: object, ids: Collection[str]) -> dict[str, Any]:
    """Return the properties `visualization_0_bands`, `_min`, `_max`, `_palette` and `_name`.

    Args:
        renders: the member of that name, of any type.
        ids: of the bands that there are.

    Returns:
        Nothing if there is no way to draw it among them that a style can follow.
    """
    if not isinstance(renders, dict):
        return {}
    for name, each in list(renders.items())[:_MAX_RENDERS]:
        if isinstance(each, dict) and (found := _properties(each, ids)):
            title = each.get("title") if isinstance(each.get("title"), str) else name
            return {**found, "visualization_0_name": str(title)[:200]}
    return {}


def _properties(render: Mapping[str, Any], ids: Collection[str]) -> dict[str, Any]:
    bands = render.get("assets")
    if not isinstance(bands, list) or len(bands) not in (1, 3) or render.get("expression"):
        return {}
    if not all(isinstance(each, str) and each in ids for each in bands):
        return {}
    found: dict[str, Any] = {"visualization_0_bands": bands}
    ranges = _ranges(render.get("rescale"), len(bands))
    if ranges:
        found["visualization_0_min"] = [low for low, _ in ranges]
        found["visualization_0_max"] = [high for _, high in ranges]
    if len(bands) == 1:
        found |= _colors(render, bands[0])
    return found


def _ranges(value: object, count: int) -> list[tuple[float, float]]:
    """Return the range of each band; also of one for all, and of a range that is not in a list."""
    pairs = value if isinstance(value, list) else []
    if len(pairs) == 2 and all(_is_number(each) for each in pairs):
        pairs = [pairs]
    if len(pairs) == 1:
        pairs = pairs * count
    ranges = [(each[0], each[1]) for each in pairs if _is_range(each)]
    return ranges if len(ranges) == len(pairs) == count else []


def _is_range(value: object) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    return is_pair and value[0] < value[1]  # type: ignore[index]


def _is_number(value: object) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)  # type: ignore[arg-type]


def _colors(render: Mapping[str, Any], band: str) -> dict[str, Any]:
    """Return the palette of a name, or values and colours of classes."""
    name, table = render.get("colormap_name"), render.get("colormap")
    if isinstance(name, str) and name:
        return {"visualization_0_palette": name[:100]}
    if not isinstance(table, dict) or not 1 < len(table) <= 256:
        return {}
    colors = {key: _hex(value) for key, value in table.items() if key.lstrip("-").isdecimal()}
    if len(colors) != len(table) or not all(colors.values()):
        return {}
    by_value = {int(key): color for key, color in colors.items()}
    found = {
        f"{band}_class_values": list(by_value),
        f"{band}_class_palette": list(by_value.values()),
    }
    first, last = min(by_value), max(by_value)
    if not 0 < last - first < _MAX_COLORS:
        return found
    # One colour for each integer; one without is never there.
    palette = [by_value.get(value, "000000") for value in range(first, last + 1)]
    return {
        **found,
        "visualization_0_min": [first],
        "visualization_0_max": [last],
        "visualization_0_palette": palette,
    }


def _hex(value: object) -> str:
    if isinstance(value, str):
        return value.lstrip("#")[:6] if len(value.lstrip("#")) in (6, 8) else ""
    if not isinstance(value, list) or len(value) not in (3, 4):
        return ""
    are_bytes = all(isinstance(each, int) and 0 <= each <= 255 for each in value)
    return "{:02x}{:02x}{:02x}".format(*value[:3]) if are_bytes else ""
