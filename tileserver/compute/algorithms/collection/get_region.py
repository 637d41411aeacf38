"""`ImageCollection.getRegion`: the pixels of a region in every image, as rows."""

from __future__ import annotations

from typing import Any

from tileserver.compute.algorithms.collection.composites import layers_of
from tileserver.compute.algorithms.image.clips import GeometryMask
from tileserver.compute.algorithms.image.reprojection import projection_of
from tileserver.compute.context import Context
from tileserver.compute.pixels.regions import region_of
from tileserver.compute.pixels.sampling import sampled
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, index_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import TIME_START, Projection
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, transform_points

_MOST_VALUES = 1_048_576
_DEGREES = (
    'Projection = {"type": "Projection", "crs": "EPSG:4326",'
    ' "transform": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}'
)


@algorithm(
    "ImageCollection.getRegion(collection: ImageCollection, geometry: Geometry,"
    f" scale: Float = null, crs: {_DEGREES}, crsTransform: List = null) -> List"
)
def get_region(
    context: Context,
    collection: Collection,
    geometry: Geometry,
    scale: float | None,
    crs: Projection,
    transform: list[Any] | None,
) -> list[list[Any]]:
    """Return rows of id, longitude, latitude, time and bands: all images of a pixel, then the next.

    A pixel belongs to the region as in `Image.reduceRegion`; masked values are null.
    """
    layers = layers_of(context, collection)
    names = [name for name, _ in layers]
    header: list[Any] = ["id", "longitude", "latitude", "time", *names]
    mask = GeometryMask(geometry)
    region = region_of(geometry, projection_of(crs, transform, scale), mask.covers, mask.shares)
    count = len(collection.elements)
    if region.count_px * max(len(names), 1) * count > _MOST_VALUES:
        raise InvalidRequest(
            f"Too many values: {region.count_px} points x {len(names)} bands x {count} images "
            f"> {_MOST_VALUES}."
        )
    rows: list[list[list[Any]]] = []
    for place, element in enumerate(collection.elements):
        found = sampled(context, [bands[place] for _, bands in layers], region, most=_MOST_VALUES)
        lon, lat = transform_points(region.grid.crs_code, WGS84, found.x, found.y)
        about = index_of(element, place), element.properties.get(TIME_START)
        values = zip(*(column.to_list() for column in found.columns), strict=True)
        each = zip(lon.tolist(), lat.tolist(), values, strict=True)
        rows.append([[about[0], x, y, about[1], *row] for x, y, row in each])
    return [header, *(row for pixel in zip(*rows, strict=True) for row in pixel)]
