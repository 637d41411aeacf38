"""The handler of exports: an area of a layer as PMTiles, or as a map in one HTML file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.errors import InvalidRequest, RequestTooLarge
from tileserver.http import addresses
from tileserver.http.disconnects import while_connected
from tileserver.http.endpoints import Services, services_of, styled_layer, timed
from tileserver.http.parameters import (
    EXPORT_FORMATS,
    TIME_PARAMETER,
    parse_bbox,
    parse_export,
    parse_format,
    parse_zoom,
)
from tileserver.http.responses import bytes_response
from tileserver.http.single_file import MapFile, name_of, page_of
from tileserver.layers.exports import Export, export_of
from tileserver.rendering.encoders import empty
from tileserver.rendering.pmtiles import MEDIA_TYPE, TILE_TYPES, write_pmtiles

T = TypeVar("T")
_OWN = ("bbox", "maxzoom", "format", TIME_PARAMETER)
_AT_ONCE = 8
"""Tiles of an export that are fetched at once."""
_MAX_BYTES = 32_000_000
"""Of all tiles of a PMTiles file; they are held in memory until the last has come."""


async def export(request: Request) -> Response:
    """Answer GET /export/{layer}.{ext}?bbox=&maxzoom=&format=: an area as html or pmtiles."""
    name, suffix = parse_export(request.path_params["name"])
    if not suffix:
        expected = ", ".join(f".{each}" for each in EXPORT_FORMATS)
        raise InvalidRequest(f"suffix: expected one of {expected}, got {name[-40:]!r}")
    layer, _, parameters = await styled_layer(request, name, _OWN)
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    maxzoom = parse_zoom("maxzoom", parameters["maxzoom"]) if "maxzoom" in parameters else None
    wanted = await anyio.to_thread.run_sync(export_of, layer, bbox, maxzoom)
    make = _Maker(request, wanted, parameters)
    file_format = make.file_format()

    async def made() -> bytes:
        async with services_of(request).exports.held():
            return await (make.html() if suffix == "html" else make.pmtiles(file_format))

    body = await while_connected(request.receive, made())
    media_type = MEDIA_TYPE if suffix == "pmtiles" else "text/html; charset=utf-8"
    stem = "".join(each if each.isascii() and each.isalnum() else "-" for each in name).strip("-")
    extra = {"content-disposition": f'attachment; filename="{stem or "layer"}.{suffix}"'}
    cache_control = addresses.document_cache_control(services_of(request).public_url)
    return bytes_response(request, body, media_type, cache_control, extra)


class _Maker:
    """Fetches the tiles of an export as those of a map are, and writes the file."""

    def __init__(self, request: Request, wanted: Export, parameters: Mapping[str, str]) -> None:
        self.services: Services = services_of(request)
        self.wanted = wanted
        self.parameters = parameters

    def file_format(self) -> ImageFileFormat:
        """Return the format of the tiles in a PMTiles file.

        Raises:
            InvalidRequest: it is unknown, or none that such a file can have.
        """
        found = parse_format(self.parameters.get("format", "png"))
        if found not in TILE_TYPES:
            known = ", ".join(each.row.suffixes[0] for each in TILE_TYPES)
            raise InvalidRequest(f"format: expected one of {known}, got {found}")
        return found

    async def pmtiles(self, file_format: ImageFileFormat) -> bytes:
        """Return a PMTiles file, without tiles in which nothing shows.

        Raises:
            RequestTooLarge: the tiles take too many bytes.
        """
        found: list[tuple[Tile, bytes]] = []
        left = _MAX_BYTES
        for zoom in range(self.wanted.minzoom, self.wanted.maxzoom + 1):
            pictures = await self.pictures(zoom, file_format, left)
            if pictures is None:
                raise RequestTooLarge(
                    f"maxzoom: the tiles to zoom {zoom} take more than {_MAX_BYTES} bytes, the "
                    f"most of an export; expected maxzoom={zoom - 1} or a smaller bbox"
                )
            found += pictures
            left -= sum(len(body) for _, body in pictures)
        if not found:
            raise InvalidRequest("bbox: nothing shows in it; expected a part of the layer's bounds")
        layer, definition = self.wanted.layer, self.wanted.layer.definition
        metadata = {
            "name": layer.title,
            "description": definition.description or "",
            "attribution": definition.attribution or "",
            "type": "overlay",
            "version": "1.0.0",
        }
        area = (file_format, self.wanted.bounds, self.wanted.center, metadata)
        return await anyio.to_thread.run_sync(write_pmtiles, found, *area)

    async def html(self) -> bytes:
        """Return a map in one file: as many whole zooms as fit into it, and their values."""
        file = MapFile(self.wanted)
        for zoom in range(self.wanted.minzoom, self.wanted.maxzoom + 1):
            pictures = await self.pictures(zoom, ImageFileFormat.PNG, file.room * 3 // 4)
            values = None if pictures is None else await self.values(file, pictures)
            if pictures is None or values is None or not file.add(zoom, pictures, values):
                break
        if not file.zooms:
            raise InvalidRequest("bbox: is too large for a map in one file; expected a smaller one")
        return await anyio.to_thread.run_sync(page_of, file)

    async def pictures(
        self, zoom: int, file_format: ImageFileFormat, most: int
    ) -> Sequence[tuple[Tile, bytes]] | None:
        """Return the tiles of a zoom in which anything shows; None if they take too many bytes."""
        tiles = await anyio.to_thread.run_sync(self.wanted.tiles, zoom)
        nothing = empty(file_format, 256, 256, ("empty",), "uint8")
        spent = 0

        async def fetch(tile: Tile) -> bytes:
            nonlocal spent
            body = await self.picture(tile, file_format) if spent <= most else nothing
            # The tiles without anything are many, and one object.
            if body == nothing:
                return nothing
            spent += len(body)
            return body

        pairs = zip(tiles, await self.each(tiles, fetch), strict=True)
        return None if spent > most else [(tile, body) for tile, body in pairs if body != nothing]

    async def values(
        self, file: MapFile, pictures: Sequence[tuple[Tile, bytes]]
    ) -> dict[str, str] | None:
        """Return the values of tiles as a file has them; None if they take too many bytes."""
        most = file.room - sum(len(body) * 4 // 3 for _, body in pictures)
        spent = 0

        async def fetch(tile: Tile) -> str:
            nonlocal spent
            if spent > most:
                return ""
            bands = await self.services.bands.read_bands(self.request(tile, ImageFileFormat.NPY))
            text = await anyio.to_thread.run_sync(file.packed, bands)
            spent += len(text)
            return text

        texts = await self.each([tile for tile, _ in pictures], fetch)
        names = (name_of(tile) for tile, _ in pictures)
        return None if spent > most else dict(zip(names, texts, strict=True))

    async def picture(self, tile: Tile, file_format: ImageFileFormat) -> bytes:
        """Return a tile as `/tiles` has it."""
        return await self.services.pixels.get_pixels(self.request(tile, file_format))

    def request(self, tile: Tile, file_format: ImageFileFormat) -> PixelRequest:
        """Return the request for a tile."""
        layer, grid = self.wanted.layer, tile_grid(tile)
        pixels = timed(layer.request(grid, file_format, layer.style.bands), layer, self.parameters)
        return pixels

    async def each(self, tiles: Sequence[Tile], fetch: Callable[[Tile], Awaitable[T]]) -> list[T]:
        """Return what is fetched of each tile, a few at once, in order."""
        found: list[Any] = [None] * len(tiles)
        places = iter(range(len(tiles)))

        async def work() -> None:
            for place in places:
                found[place] = await fetch(tiles[place])

        try:
            async with anyio.create_task_group() as group:
                for _ in range(min(_AT_ONCE, len(tiles))):
                    group.start_soon(work)
        except BaseExceptionGroup as exc:
            # The first error is that of the request.
            raise exc.exceptions[0] from exc
        return found
