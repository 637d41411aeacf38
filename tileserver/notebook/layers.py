"""The layers of a map in a notebook: what each source has to draw, with its place and tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from tileserver.contract.grids import Box
from tileserver.errors import InvalidRequest
from tileserver.notebook import styles
from tileserver.notebook.background import Background
from tileserver.notebook.sources import Source

_MOST = 50
"""Layers of one folder."""
_WORLD_DEG = 350
"""Degrees of longitude, from which a layer says nothing about where to look."""


@dataclass(frozen=True)
class MapLayer:
    """A layer as a map draws it."""

    title: str
    tiles: str
    """The URL of its tiles below the server's, with {z}, {x}, {y} and {r}, and the key."""
    point: str
    """The URL of values below the server's, to which lon and lat are added."""
    probe: str
    """A URL below the server's that answers with the list of layers, and only with the key."""
    bounds: Box
    """Degrees; east is above 180 if it crosses the antimeridian."""
    minzoom: int
    maxzoom: int
    attribution: str
    opacity: float
    is_visible: bool = True


def layers_of(
    server: Background, source: Source, style: Mapping[str, Any], title: str | None = None
) -> list[MapLayer]:
    """Return the layers of a source, of a folder several; blocks until they are read.

    Args:
        server: of the notebook.
        source: the source.
        style: keywords.
        title: of the layer; else the source's own. Several layers have it before theirs.

    Raises:
        TileserverError: it cannot be drawn, or not in this style; with the server's words.
    """
    given = styles.parameters(style)
    opacity = _opacity(given.pop(styles.OPACITY, "1"))
    number = server.number_of(source.key, source.make)
    listed = server.document(f"{number}/layers?limit={_MOST}")
    if not listed["layers"]:
        raise InvalidRequest(_why_none(source, listed.get("errors", [])))
    several = len(listed["layers"]) > 1
    layers = []
    for each in listed["layers"]:
        own = source.title or each["title"]
        called = f"{title}: {own}" if title and several else title or own
        layers.append(_layer(server, number, called, each, given, opacity))
    return layers


def _layer(
    server: Background,
    number: int,
    title: str,
    listed: Mapping[str, Any],
    style: Mapping[str, str],
    opacity: float,
) -> MapLayer:
    name = quote(listed["name"])
    query = urlencode(style, safe=",")
    document = server.document(f"{number}/tilejson/{name}.json" + (f"?{query}" if query else ""))
    path = document["tiles"][0].partition("/tiles/")[2]
    box = Box(*listed["bounds"])
    values = urlencode(styles.of_values(style), safe=",")
    return MapLayer(
        title=title,
        tiles=f"{number}/tiles/{path.replace('{y}.png', '{y}{r}.png')}",
        point=f"{number}/point/{name}?{values}",
        probe=server.keyed(f"{number}/layers?limit=1"),
        bounds=box if box.west <= box.east else Box(box.west, box.south, box.east + 360, box.north),
        minzoom=document["minzoom"],
        maxzoom=document["maxzoom"],
        attribution=document.get("attribution") or "",
        opacity=opacity,
    )


def _opacity(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidRequest(f"opacity: expected a number from 0 to 1, got {text!r}")
    return value


def _why_none(source: Source, errors: Sequence[Mapping[str, str]]) -> str:
    if not errors:
        return f"{source.told}: there is nothing to draw"
    # The server names a layer in place of its asset, which not every client may know.
    if any(each["reason"] == f"Asset {each['name']!r} not found." for each in errors):
        return f"{source.told}: there is no such asset, or none that the account may read"
    reasons = (f"{each['title']}: {each['reason']}" for each in errors[:3])
    return f"{source.told}: {errors[0]['reason']}" if len(errors) == 1 else "; ".join(reasons)


def around(layers: Sequence[MapLayer]) -> Box:
    """Return the box around layers, but for those of the whole Earth if others are there."""
    boxes = [each.bounds for each in layers]
    local = [box for box in boxes if box.east - box.west < _WORLD_DEG] or boxes
    return Box(
        min(box.west for box in local),
        min(box.south for box in local),
        max(box.east for box in local),
        max(box.north for box in local),
    )
