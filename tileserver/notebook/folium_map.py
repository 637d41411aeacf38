"""Layers on a map of folium: a page of its own within the notebook's output."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import folium
from branca.element import MacroElement
from jinja2 import Template

from tileserver.notebook.background import Background
from tileserver.notebook.basemaps import basemap_of
from tileserver.notebook.connection import ways
from tileserver.notebook.layers import MapLayer
from tileserver.notebook.settings import MapSettings
from tileserver.notebook.views import MAX_ZOOM


def folium_map(server: Background, layers: Sequence[MapLayer], settings: MapSettings) -> Any:
    """Return a map with layers, the last one on top."""
    base = _base(server, settings)
    under = basemap_of(settings.basemap)
    drawn = folium.Map(
        location=settings.center,
        zoom_start=settings.zoom,
        max_zoom=MAX_ZOOM,
        height=settings.height,
        tiles=None,
    )
    if under is not None:
        folium.TileLayer(
            under.url, attr=under.attribution, name=under.name, max_native_zoom=under.maxzoom
        ).add_to(drawn)
    tiles = [_tile_layer(base, each).add_to(drawn) for each in layers]
    if settings.fit:
        box = settings.fit
        drawn.fit_bounds([(box.south, box.west), (box.north, box.east)])
    folium.LayerControl(collapsed=len(tiles) < 2).add_to(drawn)
    drawn.add_child(_Note(drawn, tiles, base))
    return drawn


def _base(server: Background, settings: MapSettings) -> str:
    """Return what URLs of tiles begin with, in the browser."""
    found = ways(settings.connection, server.port)
    if found[0]["kind"] == "colab":
        from google.colab.output import eval_js

        url: str = eval_js(f"google.colab.kernel.proxyPort({server.port})")
        return url.rstrip("/") + "/"
    # Of a proxy beside Jupyter's own server only the map of ipyleaflet finds the base URL.
    return str(found[0].get("url", f"/proxy/{server.port}/"))


def _tile_layer(base: str, layer: MapLayer) -> Any:
    box = layer.bounds
    return folium.TileLayer(
        base + layer.tiles,
        attr=html.escape(layer.attribution) or " ",
        name=html.escape(layer.title),
        overlay=True,
        show=layer.is_visible,
        opacity=layer.opacity,
        min_zoom=layer.minzoom,
        max_zoom=MAX_ZOOM,
        max_native_zoom=layer.maxzoom,
        bounds=[(box.south, box.west), (box.north, box.east)],
    )


class _Note(MacroElement):
    """A line in the corner of the map that says why tiles do not come."""

    _template = Template(
        """
        {% macro script(this, kwargs) %}
        (() => {
          const note = L.control({ position: "bottomleft" });
          const line = L.DomUtil.create("div", "tileserver-note");
          line.setAttribute("role", "status");
          line.hidden = true;
          line.style.cssText = "max-width:32em;padding:4px 8px;color:#1a1a1a;background:#fff4ce;" +
            "border:1px solid #b58900;border-radius:4px;font:13px/1.4 sans-serif";
          note.onAdd = () => line;
          note.addTo({{ this.map_name }});
          const say = (text) => {
            line.textContent = text;
            line.hidden = !text;
          };
          for (const layer of [{{ this.layer_names }}]) {
            layer.on("tileload", () => say(""));
            layer.on("tileerror", async ({ tile }) => {
              try {
                const answer = await fetch(tile.src);
                say(answer.ok ? "" : (await answer.text()).split("\\n")[0].slice(0, 300));
              } catch {
                say({{ this.unreachable }});
              }
            });
          }
        })();
        {% endmacro %}
        """
    )

    def __init__(self, drawn: Any, tiles: Sequence[Any], base: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = "TileserverNote"
        self.map_name = drawn.get_name()
        self.layer_names = ", ".join(each.get_name() for each in tiles)
        self.unreachable = (
            f'"The server of the kernel does not answer at {base}: it has ended, or this front end '
            "cannot reach it. connection='proxy' uses jupyter-server-proxy; with ipyleaflet, "
            "connection='comm' uses the kernel.\""
        )
