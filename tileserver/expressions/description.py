"""Images that are computed, and those that have no file here, described as assets.

A composite has no pixels of its own: the grid of a deep zoom over its bounds stands for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.pixels import AffineTransform, Geometry, PixelGrid, PixelRequest
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR, pixel_m
from tileserver.contract.wire import grid_from_json
from tileserver.errors import InvalidRequest, UpstreamError
from tileserver.expressions.document import Bounds, Computed
from tileserver.geo.completion import complete
from tileserver.geo.crs import WGS84, transform_points

_WORLD: Bounds = (-180.0, -90.0, 180.0, 90.0)
_MAX_LATITUDE = 85.0511287798066


def computed_asset(name: str, computed: Computed, description: Any) -> ImageAsset:
    """Return the image that a description tells of, as `ee.Image.getInfo` returns it.

    Composites have no dimensions: they lie within the bounds of `computed`, or everywhere.

    Raises:
        UpstreamError: it is not an image, has no bands, or none within the bounds.
    """
    try:
        described = description["bands"] if description["type"] == "Image" else []
        dtypes = {str(band["id"]): _described_dtype(band["data_type"]) for band in described}
        native = _described_grid(described[0]) if "dimensions" in described[0] else None
    except (KeyError, IndexError, TypeError, ValueError, InvalidRequest) as exc:
        kind = description.get("type") if isinstance(description, Mapping) else None
        came = "one without; does the collection hold any" if kind == "Image" else kind or "nothing"
        raise UpstreamError(f"{name}: expected an image with bands, got {str(came)[:60]}") from exc
    grid = native or _mercator_grid(computed.bounds or _WORLD, computed.full_zoom)
    asset = _image(name, computed.version, grid, dtypes)
    if native is None or computed.bounds is None:
        return asset
    return _image(name, computed.version, _within(computed.bounds, asset), dtypes)


def _image(
    name: str, version: str, grid: PixelGrid, dtypes: Mapping[str, np.dtype[Any]]
) -> ImageAsset:
    bands = tuple(Band(band_id, dtype, grid) for band_id, dtype in dtypes.items())
    return ImageAsset(name, version, bands)


def _described_dtype(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    limits = {end: data_type[end] for end in ("min", "max") if end in data_type}
    return dtype_from_json({"precision": data_type["precision"].upper(), "range": limits})


def _described_grid(band: Mapping[str, Any]) -> PixelGrid:
    """Return a band's grid, of which an origin is where its pixels begin."""
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    width, height = band["dimensions"]
    members = {
        "dimensions": {"width": width, "height": height},
        "affineTransform": dict(zip(names, band["crs_transform"], strict=True)),
    }
    members |= {"crsCode": band["crs"]} if "crs" in band else {"crsWkt": band["crs_wkt"]}
    grid = grid_from_json(members)
    assert isinstance(grid, PixelGrid)
    column, row = band.get("origin", (0, 0))
    return _moved(grid, column, row, grid.width, grid.height)


def _moved(grid: PixelGrid, column: int, row: int, width: int, height: int) -> PixelGrid:
    x, y = grid.transform.apply(column, row)
    moved = replace(grid.transform, translate_x=x, translate_y=y)
    return PixelGrid(width, height, moved, grid.crs_code)


def _mercator_grid(bounds: Bounds, zoom: int) -> PixelGrid:
    """Return the whole pixels of a zoom that cover bounds."""
    west, south, east, north = bounds
    lats = np.clip([north, south], -_MAX_LATITUDE, _MAX_LATITUDE)
    _, ys = transform_points(WGS84, WEB_MERCATOR, np.zeros(2), lats)
    side = pixel_m(zoom)
    left = math.floor((west + 180) / 360 * 2**zoom * 256)
    right = math.ceil((east + 180) / 360 * 2**zoom * 256)
    top, bottom = (
        math.floor((HALF_WORLD_M - ys[0]) / side),
        math.ceil((HALF_WORLD_M - ys[1]) / side),
    )
    top, bottom = max(top, 0), min(bottom, 2**zoom * 256)
    world = PixelGrid(
        1, 1, AffineTransform(side, 0, -HALF_WORLD_M, 0, -side, HALF_WORLD_M), WEB_MERCATOR
    )
    return _moved(world, left, top, right - left, bottom - top)


def _within(bounds: Bounds, asset: ImageAsset) -> PixelGrid:
    """Return the part of an image's grid that holds bounds."""
    west, south, east, north = bounds
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    native = asset.common_grid
    nowhere = UpstreamError(f"{asset.name}: nothing of the image lies within its bounds")
    try:
        asked = complete(PixelRequest(asset.name, region=Geometry("Polygon", (ring,))), asset)
    except InvalidRequest as exc:
        raise nowhere from exc
    t = asked.transform
    column, row = map(round, native.transform.inverse().apply(t.translate_x, t.translate_y))
    left, right = max(column, 0), min(column + asked.width, native.width)
    top, bottom = max(row, 0), min(row + asked.height, native.height)
    if left >= right or top >= bottom:
        raise nowhere
    return _moved(native, left, top, right - left, bottom - top)


def dtype_from_json(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the NumPy type that holds a PixelDataType, by its range as Earth Engine implies.

    >>> dtype_from_json({"precision": "INT", "range": {"max": 65535}})
    dtype('uint16')
    """
    precision = data_type.get("precision")
    if precision == "DOUBLE":
        return np.dtype(np.float64)
    if precision == "FLOAT":
        return np.dtype(np.float32)
    span = data_type.get("range") or {}
    low, high = float(span.get("min", 0)), float(span.get("max", 0))
    if low == high:
        return np.dtype(np.int32)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int64)
