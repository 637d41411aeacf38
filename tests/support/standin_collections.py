"""The collections that the stand-in knows: folders of images, filtered and reduced."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.contract.names import check_asset_name
from tileserver.errors import InvalidRequest
from tileserver.geo.extents import lonlat_bounds
from tileserver.rasters.catalogue import Catalogue


class Constants(Protocol):
    """An expression, as far as collections need it."""

    @property
    def values(self) -> Mapping[str, Any]:
        """The named nodes."""
        ...

    def resolve(self, node: Any) -> Any:
        """Return a constant node's value."""
        ...


def image_names(catalogue: Catalogue, expression: Constants, node: Any) -> list[str]:
    """Return the images of a collection, in the order of their names.

    Raises:
        InvalidRequest: there is no such collection, or a filter is none of the few.
    """
    if "valueReference" in node:
        return image_names(catalogue, expression, expression.values[node["valueReference"]])
    call = node["functionInvocationValue"]
    name, arguments = call["functionName"], call["arguments"]
    if name == "ImageCollection.load":
        return _children(catalogue, str(expression.resolve(arguments["id"])))
    if name == "Collection.filter":
        names = image_names(catalogue, expression, arguments["collection"])
        return [
            n for n in names if _keeps(expression, arguments["filter"], catalogue.find(n).asset)
        ]
    raise InvalidRequest(f"Unrecognized function '{name}'.")


def _children(catalogue: Catalogue, asset_id: str) -> list[str]:
    below = check_asset_name(asset_id) + "/"
    names = [name for name in catalogue.names(below) if "/" not in name.removeprefix(below)]
    if not names:
        raise InvalidRequest(
            f"ImageCollection.load: ImageCollection asset '{asset_id}' not found (does not exist "
            "or caller does not have access)."
        )
    return names


def _keeps(expression: Constants, node: Any, asset: ImageAsset) -> bool:
    call = node["functionInvocationValue"]
    name, arguments = call["functionName"], call["arguments"]
    match name:
        case "Filter.dateRangeContains":
            days = arguments["leftValue"]["functionInvocationValue"]["arguments"]
            start, end = (expression.resolve(days[each]) for each in ("start", "end"))
            # Days and instants of one form are in the order of their letters.
            return asset.start_time is not None and start <= asset.start_time < end
        case "Filter.intersects":
            feature = arguments["rightValue"]["functionInvocationValue"]["arguments"]
            geometry = feature["geometry"]["functionInvocationValue"]["arguments"]
            (ring,) = expression.resolve(geometry["coordinates"])
            lons, lats = zip(*ring, strict=True)
            box = Box(min(lons), min(lats), max(lons), max(lats))
            return lonlat_bounds(asset).meets(box)
        case "Filter.lessThan":
            value = asset.properties.get(expression.resolve(arguments["leftField"]))
            return value is not None and value < expression.resolve(arguments["rightValue"])
    raise InvalidRequest(f"Unrecognized function '{name}'.")


def _last_valid(stack: Any) -> Any:
    top = stack[0].copy()
    for each in stack[1:]:
        valid = ~np.ma.getmaskarray(each)
        top[valid] = each[valid]
    return top


def _median(stack: Any) -> Any:
    values = np.where(np.ma.getmaskarray(stack), np.nan, stack.astype(np.float64).data)
    with warnings.catch_warnings():
        # Where all images are masked, so is the median.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.ma.masked_invalid(np.nanmedian(values, axis=0))


REDUCERS: Mapping[str, Callable[[Any], Any]] = {
    "ImageCollection.mosaic": _last_valid,
    "reduce.median": _median,
    "reduce.mean": lambda stack: stack.astype(np.float64).mean(axis=0),
    "reduce.min": lambda stack: stack.min(axis=0),
    "reduce.max": lambda stack: stack.max(axis=0),
    "reduce.sum": lambda stack: stack.astype(np.float64).sum(axis=0),
    "reduce.count": lambda stack: stack.count(axis=0).astype(np.int32),
}
"""Functions of masked arrays of shape (images, height, width)."""
