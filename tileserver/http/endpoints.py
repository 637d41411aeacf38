"""Request handlers, one for each route: parse, find the layer, get pixels, respond."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.caching.memory import Cached
from tileserver.concurrency.limited_calls import ShortCalls
from tileserver.concurrency.retry_changed import asked_again
from tileserver.concurrency.threads import Slots
from tileserver.contract.browsing import AssetBrowser
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.geometries import Geometry
from tileserver.contract.pixels import MAX_SIDE, BandSource, PixelRequest, SeriesSource
from tileserver.contract.processing import Processing
from tileserver.contract.tiles import tile_grid
from tileserver.http import addresses
from tileserver.http.bodies import areas_of
from tileserver.http.disconnects import while_connected
from tileserver.http.keys import PARAMETER as KEY_PARAMETER
from tileserver.http.page import PageLinks
from tileserver.http.parameters import (
    TIME_PARAMETER,
    VERSION_PARAMETER,
    parse_bbox,
    parse_format,
    parse_place,
    parse_query,
    parse_side,
    parse_table_format,
    parse_tile,
    parse_times,
)
from tileserver.http.readiness import Readiness
from tileserver.http.response_cache import repeatable
from tileserver.http.responses import IMMUTABLE, QUERY_KEY, bytes_response, json_response
from tileserver.layers import crops, documents, queries
from tileserver.layers.drawings import drawing
from tileserver.layers.encodings import (
    ENCODING_PARAMETER,
    check_encodable,
    encoded_request,
    encoding_of,
    parse_encoding,
)
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import Layer, Layers
from tileserver.layers.listed import Search
from tileserver.layers.look_parameters import look_parameters
from tileserver.layers.series import series_csv, series_json
from tileserver.layers.statistics import MAX_SAMPLES, parse_details, summarize
from tileserver.layers.steps import STEP_PARAMETERS, VALUE_PARAMETERS, parse_steps
from tileserver.layers.styles import STYLE_PARAMETERS, Style, parse_bands, parse_style
from tileserver.metrics import tallied
from tileserver.rendering.encoders import empty, media_type
from tileserver.rendering.render import check_options

_SUMMARIES = 2
"""Concurrent requests for statistics; each takes up to 200 MB."""
_LOOK = (*STYLE_PARAMETERS, *STEP_PARAMETERS, ENCODING_PARAMETER)
"""The parameters of a picture."""
_MAX_SUMMARIES = 32
"""Requests for statistics in the queue."""


class FeaturesAt(Protocol):
    """What finds the features of tables at places."""

    def __call__(self, name: str, lon: float, lat: float, radius_m: float) -> dict[str, Any]:
        """Return some of those of a table within metres of a longitude and latitude.

        It blocks, and raises a TileserverError if the table cannot be read.
        """
        ...


@dataclass(frozen=True)
class Services:
    """The dependencies of the handlers."""

    layers: Layers
    layer_list: LayerList
    pixels: Cached
    bands: BandSource
    series: SeriesSource
    public_url: str | None
    tile_max_age_s: int
    links: PageLinks = field(default_factory=PageLinks)
    readiness: Readiness = field(default_factory=Readiness)
    geometry: ShortCalls = field(default_factory=ShortCalls)
    """Threads for calls of PROJ, which must not block the event loop."""
    summaries: Slots = field(
        default_factory=lambda: Slots(_SUMMARIES, "requests for statistics", _MAX_SUMMARIES)
    )
    """Limits requests that hold millions of values."""
    exports: Slots = field(default_factory=lambda: Slots(1, "exports", 8, 60.0))
    documents: Slots = field(default_factory=lambda: Slots(2, "requests for documents", 32))
    """Limits requests that describe all layers, or paint: each takes up to 150 MB."""
    browser: AssetBrowser | None = None
    features_at: FeaturesAt | None = None
    """Finds the features of tables at a place."""


@asked_again
async def tile(request: Request) -> Response:
    """Answer GET /tiles/{layer}/{z}/{x}/{y}.{ext}: a tile; {y}@2x has 512 pixels."""
    services, path = services_of(request), request.path_params
    address, size, file_format = parse_tile(path["z"], path["x"], path["name"])
    grid = tile_grid(address, size)
    if file_format is ImageFileFormat.NPZ:
        # Styles share it, so it takes none.
        of_values = ("bands", "resampling", TIME_PARAMETER)
        layer, bands, parameters = await layer_of_values(request, of_values)
    else:
        layer, style, parameters = await styled_layer(request, more=(TIME_PARAMETER,))
        bands = style.bands
    pixels = timed(layer.request(grid, file_format, bands), layer, parameters)
    pixels = encoded_request(layer, pixels, parse_encoding(parameters))
    # Raw formats depend on the bands of the layer, and on the limits of getPixels.
    if not file_format.is_picture or services.pixels.holds(pixels) or layer.shows(grid):
        return await pixels_response(request, services, layer, pixels, parameters)
    body = empty(file_format, size, size, ("empty",), "uint8")
    repeatable(request, partial(services.layers.is_current, layer))
    return image_response(request, layer, body, file_format, parameters, "hit; detail=outside")


@asked_again
async def preview(request: Request) -> Response:
    """Answer GET /preview/{layer}.{ext}?bbox=&width=&height=&clip=: one picture; POST an area."""
    services = services_of(request)
    name, _, suffix = request.path_params["name"].rpartition(".")
    file_format = parse_format(suffix if name else None)
    own = ("bbox", "width", "height", "clip", TIME_PARAMETER)
    layer, style, parameters = await styled_layer(request, name, own)
    areas = await areas_of(request, parameters)
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    if bbox is None and areas is not None:
        bbox = areas.bounds
    sides = (parse_side(side, parameters, queries.MAX_PREVIEW_PX) for side in ("width", "height"))
    grid = queries.preview_grid(layer, bbox, *sides)
    pixels = timed(layer.request(grid, file_format, style.bands), layer, parameters)
    pixels = encoded_request(layer, pixels, parse_encoding(parameters))
    if areas is not None:
        steps = pixels.processing or Processing()
        pixels = replace(pixels, processing=replace(steps, clip=areas.whole))
    if request.method == "POST":
        # Not kept: what is posted is large, and seldom posted again.
        fetched = services.pixels.source.get_pixels(pixels)
        body = await while_connected(request.receive, fetched)
        return image_response(request, layer, body, file_format, parameters, "fwd=bypass")
    return await pixels_response(request, services, layer, pixels, parameters)


async def layer_list(request: Request) -> Response:
    """Answer GET /layers?after=&limit=&q=&bbox=: the layers, in `errors` those not to be drawn."""
    services = services_of(request)
    parameters = parse_query(request.scope["query_string"], ("after", "limit", "q", "bbox"))
    limit = parse_side("limit", parameters, 1000) or 100
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    search = Search(parameters.get("q", ""), bbox)
    page = await services.layer_list.page(parameters.get("after"), limit, search)
    url, more = base_url(request), key_parameter(request)
    same = {name: text for name, text in parameters.items() if name in ("q", "bbox")}

    def answer() -> Response:
        return linking_json(request, documents.layer_page(url, page, limit, more, same))

    return await anyio.to_thread.run_sync(answer)


async def tilejson(request: Request) -> Response:
    """Answer GET /tilejson/{layer}.json: TileJSON 3.0.0."""
    layer, _, parameters = await styled_layer(request, more=(TIME_PARAMETER,))
    parse_times(parameters, layer.asset)
    encoding = encoding_of(layer, parse_encoding(parameters))
    # The tiles are PNG: refuse a style that cannot be drawn here, not in every tile.
    if ENCODING_PARAMETER in parameters:
        check_encodable(layer)
    check_options(layer.style.options(), len(layer.style.bands))
    style = {name: value for name, value in parameters.items() if name in (*_LOOK, TIME_PARAMETER)}
    style |= key_parameter(request)
    return linking_json(request, documents.tilejson(base_url(request), layer, style, encoding))


async def info(request: Request) -> Response:
    """Answer GET /info/{layer}: bands, types, CRS, scale, bounds, zooms, dates, properties."""
    layer, _, _ = await styled_layer(request)
    services = services_of(request)

    def answer() -> Response:
        looks = {"parameters": look_parameters(layer), "drawing": drawing(layer)}
        document = queries.info(layer) | looks
        return json_response(request, document)

    return await services.geometry.call(answer)


@asked_again
async def timeseries(request: Request) -> Response:
    """Answer GET /timeseries/{layer}?lon=&lat=&time=&bands=&format=: values over time."""
    services = services_of(request)
    parameters = parse_query(
        request.scope["query_string"], ("lon", "lat", "bands", "time", "format")
    )
    name, kind = parse_table_format(request.path_params["layer"], parameters)
    lon, lat = parse_place(parameters)
    bands = parse_bands(parameters["bands"]) if "bands" in parameters else ()
    layer = await services.layers.find(name)
    pixel = timed(queries.point_request(layer, lon, lat, bands), layer, parameters)
    # Stored values, whatever the layer makes of them.
    pixel = replace(pixel, processing=None)
    moments = await while_connected(request.receive, services.series.read_series(pixel))
    ids = [band.id for band in layer.asset.select(pixel.band_ids)]
    if kind == "csv":
        body = series_csv(ids, moments).encode()
        return bytes_response(request, body, "text/csv; charset=utf-8", "no-cache")
    return json_response(request, series_json(lon, lat, ids, moments))


@asked_again
async def statistics(request: Request) -> Response:
    """Answer GET /statistics/{layer}?bands=&bbox=&clip=: figures a band; POST areas for theirs."""
    services = services_of(request)
    own = ("bands", "bbox", "clip", "pixels", "bins", "percentiles", TIME_PARAMETER)
    layer, bands, parameters = await layer_of_values(request, own)
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    most, details = parse_side("pixels", parameters, MAX_SAMPLES), parse_details(parameters)
    areas = await areas_of(request, parameters)

    async def of_area(area: Geometry | None) -> dict[str, Any]:
        wanted = (queries.statistics_requests, layer, bbox, bands, area, most or MAX_SAMPLES)
        found: dict[str, Any] = {}
        for pixels in await services.geometry.call(*wanted):
            values = await services.bands.read_bands(timed(pixels, layer, parameters))
            found |= await anyio.to_thread.run_sync(summarize, values, details)
        return {band: found[band] for band in layer.made_bands(bands)}

    async def summary() -> Response:
        async with services.summaries.held():
            found = [await of_area(each) for each in (areas.geometries if areas else (None,))]
        document = found[0] if areas is None else areas.with_statistics(found)
        return await anyio.to_thread.run_sync(lambda: json_response(request, document))

    return await while_connected(request.receive, summary())


@asked_again
async def crop(request: Request) -> Response:
    """Answer GET /crop/{layer}.tif?bbox=&bands=&width=&height=&clip=: a GeoTIFF; POST an area."""
    services = services_of(request)
    own = ("bbox", "bands", "width", "height", "clip", "resampling", TIME_PARAMETER)
    layer, bands, parameters = await layer_of_values(request, own)
    bbox = parse_bbox(parameters["bbox"]) if "bbox" in parameters else None
    areas = await areas_of(request, parameters)
    sides = tuple(parse_side(side, parameters, MAX_SIDE) for side in ("width", "height"))
    wanted = (crops.crop_request, layer, bands, bbox, areas, sides)
    pixels = timed(await services.geometry.call(*wanted), layer, parameters)

    async def cut() -> bytes:
        async with services.summaries.held():
            values = await services.bands.read_bands(pixels)
            return await anyio.to_thread.run_sync(crops.crop_geotiff, layer, pixels, values)

    body = await while_connected(request.receive, cut())
    cache_control = _cache_control(services, layer, parameters.get(VERSION_PARAMETER))
    extra = {"content-disposition": "attachment"}
    return bytes_response(request, body, "image/tiff", cache_control, extra)


async def colormaps(request: Request) -> Response:
    """Answer GET /colormaps: the named palettes, their kinds and colours; `_r` turns one around."""
    return json_response(request, await anyio.to_thread.run_sync(documents.colormap_list))


def timed(pixels: PixelRequest, layer: Layer, parameters: Mapping[str, str]) -> PixelRequest:
    """Return a request for the times of the query, if it has some."""
    times = parse_times(parameters, layer.asset)
    return pixels if times is None else replace(pixels, times=times)


def services_of(request: Request) -> Services:
    """Return the dependencies of the handlers."""
    services: Services = request.state.services
    return services


def base_url(request: Request) -> str:
    """Return the server's URL, as its clients know it, without a final slash."""
    return addresses.base_url(request, services_of(request).public_url)


