"""An area of a layer cut out as a GeoTIFF: its grid and its metadata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.pixels import BandArrays, Geometry, PixelRequest, check_limits
from tileserver.contract.processing import Processing
from tileserver.errors import InvalidRequest
from tileserver.layers.areas import Areas
from tileserver.layers.layers import Layer
from tileserver.layers.queries import native_window
from tileserver.rendering.geotiff import Extras, write_geotiff


def crop_request(
    layer: Layer,
    bands: Sequence[str],
    bbox: Box | None,
    areas: Areas | None,
    sides: tuple[int | None, int | None],
) -> PixelRequest:
    """Return the request for an area of a layer on its native grid, or of other sides.

    Args:
        layer: the layer.
        bands: all without any.
        bbox: in degrees; its bounding box in the native CRS is taken.
        areas: pixels outside of these are masked, and without a bbox this is the area.
        sides: width and height in pixels; one alone gives the other.

    Raises:
        InvalidRequest: the layer is nowhere in the area.
        RequestTooLarge: it has more pixels than getPixels gives.
    """
    asset, chosen = layer.asset, layer.read_bands(bands)
    grid = asset.grid_of(chosen)
    region = areas.whole if bbox is None and areas is not None else bbox
    if region is not None:
        grid = _met(layer, chosen, region)
    if any(sides):
        grid = _resized(grid, *sides)
    sizes = [band.dtype.itemsize for band in asset.select(chosen)]
    check_limits(grid.width, grid.height, sizes)
    steps = layer.processing or Processing()
    if areas is not None:
        steps = replace(steps, clip=areas.whole)
    return PixelRequest(
        asset_id=asset.name,
        file_format=ImageFileFormat.GEO_TIFF,
        grid=grid,
        band_ids=chosen,
        asset_version=asset.version,
        expression=layer.definition.expression,
        processing=steps.of_raw,
    )


def _met(layer: Layer, bands: Sequence[str], region: Box | Geometry) -> PixelGrid:
    found = native_window(layer.asset, bands, region)
    if found is None:
        raise InvalidRequest(
            f"the area does not meet {layer.name}, which lies within "
            f"{', '.join(f'{each:g}' for each in layer.bounds)}"
        )
    return found


def _resized(grid: PixelGrid, width: int | None, height: int | None) -> PixelGrid:
    if width is None:
        width = max(round((height or 1) * grid.width / grid.height), 1)
    if height is None:
        height = max(round(width * grid.height / grid.width), 1)
    return grid.coarsened(width, height)


def crop_geotiff(layer: Layer, request: PixelRequest, bands: BandArrays) -> bytes:
    """Return a GeoTIFF of bands, with the nodata value and the colours that the asset has; blocks.

    Without a nodata value pixels that are masked have NaN, or a mask of their own if they are
    integers.
    """
    assert isinstance(request.grid, PixelGrid)
    steps, asset = request.processing, layer.asset
    is_stored = steps is None or not (steps.makes or steps.unscale)
    stored = asset.select(request.band_ids)
    nodata = stored[0].nodata if is_stored else None
    if nodata is None and steps is not None and is_stored:
        nodata = steps.nodata
    colors = asset.color_table if is_stored and len(bands.ids) == 1 else ()
    scales = [(band.notes.scale, band.notes.offset) for band in stored] if is_stored else []
    return write_geotiff(bands, request.grid, Extras(nodata, colors, tuple(scales)))
