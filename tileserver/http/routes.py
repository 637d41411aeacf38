"""The server's own routes, one row each: path, handler, access rules, deadline, form of errors.

A path that no row has is treated as that of an asset, which pages of other origins cannot read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto

from starlette.requests import Request
from starlette.responses import Response

from tileserver.http import (
    browsing,
    endpoints,
    exports,
    legends,
    matrix_tiles,
    ogc_api,
    openapi,
    point,
    probes,
    profile_endpoints,
    qgis,
    wmts,
)
from tileserver.http.parameters import parse_legend, parse_table_format


class Resource(Enum):
    """The kind of resource at a path, as the access rules distinguish them."""

    LAYER = auto()
    """A configured layer, or the list of them."""
    ASSET = auto()
    """An asset by its name, and every path that no row has."""
    PICTURE = auto()
    """A map tile or thumbnail of the API, which notebooks embed by its URL."""
    API = auto()
    FIGURES = auto()
    PROBE = auto()
    """Health checks, colour maps, and the page's files, which are the same on every server."""
    PAGE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A route."""

    path: str
    """The pattern, as Starlette writes it."""
    endpoint: Callable[[Request], Awaitable[Response]]
    resource: Resource | None = None
    """None if the path has the name of a layer or asset, which decides."""
    layer_of: Callable[[str], str] | None = None
    """Takes that name out of the path without its `start`."""
    form: str | None = None
    """The form of the path in error messages, if it has more parts than the name."""
    has_text_errors: bool = False
    """True if errors are a line of text, as QGIS displays it for images; else they are JSON."""
    has_xml_errors: bool = False
    """True if errors are exception reports of OGC's web services."""
    is_timed: bool = True
    """True if it answers within the deadline."""
    methods: tuple[str, ...] = ("GET",)

    def __post_init__(self) -> None:
        """Check that access to the path can be decided."""
        has_name = "{" in self.path
        if self.resource is Resource.PROBE and self.layer_of is None:
            return
        if (self.layer_of is not None, self.resource is None) != (has_name, has_name):
            raise ValueError(f"{self.path}: expected layer_of for a pattern, resource without one")

    @property
    def start(self) -> str:
        """The path before its first pattern, as "/tiles/"; all of it without one."""
        return self.path.partition("{")[0]


async def api_description(request: Request) -> Response:
    """Answer GET /openapi.json: these routes in OpenAPI 3.1, with parameters and their bounds."""
    return await openapi.response(request, ROWS)


