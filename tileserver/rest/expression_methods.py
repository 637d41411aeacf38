"""The methods that compute: values, pixels, maps and thumbnails of expressions.

A map or thumbnail is checked when it is made, as some clients ask again and again for what its URL
refuses: of a map one pixel is drawn, of a thumbnail all of them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from starlette.responses import Response

from tileserver.contract.pixels import ImageFileFormat, PixelRequest
from tileserver.contract.tiles import Tile, tile_at, tile_grid
from tileserver.contract.wire import check_members, request_from_json
from tileserver.errors import AssetNotFound, InvalidRequest, NotFound, TileOutOfRange, shown
from tileserver.expressions.document import call as invocation
from tileserver.expressions.document import constant, extended, parse_expression, reference, to_text
from tileserver.http.clients import client_of
from tileserver.http.disconnects import while_connected
from tileserver.http.responses import bytes_response
from tileserver.rendering.encoders import media_type, named_zip
from tileserver.rest.calls import SHORT_BYTES, Call, json_answer, pixels_answer

T = TypeVar("T")

_OWN_MEMBERS = ("expression", "filenamePrefix", "name")
_FILE_NAME = re.compile(r"[^\w.-]+", re.ASCII)
_ZIPPED = {
    ImageFileFormat.ZIPPED_GEO_TIFF: False,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: True,
}
"""Whether there is a file a band."""
_VISUALIZE = "Image.visualize"
_COORDINATE = re.compile(r"-?[0-9]{1,12}", re.ASCII)


async def compute_value(call: Call) -> Response:
    """Answer POST {project}/value:compute."""
    expression = await call.json(_value_asked)
    with loading():
        value = await while_connected(call.request.receive, call.api.computer.value(expression))
    return await call.api.in_thread(lambda: json_answer({"result": finite(value)}))


def _value_asked(body: Any) -> str:
    check_members(body, "", ("expression", "workloadTag"))
    return read_expression(body)


async def compute_pixels(call: Call) -> Response:
    """Answer POST {project}/image:computePixels."""
    asked = await call.json(lambda body: _request(call.path["project"], body))
    asked = await _versioned(call, asked)
    with loading():
        return pixels_answer(asked, await call.pixels(asked))


async def list_algorithms(call: Call) -> Response:
    """Answer GET {parent}/algorithms."""
    return json_answer({"algorithms": call.api.computer.algorithms()})


async def get_config(call: Call) -> Response:
    """Answer GET projects/P/config: every project is as good as registered."""
    state = "REGISTERED_NOT_COMMERCIALLY"
    return json_answer({"name": call.path["name"], "registrationState": state})


async def create_map(call: Call) -> Response:
    """Answer POST {parent}/maps."""
    asked, body = await call.json(lambda body: (_shown(call.path["parent"], body), body))
    if not asked.file_format.is_picture:
        raise InvalidRequest(f"A map is of PNG, JPEG or AUTO_JPEG_PNG, got {asked.file_format}.")
    if asked.grid is not None or asked.region is not None:
        raise InvalidRequest("A map has tiles: it takes neither grid nor region.")
    one = tile_grid(Tile(0, 0, 0), size=1)
    with loading():
        await call.pixels(await _versioned(call, replace(asked, grid=one)))
    return await stored(call, "maps", body)


async def get_tile(call: Call) -> Response:
    """Answer GET {parent}/tiles/{zoom}/{x}/{y}; nobody need sign it."""
    project, _, map_id = call.path["parent"].partition("/maps/")
    grid = tile_grid(_tile(call.path))
    asked = await found(call, "maps", map_id, lambda body: _shown(project, body))
    asked = await _versioned(call, replace(asked, grid=grid))
    with loading():
        pixels = await call.pixels(asked)
    cache_control = f"public, max-age={call.api.services.tile_max_age_s}"
    kind = media_type(asked.file_format, pixels)
    return bytes_response(call.request, pixels, kind, cache_control)


def _tile(path: Mapping[str, str]) -> Tile:
    """Return the tile of a path; x goes around the Earth, as clients let it.

    Raises:
        TileOutOfRange: there is none.
    """
    texts = [path[name] for name in ("zoom", "x", "y")]
    if not all(map(_COORDINATE.fullmatch, texts)):
        raise TileOutOfRange(f"expected whole numbers as zoom, x and y, got {shown(texts)}")
    zoom, x, y = map(int, texts)
    if not 0 <= zoom < 64:
        raise TileOutOfRange(f"there is no zoom {zoom}")
    return tile_at(x % 2**zoom, y, zoom)


async def create_thumbnail(call: Call) -> Response:
    """Answer POST {parent}/thumbnails."""
    asked, body = await call.json(lambda body: (_shown(call.path["parent"], body), body))
    with loading():
        await call.pixels(await _versioned(call, asked))
    return await stored(call, "thumbnails", body)


async def get_thumbnail(call: Call) -> Response:
    """Answer GET {name}:getPixels; nobody need sign it."""
    project, _, thumbnail_id = call.path["name"].partition("/thumbnails/")
    asked, named = await found(
        call,
        "thumbnails",
        thumbnail_id,
        lambda body: (_shown(project, body), body.get("filenamePrefix")),
    )
    asked = await _versioned(call, asked)
    with loading():
        pixels = await call.pixels(asked)
    prefix = file_stem(named)
    if asked.file_format in _ZIPPED:
        pixels = await call.api.in_thread(named_zip, pixels, prefix, _ZIPPED[asked.file_format])
    return pixels_answer(asked, pixels, _file_name(asked, prefix))


def file_stem(named: str | None) -> str:
    """Return a name as that of a file, without a suffix."""
    return _FILE_NAME.sub("_", named or "download")[:80]


def _file_name(asked: PixelRequest, prefix: str) -> str | None:
    """Return the name under which a browser saves what it does not show; None of pictures."""
    if asked.file_format.is_picture:
        return None
    return f"{prefix}.{asked.file_format.row.suffixes[0]}"


def _shown(project: str, body: Any) -> PixelRequest:
    """Return the request in the body of a map or a thumbnail; raises as `_request`.

    A picture that says nothing of its looks is visualized as Earth Engine does by itself: the
    first three bands, or the first, over all that their types hold.
    """
    asked = _request(project, body)
    if not asked.file_format.is_picture or asked.visualization_options is not None:
        return asked
    assert asked.expression is not None
    expression = json.loads(asked.expression)
    if _is_visualized(expression) and not asked.band_ids:
        return asked
    bands = {"bands": constant(list(asked.band_ids))} if asked.band_ids else {}
    node = invocation(_VISUALIZE, image=reference("image"), **bands)
    picture = to_text(extended(expression, {"picture": node}, "picture"))
    asset_id = _asset_id(project, picture)
    return replace(asked, asset_id=asset_id, expression=picture, band_ids=())


def _is_visualized(expression: Mapping[str, Any]) -> bool:
    node = expression["values"][expression["result"]].get("functionInvocationValue", {})
    return bool(node.get("functionName") == _VISUALIZE)


def _request(project: str, body: Any) -> PixelRequest:
    """Return the request in the body of computePixels.

    Raises:
        InvalidRequest: as `wire.request_from_json`, or there is no expression.
    """
    rest = body
    if isinstance(body, dict):
        rest = {name: value for name, value in body.items() if name not in _OWN_MEMBERS}
    asked = request_from_json("", rest)
    expression = read_expression(body)
    prefix = body.get("filenamePrefix")
    if prefix is not None and not isinstance(prefix, str):
        raise InvalidRequest(
            f"Invalid value at 'filename_prefix': expected a string, got {shown(prefix)}."
        )
    return replace(asked, asset_id=_asset_id(project, expression), expression=expression)


def _asset_id(project: str, expression: str) -> str:
    name = hashlib.sha256(expression.encode()).hexdigest()[:32]
    return f"{project}/expressions/{name}"


def read_expression(body: Mapping[str, Any]) -> str:
    """Return the expression in a body as canonical text.

    Raises:
        InvalidRequest: it is malformed, or there is none.
    """
    try:
        return to_text(parse_expression(body.get("expression")))
    except InvalidRequest as exc:
        raise InvalidRequest(f"Invalid value at 'expression': {exc}.") from exc


async def _versioned(call: Call, asked: PixelRequest) -> PixelRequest:
    assert asked.expression is not None
    with loading():
        version = await call.api.computer.version(asked.expression)
    return replace(asked, asset_version=version)


async def stored(call: Call, kind: str, body: Mapping[str, Any]) -> Response:
    """Keep the body of a request that a URL is to stand for, and answer with the URL's name.

    Raises:
        StoreFull: there is no room for it.
    """
    kept = {name: value for name, value in body.items() if name not in ("name", "workloadTag")}
    client = client_of(call.request.scope)
    graph = {"kind": kind, "body": kept}
    graph_id = await call.api.in_thread(call.api.graphs.put, graph, client)
    return json_answer({"name": f"{call.path['parent']}/{kind}/{graph_id}"})


async def found(call: Call, kind: str, graph_id: str, read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what `read` makes of the body that `stored` has kept.

    Raises:
        NotFound: there is none of that id.
    """

    def read_graph(graph: Mapping[str, Any] | None) -> T:
        if graph is None or graph.get("kind") != kind:
            raise NotFound(
                f"There is no {graph_id[:64]!r} in {kind}; it may have been unused too long."
            )
        return read(graph["body"])

    graphs = call.api.graphs
    known = graphs.known(graph_id, SHORT_BYTES)
    if known is not None:
        return read_graph(known)
    return await call.api.in_thread(lambda: read_graph(graphs.find(graph_id)))


@contextmanager
def loading() -> Iterator[None]:
    """Say as Earth Engine does that an asset in an expression is missing: 400, not 404."""
    try:
        yield
    except AssetNotFound as exc:
        named = str(exc).removesuffix(" not found.")
        raise InvalidRequest(
            f"Image.load: Image {named[:1].lower()}{named[1:]} not found (does not exist or "
            "caller does not have access)."
        ) from exc


def finite(value: Any) -> Any:
    """Return a value that JSON can hold: what is no number is null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
