"""Images that are computed, and those that have no file here, described as assets.

A composite has no pixels of its own: the grid of a deep zoom over its bounds stands for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.grids import AffineTransform, Box, PixelGrid, Window
from tileserver.contract.pixels import Geometry, PixelRequest
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR, mercator_box, pixel_m
from tileserver.contract.wire import grid_from_json
from tileserver.errors import InvalidRequest, UpstreamError
from tileserver.expressions.document import Computed
from tileserver.geo.completion import complete

_WORLD = Box(-180.0, -90.0, 180.0, 90.0)


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
    return grid.window(Window(column, row, grid.width, grid.height))


def _mercator_grid(bounds: Box, zoom: int) -> PixelGrid:
    """Return the whole pixels of a zoom that cover bounds in degrees."""
    side = pixel_m(zoom)
    west, south, east, north = mercator_box(bounds)
    box = Box(west, max(south, -HALF_WORLD_M), east, min(north, HALF_WORLD_M))
    lattice = AffineTransform.north_up(-HALF_WORLD_M, HALF_WORLD_M, side, side)
    return lattice.grid(lattice.covering(box), WEB_MERCATOR)


def _within(bounds: Box, asset: ImageAsset) -> PixelGrid:
    """Return the part of an image's grid that holds bounds in degrees."""
    region = Geometry("Polygon", (bounds.unrolled().ring,))
    native = asset.common_grid
    nowhere = UpstreamError(f"{asset.name}: nothing of the image lies within its bounds")
    try:
        asked = complete(PixelRequest(asset.name, region=region), asset)
    except InvalidRequest as exc:
        raise nowhere from exc
    origin = asked.transform.translate_x, asked.transform.translate_y
    column, row = map(round, native.transform.inverse().apply(*origin))
    window = Window(column, row, asked.width, asked.height).intersection(native.whole)
    if window is None:
        raise nowhere
    return native.window(window)


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
