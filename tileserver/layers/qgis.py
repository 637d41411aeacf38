"""Files that QGIS opens: connections to XYZ tiles, and the definition of a layer.

Both ask for tiles of 512 pixels and say so (`tilePixelRatio`), which QGIS draws as tiles of 256 at
twice the resolution. Neither holds a user or a password.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from urllib.parse import quote

from tileserver.contract.grids import Box
from tileserver.contract.tiles import mercator_box
from tileserver.layers.documents import bounds_without_antimeridian, tile_url
from tileserver.layers.layers import Layer
from tileserver.layers.listed import ListedLayer

AnyLayer = Layer | ListedLayer
_SUFFIX = "@2x.png"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NO_STYLE: Mapping[str, str] = MappingProxyType({})
_CRS = {
    "srsid": "3857",
    "srid": "3857",
    "authid": "EPSG:3857",
    "description": "WGS 84 / Pseudo-Mercator",
    "projectionacronym": "merc",
    "ellipsoidacronym": "EPSG:7030",
    "geographicflag": "false",
}


def connections(base_url: str, layers: Sequence[AnyLayer], style: Mapping[str, str]) -> bytes:
    """Return the XML that QGIS's browser loads below *XYZ Tiles*: a connection for each layer.

    Args:
        base_url: the URL of the server, without a final slash.
        layers: the layers.
        style: parameters for the URLs of all tiles.
    """
    root = ET.Element("qgsXYZTilesConnections", {"version": "1.0"})
    for name, layer in zip(_connection_names(layers), layers, strict=True):
        attributes = {
            "name": name,
            "url": tile_url(base_url, layer, style, _SUFFIX),
            "zmin": str(layer.minzoom),
            "zmax": str(layer.maxzoom),
            "tilePixelRatio": "2",
            "authcfg": "",
            "username": "",
            "password": "",
            "referer": "",
        }
        ET.SubElement(root, "xyztiles", attributes)
    return _document(root, "connections")


def _connection_names(layers: Sequence[AnyLayer]) -> list[str]:
    """Return a name for each layer, unlike all others; a slash would be a folder of settings."""
    titles = Counter(layer.title for layer in layers)
    names = [
        layer.title if titles[layer.title] == 1 else f"{layer.title} ({layer.name})"
        for layer in layers
    ]
    return [_xml_text(name).replace("/", "-").strip() or "layer" for name in names]


def source_uri(url: str, minzoom: int, maxzoom: int) -> str:
    """Return the source of QGIS's provider "wms" for a URL template of 512-pixel tiles."""
    return f"type=xyz&url={quote(url, safe='')}&zmin={minzoom}&zmax={maxzoom}&tilePixelRatio=2"


def layer_definition(base_url: str, layer: Layer, style: Mapping[str, str] = _NO_STYLE) -> bytes:
    """Return a layer as `.qlr`: its tiles, title, attribution, description and extent.

    Args:
        base_url: the URL of the server, without a final slash.
        layer: the layer.
        style: parameters of the URL, where they differ from the layer's own style.
    """
    source = source_uri(tile_url(base_url, layer, style, _SUFFIX), layer.minzoom, layer.maxzoom)
    title = _xml_text(layer.title)
    # QGIS gives it another one when it is loaded; within the file it joins two elements.
    layer_id = "layer_" + hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    root = ET.Element("qlr")
    group = ET.SubElement(
        root, "layer-tree-group", {"name": "", "checked": "Qt::Checked", "expanded": "1"}
    )
    node = {"id": layer_id, "name": title, "source": source, "providerKey": "wms"}
    ET.SubElement(group, "layer-tree-layer", {**node, "checked": "Qt::Checked", "expanded": "1"})
    _add_map_layer(ET.SubElement(root, "maplayers"), layer, layer_id, source)
    return _document(root, "qgis-layer-definition")


def _add_map_layer(parent: ET.Element, layer: Layer, layer_id: str, source: str) -> None:
    element = ET.SubElement(
        parent,
        "maplayer",
        {
            "type": "raster",
            "hasScaleBasedVisibilityFlag": "0",
            "styleCategories": "AllStyleCategories",
        },
    )
    bounds = bounds_without_antimeridian(layer.bounds)
    _add_box(element, "extent", mercator_box(bounds))
    _add_box(element, "wgs84extent", bounds)
    texts = {
        "id": layer_id,
        "datasource": source,
        "attribution": layer.definition.attribution or "",
        "layername": layer.title,
        "title": layer.title,
        "abstract": layer.definition.description or "",
    }
    for name, text in texts.items():
        ET.SubElement(element, name).text = _xml_text(text)
    crs = ET.SubElement(ET.SubElement(element, "srs"), "spatialrefsys")
    for name, text in _CRS.items():
        ET.SubElement(crs, name).text = text
    ET.SubElement(element, "provider").text = "wms"
    pipe = ET.SubElement(element, "pipe")
    ET.SubElement(
        pipe,
        "rasterrenderer",
        {"type": "singlebandcolordata", "band": "1", "alphaBand": "-1", "opacity": "1"},
    )
    ET.SubElement(element, "blendMode").text = "0"


def _add_box(parent: ET.Element, name: str, box: Box) -> None:
    element = ET.SubElement(parent, name)
    sides = {"xmin": box.west, "ymin": box.south, "xmax": box.east, "ymax": box.north}
    for side, value in sides.items():
        ET.SubElement(element, side).text = repr(value)


def _xml_text(text: str) -> str:
    """Return the text without the characters that no XML document may hold."""
    return _NOT_XML.sub("", text)


def _document(root: ET.Element, doctype: str) -> bytes:
    ET.indent(root)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {doctype}>\n'
    return (head + ET.tostring(root, encoding="unicode") + "\n").encode()
