"""Images: bands with a pixel type, a projection and an extent, and properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from shapely import get_coordinates, get_exterior_ring

from tileserver.compute.nodes import Node, Read
from tileserver.compute.values.date import parse_date
from tileserver.compute.values.pixel_type import PixelType, of_dtype
from tileserver.contract.assets import Band as AssetBand
from tileserver.contract.assets import ImageAsset
from tileserver.contract.names import short_name
from tileserver.contract.pixels import AffineTransform, PixelGrid
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, nominal_scale_m
from tileserver.geo.extents import Box, lonlat_bounds
from tileserver.geo.outlines import footprint

INDEX, FOOTPRINT = "system:index", "system:footprint"
TIME_START, TIME_END = "system:time_start", "system:time_end"


_UNIT = AffineTransform(1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Projection:
    """A CRS and a lattice of pixels in it."""

    crs_code: str
    transform: AffineTransform = _UNIT

    @property
    def nominal_scale_m(self) -> float:
        """Side of a pixel in metres; degrees count as along the equator."""
        side = abs(self.transform.determinant) ** 0.5
        return nominal_scale_m(self.crs_code, side)

    def at_scale(self, metres: float) -> Projection:
        """Return the projection with pixels of another size; degrees count as at the equator.

        Raises:
            InvalidRequest: the size is not above zero.
        """
        if not 0 < metres < math.inf:
            raise InvalidRequest(f"scale must be a number of metres above zero, got {metres:g}.")
        side = abs(self.transform.determinant) ** 0.5
        factor = metres / Projection(self.crs_code).nominal_scale_m / side
        return self.scaled(factor, factor)

    def scaled(self, x: float, y: float) -> Projection:
        """Return the projection with pixels so many times as wide and high, the origin in place."""
        t = self.transform
        return Projection(
            self.crs_code,
            AffineTransform(
                t.scale_x * x, t.shear_x * y, t.translate_x,
                t.shear_y * x, t.scale_y * y, t.translate_y,
            ),
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {"type": "Projection", "crs": self.crs_code, "transform": six(self.transform)}


DEFAULT_PROJECTION = Projection(WGS84)
"""The projection of constants and composites: pixels of one degree."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a band's pixels begin and end, in pixels of its projection."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Band:
    """One band of an image, not computed yet."""

    id: str
    type: PixelType
    projection: Projection
    extent: Extent | None
    """None is unbounded."""
    node: Node = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        members: dict[str, Any] = {"id": self.id, "data_type": self.type.to_json()}
        if self.extent is not None:
            members["dimensions"] = [self.extent.width, self.extent.height]
            if self.extent.left or self.extent.top:
                members["origin"] = [self.extent.left, self.extent.top]
        code = self.projection.crs_code
        members["crs_wkt" if len(code) > 60 else "crs"] = code
        members["crs_transform"] = six(self.projection.transform)
        return members


@dataclass(frozen=True, slots=True)
class Image:
    """Bands of one place, and properties."""

    bands: tuple[Band, ...]
    properties: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    version: int | None = None

    @property
    def band_ids(self) -> list[str]:
        """The ids, in order."""
        return [band.id for band in self.bands]

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        members: dict[str, Any] = {
            "type": "Image",
            "id": self.id,
            "version": self.version,
            "bands": [band.to_json() for band in self.bands],
            "properties": dict(self.properties),
        }
        return {name: value for name, value in members.items() if value not in (None, {})}

    def derived(self, bands: Iterable[Band]) -> Image:
        """Return an image of other bands that keeps the properties, as selections do."""
        return Image(tuple(bands), self.properties, self.id, self.version)


def six(transform: AffineTransform) -> list[float]:
    """Return a transform in Earth Engine's order, whole numbers as such."""
    t = transform
    members = (t.scale_x, t.shear_x, t.translate_x, t.shear_y, t.scale_y, t.translate_y)
    return [int(m) if m == int(m) else m for m in members]


def stored_image(asset: ImageAsset) -> Image:
    """Return the image of an asset, each band read when it is needed."""
    bands = tuple(_stored_band(asset, band) for band in asset.bands)
    return Image(bands, _properties(asset), short_name(asset.name), _version(asset))


