"""The JSON documents of OGC API - Tiles, part 1 (20-057)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from tileserver.contract.formats import TILE_FORMATS
from tileserver.contract.grids import Box
from tileserver.contract.matrix_sets import CRS84, TileMatrixSet
from tileserver.layers.layers import Layer
from tileserver.layers.listed import LayerPage
from tileserver.layers.matrix_layers import AnyLayer, all_limits, is_shown_in

ROOT = "/ogc"
PICTURES = {each.row.suffixes[0]: each for each in TILE_FORMATS.values() if each.is_picture}
"""Formats of tiles by their names in the parameter `f`."""
_SPEC = "http://www.opengis.net/spec"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"
_OPENAPI = "application/vnd.oai.openapi+json;version=3.1"
CONFORMS_TO = (
    f"{_SPEC}/ogcapi-common-1/1.0/conf/core",
    f"{_SPEC}/ogcapi-common-1/1.0/conf/landing-page",
    f"{_SPEC}/ogcapi-common-1/1.0/conf/json",
    f"{_SPEC}/ogcapi-common-2/1.0/conf/collections",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/core",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/tileset",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/tilesets-list",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/geodata-tilesets",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/png",
    f"{_SPEC}/ogcapi-tiles-1/1.0/conf/jpeg",
    f"{_SPEC}/tms/2.0/conf/json-tilematrixset",
)
"""The classes of requirements that tests hold the server to; the description of the API is OpenAPI
3.1, so `oas30` is not one of them."""


class Links:
    """The addresses of the documents."""

    def __init__(self, base_url: str, key: Mapping[str, str], look: Mapping[str, str]) -> None:
        """Make addresses.

        Args:
            base_url: of the server, without a final slash.
            key: the parameter that all addresses keep, if the query had it.
            look: the style, which those of a layer keep.
        """
        self.base_url = base_url
        self.key = key
        self.parameters = {**look, **key}

    def url(self, path: str, more: Mapping[str, str] | None = None) -> str:
        """Return the address of a path below the root, with more parameters."""
        is_of_layer = path.startswith("/collections/")
        kept = self.parameters if is_of_layer else self.key
        query = urlencode({**kept, **(more or {})}, safe=",")
        return f"{self.base_url}{ROOT}{path}" + (f"?{query}" if query else "")

    def link(self, rel: str, path: str, title: str, media_type: str = "application/json") -> Any:
        """Return a link to a path below the root."""
        return {"rel": rel, "href": self.url(path), "type": media_type, "title": title}


def landing_page(links: Links) -> dict[str, Any]:
    """Return the landing page."""
    description = f"{links.base_url}/openapi.json"
    return {
        "title": "tileserver",
        "description": "Rasters as map tiles.",
        "links": [
            links.link("self", "", "This document"),
            {"rel": "service-desc", "href": description, "type": _OPENAPI, "title": "The API"},
            links.link("conformance", "/conformance", "Classes of requirements that are met"),
            links.link("data", "/collections", "The layers"),
            links.link(f"{_REL}/tiling-schemes", "/tileMatrixSets", "Tile matrix sets"),
        ],
    }


def collections(links: Links, page: LayerPage, search: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the layers; `next` is a link, if more follow."""
    found = [links.link("self", "/collections", "This document")]
    if page.after is not None:
        url = links.url("/collections", {**search, "after": page.after})
        found.append({"rel": "next", "href": url, "type": "application/json"})
    return {"links": found, "collections": [collection(links, each) for each in page.layers]}


def collection(links: Links, layer: AnyLayer) -> dict[str, Any]:
    """Return the description of a layer."""
    path = _path(layer)
    members = {
        "id": layer.name,
        "title": layer.title,
        "description": layer.definition.description,
        "attribution": layer.definition.attribution,
        "extent": _extent(layer),
        "dataType": "map",
        "links": [
            links.link("self", path, "This document"),
            links.link(f"{_REL}/tilesets-map", f"{path}/map/tiles", "Its tiles, by their sets"),
        ],
    }
    return {name: value for name, value in members.items() if value is not None}


