"""Arrays as bands on a grid: NumPy's with bounds, xarray's with coordinates.

A picture is of shape (height, width, 3 or 4) and bytes, any other array (height, width) or
(bands, height, width), row 0 in the north.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import crs_of

DEGREES = "EPSG:4326"
_PICTURE = (3, 4)
"""Bands of a picture, which come last."""
_X = ("x", "lon", "longitude", "easting", "X")
_Y = ("y", "lat", "latitude", "northing", "Y")
_IN_DEGREES = ("lon", "lat", "longitude", "latitude")
_UNEVEN = 0.01
"""Of a step: coordinates that differ more from even ones are no grid."""

Placed = tuple[BandArrays, PixelGrid]


def is_array(source: object) -> bool:
    """Tell whether a source is an array that can be placed: NumPy's, xarray's, or like them.

    >>> is_array(np.zeros((2, 3))), is_array("scene.tif")
    (True, False)
    """
    return hasattr(source, "__array__") or (hasattr(source, "dims") and hasattr(source, "coords"))


def is_labelled(source: object) -> bool:
    """Tell whether an array has named dimensions and coordinates, as xarray's have."""
    return hasattr(source, "dims") and hasattr(source, "coords")


def placed(source: Any, bounds: Sequence[float] | None, crs: Any) -> Placed:
    """Return an array as bands on a grid.

    Args:
        source: the array.
        bounds: west, south, east, north of its outer edges, in `crs`; those of a labelled array
            are in its coordinates.
        crs: anything that names one; None is degrees (EPSG:4326), or the array's own.

    Raises:
        InvalidRequest: it has no place, or a shape or type that cannot be drawn.
    """
    if is_labelled(source):
        return _placed_labelled(source, bounds, crs)
    if bounds is None:
        raise InvalidRequest(
            "an array needs bounds=(west, south, east, north), the longitudes and latitudes of its "
            "outer edges, or those in another crs= such as 'EPSG:32612'"
        )
    bands = _bands(source)
    code = crs_code(crs) if crs is not None else DEGREES
    return bands, _grid(bands, checked_bounds(bounds, code), code)


def crs_code(crs: Any) -> str:
    """Return the code or WKT of a CRS: a text, an EPSG code, or an object of pyproj or rasterio.

    Raises:
        InvalidRequest: there is no such CRS.

    >>> crs_code(32612)
    'EPSG:32612'
    """
    if isinstance(crs, int):
        crs = f"EPSG:{crs}"
    elif not isinstance(crs, str):
        epsg = crs.to_epsg() if hasattr(crs, "to_epsg") else None
        crs = f"EPSG:{epsg}" if epsg else crs.to_wkt() if hasattr(crs, "to_wkt") else crs
    if not isinstance(crs, str):
        raise InvalidRequest(f"crs: expected one such as 'EPSG:32612', got {shown(crs)}")
    try:
        crs_of(crs)
    except InvalidRequest as exc:
        raise InvalidRequest(str(exc).replace("grid.crs_code", "crs", 1)) from exc
    return crs


def checked_bounds(bounds: Sequence[float], code: str) -> Box:
    """Return bounds as a box.

    Raises:
        InvalidRequest: they are not four numbers in their order, or no degrees.
    """
    try:
        numbers = [float(each) for each in bounds]
    except (TypeError, ValueError) as exc:
        raise InvalidRequest(
            f"bounds: expected (west, south, east, north), got {shown(bounds)}"
        ) from exc
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise InvalidRequest(f"bounds: expected (west, south, east, north), got {shown(bounds)}")
    west, south, east, north = numbers
    if west >= east or south >= north:
        raise InvalidRequest(
            f"bounds: expected west < east and south < north, got west {west:g}, south {south:g}, "
            f"east {east:g}, north {north:g}"
        )
    if code == DEGREES and not (west >= -360 and east <= 360 and south >= -90 and north <= 90):
        raise InvalidRequest(
            f"bounds: expected longitudes and latitudes, got {shown(tuple(numbers))}; "
            "crs= names the CRS of other coordinates"
        )
    return Box(west, south, east, north)


def _grid(bands: BandArrays, box: Box, code: str) -> PixelGrid:
    _, height, width = bands.values.shape
    return PixelGrid.filling(box, width, height, code)


def _bands(source: Any, names: Sequence[str] = ()) -> BandArrays:
    """Return the bands of an array of two or three dimensions."""
    array = np.ma.asanyarray(source) if np.ma.isMaskedArray(source) else np.asarray(source)
    is_picture = array.ndim == 3 and array.shape[2] in _PICTURE and array.shape[0] > 4
    if array.ndim == 2:
        array = array[np.newaxis]
    elif is_picture and not names:
        array = np.moveaxis(array, 2, 0)
    if array.ndim != 3 or 0 in array.shape:
        raise InvalidRequest(
            "an array is of shape (height, width), (bands, height, width) or (height, width, 3 or "
            f"4), got {np.shape(source)}"
        )
    valid = ~np.ma.getmaskarray(array)
    values = _storable(np.ma.getdata(array))
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    if is_picture and not names and len(values) == 4:
        valid = np.broadcast_to(valid[:3].all(axis=0) & (values[3] > 0), values[:3].shape)
        values = values[:3]
    ids = tuple(names) or tuple(f"b{number}" for number in range(1, len(values) + 1))
    return BandArrays(ids, np.ascontiguousarray(values), np.ascontiguousarray(valid))