def _stored_band(asset: ImageAsset, band: AssetBand) -> Band:
    projection = Projection(band.grid.crs_code, band.grid.transform)
    extent = Extent(0, 0, band.grid.width, band.grid.height)
    return Band(band.id, of_dtype(band.dtype), projection, extent, Read(asset, band.id))


def _properties(asset: ImageAsset) -> dict[str, Any]:
    members: dict[str, Any] = dict(asset.properties)
    for name, time in ((TIME_START, asset.start_time), (TIME_END, asset.end_time)):
        if time is not None:
            members[name] = int(parse_date(time).millis)
    members[INDEX] = asset.name.rsplit("/", 1)[-1]
    members[FOOTPRINT] = {"type": "LinearRing", "coordinates": _outline(asset)}
    if asset.size_bytes is not None:
        members["system:asset_size"] = asset.size_bytes
    return members


def _version(asset: ImageAsset) -> int | None:
    """Return the microseconds of the last change, Earth Engine's version of an asset."""
    return None if asset.update_time is None else 1000 * int(parse_date(asset.update_time).millis)


def _outline(asset: ImageAsset) -> list[list[float]]:
    """Return the ring around an asset in degrees; a footprint in two parts gives its bounds."""
    found = footprint(asset)
    if found.geom_type != "Polygon":
        return ring_of(lonlat_bounds(asset))
    ring: list[list[float]] = get_coordinates(get_exterior_ring(found)).tolist()
    return ring


def ring_of(box: Box) -> list[list[float]]:
    """Return the ring around a box in degrees; past 180 where it crosses the antimeridian."""
    west, south, east, north = box
    east = east + 360 if east < west else east
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def map_bands(image: Image, change: Callable[[Band], Band]) -> Image:
    """Return an image with each band changed."""
    return image.derived(change(band) for band in image.bands)


def named(bands: Sequence[Band], ids: Sequence[str]) -> list[Band]:
    """Return bands under other ids; a repeated id gets a number, as in `B1_1`."""
    taken: dict[str, int] = {}
    found = []
    for band, wanted in zip(bands, ids, strict=True):
        name, number = wanted, taken.get(wanted, 0)
        while name in taken:
            number += 1
            name = f"{wanted}_{number}"
        taken[wanted] = number
        taken.setdefault(name, 0)
        found.append(replace(band, id=name))
    return found


def north_up(projection: Projection) -> Projection:
    """Return a projection whose rows go south, unless its transform has an origin or shears.

    Projections of a CRS alone, or of a CRS and a scale, start at the CRS's origin with rows going
    north, as in Earth Engine. A picture of such rows would be upside down.
    """
    t = projection.transform
    has_origin = t.translate_x or t.translate_y or t.shear_x or t.shear_y
    if t.scale_y < 0 or has_origin:
        return projection
    return Projection(projection.crs_code, replace(t, scale_y=-t.scale_y))


def native_grid(image: Image) -> PixelGrid:
    """Return the grid of an image's first band; of an unbounded one, the world in degree pixels.

    Raises:
        InvalidRequest: it has no bands.
    """
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    band = image.bands[0]
    if band.extent is None:
        world = AffineTransform(1.0, 0.0, -180.0, 0.0, -1.0, 90.0)
        return PixelGrid(360, 180, world, WGS84)
    return grid_of(band.projection, band.extent)


def grid_of(projection: Projection, extent: Extent) -> PixelGrid:
    """Return the grid of an extent, its rows going south."""
    t = north_up(projection).transform
    is_turned = t != projection.transform
    top = -(extent.top + extent.height) if is_turned else extent.top
    x, y = t.apply(extent.left, top)
    moved = replace(t, translate_x=x, translate_y=y)
    return PixelGrid(extent.width, extent.height, moved, projection.crs_code)


def as_asset(image: Image, name: str, version: str) -> ImageAsset:
    """Return a computed image as an asset; all bands have the grid of the first one."""
    grid = native_grid(image)
    bands = tuple(AssetBand(band.id, band.type.dtype, grid) for band in image.bands)
    return ImageAsset(name, version, bands)
