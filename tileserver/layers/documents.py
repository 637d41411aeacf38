"""The JSON documents of layers: the list and TileJSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from html import escape
from math import asinh, floor, log2, pi, radians, tan
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from tileserver.contract.grids import Box
from tileserver.contract.processing import Encoding
from tileserver.contract.tiles import MAX_LATITUDE, MAX_ZOOM
from tileserver.layers.layers import Layer
from tileserver.layers.listed import LayerPage, ListedLayer
from tileserver.rendering.colormaps import colormaps

TILEJSON_VERSION = "3.0.0"
_NOT_OF_LEGENDS = frozenset({"encoding", "time"})


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
    that of one that `/times` has steps of; `table` has the style of features.
    """
    table = layer.asset.table if isinstance(layer, Layer) else None
    is_pending = isinstance(layer, ListedLayer) and layer.entry is None
    known = layer.entry if isinstance(layer, ListedLayer) else layer.asset
    no_place, has_times = (known.no_place, known.has_times) if known else ("", False)
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
        **({"has_times": True} if has_times else {}),
        **({"table": table.to_json()} if table else {}),
    }


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


def bounds_without_antimeridian(bounds: Box) -> Box:
    """Return bounds within the map; those that cross the antimeridian get all longitudes."""
    west, east = (bounds.west, bounds.east) if bounds.west <= bounds.east else (-180.0, 180.0)
    return Box(west, max(bounds.south, -MAX_LATITUDE), east, min(bounds.north, MAX_LATITUDE))


def _middle_longitude(bounds: Box) -> float:
    """Return the longitude in the middle of bounds, from -180 to 180."""
    west, _, east, _ = bounds.unrolled()
    middle = (west + east) / 2
    return middle - 360 if middle > 180 else middle


def _view_zoom(layer: Layer) -> int:
    """Return the zoom at which the whole layer fits into a view of 512 pixels, if it has that."""
    west, south, east, north = layer.bounds.unrolled()
    lower, upper = (asinh(tan(radians(min(max(y, -85), 85)))) / pi for y in (south, north))
    share = max((east - west) / 360, (upper - lower) / 2, 2.0**-MAX_ZOOM)
    return min(max(floor(log2(2 / share)), layer.minzoom), layer.maxzoom)


def legend_url(base_url: str, layer: Layer, style: Mapping[str, str], suffix: str) -> str:
    """Return the URL of a layer's legend; `suffix` is .svg, .png or .json."""
    own = {name: value for name, value in style.items() if name not in _NOT_OF_LEGENDS}
    query = urlencode({**own, "v": layer.version}, safe=",")
    return f"{base_url}/legend/{quote(layer.name)}{suffix}?{query}"


def tilejson(
    base_url: str, layer: Layer, style: Mapping[str, str], encoding: Encoding | None = None
) -> dict[str, Any]:
    """Return the TileJSON 3.0.0 of a layer.

    https://github.com/mapbox/tilejson-spec/tree/master/3.0.0. Its bounds must not cross the
    antimeridian, so a layer that crosses it gets all longitudes. Its legend is HTML. `encoding`
    is a member that MapLibre knows, of tiles whose colours are values.
    """
    west, south, east, north = bounds_without_antimeridian(layer.bounds)
    picture = escape(legend_url(base_url, layer, style, ".svg"))
    legend = f'<img src="{picture}" alt="{escape(f"Legend of {layer.title}")}">'
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
        "center": [_middle_longitude(layer.bounds), (south + north) / 2, _view_zoom(layer)],
        "minzoom": layer.minzoom,
        "maxzoom": layer.maxzoom,
        "legend": None if encoding else legend,
        "encoding": encoding,
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
