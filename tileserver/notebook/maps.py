"""`show`: layers on a map in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from tileserver.errors import ConfigError, InvalidRequest, shown
from tileserver.notebook.background import Background, background
from tileserver.notebook.connection import Connection, connection_of
from tileserver.notebook.layers import MapLayer, around, layers_of
from tileserver.notebook.settings import MapSettings, settings_of
from tileserver.notebook.sources import source_of

INSTALL = "pip install 'ee-tileserver[notebook]'"
_NEEDS = {"ipyleaflet": ("ipyleaflet", "anywidget"), "folium": ("folium",)}
_MANY = 8
"""Layers, from which only the first is seen at first."""


def show(
    *sources: Any,
    name: str | Sequence[str] | None = None,
    bounds: Sequence[float] | None = None,
    crs: Any = None,
    project: str | None = None,
    library: str | None = None,
    connection: str = "auto",
    basemap: Any = None,
    height: int = 480,
    center: Sequence[float] | None = None,
    zoom: int | None = None,
    **style: Any,
) -> Any:
    """Show rasters on a map.

    As `show("scene.tif", bands=["B4", "B3", "B2"], min=0, max=3000)`.

    Args:
        sources: each the path or URL of a raster, a folder of them, the name of an Earth Engine
            asset, a NumPy array, a DataArray of xarray, an ee.Image or ee.ImageCollection; or
            (one of these, a dictionary of its own style); or {title: any of these}. Later ones
            are on top.
        name: the title of the one source, or one title for each.
        bounds: west, south, east, north of the outer edges of arrays.
        crs: that of bounds and coordinates: "EPSG:32612", 32612, an object of pyproj or rasterio.
            None is degrees, or an array's own.
        project: the Google Cloud project for Earth Engine; else that of ee.Initialize.
        library: "ipyleaflet" or "folium"; None is the first that is installed.
        connection: how the browser gets tiles: "port", "proxy" (jupyter-server-proxy), "comm"
            (messages of the kernel), or "auto", which tries them.
        basemap: None for none, True for OpenStreetMap, the name of a provider of xyzservices
            such as "CartoDB.Positron", or the URL of its tiles.
        height: of the map, in pixels.
        center: latitude and longitude; else the middle of the layers.
        zoom: else that at which they fit.
        style: bands, min, max, palette, gamma, opacity, and all others that a tile's URL takes.

    Returns:
        The map, an `ipyleaflet.Map` or a `folium.Map`, which takes more layers and controls.

    Raises:
        ConfigError: a file, a library or Earth Engine's project is missing.
        InvalidRequest: an array, its place or a style is wrong.
    """
    chosen = _library(library)
    way = connection_of(connection)
    if chosen == "folium" and way is Connection.COMM:
        raise ConfigError(
            "connection='comm' needs ipyleaflet, as maps of folium cannot talk to the kernel: "
            f"{INSTALL}"
        )
    entries = list(_entries(sources, name))
    if not entries:
        raise ConfigError("show what? Expected a path, an array or another source")
    server = background()
    layers: list[MapLayer] = []
    for title, given, own in entries:
        source = source_of(given, server, bounds, crs, project)
        layers += layers_of(server, source, {**style, **own}, title)
    settings = _settings(layers, center, zoom, height, basemap, way)
    return _drawn(chosen, server, _few_visible(layers), settings)


def _settings(
    layers: Sequence[MapLayer],
    center: Sequence[float] | None,
    zoom: int | None,
    height: int,
    basemap: Any,
    way: Connection,
) -> MapSettings:
    maxzoom = max(each.maxzoom for each in layers)
    return settings_of(around(layers), maxzoom, center, zoom, height, basemap, way)


def _library(name: str | None) -> str:
    """Return the library that draws.

    Raises:
        ConfigError: it is not installed, or there is none of that name.
    """
    if name is not None and name not in _NEEDS:
        raise ConfigError(f"library: expected 'ipyleaflet' or 'folium', got {shown(name)}")
    for each in [name] if name else _NEEDS:
        missing = [module for module in _NEEDS[each] if find_spec(module) is None]
        if not missing:
            return each
    if name == "folium":
        raise ConfigError("library='folium' needs folium: pip install folium")
    raise ConfigError(f"a map needs ipyleaflet and anywidget: {INSTALL} (or: pip install folium)")


def _entries(
    sources: Sequence[Any], name: str | Sequence[str] | None
) -> Iterator[tuple[str | None, Any, Mapping[str, Any]]]:
    """Yield title, source and own style of each source.

    Raises:
        InvalidRequest: there are not as many names as sources.
    """
    names: list[str | None] = [None] * len(sources)
    if name is not None:
        names = [name] if isinstance(name, str) else list(name)
        if len(names) != len(sources) or not all(isinstance(each, str) for each in names):
            raise InvalidRequest(
                f"name: expected a title for each of {len(sources)} sources, got {shown(name)}"
            )
    for title, given in zip(names, sources, strict=True):
        if isinstance(given, Mapping) and not hasattr(given, "dims"):
            for key, each in given.items():
                yield str(key), *_with_style(each)
        else:
            yield title, *_with_style(given)


def _with_style(given: Any) -> tuple[Any, Mapping[str, Any]]:
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping):
        return given[0], given[1]
    return given, {}


def _few_visible(layers: Sequence[MapLayer]) -> list[MapLayer]:
    if len(layers) <= _MANY:
        return list(layers)
    return [replace(each, is_visible=number == 0) for number, each in enumerate(layers)]


def _drawn(
    library: str, server: Background, layers: Sequence[MapLayer], settings: MapSettings
) -> Any:
    # Late, as each takes long to import.
    if library == "folium":
        from tileserver.notebook.folium_map import folium_map

        return folium_map(server, layers, settings)
    from tileserver.notebook.ipyleaflet_map import ipyleaflet_map

    return ipyleaflet_map(server, layers, settings)
