"""Request handlers of OGC API - Tiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.matrix_sets import NAMES, check_name
from tileserver.errors import InvalidRequest, NotFound
from tileserver.http.endpoints import (
    base_url,
    key_parameter,
    linking_json,
    services_of,
    styled_layer,
)
from tileserver.http.matrix_tiles import Place, answer, refuse_outside, set_named
from tileserver.http.parameters import (
    TIME_PARAMETER,
    VERSION_PARAMETER,
    parse_bbox,
    parse_integer,
    parse_query,
    parse_side,
)
from tileserver.layers import ogc_tiles
from tileserver.layers.listed import Search
from tileserver.layers.matrix_layers import is_shown_in

FORMAT_PARAMETER = "f"
LIST_PARAMETERS = ("q", "bbox", "limit", "after", FORMAT_PARAMETER)
LAYERS_SHOWN, MOST_LAYERS = 100, 1000
_IN_COLLECTIONS = re.compile(
    r"(?P<layer>.+?)(?P<tiles>/map/tiles"
    r"(?:/(?P<matrix_set>[^/]+)(?:/(?P<matrix>[^/]+)/(?P<row>[^/]+)/(?P<column>[^/]+))?)?)?",
    re.DOTALL,
)


class InCollections(NamedTuple):
    """What a path below /ogc/collections/ names; None is what it leaves out."""

    layer: str
    tiles: str | None = None
    matrix_set: str | None = None
    matrix: str | None = None
    row: str | None = None
    column: str | None = None


def in_collections(rest: str) -> InCollections:
    """Return the parts of a path below /ogc/collections/.

    >>> in_collections("a/b/map/tiles/WorldCRS84Quad/2/1/3")[2:]
    ('WorldCRS84Quad', '2', '1', '3')
    """
    found = _IN_COLLECTIONS.fullmatch(rest)
    return InCollections(**found.groupdict()) if found else InCollections("")


async def landing(request: Request) -> Response:
    """Answer GET /ogc: OGC API - Tiles: its landing page, with links to all else."""
    _check_json(parse_query(request.scope["query_string"], (FORMAT_PARAMETER,)))
    return linking_json(request, ogc_tiles.landing_page(_links(request)))


async def conformance(request: Request) -> Response:
    """Answer GET /ogc/conformance: the classes of requirements that are met."""
    _check_json(parse_query(request.scope["query_string"], (FORMAT_PARAMETER,)))
    return linking_json(request, {"conformsTo": list(ogc_tiles.CONFORMS_TO)})


async def matrix_sets(request: Request) -> Response:
    """Answer GET /ogc/tileMatrixSets: the tile matrix sets that `tms=` names."""
    _check_json(parse_query(request.scope["query_string"], (FORMAT_PARAMETER,)))
    found = [await set_named(name) for name in NAMES]
    return linking_json(request, ogc_tiles.matrix_sets_list(_links(request), found))


async def matrix_set(request: Request) -> Response:
    """Answer GET /ogc/tileMatrixSets/{tms}: the definition of a tile matrix set."""
    _check_json(parse_query(request.scope["query_string"], (FORMAT_PARAMETER,)))
    found = await set_named(_known(request.path_params["tms"]))
    return linking_json(request, found.document)


async def collections(request: Request) -> Response:
    """Answer GET /ogc/collections?q=&bbox=&limit=&after=: the layers as collections."""
    parameters = parse_query(request.scope["query_string"], LIST_PARAMETERS)
    _check_json(parameters)
    limit = parse_side("limit", parameters, MOST_LAYERS) or LAYERS_SHOWN
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    search = Search(parameters.get("q", ""), bbox)
    page = await services_of(request).layer_list.page(parameters.get("after"), limit, search)
    same = {name: text for name, text in parameters.items() if name in ("q", "bbox", "limit")}
    links = _links(request)
    return await _in_thread(request, lambda: ogc_tiles.collections(links, page, same))


@asked_again
async def collection(request: Request) -> Response:
    """Answer GET /ogc/collections/{layer}/map/tiles/{tms}/{z}/{row}/{column}?f=: a tile.

    Shorter paths have the metadata of the tiles in a set, the list of sets, and the layer's own.
    """
    part = in_collections(request.path_params["layer"])
    own = (TIME_PARAMETER, FORMAT_PARAMETER)
    layer, style, parameters = await styled_layer(request, part.layer, own)
    if part.matrix is not None:
        place = await _place(part)
        file_format = _picture(parameters)
        await refuse_outside(request, layer, place)
        return await answer(request, layer, style, parameters, place, file_format)
    _check_json(parameters)
    left_out = (FORMAT_PARAMETER, VERSION_PARAMETER)
    look = {name: text for name, text in parameters.items() if name not in left_out}
    links = _links(request, look)
    if part.matrix_set is not None:
        found = await set_named(_known(part.matrix_set))
        if not is_shown_in(layer, found):
            raise NotFound(f"{layer.name} does not lie in {found.id}")
        return await _in_thread(request, lambda: ogc_tiles.tileset(links, layer, found))
    if part.tiles is not None:
        all_sets = [await set_named(name) for name in NAMES]
        return linking_json(request, ogc_tiles.tilesets(links, layer, all_sets))
    return linking_json(request, ogc_tiles.collection(links, layer))


async def _place(part: InCollections) -> Place:
    """Return the tile of a path; raises NotFound or InvalidRequest."""
    found = await set_named(_known(part.matrix_set or ""))
    matrix = found.matrix(part.matrix or "")
    row = parse_integer("tileRow", part.row or "")
    column = parse_integer("tileCol", part.column or "")
    return Place(found, matrix, column, row)


def _known(name: str) -> str:
    """Return the name of a set in a path; raises NotFound if there is none."""
    try:
        return check_name(name)
    except InvalidRequest as exc:
        raise NotFound(str(exc).removeprefix("tms: ")) from exc


def _picture(parameters: dict[str, str]) -> ImageFileFormat:
    name = parameters.get(FORMAT_PARAMETER, "png")
    if name not in ogc_tiles.PICTURES:
        raise InvalidRequest(
            f"f: expected one of {', '.join(ogc_tiles.PICTURES)}, got {name[:20]!r}"
        )
    return ogc_tiles.PICTURES[name]


def _check_json(parameters: dict[str, str]) -> None:
    name = parameters.get(FORMAT_PARAMETER, "json")
    if name != "json":
        raise InvalidRequest(f"f: expected json, got {name[:20]!r}")


def _links(request: Request, look: dict[str, str] | None = None) -> ogc_tiles.Links:
    return ogc_tiles.Links(base_url(request), key_parameter(request), look or {})


async def _in_thread(request: Request, document: Callable[[], Any]) -> Response:
    return await anyio.to_thread.run_sync(lambda: linking_json(request, document()))