def linking_json(request: Request, document: Any) -> Response:
    """Return a document with absolute addresses as JSON."""
    cache_control = addresses.document_cache_control(services_of(request).public_url)
    return json_response(request, document, cache_control)


def key_parameter(request: Request) -> dict[str, str]:
    """Return the `key` parameter for the URLs in a document, if the request had one."""
    key = request.scope["state"].get(QUERY_KEY)
    return {} if key is None else {KEY_PARAMETER: key}


async def styled_layer(
    request: Request, name: str | None = None, more: Sequence[str] = ()
) -> tuple[Layer, Style, dict[str, str]]:
    """Return the layer of the path, the style in the query, and the query's parameters.

    The layer's own style is that of the query over the configured one.
    """
    parameters = parse_query(request.scope["query_string"], (*_LOOK, *more))
    style = parse_style(parameters)
    name = name or request.path_params["layer"]
    steps = parse_steps(parameters)
    # What makes no tiles does without it, and refuses a wrong one all the same.
    parse_encoding(parameters)
    return await services_of(request).layers.find(name, style, steps), style, parameters


async def layer_of_values(
    request: Request, own: Sequence[str]
) -> tuple[Layer, tuple[str, ...], dict[str, str]]:
    """Return the layer of the path, the bands in the query, and the query's parameters."""
    parameters = parse_query(request.scope["query_string"], (*own, *VALUE_PARAMETERS))
    bands = parse_bands(parameters["bands"]) if "bands" in parameters else ()
    steps = parse_steps(parameters)
    style = Style(bands) if steps is not None else None
    layer = await services_of(request).layers.find(request.path_params["layer"], style, steps)
    return layer, bands, parameters


