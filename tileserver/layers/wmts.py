"""The capabilities of the Web Map Tile Service, WMTS 1.0.0 (OGC 07-057r7)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from urllib.parse import quote, urlencode
from xml.etree.ElementTree import Element

from tileserver.contract.formats import TILE_FORMATS, ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.matrix_sets import TileMatrix, TileMatrixSet
from tileserver.layers.documents import tile_url
from tileserver.layers.layers import Layer
from tileserver.layers.listed import ListedLayer
from tileserver.layers.matrix_layers import AnyLayer, all_limits, is_shown_in, zooms
from tileserver.layers.xml_elements import WMTS, XSI, add, href, ows, wmts, written

VERSION = "1.0.0"
STYLE = "default"
"""The one style of a layer: its own, or that of the query."""
PICTURES = {each.media_type: each for each in TILE_FORMATS.values() if each.is_picture}
"""Formats of tiles by their media types."""
INFO_FORMATS = ("application/json", "application/geo+json", "text/plain")
_SCHEMA = "http://schemas.opengis.net/wmts/1.0/wmtsGetCapabilities_response.xsd"
_PLACEHOLDERS = "/{TileMatrix}/{TileCol}/{TileRow}"
_MAX_TIMES = 366
"""Values of a dimension: days, else months, else years."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the capabilities say of the service itself."""

    base_url: str
    """Of the server, without a final slash."""
    path: str
    """Of this document's service: /wmts or /wmts/{layer}."""
    title: str = "tileserver"
    abstract: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the query, which all addresses keep: the style, and the key."""

    @property
    def url(self) -> str:
        """The address to which clients append parameters."""
        query = urlencode(self.parameters, safe=",")
        return f"{self.base_url}{quote(self.path)}?" + (f"{query}&" if query else "")

    @property
    def document_url(self) -> str:
        """The address of the document itself, in the form without parameters."""
        query = urlencode(self.parameters, safe=",")
        url = f"{self.base_url}{quote(self.path)}/{VERSION}/WMTSCapabilities.xml"
        return f"{url}?{query}" if query else url


def capabilities(
    service: Service, layers: Iterable[AnyLayer], matrix_sets: Sequence[TileMatrixSet]
) -> bytes:
    """Return the capabilities as XML; may block for as long as PROJ takes.

    A layer is linked to each of the sets in which it lies, with the tiles that it may show in. A
    set has no deeper zooms than its layers: GDAL takes the deepest for the resolution of them all.
    """
    where = f"{WMTS} {_SCHEMA}"
    attributes = {"version": VERSION, f"{{{XSI}}}schemaLocation": where}
    layers = tuple(layers)
    root = Element(wmts("Capabilities"), attributes)
    _identification(root, service)
    _operations(root, service, _version(layers))
    contents = add(root, wmts("Contents"))
    depths: dict[str, int] = {}
    for layer in layers:
        its_own = [each for each in matrix_sets if is_shown_in(layer, each)]
        for each in its_own:
            depths[each.id] = max(depths.get(each.id, 0), zooms(layer, each)[1])
        _layer(contents, service, layer, its_own)
    for each in matrix_sets:
        if each.id in depths:
            _matrix_set(contents, each, depths[each.id])
    add(root, wmts("ServiceMetadataURL"), attributes=href(service.document_url))
    return written(root)


def _identification(root: Element, service: Service) -> None:
    part = add(root, ows("ServiceIdentification"))
    add(part, ows("Title"), service.title)
    if service.abstract:
        add(part, ows("Abstract"), service.abstract)
    add(part, ows("ServiceType"), "OGC WMTS")
    add(part, ows("ServiceTypeVersion"), VERSION)
    add(part, ows("Fees"), "none")
    add(part, ows("AccessConstraints"), "none")


def _version(layers: Sequence[AnyLayer]) -> str:
    """Return a token that changes with any of the layers."""
    if len(layers) == 1:
        return layers[0].version
    text = " ".join(each.version for each in layers)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _operations(root: Element, service: Service, version: str) -> None:
    part = add(root, ows("OperationsMetadata"))
    for name in ("GetCapabilities", "GetTile", "GetFeatureInfo"):
        operation = add(part, ows("Operation"), attributes={"name": name})
        http = add(add(operation, ows("DCP")), ows("HTTP"))
        # QGIS keeps tiles for ever, and takes them from here rather than from the templates.
        has_version = name == "GetTile" and version
        _get(http, f"{service.url}v={version}&" if has_version else service.url, "KVP")
        if name == "GetCapabilities":
            _get(http, service.document_url, "RESTful")


def _get(http: Element, url: str, encoding: str) -> None:
    get = add(http, ows("Get"), attributes=href(url))
    constraint = add(get, ows("Constraint"), attributes={"name": "GetEncoding"})
    add(add(constraint, ows("AllowedValues")), ows("Value"), encoding)


def _layer(
    contents: Element, service: Service, layer: AnyLayer, matrix_sets: Sequence[TileMatrixSet]
) -> None:
    part = add(contents, wmts("Layer"))
    add(part, ows("Title"), layer.title)
    description = layer.definition.description or layer.definition.attribution
    if description:
        add(part, ows("Abstract"), description)
    _bounding_box(part, layer.bounds)
    add(part, ows("Identifier"), layer.name)
    _style(part, service, layer)
    for media_type in PICTURES:
        add(part, wmts("Format"), media_type)
    for media_type in INFO_FORMATS:
        add(part, wmts("InfoFormat"), media_type)
    times = times_of(layer)
    if times:
        _time_dimension(part, times)
    is_known = isinstance(layer, Layer) or layer.entry is not None
    for each in matrix_sets:
        _link(part, layer, each, is_known)
    for media_type, file_format in PICTURES.items():
        url = tile_template(service, layer, file_format, bool(times))
        told = {"format": media_type, "resourceType": "tile", "template": url}
        add(part, wmts("ResourceURL"), attributes=told)


def tile_template(
    service: Service, layer: AnyLayer, file_format: ImageFileFormat, has_times: bool
) -> str:
    """Return the address of a layer's tiles with the placeholders of WMTS."""
    suffix = f".{file_format.row.suffixes[0]}"
    url = tile_url(service.base_url, layer, service.parameters, suffix)
    url = url.replace("/{z}/{x}/{y}", _PLACEHOLDERS, 1)
    more = "tms={TileMatrixSet}" + ("&time={time}" if has_times else "")
    return f"{url}{'&' if '?' in url else '?'}{more}"