ROWS = (
    Row(
        path="/tiles/{layer:path}/{z}/{x}/{name}",
        endpoint=matrix_tiles.tile,
        layer_of=lambda rest: rest.rsplit("/", 3)[0],
        form="/tiles/{layer}/{z}/{x}/{y}.png",
        has_text_errors=True,
    ),
    Row(path="/layers", endpoint=endpoints.layer_list, resource=Resource.LAYER),
    Row(path="/assets", endpoint=browsing.assets, resource=Resource.API),
    Row(
        path="/tilejson/{layer:path}.json",
        endpoint=endpoints.tilejson,
        layer_of=lambda rest: rest.removesuffix(".json"),
        form="/tilejson/{layer}.json",
    ),
    Row(path="/info/{layer:path}", endpoint=endpoints.info, layer_of=str),
    Row(path="/point/{layer:path}", endpoint=point.point, layer_of=str),
    Row(
        path="/timeseries/{layer:path}",
        endpoint=endpoints.timeseries,
        layer_of=lambda rest: parse_table_format(rest, {})[0],
    ),
    Row(path="/times/{layer:path}", endpoint=profile_endpoints.times, layer_of=str),
    Row(path="/profile/{layer:path}", endpoint=profile_endpoints.profile, layer_of=str),
    Row(
        path="/statistics/{layer:path}",
        endpoint=endpoints.statistics,
        layer_of=str,
        methods=("GET", "POST"),
    ),
    Row(
        path="/crop/{layer:path}.tif",
        endpoint=endpoints.crop,
        layer_of=lambda rest: rest.removesuffix(".tif"),
        form="/crop/{layer}.tif",
        methods=("GET", "POST"),
    ),
    Row(
        path="/preview/{name:path}",
        endpoint=endpoints.preview,
        layer_of=lambda rest: rest.rpartition(".")[0] or rest,
        has_text_errors=True,
        methods=("GET", "POST"),
    ),
    Row(
        path="/legend/{name:path}",
        endpoint=legends.legend,
        layer_of=lambda rest: parse_legend(rest)[0],
        form="/legend/{layer}.svg",
        has_text_errors=True,
    ),
    Row(path="/qgis.xml", endpoint=qgis.connections_file, resource=Resource.LAYER),
    Row(
        path="/qgis/{layer:path}.qlr",
        endpoint=qgis.layer_definition_file,
        layer_of=lambda rest: rest.removesuffix(".qlr"),
        form="/qgis/{layer}.qlr",
    ),
    Row(
        path="/wmts",
        endpoint=wmts.service,
        resource=Resource.LAYER,
        has_xml_errors=True,
    ),
    Row(
        path="/wmts/1.0.0/WMTSCapabilities.xml",
        endpoint=wmts.service_document,
        resource=Resource.LAYER,
        has_xml_errors=True,
    ),
    Row(
        path="/wmts/{layer:path}",
        endpoint=wmts.layer_service,
        layer_of=wmts.layer_in,
        has_xml_errors=True,
    ),
    Row(path="/ogc", endpoint=ogc_api.landing, resource=Resource.LAYER),
    Row(path="/ogc/conformance", endpoint=ogc_api.conformance, resource=Resource.PROBE),
    Row(path="/ogc/tileMatrixSets", endpoint=ogc_api.matrix_sets, resource=Resource.PROBE),
    Row(path="/ogc/tileMatrixSets/{tms}", endpoint=ogc_api.matrix_set, resource=Resource.PROBE),
    Row(path="/ogc/collections", endpoint=ogc_api.collections, resource=Resource.LAYER),
    Row(
        path="/ogc/collections/{layer:path}",
        endpoint=ogc_api.collection,
        layer_of=lambda rest: ogc_api.in_collections(rest).layer,
        form="/ogc/collections/{layer}/map/tiles/{tms}/{z}/{row}/{column}",
    ),
    Row(
        path="/export/{name:path}",
        endpoint=exports.export,
        layer_of=lambda rest: rest.rpartition(".")[0] or rest,
        form="/export/{layer}.pmtiles",
        # Of many tiles, of which each has a deadline of its own.
        is_timed=False,
    ),
    Row(path="/openapi.json", endpoint=api_description, resource=Resource.PROBE),
    Row(path="/colormaps", endpoint=endpoints.colormaps, resource=Resource.PROBE),
    Row(path="/page.json", endpoint=probes.page_settings, resource=Resource.PAGE),
    Row(path="/healthz", endpoint=probes.healthz, resource=Resource.PROBE, is_timed=False),
    Row(path="/readyz", endpoint=probes.readyz, resource=Resource.PROBE, is_timed=False),
    Row(path="/metrics", endpoint=probes.figures, resource=Resource.FIGURES, is_timed=False),
)
"""In the order in which they are tried; no two start the same."""
_BY_START = {row.start: row for row in ROWS}


def row_of(path: str) -> Row | None:
    """Return the row of a path by its start, whether or not the rest fits; None if none.

    >>> row_of("/layers/more"), row_of("/nowhere/scene/0/0/0.png")
    (None, None)
    """
    if row := _BY_START.get(path):
        return row
    _, first, *rest = f"{path}/".split("/", 3)
    second = f"/{first}/{rest[0]}/" if rest else ""
    return _BY_START.get(f"/{first}/") or _BY_START.get(second)


def named_layer(path: str) -> str | None:
    """Return the name of the layer or asset in a path, or None if it has none.

    >>> named_layer("/tiles/USGS/SRTMGL1_003/0/0/0.png")
    'USGS/SRTMGL1_003'
    """
    row = row_of(path)
    return row.layer_of(path[len(row.start) :]) if row and row.layer_of else None


def no_such_page(path: str) -> str:
    """Return the message for a path without a resource."""
    row = row_of(path)
    expected = f"expected {row.form}" if row and row.form else "/ is the map"
    return f"no such page; {expected}, /layers lists the layers"
