"""Images of each pixel's longitude and latitude, coordinates, or area."""

from __future__ import annotations

import numpy as np

from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.ground import pixel_sides
from tileserver.compute.pixels.reprojected import positions_on
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image, Projection
from tileserver.compute.values.pixel_type import DOUBLE
from tileserver.contract.grids import PixelGrid


@algorithm("Image.pixelLonLat() -> Image")
def pixel_lon_lat() -> Image:
    """Return the longitude and latitude of each pixel, in degrees."""
    return _coordinates(DEFAULT_PROJECTION, ("longitude", "latitude"))


@algorithm("Image.pixelCoordinates(projection: Projection) -> Image")
def pixel_coordinates(projection: Projection) -> Image:
    """Return the x and y of each pixel in a projection, in its pixels."""
    return _coordinates(projection, ("x", "y"))


def _coordinates(projection: Projection, names: tuple[str, str]) -> Image:
    def compute(grid: PixelGrid, place: int) -> Pixels:
        found = positions_on(grid, projection)[place]
        is_known = np.isfinite(found)
        return Pixels(np.where(is_known, found, 0.0), is_known.astype(np.float32))

    def band(place: int) -> Band:
        node = ApplyOnGrid(lambda grid: compute(grid, place))
        return Band(names[place], DOUBLE, projection, None, node)

    return Image((band(0), band(1)))


@algorithm("Image.pixelArea() -> Image")
def pixel_area() -> Image:
    """Return the area of each pixel on the ground, in square metres."""

    def compute(grid: PixelGrid) -> Pixels:
        area = pixel_sides(grid).area_m2
        known = np.isfinite(area)
        return Pixels(np.where(known, area, 0.0), known.astype(np.float32))

    return Image((Band("area", DOUBLE, DEFAULT_PROJECTION, None, ApplyOnGrid(compute)),))