def _storable(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in a type that a GeoTIFF holds without loss, or as float64."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "b":
        return values.astype(np.uint8)
    if kind == "f":
        return values.astype(np.float32 if size < 4 else np.float64 if size > 8 else values.dtype)
    if kind not in "iu":
        raise InvalidRequest(f"an array of numbers is drawn, got one of the type {values.dtype}")
    if size < 8:
        return values.astype(np.int16) if values.dtype == np.int8 else values
    limits = np.iinfo(np.int32)
    fits = values.size and limits.min <= values.min() and values.max() <= limits.max
    return values.astype(np.int32 if fits else np.float64)


def _placed_labelled(source: Any, bounds: Sequence[float] | None, crs: Any) -> Placed:
    """Return an array of xarray as bands on a grid, by its coordinates and its CRS."""
    if hasattr(source, "data_vars"):
        source = _joined(source)
    x, y = _dimension(source, _X, "x"), _dimension(source, _Y, "y")
    others = [name for name in source.dims if name not in (x, y)]
    long = [name for name in others if source.sizes[name] > 1]
    if len(long) > 1:
        raise InvalidRequest(
            f"an array has one dimension beside {y} and {x}, its bands; got {', '.join(long)}: "
            f"choose one with .isel({long[0]}=0)"
        )
    by_band = source.isel({name: 0 for name in others if name not in long})
    ordered = by_band.transpose(*long, y, x)
    names = _band_names(ordered, long[0]) if long else [_name_of(source)]
    code = crs_code(crs if crs is not None else _own_crs(source, x, y))
    if bounds is not None:
        bands = _bands(_masked(ordered), names)
        return bands, _grid(bands, checked_bounds(bounds, code), code)
    ordered, box = _north_up(ordered, x, y)
    bands = _bands(_masked(ordered), names)
    return bands, _grid(bands, box, code)


def _masked(source: Any) -> Any:
    """Return the values of an array, masked where they are its fill value."""
    values = np.asarray(source.values)
    fill = source.attrs.get("_FillValue", source.attrs.get("nodata"))
    if isinstance(fill, (int, float, np.number)) and not np.isnan(fill):
        return np.ma.masked_equal(values, fill)
    return values


def _joined(dataset: Any) -> Any:
    """Return the variables of a dataset as the bands of one array."""
    if not dataset.data_vars:
        raise InvalidRequest("the dataset has no variable to draw")
    array = dataset.to_array("band")
    return array.assign_attrs(dataset.attrs)


def _dimension(source: Any, names: Sequence[str], axis: str) -> str:
    for name in names:
        if name in source.dims:
            return name
    raise InvalidRequest(
        f"an array of xarray has dimensions such as (y, x) or (lat, lon), got "
        f"{tuple(map(str, source.dims))}: rename that of {axis}"
    )


def _name_of(source: Any) -> str:
    name = str(source.name or "")
    return name if name.isidentifier() else "b1"


def _band_names(source: Any, dimension: str) -> list[str]:
    count = source.sizes[dimension]
    labels = [str(each) for each in source[dimension].values] if dimension in source.coords else []
    is_usable = all(label.isidentifier() for label in labels) and len(set(labels)) == count
    return labels if labels and is_usable else [f"b{number}" for number in range(1, count + 1)]


def _own_crs(source: Any, x: str, y: str) -> Any:
    """Return the CRS of an array, as rioxarray or the CF conventions have it.

    Raises:
        InvalidRequest: it has none.
    """
    own = getattr(getattr(source, "rio", None), "crs", None) or source.attrs.get("crs")
    if own:
        return own
    mapping = source.attrs.get("grid_mapping", source.encoding.get("grid_mapping", "spatial_ref"))
    if mapping in source.coords:
        attributes = source.coords[mapping].attrs
        own = attributes.get("crs_wkt") or attributes.get("spatial_ref")
    if own:
        return own
    if x in _IN_DEGREES and y in _IN_DEGREES:
        return DEGREES
    raise InvalidRequest(
        f"the CRS of the coordinates {x} and {y} is unknown: name it, as crs='EPSG:32612'"
    )


def _north_up(source: Any, x: str, y: str) -> tuple[Any, Box]:
    """Return an array with row 0 in the north and column 0 in the west, and its outer edges."""
    edges = []
    for name, is_rising in ((x, True), (y, False)):
        if name not in source.coords:
            raise InvalidRequest(
                f"the dimension {name} has no coordinates: give it some, or "
                "bounds=(west, south, east, north)"
            )
        values = np.asarray(source[name].values, dtype=np.float64)
        if len(values) > 1 and bool(values[-1] > values[0]) != is_rising:
            source, values = source.isel({name: slice(None, None, -1)}), values[::-1]
        edges.append(_edges(values, name))
    (west, east), (north, south) = edges
    return source, Box(west, south, east, north)


def _edges(values: NDArray[np.float64], name: str) -> tuple[float, float]:
    """Return the outer edges of pixels by their centres."""
    if len(values) < 2:
        raise InvalidRequest(f"{name} has one coordinate, which tells no pixel size: give bounds=")
    step = (values[-1] - values[0]) / (len(values) - 1)
    is_even = step and np.abs(np.diff(values) - step).max() <= _UNEVEN * abs(step)
    if not is_even:
        raise InvalidRequest(
            f"the coordinates of {name} are not evenly spaced, so the array is no grid; "
            "resample it first"
        )
    return float(values[0] - step / 2), float(values[-1] + step / 2)