async def pixels_response(
    request: Request,
    services: Services,
    layer: Layer,
    pixels: PixelRequest,
    parameters: dict[str, str],
) -> Response:
    """Return the response of a request for pixels, which ends when its client leaves."""
    started = time.perf_counter()
    is_held = services.pixels.holds(pixels)
    answer = services.pixels.get_pixels(pixels)
    with tallied() as tally:
        body = await (answer if is_held else while_connected(request.receive, answer))
    elapsed_ms = (time.perf_counter() - started) * 1000
    if is_held:
        ends_s = services.pixels.memory.fresh_until_s(pixels)
        repeatable(request, partial(services.layers.is_current, layer), ends_s, is_cache_hit=True)
    status = "hit" if is_held else "fwd=miss; stored"
    costs = elapsed_ms, tally.requests
    return image_response(request, layer, body, pixels.file_format, parameters, status, *costs)


def image_response(
    request: Request,
    layer: Layer,
    body: bytes,
    file_format: ImageFileFormat,
    parameters: dict[str, str],
    cache_status: str,
    elapsed_ms: float = 0.0,
    upstream: int = 0,
) -> Response:
    """Return encoded pixels, or 304 if the client has them; `upstream` counts Earth Engine's."""
    # Pages of a browser can read Server-Timing of images, and no other header.
    cache = cache_status.replace("hit; detail=", "").partition(";")[0].removeprefix("fwd=")
    timing = f"pixels;dur={elapsed_ms:.1f}, cache;desc={cache}"
    extra = {
        "cache-status": f"tileserver; {cache_status}",
        "server-timing": f"{timing}, upstream;desc={upstream}" if upstream else timing,
    }
    cache_control = _cache_control(services_of(request), layer, parameters.get(VERSION_PARAMETER))
    return bytes_response(request, body, media_type(file_format, body), cache_control, extra)


def _cache_control(services: Services, layer: Layer, version: str | None) -> str:
    if layer.asset.mosaic is not None and not layer.asset.mosaic.is_complete:
        # More files are about to show.
        return "no-cache"
    # QGIS never revalidates, so freshness is a matter of the URL's version token.
    if version == layer.version:
        return IMMUTABLE
    max_age_s = services.tile_max_age_s
    return f"public, max-age={max_age_s}, stale-while-revalidate=86400, stale-if-error=604800"