def _path(layer: AnyLayer) -> str:
    return f"/collections/{quote(layer.name)}"


def _extent(layer: AnyLayer) -> dict[str, Any]:
    extent: dict[str, Any] = {"spatial": {"bbox": [list(layer.bounds)], "crs": CRS84}}
    if isinstance(layer, Layer) and layer.asset.start_time:
        extent["temporal"] = {"interval": [[layer.asset.start_time, layer.asset.end_time]]}
    return extent


def tilesets(links: Links, layer: AnyLayer, matrix_sets: Iterable[TileMatrixSet]) -> dict[str, Any]:
    """Return the list of a layer's tilesets: the sets in which it lies."""
    path = f"{_path(layer)}/map/tiles"
    shown = [each for each in matrix_sets if is_shown_in(layer, each)]
    return {
        "links": [links.link("self", path, "This document")],
        "tilesets": [
            {**_described(each), "title": each.title, "links": _of_tileset(links, layer, each)}
            for each in shown
        ],
    }


def tileset(links: Links, layer: AnyLayer, matrix_set: TileMatrixSet) -> dict[str, Any]:
    """Return the metadata of a tileset; may block for as long as PROJ takes."""
    limits = [
        {
            "tileMatrix": each.matrix.id,
            "minTileRow": each.limits.min_row,
            "maxTileRow": each.limits.max_row,
            "minTileCol": each.limits.min_column,
            "maxTileCol": each.limits.max_column,
        }
        for each in all_limits(layer, matrix_set)
    ]
    return {
        "title": layer.title,
        **_described(matrix_set),
        "tileMatrixSetLimits": limits,
        "boundingBox": _box(layer.bounds),
        "links": [*_of_tileset(links, layer, matrix_set), *_items(links, layer, matrix_set)],
    }


def _described(matrix_set: TileMatrixSet) -> dict[str, Any]:
    uri = {"tileMatrixSetURI": matrix_set.uri} if matrix_set.uri else {}
    return {"dataType": "map", "crs": matrix_set.crs_uri, "tileMatrixSetId": matrix_set.id, **uri}


def _box(bounds: Box) -> dict[str, Any]:
    west, south, east, north = bounds
    if west > east:
        west, east = -180.0, 180.0
    return {"lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84}


def _of_tileset(links: Links, layer: AnyLayer, matrix_set: TileMatrixSet) -> list[Any]:
    path = f"{_path(layer)}/map/tiles/{matrix_set.id}"
    found = [
        links.link("self", path, "Metadata of the tiles"),
        links.link(f"{_REL}/tiling-scheme", f"/tileMatrixSets/{matrix_set.id}", matrix_set.title),
        links.link(f"{_REL}/geodata", _path(layer), layer.title),
    ]
    if matrix_set.is_web_mercator:
        query = urlencode(links.parameters, safe=",")
        url = f"{links.base_url}/tilejson/{quote(layer.name)}.json"
        url = f"{url}?{query}" if query else url
        found.append({"rel": "describedby", "href": url, "type": "application/json"})
    return found


def _items(links: Links, layer: AnyLayer, matrix_set: TileMatrixSet) -> list[Any]:
    """Return the links to tiles, one for each format, with the placeholders of the standard."""
    version = {"v": layer.version} if layer.version else {}
    path = f"{_path(layer)}/map/tiles/{matrix_set.id}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"
    return [
        {
            "rel": "item",
            "href": links.url(path, {"f": name, **version}),
            "type": each.media_type,
            "title": "A tile",
            "templated": True,
        }
        for name, each in PICTURES.items()
    ]


def matrix_sets_list(links: Links, found: Sequence[TileMatrixSet]) -> dict[str, Any]:
    """Return the list of tile matrix sets."""
    return {
        "tileMatrixSets": [
            {
                "id": each.id,
                "title": each.title,
                **({"uri": each.uri} if each.uri else {}),
                "crs": each.crs_uri,
                "links": [links.link("self", f"/tileMatrixSets/{each.id}", each.title)],
            }
            for each in found
        ]
    }
