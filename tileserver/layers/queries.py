"""Requests and answers of a layer beside tiles: info, point, statistics, preview."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, Box, PixelGrid, Window
from tileserver.contract.pixels import BandArrays, Geometry, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.contract.tiles import MAX_LATITUDE, WEB_MERCATOR, mercator_box
from tileserver.errors import InvalidRequest, RequestTooLarge
from tileserver.geo.completion import complete
from tileserver.geo.crs import WGS84, nominal_scale_m
from tileserver.geo.turns import period
from tileserver.layers.layers import Layer
from tileserver.layers.statistics import MAX_SAMPLES, overview_request, thinned

MAX_PREVIEW_PX = 4096
_DEFAULT_PREVIEW_PX = 512


def info(layer: Layer) -> dict[str, Any]:
    """Return the JSON of `/info`."""
    asset = layer.asset
    return {
        "name": layer.name,
        "title": layer.title,
        "asset": asset.name,
        "bands": [
            {
                "id": band.id,
                "data_type": band.dtype.name,
                "crs": band.grid.crs_code,
                "scale_m": None if asset.no_place else _scale_m(band.grid),
                "nodata": _number(band.nodata),
                "scale": 1.0 if band.notes.scale is None else band.notes.scale,
                "offset": band.notes.offset or 0.0,
                **_notes(band),
            }
            for band in asset.bands
        ],
        "bounds": list(layer.bounds),
        "minzoom": layer.minzoom,
        "maxzoom": layer.maxzoom,
        "width": asset.common_grid.width,
        "height": asset.common_grid.height,
        "overviews": list(asset.overview_factors),
        "start_time": asset.start_time,
        "end_time": asset.end_time,
        "update_time": asset.update_time,
        "properties": dict(asset.properties),
        "style": layer.style.to_json(),
        "version": layer.version,
        **({"table": asset.table.to_json()} if asset.table else {}),
        **({"classes": classes} if (classes := _classes(layer)) else {}),
        **({"no_place": asset.no_place} if asset.no_place else {}),
        **({"mosaic": asset.mosaic.to_json()} if asset.mosaic else {}),
    }


def _notes(band: Band) -> dict[str, Any]:
    """Return what the file tells of a band, without what it does not."""
    notes = band.notes
    members = {
        "description": notes.description if notes.description != band.id else None,
        "unit": notes.unit,
        "common_name": notes.common_name,
        "wavelength_um": _number(notes.wavelength_um),
    }
    return {name: value for name, value in members.items() if value is not None}


def _classes(layer: Layer) -> list[dict[str, Any]]:
    """Return the values and the names of the classes that a layer shows, if it shows some.

    Those of the layer's own names lie evenly from min to max, as the colours do.
    """
    names, style = layer.definition.class_names, layer.style
    steps = layer.processing.classes if layer.processing else None
    if steps:
        labels = names if len(names) == len(steps) else [each.label for each in steps]
        found = [(each.low, label) for each, label in zip(steps, labels, strict=True)]
    elif names and len(style.bands) == 1 and style.min and style.max:
        places = np.linspace(style.min[0], style.max[0], len(names)).tolist()
        found = list(zip(places, names, strict=True))
    else:
        found = [(float(value), name) for value, name in style.classes]
    return [{"value": value, "name": name} for value, name in found]


def _scale_m(grid: PixelGrid) -> float:
    side = math.hypot(grid.transform.scale_x, grid.transform.shear_y)
    return round(nominal_scale_m(grid.crs_code, side), 6)


def point_request(layer: Layer, lon: float, lat: float, bands: Sequence[str]) -> PixelRequest:
    """Return the request for each band's native pixel at a longitude and latitude in degrees."""
    asset = layer.asset
    bands = layer.read_bands(bands)
    request = PixelRequest(
        asset_id=asset.name,
        file_format=ImageFileFormat.NPY,
        band_ids=tuple(bands),
        asset_version=asset.version,
        processing=_of_values(layer),
    )
    if len({band.grid for band in asset.select(bands)}) == 1 and asset.mosaic is None:
        return replace(request, region=Geometry("Point", (float(lon), float(lat))))
    # A pixel of one grid, of a band or a file, may hold the place while its middle lies in another
    # pixel of the next.
    return replace(request, grid=_at(layer, lon, lat))


def _of_values(layer: Layer) -> Processing | None:
    """Return the steps that decide values, whatever the grid."""
    steps = layer.processing
    return None if steps is None else steps.of_values


def _at(layer: Layer, lon: float, lat: float) -> PixelGrid:
    """Return a grid of one pixel about a place, half as large as those of the finest band."""
    side = 360 / (256 << (layer.full_zoom + 1))
    transform = AffineTransform.north_up(lon - side / 2, lat + side / 2, side, side)
    return PixelGrid(1, 1, transform, WGS84)


