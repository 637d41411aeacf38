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
from tileserver.contract.grids import AffineTransform, Box, PixelGrid, Window
from tileserver.contract.names import short_name
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import WGS84, nominal_scale_m
from tileserver.geo.extents import lonlat_bounds
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
        return nominal_scale_m(self.crs_code, self.transform.pixel_side)

    def at_scale(self, metres: float) -> Projection:
        """Return the projection with pixels of another size; degrees count as at the equator.

        Raises:
            InvalidRequest: the size is not above zero.
        """
        if not 0 < metres < math.inf:
            raise InvalidRequest(f"scale must be a number of metres above zero, got {metres:g}.")
        unit = Projection(self.crs_code).nominal_scale_m
        factor = metres / unit / self.transform.pixel_side
        return self.scaled(factor, factor)

    def scaled(self, x: float, y: float) -> Projection:
        """Return the projection with pixels so many times as wide and high, the origin in place."""
        return Projection(self.crs_code, self.transform.scaled(x, y))

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {"type": "Projection", "crs": self.crs_code, "transform": six(self.transform)}


DEFAULT_PROJECTION = Projection(WGS84)
"""The projection of constants and composites: pixels of one degree."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band of an image, not computed yet."""

    id: str
    type: PixelType
    projection: Projection
    extent: Window | None
    """Its pixels, counted from the origin of its projection; None is unbounded."""
    node: Node = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        members: dict[str, Any] = {"id": self.id, "data_type": self.type.to_json()}
        if self.extent is not None:
            members["dimensions"] = [self.extent.width, self.extent.height]
            if self.extent.column or self.extent.row:
                members["origin"] = [self.extent.column, self.extent.row]
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
    return [int(m) if m == int(m) else m for m in transform.members]


def stored_image(asset: ImageAsset) -> Image:
    """Return the image of an asset, each band read when it is needed."""
    bands = tuple(stored_band(asset, band) for band in asset.bands)
    return Image(bands, _properties(asset), short_name(asset.name), _version(asset))


def stored_band(asset: ImageAsset, band: AssetBand) -> Band:
    """Return a band of an asset, read when it is needed."""
    projection = Projection(band.grid.crs_code, band.grid.transform)
    return Band(band.id, of_dtype(band.dtype), projection, band.grid.whole, Read(asset, band.id))


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
    return [list(point) for point in box.unrolled().ring]


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
    world = PixelGrid.filling(Box(-180.0, -90.0, 180.0, 90.0), 360, 180, WGS84)
    return band_grid(image.bands[0]) or world


def band_grid(band: Band, margin_px: int = 0) -> PixelGrid | None:
    """Return the grid of a band's pixels and of a margin around them; None if unbounded."""
    if band.extent is None:
        return None
    column, row, width, height = band.extent
    projection = north_up(band.projection)
    if projection != band.projection:
        row = -(row + height)
    margins = 2 * margin_px
    window = Window(column - margin_px, row - margin_px, width + margins, height + margins)
    return projection.transform.grid(window, projection.crs_code)


def as_asset(image: Image, name: str, version: str) -> ImageAsset:
    """Return a computed image as an asset; all bands have the grid of the first one."""
    grid = native_grid(image)
    bands = tuple(AssetBand(band.id, band.type.dtype, grid) for band in image.bands)
    return ImageAsset(name, version, bands)