def _bounding_box(part: Element, bounds: Box) -> None:
    west, south, east, north = bounds
    if west > east:
        # Clients take no box across the antimeridian.
        west, east = -180.0, 180.0
    box = add(part, ows("WGS84BoundingBox"))
    add(box, ows("LowerCorner"), f"{west!r} {south!r}")
    add(box, ows("UpperCorner"), f"{east!r} {north!r}")


def _style(part: Element, service: Service, layer: AnyLayer) -> None:
    style = add(part, wmts("Style"), attributes={"isDefault": "true"})
    add(style, ows("Title"), layer.title)
    add(style, ows("Identifier"), STYLE)
    version = {"v": layer.version} if layer.version else {}
    query = urlencode({**service.parameters, **version}, safe=",")
    url = f"{service.base_url}/legend/{quote(layer.name)}.svg"
    legend = {"format": "image/svg+xml", **href(f"{url}?{query}" if query else url)}
    add(style, wmts("LegendURL"), attributes=legend)


@dataclass(frozen=True, slots=True)
class Times:
    """The times of a layer of many files, as values of the parameter `time`."""

    default: str
    """From the first day to the day after the last."""
    values: tuple[str, ...]
    """Days, months or years, the first of them."""


def times_of(layer: AnyLayer) -> Times | None:
    """Return the times that a layer may be asked for; None if it is of one time."""
    if isinstance(layer, ListedLayer) or layer.asset.mosaic is None:
        return None
    start, end = layer.asset.start_time, layer.asset.end_time or layer.asset.start_time
    if start is None or end is None:
        return None
    first, last = (datetime.fromisoformat(each).date() for each in (start, end))
    after = last + timedelta(days=1) if last < date.max else last
    whole = f"{first}/{after}"
    count = (last - first).days + 1
    if count <= _MAX_TIMES:
        return Times(whole, tuple(str(first + timedelta(days=n)) for n in range(count)))
    months = range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    if len(months) <= _MAX_TIMES:
        return Times(whole, tuple(f"{each // 12:04}-{each % 12 + 1:02}" for each in months))
    years = range(first.year, last.year + 1)
    return Times(whole, tuple(f"{each:04}" for each in years[-_MAX_TIMES:]))


def _time_dimension(part: Element, times: Times) -> None:
    dimension = add(part, wmts("Dimension"))
    add(dimension, ows("Identifier"), "time")
    add(dimension, ows("UOM"), "ISO8601")
    add(dimension, wmts("Default"), times.default)
    for value in times.values:
        add(dimension, wmts("Value"), value)


def _link(part: Element, layer: AnyLayer, matrix_set: TileMatrixSet, is_known: bool) -> None:
    found = all_limits(layer, matrix_set) if is_known else []
    if is_known and not found:
        return
    link = add(part, wmts("TileMatrixSetLink"))
    add(link, wmts("TileMatrixSet"), matrix_set.id)
    if not found:
        return
    limits = add(link, wmts("TileMatrixSetLimits"))
    for each in found:
        own = add(limits, wmts("TileMatrixLimits"))
        add(own, wmts("TileMatrix"), each.matrix.id)
        add(own, wmts("MinTileRow"), each.limits.min_row)
        add(own, wmts("MaxTileRow"), each.limits.max_row)
        add(own, wmts("MinTileCol"), each.limits.min_column)
        add(own, wmts("MaxTileCol"), each.limits.max_column)


def _matrix_set(contents: Element, matrix_set: TileMatrixSet, last: int) -> None:
    part = add(contents, wmts("TileMatrixSet"))
    add(part, ows("Title"), matrix_set.title)
    add(part, ows("Identifier"), matrix_set.id)
    add(part, ows("SupportedCRS"), matrix_set.crs_urn)
    if matrix_set.scale_set:
        name = matrix_set.scale_set.rpartition("/")[2]
        add(part, wmts("WellKnownScaleSet"), f"urn:ogc:def:wkss:OGC:1.0:{name}")
    for each in matrix_set.matrices[: last + 1]:
        _matrix(part, matrix_set, each)


def _matrix(part: Element, matrix_set: TileMatrixSet, each: TileMatrix) -> None:
    first, second = (each.top, each.left) if matrix_set.is_yx else (each.left, each.top)
    matrix = add(part, wmts("TileMatrix"))
    add(matrix, ows("Identifier"), each.id)
    add(matrix, wmts("ScaleDenominator"), repr(each.scale_denominator))
    add(matrix, wmts("TopLeftCorner"), f"{first!r} {second!r}")
    add(matrix, wmts("TileWidth"), each.tile_width)
    add(matrix, wmts("TileHeight"), each.tile_height)
    add(matrix, wmts("MatrixWidth"), each.width)
    add(matrix, wmts("MatrixHeight"), each.height)