def point(lon: float, lat: float, bands: BandArrays) -> dict[str, Any]:
    """Return the JSON of `/point`; null where a band is masked or not finite."""
    values = {
        band: _number(bands.values[i, 0, 0].item()) if bands.valid[i, 0, 0] else None
        for i, band in enumerate(bands.ids)
    }
    return {"lon": lon, "lat": lat, "values": values}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def statistics_requests(
    layer: Layer,
    bbox: Box | None,
    bands: Sequence[str],
    area: Geometry | None = None,
    max_samples: int = MAX_SAMPLES,
) -> list[PixelRequest]:
    """Return the requests for the pixels of `/statistics`, one for the bands of each native grid.

    All pixels of the asset, or those within the bounding box of `bbox` in the native CRS, or those
    of an area, from the first pyramid level that has no more than `max_samples` of them.
    """
    bands, steps = layer.read_bands(bands), _of_values(layer)
    if area is not None:
        steps = replace(steps or Processing(), clip=area)
    region = area if bbox is None else bbox
    if steps is not None and steps.makes:
        made = _statistics_request(layer.asset, region, bands, max_samples)
        return [replace(made, processing=steps)]
    chosen: dict[PixelGrid, list[str]] = {}
    for band in layer.asset.select(bands):
        chosen.setdefault(band.grid, []).append(band.id)
    groups = [bands] if len(chosen) == 1 else list(chosen.values())
    requests = (_statistics_request(layer.asset, region, each, max_samples) for each in groups)
    return [replace(each, processing=steps) for each in requests]


def _statistics_request(
    asset: ImageAsset, region: Box | Geometry | None, bands: Sequence[str], max_samples: int
) -> PixelRequest:
    whole = overview_request(asset, bands, max_samples)
    if region is None:
        return whole
    asked = _asked(asset, bands, region)
    # One pixel outside, if there is none within.
    within = _within(asked, asset.grid_of(bands)) or replace(asked, width=1, height=1)
    return replace(whole, grid=thinned(within, asset, bands, max_samples))


def native_window(
    asset: ImageAsset, bands: Sequence[str], region: Box | Geometry
) -> PixelGrid | None:
    """Return the native pixels within the bounding box of a region in degrees; None without any."""
    return _within(_asked(asset, bands, region), asset.grid_of(bands))


def _asked(asset: ImageAsset, bands: Sequence[str], region: Box | Geometry) -> PixelGrid:
    """Return the native pixels that cover a region, whether or not the asset has them."""
    place = _polygon(region) if isinstance(region, Box) else region
    request = PixelRequest(asset.name, ImageFileFormat.NPY, region=place, band_ids=tuple(bands))
    return complete(request, asset)


def _within(asked: PixelGrid, native: PixelGrid) -> PixelGrid | None:
    """Return the part of a grid within the native one; None if there is none."""
    inverse = native.transform.inverse()
    column, row = inverse.apply(asked.transform.translate_x, asked.transform.translate_y)
    top, bottom = max(round(row), 0), min(round(row) + asked.height, native.height)
    spans = _spans(round(column), asked.width, native)
    if not spans or top >= bottom:
        return None
    # Two spans: a box across the edge of a world map. Take all requested columns.
    left, right = spans[0] if len(spans) == 1 else (round(column), round(column) + asked.width)
    return native.window(Window(left, top, right - left, bottom - top))


def _spans(left: int, width: int, native: PixelGrid) -> list[tuple[int, int]]:
    """Return spans of native columns for `width` columns from `left`, also 360 degrees away."""
    turn = period(native.crs_code) or 0.0
    turn_px = round(turn / native.transform.scale_x) if native.transform.scale_x else 0
    moved = sorted({left - turn_px, left, left + turn_px})
    spans = ((max(each, 0), min(each + width, native.width)) for each in moved)
    return [span for span in spans if span[0] < span[1]]


def _polygon(bbox: Box) -> Geometry:
    ring = bbox.unrolled().ring
    return Geometry("Polygon", (tuple((float(x), float(y)) for x, y in ring),))


def preview_grid(
    layer: Layer, bbox: Box | None, width: int | None, height: int | None
) -> PixelGrid:
    """Return the EPSG:3857 grid of a picture of a layer, or of a box in it.

    The longer side has 512 pixels by default; a missing side follows from the other. A layer all of
    which lies beyond 85.05 degrees, off the map, is shown in its own CRS.

    Raises:
        InvalidRequest: the box has no area within Web Mercator.
        RequestTooLarge: a side would have more than 4096 pixels.
    """
    box, crs_code = mercator_box(bbox or layer.bounds), WEB_MERCATOR
    if bbox is None and not box.has_area:
        native = layer.asset.common_grid
        box, crs_code = native.box, native.crs_code
    if not box.has_area:
        raise InvalidRequest(
            "bbox: expected west,south,east,north in degrees with south below north, within "
            f"{MAX_LATITUDE:.2f} degrees of the equator"
        )
    aspect = (box.east - box.west) / (box.north - box.south)
    width, height = _sides(aspect, width, height)
    return PixelGrid.filling(box, width, height, crs_code)


def _sides(aspect: float, width: int | None, height: int | None) -> tuple[int, int]:
    if width is None and height is None:
        width = max(round(_DEFAULT_PREVIEW_PX * min(1.0, aspect)), 1)
    if width is None:
        width = max(round((height or 1) * aspect), 1)
    if height is None:
        height = max(round(width / aspect), 1)
    for name, side in (("width", width), ("height", height)):
        if side > MAX_PREVIEW_PX:
            raise RequestTooLarge(
                f"{name}: the picture would be {width}x{height}, a side may have at most "
                f"{MAX_PREVIEW_PX} pixels"
            )
    return width, height
