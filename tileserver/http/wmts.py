"""Request handlers of the Web Map Tile Service: parameters in the query, or documents by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.contract.drawn_tables import MAX_RADIUS_M
from tileserver.contract.matrix_sets import NAMES, WEB_MERCATOR_QUAD, WORLD_CRS84_QUAD
from tileserver.errors import TileOutOfRange
from tileserver.geo.crs import WGS84, nominal_scale_m, transform_point
from tileserver.http.addresses import document_cache_control
from tileserver.http.endpoints import (
    base_url,
    key_parameter,
    services_of,
)
from tileserver.http.matrix_tiles import TMS_PARAMETER, Place, answer, refuse_outside, set_named
from tileserver.http.ows_errors import MEDIA_TYPE, OperationNotSupported, OwsError, missing
from tileserver.http.parameters import (
    TIME_PARAMETER,
    VERSION_PARAMETER,
    parse_bbox,
    parse_integer,
    parse_kvp,
    parse_side,
)
from tileserver.http.point import features_there, values_there
from tileserver.http.responses import bytes_response
from tileserver.layers import feature_info, wmts
from tileserver.layers.layers import Layer
from tileserver.layers.listed import Search
from tileserver.layers.matrix_layers import AnyLayer
from tileserver.layers.steps import STEP_PARAMETERS, parse_steps
from tileserver.layers.styles import STYLE_PARAMETERS, parse_style

DOCUMENT_SUFFIX = f"/{wmts.VERSION}/WMTSCapabilities.xml"
LIST_PARAMETERS = ("q", "bbox", "after", "limit", TMS_PARAMETER)
LAYER_PARAMETERS = (*STYLE_PARAMETERS, *STEP_PARAMETERS, TIME_PARAMETER, TMS_PARAMETER)
LAYERS_SHOWN, MOST_LAYERS = 250, 1000
"""Layers of one document: 4 kB each."""
_CLICK_PX = 4
OF_TILES = ("layer", "style", "format", "tilematrixset", "tilematrix", "tilerow", "tilecol")
OF_INFO = ("i", "j", "infoformat")
OF_SERVICE = ("service", "request", "version")
_WORDS = (
    *OF_SERVICE,
    *("acceptversions", "acceptformats", "sections", "updatesequence"),
    *OF_TILES,
    *OF_INFO,
)
_OPERATIONS = ("GetCapabilities", "GetTile", "GetFeatureInfo")


def layer_in(rest: str) -> str:
    """Return the name of the layer in a path below /wmts/."""
    return rest.removesuffix(DOCUMENT_SUFFIX)


@asked_again
async def service(request: Request) -> Response:
    """Answer GET /wmts?service=WMTS&request=: WMTS 1.0.0 of all layers, or those of q= or bbox=."""
    own = (*LIST_PARAMETERS, TIME_PARAMETER)
    parameters = parse_kvp(request.scope["query_string"], _WORDS, own)
    operation = _operation(parameters)
    if operation == "GetCapabilities":
        return await _list_document(request, parameters)
    name = _required(parameters, "layer", "the Identifier of a layer")
    layers = services_of(request).layers
    # Assets by their names have capabilities of their own, to which access is decided by the path.
    if name not in layers:
        expected = "one of those in the capabilities"
        raise OwsError(f"layer: there is no layer {name[:80]!r}; expected {expected}", "layer")
    return await _tile_or_info(request, await layers.find(name), parameters, operation)


async def service_document(request: Request) -> Response:
    """Answer GET /wmts/1.0.0/WMTSCapabilities.xml: the capabilities of WMTS, by their path."""
    parameters = parse_kvp(request.scope["query_string"], (), LIST_PARAMETERS)
    return await _list_document(request, parameters)


@asked_again
async def layer_service(request: Request) -> Response:
    """Answer GET /wmts/{layer}?service=WMTS&request=: WMTS of a layer or asset, in any style."""
    name = layer_in(request.path_params["layer"])
    words = _WORDS if name == request.path_params["layer"] else ()
    parameters = parse_kvp(request.scope["query_string"], words, LAYER_PARAMETERS)
    operation = _operation(parameters)
    style, steps = parse_style(parameters), parse_steps(parameters)
    layer = await services_of(request).layers.find(name, style, steps)
    if operation != "GetCapabilities":
        if parameters.get("layer", layer.name) != layer.name:
            raise OwsError(f"layer: expected {layer.name}", "layer")
        return await _tile_or_info(request, layer, parameters, operation)
    look = {key: text for key, text in parameters.items() if key in LAYER_PARAMETERS}
    names = look.pop(TMS_PARAMETER, ",".join(NAMES))
    described = wmts.Service(
        base_url(request),
        f"/wmts/{layer.name}",
        layer.title,
        layer.definition.description or "",
        look | key_parameter(request),
    )
    return await _document(request, described, [layer], names)


async def _list_document(request: Request, parameters: Mapping[str, str]) -> Response:
    """Return the capabilities of the layers of a search, or of the first of all."""
    limit = parse_side("limit", parameters, MOST_LAYERS) or LAYERS_SHOWN
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    search = Search(parameters.get("q", ""), bbox)
    listed = services_of(request).layer_list
    page = await listed.page(parameters.get("after"), limit, search)
    abstract = ""
    if page.after is not None:
        abstract = (
            f"{len(page.layers)} of {len(listed.layers.definitions)} layers. "
            f"after={page.after} shows those that follow, limit= up to {MOST_LAYERS}, q= those "
            "with a text in their name, and /wmts/NAME is the service of one layer."
        )
    described = wmts.Service(
        base_url(request), "/wmts", abstract=abstract, parameters=key_parameter(request)
    )
    names = parameters.get(TMS_PARAMETER, f"{WEB_MERCATOR_QUAD},{WORLD_CRS84_QUAD}")
    return await _document(request, described, page.layers, names)


async def _document(
    request: Request, described: wmts.Service, layers: Sequence[AnyLayer], names: str
) -> Response:
    sets = [await set_named(name) for name in dict.fromkeys(names.split(","))]
    services = services_of(request)
    cache_control = document_cache_control(services.public_url)

    def document() -> Response:
        body = wmts.capabilities(described, layers, sets)
        return bytes_response(request, body, MEDIA_TYPE, cache_control)

    async with services.documents.held():
        return await anyio.to_thread.run_sync(document)


def _operation(parameters: Mapping[str, str]) -> str:
    """Return the name of the operation; an address without parameters has the capabilities.

    Raises:
        OwsError: it is not supported, or a parameter of the service is missing or wrong.
    """
    if not any(name in parameters for name in OF_SERVICE):
        return "GetCapabilities"
    service = _required(parameters, "service", "WMTS").upper()
    wanted = _required(parameters, "request", " or ".join(_OPERATIONS))
    # QGIS asks so for the capabilities at any address without WMTS in its query.
    is_of_qgis = (service, wanted) == ("WMS", "GetCapabilities")
    if service != "WMTS" and not is_of_qgis:
        raise OwsError(f"service: expected WMTS, got {service[:40]!r}", "service")
    found = next((each for each in _OPERATIONS if each.lower() == wanted.lower()), None)
    if found is None:
        expected = " or ".join(_OPERATIONS)
        raise OperationNotSupported(f"request: expected {expected}, got {wanted[:40]!r}", "request")
    if not is_of_qgis:
        _check_version(parameters, found)
    return found


def _check_version(parameters: Mapping[str, str], operation: str) -> None:
    if operation == "GetCapabilities":
        accepted = parameters.get("acceptversions", parameters.get("version", wmts.VERSION))
        if wmts.VERSION not in accepted.split(","):
            message = f"acceptversions: expected {wmts.VERSION}, got {accepted[:40]!r}"
            raise OwsError(message, "acceptversions", "VersionNegotiationFailed")
    elif _required(parameters, "version", wmts.VERSION) != wmts.VERSION:
        got = parameters["version"][:40]
        raise OwsError(f"version: expected {wmts.VERSION}, got {got!r}", "version")


def _required(parameters: Mapping[str, str], name: str, expected: str) -> str:
    if name not in parameters:
        raise missing(name, expected)
    return parameters[name]


async def _tile_or_info(
    request: Request, layer: Layer, parameters: dict[str, str], operation: str
) -> Response:
    """Return a tile, or the values at one of its pixels.

    Raises:
        OwsError: a parameter is missing or wrong, or the tile is not one of the layer's.
    """
    style_name = parameters.get("style", wmts.STYLE)
    if style_name != wmts.STYLE:
        raise OwsError(f"style: expected {wmts.STYLE}, got {style_name[:40]!r}", "style")
    file_format = wmts.PICTURES.get(_required(parameters, "format", "the format of a picture"))
    if file_format is None:
        expected = ", ".join(wmts.PICTURES)
        raise OwsError(f"format: expected one of {expected}", "format")
    try:
        place = await _place(parameters)
        await refuse_outside(request, layer, place)
    except TileOutOfRange as exc:
        raise OwsError(str(exc), "tilerow", "TileOutOfRange") from exc
    if operation == "GetFeatureInfo":
        return await _info(request, layer, parameters, place)
    known = {key: text for key, text in parameters.items() if key in _OF_PIXELS}
    return await answer(request, layer, parse_style({}), known, place, file_format)


_OF_PIXELS = (TIME_PARAMETER, VERSION_PARAMETER)


async def _place(parameters: Mapping[str, str]) -> Place:
    """Return the tile of the query; raises TileOutOfRange, or OwsError."""
    name = _required(parameters, "tilematrixset", "the Identifier of a TileMatrixSet")
    if name not in NAMES:
        raise OwsError(f"tilematrixset: expected one of {', '.join(NAMES)}", "tilematrixset")
    found = await set_named(name)
    matrix = found.matrix(_required(parameters, "tilematrix", "the Identifier of a TileMatrix"))
    column, row = (
        parse_integer(each, _required(parameters, each, "a whole number"))
        for each in ("tilecol", "tilerow")
    )
    return Place(found, matrix, column, row)


async def _info(
    request: Request, layer: Layer, parameters: Mapping[str, str], place: Place
) -> Response:
    """Return the values of a layer's bands at a pixel of a tile."""
    services, grid = services_of(request), place.grid
    media_type = _required(parameters, "infoformat", " or ".join(wmts.INFO_FORMATS))
    if media_type not in wmts.INFO_FORMATS:
        expected = " or ".join(wmts.INFO_FORMATS)
        raise OwsError(f"infoformat: expected {expected}", "infoformat")
    column, row = (
        parse_integer(each, _required(parameters, each, "a pixel of the tile")) for each in "ij"
    )
    if not (0 <= column < grid.width and 0 <= row < grid.height):
        wrong = "i" if not 0 <= column < grid.width else "j"
        raise OwsError(f"{wrong}: expected 0 to {grid.width - 1}", wrong, "PointIJOutOfRange")
    x, y = grid.transform.apply(column + 0.5, row + 0.5)
    lon, lat = await services.geometry.call(transform_point, grid.crs_code, WGS84, x, y)
    if layer.asset.table is not None:
        # As far as a click can be off.
        pixel_m = nominal_scale_m(grid.crs_code, grid.transform.pixel_side)
        radius_m = min(_CLICK_PX * pixel_m, MAX_RADIUS_M)
        point = await features_there(request, layer, (lon, lat), radius_m)
    else:
        point = await values_there(request, layer, (lon, lat), (), parameters)
    body = feature_info.written(point, media_type)
    return bytes_response(request, body, media_type, "no-cache")
