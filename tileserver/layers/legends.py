"""Legends of layers as SVG and as JSON, and the classes of theirs that occur."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.drawing import Curve
from tileserver.contract.pixels import BandArrays, BandSource, Range, VisualizationOptions
from tileserver.errors import TileserverError
from tileserver.layers.layers import Layer
from tileserver.layers.statistics import finite_values, overview_request
from tileserver.rendering.curves import equalized, logarithmic
from tileserver.rendering.legend import class_colors, gradient, legend_svg, swatches_svg
from tileserver.rendering.render import check_options

Floats = NDArray[np.float64]
_SAMPLES = 1_000_000
_CHANNELS = ("red", "green", "blue")
_occurring: WeakKeyDictionary[ImageAsset, dict[str, frozenset[int]]] = WeakKeyDictionary()


async def with_occurring_classes(layer: Layer, source: BandSource) -> Layer:
    """Return a layer whose style has those of its classes alone whose values occur in its asset.

    They are looked for once, in a sample of a million pixels. If none occurs in it, or it cannot
    be read, all remain.
    """
    style = layer.style
    if not style.classes or layer.definition.class_names:
        return layer
    (band,) = style.bands
    held = _occurring.setdefault(layer.asset, {})
    if band not in held:
        sample = replace(overview_request(layer.asset, (band,), _SAMPLES), is_sample=True)
        try:
            bands = await source.read_bands(replace(sample, expression=layer.definition.expression))
        except TileserverError:
            return layer
        held[band] = await anyio.to_thread.run_sync(_values, bands)
    classes = tuple(each for each in style.classes if each[0] in held[band])
    return replace(layer, style=replace(style, classes=classes)) if classes else layer


def _values(bands: BandArrays) -> frozenset[int]:
    return frozenset(int(value) for value in np.unique(finite_values(bands, 0)))


def legend(layer: Layer) -> str:
    """Return the legend of a layer as SVG.

    Raises:
        InvalidRequest: its style cannot be drawn.
    """
    style, names = layer.style, layer.definition.class_names
    if swatches := _swatches(layer):
        return swatches_svg(layer.title, [(each["label"], each["color"]) for each in swatches])
    labels = list(style.bands)
    if len(labels) == 1 and (unit := _units(layer)[0]):
        labels = [f"{labels[0]} ({unit})"]
    return legend_svg(layer.title, labels, style.options(), names, style.classes, _curve(layer))


def legend_json(layer: Layer) -> dict[str, Any]:
    """Return the legend of a layer as JSON.

    `kind` says which member has the colours: `stops` of a gradient, between which they are
    interpolated, `classes`, or the `channels` of a picture of three bands.

    Raises:
        InvalidRequest: its style cannot be drawn.
    """
    style, options = layer.style, layer.style.options() or VisualizationOptions()
    head = {"name": layer.name, "title": layer.title, "bands": list(style.bands)}
    opacity = {"opacity": 1.0 if style.opacity is None else style.opacity}
    if swatches := _swatches(layer):
        return {**head, "kind": "classes", "classes": swatches, **opacity}
    check_options(options, len(style.bands))
    ranges = options.ranges or (Range(0.0, 255.0),)
    if len(style.bands) == 3:
        channels = _channels(layer, ranges)
        return {**head, "kind": "channels", "channels": channels, **opacity}
    low, high = ranges[0].min, ranges[0].max
    unit = {"unit": _units(layer)[0]}
    if labels := _classes(layer, low, high):
        colors = class_colors(options, [(value - low) / (high - low) for value, _ in labels])
        pairs = zip(labels, colors, strict=True)
        classes = [
            {"value": value, "label": text, "color": color} for (value, text), color in pairs
        ]
        return {**head, "kind": "classes", "classes": classes, **unit, **opacity}
    stops = [
        {"value": _between(low, high, place), "color": color}
        for place, color in gradient(options, _curve(layer))
    ]
    return {**head, "kind": "gradient", "min": low, "max": high, "stops": stops, **unit, **opacity}


def _between(low: float, high: float, share: float) -> float:
    # Not low + share * (high - low), as that difference may overflow, and misses the high end.
    return low * (1 - share) + high * share


def _classes(layer: Layer, low: float, high: float) -> list[tuple[float, str]]:
    """Return values and names of the classes that a palette is for; none if it is for none."""
    names = layer.definition.class_names
    if names:
        return list(zip(np.linspace(low, high, len(names)).tolist(), names, strict=True))
    return [(float(value), name) for value, name in layer.style.classes]


def _swatches(layer: Layer) -> list[dict[str, Any]]:
    """Return the colours of the parameter `colormap`; none without it."""
    if table := layer.asset.table:
        return [{"label": layer.title, "color": table.color[:7]}]
    classes = layer.processing.classes if layer.processing else None
    names = layer.definition.class_names
    found = []
    for place, each in enumerate(classes or ()):
        label = names[place] if classes and len(names) == len(classes) else each.label
        color = "#{:02x}{:02x}{:02x}".format(*each.color)
        at = {"value": each.low} if each.high is None else {"min": each.low, "max": each.high}
        found.append({**at, "label": label, "color": color})
    return found


def _channels(layer: Layer, ranges: Sequence[Range]) -> list[dict[str, Any]]:
    each = ranges if len(ranges) == 3 else [ranges[0]] * 3
    rows = zip(_CHANNELS, layer.style.bands, each, _units(layer), strict=True)
    return [
        {"channel": channel, "band": band, "min": of.min, "max": of.max, "unit": unit}
        for channel, band, of, unit in rows
    ]


def _units(layer: Layer) -> list[str | None]:
    """Return the units of the bands that a layer shows; None where none is known."""
    if layer.processing and layer.processing.makes:
        return [None] * len(layer.style.bands)
    return [band.notes.unit or None for band in layer.asset.select(layer.style.bands)]


def _curve(layer: Layer) -> Callable[[Floats], Floats] | None:
    """Return what shades are of shares of a layer's range; None if they are the same."""
    shading, style = layer.processing.shading if layer.processing else None, layer.style
    if shading is None or len(style.bands) != 1:
        return None
    if shading.curve is Curve.LOG:
        return logarithmic
    low, high = style.min[0], style.max[0]
    return lambda share: equalized(low + share * (high - low), shading.quantiles[0])
