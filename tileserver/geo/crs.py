"""Coordinate reference systems, and points carried from one to another with PROJ.

x before y always: easting, northing; longitude, latitude. A CRS comes as text, from a client,
from a file or from Earth Engine; PROJ sees what `crs_texts` has read of it and written anew.
"""

from __future__ import annotations

import json
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError, CPLE_NotSupportedError  # what rasterio lets through
from rasterio.crs import CRS
from rasterio.env import Env, hasenv
from rasterio.errors import CRSError
from rasterio.warp import transform

from tileserver.concurrency.time_limit import check_time
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs_texts.forms import CrsText, Form, read_crs
from tileserver.geo.crs_texts.projjson import checked
from tileserver.geo.crs_texts.refusals import RefusedCrs

# Stronger than proj.ini, and than what an Env of rasterio may say: PROJ fetches no grids.
os.environ["PROJ_NETWORK"] = "OFF"

_thread = threading.local()

WGS84 = "EPSG:4326"
_ALIGNED = frozenset({WGS84, WEB_MERCATOR})
_MAX_LATITUDE = 90.0 + 1e-9
"""Degrees; a pole that was reached by arithmetic may lie a little beyond itself."""
EARTH_RADIUS_M = 6378137.0
"""Semi-major axis of WGS 84."""
_BODY_RADIUS_M, _BODY_SHARE = 6_375_000.0, 0.005
"""PROJ's own limits: an ellipsoid whose semi-major axis lies further off is of another body."""
_OWN_CODE = re.compile(r'(?:AUTHORITY|ID)\["EPSG",\s*"?(\d{1,9})"?\]\s*\]\s*$')
_LONG = 2_000
"""Characters; fewer CRSs of longer texts are kept."""

_NO_INVERSE = "No inverse operation"
"""PROJ's words for a projection that leads from degrees to a map only."""

Coordinates = NDArray[np.float64]


def crs_of(crs_code: str) -> CRS:
    """Return the CRS for an authority code, WKT, PROJJSON or a PROJ string, without heights.

    Raises:
        InvalidRequest: it is none of these, PROJ does not know it, it names a file, or is not of
            the Earth.
    """
    return _crs_of_short(crs_code) if len(crs_code) <= _LONG else _crs_of_long(crs_code)


def _crs_of(crs_code: str) -> CRS:
    try:
        return map_of(_made(read_crs(crs_code)))
    except RefusedCrs as exc:
        raise InvalidRequest(
            f"grid.crs_code: {crs_code[:40]!r} is not a known geographic or projected CRS: "
            f"it {exc}; expected one such as EPSG:4326, EPSG:3857 or EPSG:32612."
        ) from exc


_crs_of_short = lru_cache(maxsize=256)(_crs_of)
_crs_of_long = lru_cache(maxsize=16)(_crs_of)


@lru_cache(maxsize=64)
def code_of_crs(crs_text: str) -> str | None:
    """Return the EPSG code that a WKT ends with if the CRS is the same as that; else None.

    Raises:
        InvalidRequest: as `crs_of`.
    """
    found, named = crs_of(crs_text), _OWN_CODE.search(crs_text[-60:])
    with suppress(CRSError, CPLE_BaseError, InvalidRequest):
        if named and crs_of(f"EPSG:{named[1]}") == found:
            return f"EPSG:{named[1]}"
    return None


def _made(crs: CrsText) -> CRS:
    """Return PROJ's reading of a text; no parser of GDAL's sees it that opens files."""
    try:
        match crs.form:
            case Form.WKT:
                return CRS.from_wkt(crs.text)
            case Form.PROJ:
                return CRS.from_proj4(crs.text)
            case Form.PROJJSON:
                return _from_projjson(crs.text)
        authority, code = crs.text.split(":")
        # As "ESRI:1" GDAL looks for a file of that name when the code is unknown.
        return CRS.from_user_input(f"urn:ogc:def:crs:{authority}::{code}")
    except (CRSError, CPLE_BaseError) as exc:
        raise RefusedCrs("is not known to PROJ") from exc


def _from_projjson(text: str) -> CRS:
    # Of what begins with a brace and has a CRS's type, GDAL takes nothing for a file's name.
    return CRS.from_user_input(text)


class NoMap(RefusedCrs):
    """The CRS is harmless, and no map of the Earth."""


class ForeignBody(NoMap):
    """The CRS is that of another planet or of a moon."""


def map_of(crs: CRS) -> CRS:
    """Return the horizontal part of a CRS of the Earth.

    Heights are of no use here, and PROJ takes seconds to search operations for them.

    Raises:
        RefusedCrs: it is no map, names a file, or is not of the Earth.
    """
    try:
        members = crs.to_dict(projjson=True)
        is_map = crs.is_geographic or crs.is_projected
    except (CRSError, CPLE_BaseError) as exc:
        raise NoMap("is not known to PROJ") from exc
    if not is_map:
        raise NoMap("is neither geographic nor projected")
    members = checked(members)
    _check_body(members)
    flat = _without_heights(members)
    return crs if flat == members else _made(CrsText(Form.PROJJSON, json.dumps(flat)))


