"""Layers on a map of ipyleaflet, with values at a click."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import ipyleaflet
import ipywidgets

from tileserver.notebook.background import ENDED, Background, running
from tileserver.notebook.basemaps import Basemap, basemap_of
from tileserver.notebook.bridge import Bridge
from tileserver.notebook.calls import Answer
from tileserver.notebook.connection import first_url, ways
from tileserver.notebook.layers import MapLayer
from tileserver.notebook.settings import MapSettings
from tileserver.notebook.views import MAX_ZOOM

_MOST_VALUES = 12
"""Bands of a layer that are shown at a click."""


def ipyleaflet_map(server: Background, layers: Sequence[MapLayer], settings: MapSettings) -> Any:
    """Return a map with layers, the last one on top."""
    found = ways(settings.connection, server.port)
    base = first_url(found)
    tiles = [_tile_layer(base, each) for each in layers]
    under = basemap_of(settings.basemap)
    drawn = ipyleaflet.Map(
        layers=([_base_layer(under)] if under else []) + tiles,
        center=settings.center,
        zoom=settings.zoom,
        max_zoom=MAX_ZOOM,
        scroll_wheel_zoom=True,
        layout=ipywidgets.Layout(height=f"{settings.height}px"),
    )
    bridge = Bridge(
        server,
        map_id=drawn.model_id,
        base=base,
        probe=layers[0].probe,
        ways=found,
        fit=list(settings.fit) if settings.fit else [],
    )
    drawn.add(ipyleaflet.WidgetControl(widget=bridge, position="bottomleft", transparent_bg=True))
    drawn.add(ipyleaflet.LayersControl(position="topright"))
    drawn.on_interaction(Inspector(drawn, server, list(zip(tiles, layers, strict=True))))
    return drawn


def _tile_layer(base: str, layer: MapLayer) -> Any:
    box = layer.bounds
    return ipyleaflet.TileLayer(
        url=base + layer.tiles,
        name=layer.title,
        attribution=html.escape(layer.attribution),
        bounds=[(box.south, box.west), (box.north, box.east)],
        min_zoom=layer.minzoom,
        max_native_zoom=layer.maxzoom,
        max_zoom=MAX_ZOOM,
        opacity=layer.opacity,
        visible=layer.is_visible,
    )


def _base_layer(basemap: Basemap) -> Any:
    return ipyleaflet.TileLayer(
        url=basemap.url,
        name=basemap.name,
        attribution=basemap.attribution,
        max_native_zoom=basemap.maxzoom,
        max_zoom=MAX_ZOOM,
        base=True,
    )


class Inspector:
    """Shows the values of the visible layers where the map is clicked, in a popup."""

    def __init__(
        self, drawn: Any, server: Background, pairs: Sequence[tuple[Any, MapLayer]]
    ) -> None:
        self._map = drawn
        self._server = server
        self._pairs = pairs
        self._text = ipywidgets.HTML()
        self._popup: Any = None
        self._rows: dict[int, str] = {}

    def __call__(self, **event: Any) -> None:
        """Take an interaction with the map; the values come when the server has them."""
        if event.get("type") != "click":
            return
        latitude, longitude = event["coordinates"]
        longitude = (longitude + 180) % 360 - 180
        self._open(latitude, longitude)
        if running() is not self._server:
            self._text.value = ENDED
            return
        asked = [each for tiles, each in self._pairs if tiles.visible]
        rows: dict[int, str] = {}
        self._rows = rows
        for number, layer in enumerate(reversed(asked)):
            future = self._server.fetch(f"{layer.point}&lon={longitude:.7f}&lat={latitude:.7f}")
            future.add_done_callback(partial(self._tell, rows, number, layer.title))

    def _open(self, latitude: float, longitude: float) -> None:
        self._text.value = "…"
        if self._popup is not None and self._popup in self._map.layers:
            self._map.remove(self._popup)
        self._popup = ipyleaflet.Popup(
            location=(latitude, longitude),
            child=self._text,
            min_width=160,
            max_width=360,
            name="values",
        )
        self._map.add(self._popup)

    def _tell(self, rows: dict[int, str], number: int, title: str, done: Future[Answer]) -> None:
        """Show the values of a layer, unless another place was clicked meanwhile."""
        rows[number] = f"<b>{html.escape(title)}</b><br>{html.escape(_values(done))}"
        if rows is self._rows:
            self._text.value = "<br>".join(rows[each] for each in sorted(rows))


def _values(done: Future[Answer]) -> str:
    try:
        found: Mapping[str, Any] = json.loads(done.result().body)
        if "values" not in found:
            return str(found["error"]["message"])
    except Exception as exc:
        return f"no values: {exc or type(exc).__name__}"
    pairs = list(found["values"].items())
    told = [f"{band}: {_shown(value)}" for band, value in pairs[:_MOST_VALUES]]
    more = [f"and {len(pairs) - _MOST_VALUES} more"] if len(pairs) > _MOST_VALUES else []
    return ", ".join([*told, *more])


def _shown(value: Any) -> str:
    return "masked" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
