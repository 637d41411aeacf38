"""The methods that compute values, pixels, maps and thumbnails of expressions.

A map or thumbnail is checked when it is created, as some clients retry a URL that fails for ever:
one pixel of a map is drawn, all pixels of a thumbnail.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from starlette.responses import Response

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import EXPRESSIONS
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_at, tile_grid
from tileserver.contract.wire import check_members, request_from_json
from tileserver.errors import AssetNotFound, InvalidRequest, NotFound, TileOutOfRange, shown
from tileserver.expressions.document import call as invocation
from tileserver.expressions.document import constant, extended, parse_expression, reference, to_text
from tileserver.http.clients import client_of
from tileserver.http.disconnects import while_connected
from tileserver.http.responses import bytes_response
from tileserver.rendering.encoders import media_type, named_zip
from tileserver.rest.call import SHORT_BYTES, Call, json_answer, json_bytes_answer, pixels_answer

T = TypeVar("T")

_OWN_MEMBERS = ("expression", "filenamePrefix", "name")
_FILE_NAME = re.compile(r"[^\w.-]+", re.ASCII)
_ZIPPED = {
    ImageFileFormat.ZIPPED_GEO_TIFF: False,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: True,
}
"""Whether the archive has one file for each band."""
_VISUALIZE = "Image.visualize"
_COORDINATE = re.compile(r"-?[0-9]{1,12}", re.ASCII)


async def compute_value(call: Call) -> Response:
    """Answer POST {project}/value:compute."""
    expression = await call.json(_value_expression)
    with loading():
        value = await while_connected(call.request.receive, call.api.computer.value(expression))
    return await call.api.in_thread(lambda: json_answer({"result": value}))


def _value_expression(body: Any) -> str:
    check_members(body, "", ("expression", "workloadTag"))
    return read_expression(body)


async def compute_pixels(call: Call) -> Response:
    """Answer POST {project}/image:computePixels."""
    request = await call.json(_request)
    request = await _versioned(call, request)
    with loading():
        return pixels_answer(request, await call.pixels(request))


async def list_algorithms(call: Call) -> Response:
    """Answer GET {parent}/algorithms."""
    return json_bytes_answer(await call.api.computer.algorithms())


async def get_config(call: Call) -> Response:
    """Answer GET projects/P/config: every project is as good as registered."""
    state = "REGISTERED_NOT_COMMERCIALLY"
    return json_answer({"name": call.path["name"], "registrationState": state})


async def create_map(call: Call) -> Response:
    """Answer POST {parent}/maps."""
    request, body = await call.json(lambda body: (_picture_request(body), body))
    if not request.file_format.is_picture:
        raise InvalidRequest(f"A map is of PNG, JPEG or AUTO_JPEG_PNG, got {request.file_format}.")
    if request.grid is not None or request.region is not None:
        raise InvalidRequest("A map has tiles: it takes neither grid nor region.")
    one = tile_grid(Tile(0, 0, 0), size=1)
    with loading():
        await call.pixels(await _versioned(call, replace(request, grid=one)))
    return await stored(call, "maps", body)


async def get_tile(call: Call) -> Response:
    """Answer GET {parent}/tiles/{zoom}/{x}/{y}; it needs no credentials."""
    _, _, map_id = call.path["parent"].partition("/maps/")
    grid = tile_grid(_tile(call.path))
    request = await found(call, "maps", map_id, _picture_request)
    request = await _versioned(call, replace(request, grid=grid))
    with loading():
        pixels = await call.pixels(request)
    cache_control = f"public, max-age={call.api.services.tile_max_age_s}"
    kind = media_type(request.file_format, pixels)
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
    request, body = await call.json(lambda body: (_picture_request(body), body))
    with loading():
        await call.pixels(await _versioned(call, request))
    return await stored(call, "thumbnails", body)


async def get_thumbnail(call: Call) -> Response:
    """Answer GET {name}:getPixels; it needs no credentials."""
    _, _, thumbnail_id = call.path["name"].partition("/thumbnails/")
    request, named = await found(
        call,
        "thumbnails",
        thumbnail_id,
        lambda body: (_picture_request(body), body.get("filenamePrefix")),
    )
    request = await _versioned(call, request)
    with loading():
        pixels = await call.pixels(request)
    prefix = file_stem(named)
    if request.file_format in _ZIPPED:
        pixels = await call.api.in_thread(named_zip, pixels, prefix, _ZIPPED[request.file_format])
    return pixels_answer(request, pixels, _file_name(request, prefix))


def file_stem(named: str | None) -> str:
    """Return a name as that of a file, without a suffix."""
    return _FILE_NAME.sub("_", named or "download")[:80]


def _file_name(request: PixelRequest, prefix: str) -> str | None:
    """Return the name of the file that a browser saves; None for pictures, which it shows."""
    if request.file_format.is_picture:
        return None
    return f"{prefix}.{request.file_format.row.suffixes[0]}"


def _picture_request(body: Any) -> PixelRequest:
    """Return the request in the body of a map or a thumbnail; raises as `_request`.

    A picture without visualization options is visualized with Earth Engine's defaults: the
    first three bands, or the first one, over the range of their types.
    """
    request = _request(body)
    if not request.file_format.is_picture or request.visualization_options is not None:
        return request
    assert request.expression is not None
    expression = json.loads(request.expression)
    if _is_visualized(expression) and not request.band_ids:
        return request
    bands = {"bands": constant(list(request.band_ids))} if request.band_ids else {}
    node = invocation(_VISUALIZE, image=reference("image"), **bands)
    picture = to_text(extended(expression, {"picture": node}, "picture"))
    asset_id = _name_of(picture)
    return replace(request, asset_id=asset_id, expression=picture, band_ids=())


def _is_visualized(expression: Mapping[str, Any]) -> bool:
    node = expression["values"][expression["result"]].get("functionInvocationValue", {})
    return bool(node.get("functionName") == _VISUALIZE)


def _request(body: Any) -> PixelRequest:
    """Return the request in the body of computePixels.

    Raises:
        InvalidRequest: as `wire.request_from_json`, or there is no expression.
    """
    rest = body
    if isinstance(body, dict):
        rest = {name: value for name, value in body.items() if name not in _OWN_MEMBERS}
    request = request_from_json("", rest)
    expression = read_expression(body)
    prefix = body.get("filenamePrefix")
    if prefix is not None and not isinstance(prefix, str):
        raise InvalidRequest(
            f"Invalid value at 'filename_prefix': expected a string, got {shown(prefix)}."
        )
    return replace(request, asset_id=_name_of(expression), expression=expression)


def _name_of(expression: str) -> str:
    name = hashlib.sha256(expression.encode()).hexdigest()[:32]
    return EXPRESSIONS + name


def read_expression(body: Mapping[str, Any]) -> str:
    """Return the expression in a body as canonical text.

    Raises:
        InvalidRequest: it is malformed, or there is none.
    """
    try:
        return to_text(parse_expression(body.get("expression")))
    except InvalidRequest as exc:
        raise InvalidRequest(f"Invalid value at 'expression': {exc}.") from exc


async def _versioned(call: Call, request: PixelRequest) -> PixelRequest:
    assert request.expression is not None
    with loading():
        version = await call.api.computer.version(request.expression)
    return replace(request, asset_version=version)


async def stored(call: Call, kind: str, body: Mapping[str, Any]) -> Response:
    """Store the body of a request, and answer with the name of its URL.

    Raises:
        StoreFull: there is no room for it.
    """
    kept = {name: value for name, value in body.items() if name not in ("name", "workloadTag")}
    client = client_of(call.request.scope)
    expression = {"kind": kind, "body": kept}
    expression_id = await call.api.in_thread(call.api.stored.put, expression, client)
    return json_answer({"name": f"{call.path['parent']}/{kind}/{expression_id}"})


async def found(
    call: Call, kind: str, expression_id: str, read: Callable[[Mapping[str, Any]], T]
) -> T:
    """Return the result of `read` on the body that `stored` has kept.

    Raises:
        NotFound: there is none of that id.
    """

    def read_expression(expression: Mapping[str, Any] | None) -> T:
        if expression is None or expression.get("kind") != kind:
            raise NotFound(
                f"There is no {expression_id[:64]!r} in {kind}; it may have been unused too long."
            )
        return read(expression["body"])

    stored = call.api.stored
    known = stored.known(expression_id, SHORT_BYTES)
    if known is not None:
        return read_expression(known)
    return await call.api.in_thread(lambda: read_expression(stored.find(expression_id)))


@contextmanager
def loading() -> Iterator[None]:
    """Raise Earth Engine's error for a missing asset in an expression: 400, not 404."""
    try:
        yield
    except AssetNotFound as exc:
        named = str(exc).removesuffix(" not found.")
        raise InvalidRequest(
            f"Image.load: Image {named[:1].lower()}{named[1:]} not found (does not exist or "
            "caller does not have access)."
        ) from exc
