"""The map under the layers, which is asked of its provider only if the user chose one."""

from __future__ import annotations

import html
from typing import Any, NamedTuple

from tileserver.errors import ConfigError, shown

_DEFAULT = "OpenStreetMap.Mapnik"


class Basemap(NamedTuple):
    """Tiles of a provider."""

    url: str
    """With {z}, {x} and {y}."""
    name: str
    attribution: str
    """HTML, of xyzservices or escaped."""
    maxzoom: int


def basemap_of(given: Any) -> Basemap | None:
    """Return the base map of `show`'s argument.

    Raises:
        ConfigError: there is no such provider.
    """
    if given is None or given is False:
        return None
    if isinstance(given, str) and "{z}" in given:
        host = given.partition("://")[2].partition("/")[0]
        return Basemap(given, "Base map", html.escape(host), 19)
    provider = _named(_DEFAULT if given is True else given) if _is_name(given) else given
    if not hasattr(provider, "build_url"):
        raise ConfigError(
            "basemap: expected True, the name of a provider such as 'CartoDB.Positron', a URL with "
            f"{{z}}, {{x}} and {{y}}, or a provider of xyzservices, got {shown(given)}"
        )
    attribution = provider.get("html_attribution", provider.get("attribution", ""))
    url = provider.build_url(fill_subdomain=False)
    return Basemap(url, provider.get("name", "Base map"), attribution, provider.get("max_zoom", 19))


def _is_name(given: Any) -> bool:
    return given is True or isinstance(given, str)


def _named(name: str) -> Any:
    """Return a provider of xyzservices, which comes with ipyleaflet and with folium."""
    from xyzservices import providers

    try:
        return providers.query_name(name)
    except ValueError as exc:
        raise ConfigError(
            f"basemap: no provider is named {name!r}; names are such as 'CartoDB.Positron'"
        ) from exc
