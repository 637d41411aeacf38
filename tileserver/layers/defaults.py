"""Default styles of assets whose layers have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.band_kinds import MAX_SPAN, class_values, is_elevation
from tileserver.contract.pixels import BandArrays
from tileserver.contract.true_color import true_color
from tileserver.errors import InvalidRequest
from tileserver.layers.styles import Style
from tileserver.rendering.colormaps import named_palette
from tileserver.rendering.colors import hex_color, parse_palette

_MAX_LISTED = 64
"""Colours of a table; one of more is that of a picture, and no list of classes."""
_GAP = "000000"
_HINGED_STOPS = 64
_DISTINCT = ("tab10", "set3", "dark2", "paired")
"""Colour maps whose colours classes without any get, one after another."""


def default_bands(asset: ImageAsset) -> tuple[str, ...]:
    """Return the red, green and blue bands, the first three where no colours can be told, or one.

    One band is drawn of an image with fewer than three.
    """
    if len(asset.bands) < 3:
        return asset.band_ids[:1]
    return true_color(asset) or asset.band_ids[:3]


def declared_classes(asset: ImageAsset) -> Style | None:
    """Return the style of classes whose colours the asset itself has, or None.

    They are in its properties, as Earth Engine has them (`landcover_class_values`,
    `landcover_class_palette` and `landcover_class_names` of a band "landcover"), or in the colour
    table of its file.
    """
    band = asset.band_ids[0]
    listed = [asset.properties.get(f"{band}_class_{each}") for each in ("values", "palette")]
    names = asset.properties.get(f"{band}_class_names")
    if len(asset.bands) == 1 and (colors := _paired_colors(*listed)):
        texts = dict(zip(colors, names, strict=False)) if isinstance(names, list) else {}
        return _class_style(band, colors, {value: str(text) for value, text in texts.items()})
    return _color_table(asset, names) if asset.color_table else None


def _paired_colors(values: object, palette: object) -> dict[int, str]:
    """Return colours by value; none if the two are no lists that fit each other."""
    if not isinstance(values, list) or not isinstance(palette, list):
        return {}
    are_integers = all(type(each) is int for each in values)
    if not are_integers or len(values) != len(palette) or not 1 < len(set(values)) <= MAX_SPAN:
        return {}
    try:
        colors = [hex_color(each) if isinstance(each, str) else "" for each in palette]
    except InvalidRequest:
        return {}
    is_wide = max(values) - min(values) >= MAX_SPAN
    return {} if is_wide or "" in colors else dict(zip(values, colors, strict=True))


def _color_table(asset: ImageAsset, names: object) -> Style:
    table = asset.color_table
    style = Style(asset.band_ids[:1], (0.0,), (len(table) - 1.0,), table)
    used = [value for value, color in enumerate(table) if color != _GAP]
    if not 1 < len(used) <= _MAX_LISTED:
        return style
    return replace(style, classes=tuple((value, str(value)) for value in used))


def _class_style(band: str, colors: Mapping[int, str], names: Mapping[int, str]) -> Style:
    """Return the style that draws each value in its colour, and any value between as the next."""
    first, last = min(colors), max(colors)
    ordered = sorted(colors)
    at = np.searchsorted(ordered, np.arange(first, last + 1))
    palette = tuple(colors[ordered[place]] for place in at)
    classes = tuple((value, names.get(value) or str(value)) for value in ordered)
    return Style((band,), (float(first),), (float(last),), palette, classes=classes)


def measured_look(asset: ImageAsset, bands: BandArrays, stretch: Style) -> Style:
    """Return the style of elevations or of classes, or the stretch of an image of neither.

    Args:
        asset: the image.
        bands: a sample of it.
        stretch: the range of the sample.
    """
    if len(asset.bands) != 1:
        return stretch
    band, name = asset.bands[0], asset.name.rpartition("/")[2]
    if is_elevation(band, name, stretch.min[0], stretch.max[0]):
        return replace(stretch, palette=_elevation_palette(stretch.min[0], stretch.max[0]))
    values = class_values(band, name, [(bands.values[0], bands.valid[0])])
    if not values:
        return stretch
    return _class_style(band.id, dict(zip(values, _distinct_colors(values), strict=True)), {})


def _distinct_colors(values: Sequence[int]) -> Iterable[str]:
    stops = [stop for name in _DISTINCT for stop in named_palette(name) or ()]
    return [stops[place % len(stops)] for place in range(len(values))]


def _elevation_palette(low: float, high: float) -> tuple[str, ...]:
    """Return the colours of land, and below 0 of water."""
    land = (named_palette("terrain") or ())[5:]
    if low >= 0:
        return land
    water = (named_palette("oleron") or ())[:127]
    at = np.linspace(low, high, _HINGED_STOPS)
    below = _sampled(water, np.clip(at / -low + 1, 0, 1))
    above = _sampled(land, np.clip(at / high, 0, 1) if high > 0 else at * 0)
    colors = np.where((at < 0)[:, np.newaxis], below, above).round().astype(int)
    return tuple("{:02x}{:02x}{:02x}".format(*color) for color in colors)


def _sampled(stops: Sequence[str], at: Any) -> Any:
    """Return the colours of a palette at positions from 0 to 1, shape (positions, 3)."""
    palette, places = parse_palette(stops), np.linspace(0, 1, len(stops))
    return np.stack([np.interp(at, places, palette[:, each]) for each in range(3)], axis=-1)
