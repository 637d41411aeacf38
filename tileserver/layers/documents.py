"""The JSON documents of layers: the list and TileJSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.drawing import Curve
from tileserver.contract.grids import Box
from tileserver.contract.tiles import MAX_LATITUDE
from tileserver.layers.layers import Layer
from tileserver.layers.listed import LayerPage, ListedLayer
from tileserver.rendering.colormaps import colormaps
from tileserver.rendering.curves import equalized, logarithmic
from tileserver.rendering.legend import legend_svg, swatches_svg

Floats = NDArray[np.float64]
TILEJSON_VERSION = "3.0.0"


def tile_url(
    base_url: str, layer: Layer | ListedLayer, style: Mapping[str, str], suffix: str = ".png"
) -> str:
    """Return the URL template of a layer's tiles, with {z}, {x} and {y}.

    Args:
        base_url: the URL of the server, without a final slash.
        layer: the layer.
        style: parameters of the URL, where they differ from the layer's own style.
        suffix: .png, @2x.png, .webp and so on.
    """
    version = {"v": layer.version} if layer.version else {}
    query = urlencode({**style, **version}, safe=",")
    url = f"{base_url}/tiles/{quote(layer.name)}/{{z}}/{{x}}/{{y}}{suffix}"
    return f"{url}?{query}" if query else url


def layer_json(
    base_url: str, layer: Layer | ListedLayer, more: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Return a layer's entry in `/layers`; `more` parameters go into the URL of its tiles.

    `pending` is true in the entry of a layer whose file was not read yet; `no_place` says why one
    has no place on Earth: its bounds are those of a flat map of its own; `has_times` is true in
    that of one that `/times` has steps of.
    """
    is_pending = isinstance(layer, ListedLayer) and layer.entry is None
    described = layer.entry if isinstance(layer, ListedLayer) else layer
    no_place = described.no_place if described else ""
    return {
        "name": layer.name,
        "title": layer.title,
        "description": layer.definition.description,
        "attribution": layer.definition.attribution,
        "asset": layer.asset_name,
        "bounds": list(layer.bounds),
        "minzoom": layer.minzoom,
        "maxzoom": layer.maxzoom,
        "style": layer.style.to_json(),
        "visible": layer.definition.is_visible,
        "tiles": tile_url(base_url, layer, more),
        **({"pending": True} if is_pending else {}),
        **({"no_place": no_place} if no_place else {}),
        **({"has_times": True} if _has_times(layer) else {}),
    }


def _has_times(layer: Layer | ListedLayer) -> bool:
    """Tell whether there are times to choose from, as far as that is known."""
    asset = layer.asset if isinstance(layer, Layer) else None
    return asset is not None and asset.mosaic is not None and asset.start_time is not None


def layer_page(
    base_url: str,
    page: LayerPage,
    limit: int,
    more: Mapping[str, str] = MappingProxyType({}),
    search: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the JSON of `/layers`.

    `next` is the URL of the next page, or None; `errors` lists the layers that cannot be drawn,
    if there are any; `unread` counts those that a search by place had to leave out. `more`
    parameters go into all URLs, those of the `search` into that of the next page.
    """
    query = urlencode({"after": page.after, "limit": limit, **search, **more})
    errors = [dataclasses.asdict(each) for each in page.failures]
    return {
        "layers": [layer_json(base_url, layer, more) for layer in page.layers],
        "next": None if page.after is None else f"{base_url}/layers?{query}",
        **({"errors": errors} if errors else {}),
        **({"unread": page.unread} if page.unread else {}),
    }


def _bounds_without_antimeridian(bounds: Box) -> Box:
    west, east = (bounds.west, bounds.east) if bounds.west <= bounds.east else (-180.0, 180.0)
    return Box(west, max(bounds.south, -MAX_LATITUDE), east, min(bounds.north, MAX_LATITUDE))


def _middle_longitude(bounds: Box) -> float:
    """Return the longitude in the middle of bounds, from -180 to 180."""
    west, _, east, _ = bounds.unrolled()
    middle = (west + east) / 2
    return middle - 360 if middle > 180 else middle


def _curve(layer: Layer) -> Callable[[Floats], Floats] | None:
    """Return what shades are of shares of a layer's range; None if they are the same."""
    shading, style = layer.processing.shading if layer.processing else None, layer.style
    if shading is None or len(style.bands) != 1:
        return None
    if shading.curve is Curve.LOG:
        return logarithmic
    low, high = style.min[0], style.max[0]
    return lambda share: equalized(low + share * (high - low), shading.quantiles[0])


def legend(layer: Layer) -> str:
    """Return the legend of a layer as SVG.

    Raises:
        InvalidRequest: its style cannot be drawn.
    """
    style, names = layer.style, layer.definition.class_names
    classes = layer.processing.classes if layer.processing else None
    if not classes:
        options, curve = style.options(), _curve(layer)
        return legend_svg(layer.title, style.bands, options, names, style.classes, curve)
    labels = names if len(names) == len(classes) else [each.label for each in classes]
    colors = ["#{:02x}{:02x}{:02x}".format(*each.color) for each in classes]
    return swatches_svg(layer.title, list(zip(labels, colors, strict=True)))


def tilejson(base_url: str, layer: Layer, style: Mapping[str, str]) -> dict[str, Any]:
    """Return the TileJSON 3.0.0 of a layer.

    https://github.com/mapbox/tilejson-spec/tree/master/3.0.0. Its bounds must not cross the
    antimeridian, so a layer that crosses it gets all longitudes.
    """
    west, south, east, north = _bounds_without_antimeridian(layer.bounds)
    members = {
        "tilejson": TILEJSON_VERSION,
        "name": layer.title,
        "description": layer.definition.description,
        "attribution": layer.definition.attribution,
        "version": "1.0.0",
        "scheme": "xyz",
        "tiles": [tile_url(base_url, layer, style)],
        "tileSize": 256,
        "format": "png",
        "bounds": [west, south, east, north],
        "center": [_middle_longitude(layer.bounds), (south + north) / 2, layer.minzoom],
        "minzoom": layer.minzoom,
        "maxzoom": layer.maxzoom,
        "bands": list(layer.style.bands),
        "no_place": layer.no_place or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def colormap_list() -> dict[str, Any]:
    """Return the JSON of `/colormaps`: name, kind and colours of every named palette."""
    maps = [
        {"name": each.name, "kind": each.kind, "colors": [f"#{stop}" for stop in each.stops]}
        for each in colormaps().values()
    ]
    return {"colormaps": maps}