def _check_body(members: Mapping[str, Any]) -> None:
    # PROJ would search all its registry for a way from there to the Earth, once for each point.
    for ellipsoid in _members_named("ellipsoid", members):
        axis = ellipsoid.get("semi_major_axis", ellipsoid.get("radius"))
        if isinstance(axis, dict):
            unit = axis.get("unit")
            factor = unit.get("conversion_factor", 1.0) if isinstance(unit, dict) else 1.0
            axis = axis.get("value", 0.0) * factor
        if abs(axis - _BODY_RADIUS_M) > _BODY_SHARE * _BODY_RADIUS_M:
            raise ForeignBody(
                f"is not of the Earth: the semi-major axis of its ellipsoid is {axis:.0f} m, "
                f"and the Earth's {EARTH_RADIUS_M:.0f} m"
            )


def _members_named(name: str, value: Any) -> Iterator[Mapping[str, Any]]:
    for key, member in value.items() if isinstance(value, dict) else enumerate(value):
        if key == name:
            yield member
        elif isinstance(member, dict | list):
            yield from _members_named(name, member)


def _without_heights(members: dict[str, Any]) -> dict[str, Any]:
    """Return the PROJJSON of a CRS's horizontal part; the same when it has no other."""
    if "components" in members:
        return _without_heights(members["components"][0])
    found = {
        name: _without_heights(member) if name in ("base_crs", "source_crs") else member
        for name, member in members.items()
    }
    system = members.get("coordinate_system", {})
    if len(system.get("axis", ())) > 2:
        found["coordinate_system"] = system | {"axis": system["axis"][:2]}
        found.pop("id", None)
    return found


def code_of(crs: CRS) -> str:
    """Return the authority code of a CRS, or its WKT when it has none."""
    authority = crs.to_authority(confidence_threshold=100)
    return ":".join(authority) if authority else _wkt_of(crs)


def _wkt_of(crs: CRS) -> str:
    try:
        return str(crs.to_wkt())
    except CRSError:  # version 1, which readers know best, has not all projections
        return str(crs.to_wkt(version="WKT2_2019"))


def code_of_file(crs: CRS, name: str) -> str:
    """Return the authority code of a file's CRS, or its WKT when it has none.

    Args:
        crs: as GDAL has read it from the file.
        name: what to call the file in an error.

    Raises:
        UnreadableRaster: `crs_of` would refuse it.
    """
    try:
        return _checked_code(crs)
    except (RefusedCrs, CRSError) as exc:
        # Nothing leads to the Earth from elsewhere: gdalwarp refuses it, too.
        remedy = (
            "expected one of the Earth; if only the CRS is wrong, gdal_edit.py -a_srs EPSG:… "
            "writes the right one."
            if isinstance(exc, ForeignBody)
            else "gdalwarp -t_srs EPSG:4326 brings it to one that can be shown."
        )
        raise UnreadableRaster(f"{name}: the GeoTIFF's CRS {exc}; {remedy}") from exc


@lru_cache(maxsize=256)
def _checked_code(crs: CRS) -> str:
    map_of(crs)
    found = code_of(crs)
    map_of(_made(read_crs(found)))
    return found


def unit_deg(crs: CRS) -> float:
    """Return the unit of a geographic CRS in degrees: 1, or 0.9 of grads."""
    return round(math.degrees(crs.units_factor[1]), 12)


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
    crs = crs_of(source)
    on_earth = np.abs(ys) * unit_deg(crs) <= _MAX_LATITUDE if crs.is_geographic else None
    if on_earth is not None and not on_earth.all():
        # Left to rasterio, which looks for such points one by one, they take seconds.
        return _of_those(on_earth, source, target, xs, ys)
    _keep_environment()
    try:
        x, y = transform(crs, crs_of(target), xs, ys)
    except CPLE_NotSupportedError:  # there is no operation between the two, for no point
        return np.full(xs.shape, np.inf), np.full(ys.shape, np.inf)
    except CPLE_BaseError as exc:
        if _NO_INVERSE in str(exc):
            return np.full(xs.shape, np.inf), np.full(ys.shape, np.inf)
        return _in_halves(source, target, xs, ys)
    return np.asarray(x), np.asarray(y)


def _keep_environment() -> None:
    """Enter rasterio's environment once for this thread: each call would make one, in 0.2 ms."""
    if not hasenv():
        _thread.environment = Env()
        _thread.environment.__enter__()


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

    Degrees, and grads, count as along the equator, whatever the latitude.
    """
    crs = crs_of(crs_code)
    if crs.is_geographic:
        return abs(pixel) * unit_deg(crs) * 2 * HALF_WORLD_M / 360
    return abs(pixel) * float(crs.linear_units_factor[1])
