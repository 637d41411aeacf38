"""The CF conventions: where pixels lie, when they were, and what stored values mean.

https://cfconventions.org/cf-conventions/cf-conventions.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import CRSError

from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest, TileserverError, UnreadableRaster
from tileserver.geo.crs import code_of_file, crs_of
from tileserver.rasters.cubes.stored import Stored

MAX_STEPS = 100_000
_MAX_SIDE = 1_000_000
_MAX_BENT_PX = 0.01
"""How far a coordinate may lie from where even steps would have it; floats are not exact."""
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_NAMES = {
    "x": ("longitude", "projection_x_coordinate", "lon", "x"),
    "y": ("latitude", "projection_y_coordinate", "lat", "y"),
    "t": ("time",),
}
_UNITS = {
    "x": ("degrees_east", "degree_east", "degrees_e", "degree_e"),
    "y": ("degrees_north", "degree_north", "degrees_n", "degree_n"),
}
Variables = Mapping[str, Stored]


@dataclass(frozen=True, slots=True)
class Packing:
    """What the stored values of a variable mean."""

    dtype: np.dtype[Any]
    """Of the values that are served."""
    missing: tuple[float, ...] = ()
    """Stored values without data."""
    scale: float | None = None
    offset: float | None = None
    is_unsigned: bool = False

    def unpacked(self, stored: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return the values of stored ones, and which of them are data."""
        if self.is_unsigned:
            stored = stored.view(stored.dtype.str.replace("i", "u"))
        valid = ~np.isnan(stored) if stored.dtype.kind == "f" else np.ones(stored.shape, np.bool_)
        for value in self.missing:
            valid &= stored != stored.dtype.type(value)
        if self.scale is None and self.offset is None:
            return stored.astype(self.dtype, copy=False), valid
        values = stored.astype(self.dtype)
        if self.scale is not None:
            values *= self.dtype.type(self.scale)
        if self.offset is not None:
            values += self.dtype.type(self.offset)
        return values, valid


def role_of(name: str, variables: Variables) -> str:
    """Return "x", "y" or "t" for a dimension by its coordinate variable, "" for any other."""
    stored = variables.get(name)
    if stored is None or len(stored.shape) != 1:
        return ""
    if " since " in stored.text("units"):
        return "t"
    said = stored.text("standard_name") or stored.text("axis") or name
    for role, names in _NAMES.items():
        is_unit = stored.text("units").lower() in _UNITS.get(role, ())
        if is_unit or said.lower() in names or said.lower() == role:
            return role
    return ""


def check_dimensions(name: str, variables: Variables) -> bool:
    """Return whether a variable has a dimension of time.

    Raises:
        UnreadableRaster: its dimensions are not (y, x) or (time, y, x), or have no coordinates.
    """
    stored = variables[name]
    roles = "".join(role_of(each, variables) or "?" for each in stored.dims)
    if roles in ("yx", "tyx"):
        return roles == "tyx"
    shown = ", ".join(each or "?" for each in stored.dims)
    flat = [n for n in stored.text("coordinates").split() if _is_flat(variables.get(n))]
    if flat:
        raise UnreadableRaster(
            f"{name}: its places are in two-dimensional coordinates ({', '.join(flat)[:80]}); "
            "expected a regular grid, with coordinates of its own for each of the last two "
            "dimensions."
        )
    raise UnreadableRaster(
        f"{name}: its dimensions are ({shown[:120]}); expected (y, x) or (time, y, x), each with a "
        "coordinate variable of its name."
    )


def _is_flat(stored: Stored | None) -> bool:
    return stored is not None and len(stored.shape) == 2


def grid_of(name: str, variables: Variables) -> PixelGrid:
    """Return the grid of a variable, whose coordinates are the centres of pixels.

    Raises:
        UnreadableRaster: steps are uneven, or there is no CRS.
    """
    y_name, x_name = variables[name].dims[-2:]
    west, across = _axis(x_name, variables[x_name])
    top, down = _axis(y_name, variables[y_name])
    transform = AffineTransform(across, 0.0, west, 0.0, down, top)
    height, width = variables[name].shape[-2:]
    return PixelGrid(width, height, transform, _crs_of(name, variables))


def _axis(name: str, stored: Stored) -> tuple[float, float]:
    """Return where the first pixel of an axis begins, and the step to the next one."""
    values, valid = packing_of(stored).unpacked(stored.all_values(_MAX_SIDE, name))
    values = values.astype(np.float64)
    if len(values) < 2 or not valid.all() or not np.isfinite(values).all():
        raise UnreadableRaster(f"{name}: expected two coordinates or more, all of them numbers.")
    step = float(values[-1] - values[0]) / (len(values) - 1)
    even = values[0] + step * np.arange(len(values))
    if step == 0 or float(np.abs(values - even).max()) > _MAX_BENT_PX * abs(step):
        raise UnreadableRaster(
            f"{name}: its coordinates are not evenly spaced; expected a regular grid, as "
            "gdalwarp or cdo remapbil make."
        )
    return float(values[0]) - step / 2, step


