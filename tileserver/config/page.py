"""The settings of the map page: what it may ask of other servers, once its user chooses to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tileserver.config import kinds


@dataclass(frozen=True, slots=True)
class PageSettings:
    """[page]: the map page."""

    openstreetmap: Annotated[
        bool,
        kinds.FLAG,
        "offer OpenStreetMap as a base map; nothing is asked of it until a user chooses it",
    ] = True
    geocoder: Annotated[
        str | None,
        kinds.BASE_URL,
        "a server with Nominatim's /search, whom browsers ask for the names of places "
        "that users look for; else names of places are not looked for",
    ] = None


@dataclass(frozen=True, slots=True)
class BaseMap:
    """[base_maps.NAME]: a map of another server that the page offers to draw under the layers."""

    name: str
    """Letters, digits, ".", "_" and "-", at most 64; begins with a letter or a digit."""
    url: Annotated[str, kinds.TILES_URL, "its tiles, 256 pixels each"]
    dark_url: Annotated[
        str | None, kinds.TILES_URL, "its tiles for a dark page; else the others, inverted"
    ] = None
    title: Annotated[str | None, kinds.TEXT, "what people read; else the name"] = None
    attribution: Annotated[str | None, kinds.TEXT, "credit shown on the map"] = None
    max_zoom: Annotated[int, kinds.ZOOM, "zoom of its finest tiles"] = 19


OPENSTREETMAP = BaseMap(
    name="openstreetmap",
    url="https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    title="OpenStreetMap",
    attribution="© OpenStreetMap contributors",
)
