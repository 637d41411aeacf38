"""Coordinate reference systems, and points carried from one to another with PROJ.

x before y always: easting, northing; longitude, latitude.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rasterio._err import (  # what rasterio.warp.transform lets through
    CPLE_BaseError,
    CPLE_NotSupportedError,
)
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform

from tileserver.errors import InvalidRequest
from tileserver.patience import check_time
from tileserver.tiles import HALF_WORLD_M, WEB_MERCATOR

WGS84 = "EPSG:4326"
_MODIS_SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
_SPATIALREFERENCE_ORG = {
    "SR-ORG:6627": WEB_MERCATOR,
    "SR-ORG:6842": _MODIS_SINUSOIDAL,
    "SR-ORG:6974": _MODIS_SINUSOIDAL,
}
"""Codes that Earth Engine takes and hands out and PROJ does not know, as PROJ has them."""
_ALIGNED = frozenset({WGS84, WEB_MERCATOR})
_MAX_LATITUDE = 90.0 + 1e-9
"""Degrees; a pole that was reached by arithmetic may lie a little beyond itself."""

Coordinates = NDArray[np.float64]


@lru_cache(maxsize=256)
def crs_of(crs_code: str) -> CRS:
    """Return the CRS for an authority code or WKT.

    Raises:
        InvalidRequest: PROJ does not know it.
    """
    try:
        crs = CRS.from_user_input(_SPATIALREFERENCE_ORG.get(crs_code, crs_code))
    except CRSError as exc:
        raise InvalidRequest(_unknown(crs_code)) from exc
    if not (crs.is_geographic or crs.is_projected):
        raise InvalidRequest(_unknown(crs_code))
    return crs


def _unknown(crs_code: str) -> str:
    return (
        f"grid.crs_code: {crs_code[:80]!r} is not a known geographic or projected CRS; "
        "expected one such as EPSG:4326, EPSG:3857 or EPSG:32612."
    )


def code_of(crs: CRS) -> str:
    """Return the authority code of a CRS, or its WKT when it has none."""
    authority = crs.to_authority(confidence_threshold=100)
    return ":".join(authority) if authority else str(crs.to_wkt())


@lru_cache(maxsize=256)
def period(crs_code: str) -> float | None:
    """Return the x after which a CRS comes round to the same place, in CRS units, or None."""
    if crs_code == WEB_MERCATOR:
        return 2 * HALF_WORLD_M
    return 360.0 if crs_of(crs_code).is_geographic else None


def are_aligned(source: str, target: str) -> bool:
    """Tell whether x depends on x alone and y on y alone between two CRSs."""
    return source == target or {source, target} <= _ALIGNED


def transform_points(
    source: str, target: str, xs: Coordinates, ys: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return points of `source` in `target`; infinite where the projection is undefined.

    Args:
        source: CRS code of xs and ys.
        target: CRS code of the result.
        xs: shape (n,).
        ys: shape (n,).

    Raises:
        DeadlineExceeded: a `patience.time_limit` is over.
    """
    if source == target:
        return xs, ys
    check_time()
    on_earth = np.abs(ys) <= _MAX_LATITUDE if crs_of(source).is_geographic else None
    if on_earth is not None and not on_earth.all():
        # Left to rasterio, which looks for such points one by one, they take seconds.
        return _of_those(on_earth, source, target, xs, ys)
    try:
        x, y = transform(crs_of(source), crs_of(target), xs, ys)
    except CPLE_NotSupportedError:
        # There is no way from one to the other, as from Mars to the Earth: none for any point.
        return np.full(xs.shape, np.inf), np.full(ys.shape, np.inf)
    except CPLE_BaseError:
        return _in_halves(source, target, xs, ys)
    return np.asarray(x), np.asarray(y)


def _of_those(
    known: NDArray[np.bool_], source: str, target: str, xs: Coordinates, ys: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """Return the points that `known` is True for; the others are infinite."""
    x, y = np.full(xs.shape, np.inf), np.full(ys.shape, np.inf)
    if known.any():
        x[known], y[known] = transform_points(source, target, xs[known], ys[known])
    return x, y


def _in_halves(
    source: str, target: str, xs: Coordinates, ys: Coordinates
) -> tuple[Coordinates, Coordinates]:
    # One point outside the domain makes rasterio give up on all of them.
    if xs.size == 1:
        return np.full(xs.shape, np.inf), np.full(xs.shape, np.inf)
    half = xs.size // 2
    x1, y1 = transform_points(source, target, xs[:half], ys[:half])
    x2, y2 = transform_points(source, target, xs[half:], ys[half:])
    return np.concatenate([x1, x2]), np.concatenate([y1, y2])


def transform_point(source: str, target: str, x: float, y: float) -> tuple[float, float]:
    """Return one point of `source` in `target`; infinite where the projection is undefined."""
    xs, ys = transform_points(source, target, np.array([x]), np.array([y]))
    return float(xs[0]), float(ys[0])


def nominal_scale_m(crs_code: str, pixel: float) -> float:
    """Return a pixel's side in metres as Earth Engine's nominalScale has it.

    Degrees count as along the equator, whatever the latitude.
    """
    crs = crs_of(crs_code)
    if crs.is_geographic:
        return abs(pixel) * 2 * HALF_WORLD_M / 360
    return abs(pixel) * float(crs.linear_units_factor[1])
