"""Tiles of tile matrix sets, by whichever address they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.concurrency.retry_changed import asked_again
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.matrix_sets import TileMatrix, TileMatrixSet, check_name, matrix_set
from tileserver.geo.positions import parts_within
from tileserver.geo.tile_limits import boxes_of
from tileserver.http import endpoints
from tileserver.http.endpoints import (
    image_response,
    pixels_response,
    services_of,
    styled_layer,
    timed,
)
from tileserver.http.parameters import TIME_PARAMETER, parse_address
from tileserver.http.response_cache import repeatable
from tileserver.layers.encodings import encoded_request, parse_encoding
from tileserver.layers.layers import Layer
from tileserver.layers.matrix_layers import check_within
from tileserver.layers.styles import Style
from tileserver.rendering.encoders import empty

TMS_PARAMETER = "tms"
_sets: dict[str, TileMatrixSet] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """A tile of a tile matrix set."""

    matrix_set: TileMatrixSet
    matrix: TileMatrix
    column: int
    row: int
    scale: int = 1
    """Times as many pixels on a side."""

    @property
    def grid(self) -> PixelGrid:
        """Its pixels; raises TileOutOfRange."""
        return self.matrix_set.grid(self.matrix, self.column, self.row, self.scale)


async def set_named(name: str) -> TileMatrixSet:
    """Return a tile matrix set; raises InvalidRequest if there is none of that name."""
    if name not in _sets:
        # The first one imports what tiles of Web Mercator do without.
        _sets[name] = await anyio.to_thread.run_sync(matrix_set, check_name(name))
    return _sets[name]


async def tile(request: Request) -> Response:
    """Answer GET /tiles/{layer}/{z}/{x}/{y}.{ext}?tms=: a tile; {y}@2x has 512 pixels."""
    if TMS_PARAMETER.encode() not in request.scope["query_string"]:
        return await endpoints.tile(request)
    return await _tile_of_set(request)


@asked_again
async def _tile_of_set(request: Request) -> Response:
    path = request.path_params
    own = (TIME_PARAMETER, TMS_PARAMETER)
    (x, y, z), size, file_format = parse_address(path["z"], path["x"], path["name"])
    layer, style, parameters = await styled_layer(request, more=own)
    found = await set_named(parameters.get(TMS_PARAMETER, "WebMercatorQuad"))
    place = Place(found, found.matrix(str(z)), x, y, size // 256)
    return await answer(request, layer, style, parameters, place, file_format)


async def answer(
    request: Request,
    layer: Layer,
    style: Style,
    parameters: dict[str, str],
    place: Place,
    file_format: ImageFileFormat,
) -> Response:
    """Return a tile of a layer, without a look at its pixels where the layer is not.

    Raises:
        TileOutOfRange: the set has no such tile.
    """
    services, grid = services_of(request), place.grid
    pixels = timed(layer.request(grid, file_format, style.bands), layer, parameters)
    pixels = encoded_request(layer, pixels, parse_encoding(parameters))
    is_held = not file_format.is_picture or services.pixels.holds(pixels)
    if is_held or await services.geometry.call(_shows, layer, grid):
        return await pixels_response(request, services, layer, pixels, parameters)
    body = empty(file_format, grid.width, grid.height, ("empty",), "uint8")
    repeatable(request, partial(services.layers.is_current, layer))
    return image_response(request, layer, body, file_format, parameters, "hit; detail=outside")


def _shows(layer: Layer, grid: PixelGrid) -> bool:
    return bool(parts_within(boxes_of(layer.bounds, grid.crs_code), grid))


async def refuse_outside(request: Request, layer: Layer, place: Place) -> None:
    """Check that a tile is within the limits that documents tell.

    Raises:
        TileOutOfRange: it is not.
    """
    limited = (check_within, layer, place.matrix_set, place.matrix, place.column, place.row)
    await services_of(request).geometry.call(*limited)