def _crs_of(name: str, variables: Variables) -> str:
    mapping = variables.get(variables[name].text("grid_mapping").partition(":")[0].strip())
    mapping = mapping or variables.get("spatial_ref")
    wkt = (mapping.text("crs_wkt") or mapping.text("spatial_ref")) if mapping else ""
    if wkt:
        try:
            return code_of_file(crs_of(wkt), name)
        except (InvalidRequest, UnreadableRaster, CRSError) as exc:
            reason = str(exc) if isinstance(exc, TileserverError) else "is not known to PROJ"
            raise UnreadableRaster(f"{name}: its CRS cannot be used: {reason}") from exc
    x_name = variables[name].dims[-1]
    stored = variables[x_name]
    is_degrees = (
        stored.text("units").lower() in _UNITS["x"] or stored.text("standard_name") == "longitude"
    )
    if is_degrees or x_name.lower() in ("lon", "longitude"):
        return "EPSG:4326"
    raise UnreadableRaster(
        f"{name}: its CRS is not known; expected longitudes and latitudes, or a grid_mapping with "
        "crs_wkt, as `rio.write_crs` of rioxarray writes."
    )


def times_us(name: str, variables: Variables) -> tuple[int, ...]:
    """Return the times of a variable's steps, in microseconds since 1970, to the millisecond.

    Raises:
        UnreadableRaster: their calendar is not that of dates, two are the same, or it is no time.
    """
    import cftime

    stored = variables[variables[name].dims[0]]
    calendar = stored.text("calendar").lower() or "standard"
    if calendar not in _CALENDARS:
        raise UnreadableRaster(
            f"{name}: its times are of the calendar {calendar[:40]!r}, whose days are not dates; "
            f"expected one of {', '.join(_CALENDARS)}."
        )
    values, valid = packing_of(stored).unpacked(stored.all_values(MAX_STEPS, name))
    if not valid.all():
        raise UnreadableRaster(f"{name}: some of its times are missing.")
    try:
        dates = cftime.num2date(values, stored.text("units"), calendar)
        found = cftime.date2num(dates, "microseconds since 1970-01-01", calendar)
    except (ValueError, OverflowError) as exc:
        raise UnreadableRaster(f"{name}: its times cannot be read as dates.") from exc
    # Earth Engine counts in milliseconds, and days in floats are not as exact as microseconds.
    times = tuple(round(int(each) / 1000) * 1000 for each in np.atleast_1d(found))
    if len(set(times)) < len(times):
        raise UnreadableRaster(f"{name}: two of its times are the same.")
    return times


def packing_of(stored: Stored) -> Packing:
    """Return what stored values mean: which are none, and their scale and offset."""
    is_unsigned = stored.text("_Unsigned").lower() == "true" and stored.dtype.kind == "i"
    said = stored.attributes
    missing: list[float] = []
    for each in ("_FillValue", "missing_value"):
        value = said.get(each)
        if value is not None and not isinstance(value, str):
            missing += [v for v in np.atleast_1d(value).tolist() if _fits(v, stored.dtype)]
    scale, offset = _number(said.get("scale_factor")), _number(said.get("add_offset"))
    dtype = stored.dtype.newbyteorder("=")
    if scale is not None or offset is not None:
        dtype = np.dtype(np.float32 if _is_single(said) else np.float64)
    elif dtype.kind == "f":
        dtype = np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    elif dtype.itemsize == 8:
        dtype = np.dtype(np.float64)
    elif is_unsigned:
        dtype = np.dtype(f"u{dtype.itemsize}")
    wrapped = [v % 2 ** (8 * stored.dtype.itemsize) if is_unsigned else v for v in missing]
    return Packing(dtype, tuple(dict.fromkeys(wrapped)), scale, offset, is_unsigned)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return bool(np.isfinite(value))
    limits = np.iinfo(dtype)
    return bool(np.isfinite(value)) and value == int(value) and limits.min <= value <= limits.max


def _number(value: Any) -> float | None:
    is_number = isinstance(value, np.number) and np.isfinite(value)
    return float(value) if is_number else None


def _is_single(said: Mapping[str, Any]) -> bool:
    """Tell whether scale and offset, those of them that are there, are single floats."""
    found = [said[each] for each in ("scale_factor", "add_offset") if each in said]
    return all(isinstance(each, np.float32) for each in found)
