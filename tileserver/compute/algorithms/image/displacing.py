"""Images moved: `Image.translate`, `Image.changeProj` and `Image.displace`.

Source: the reference pages. Decided: what lies at a place of the source projection is shown at
the same pixel coordinates of the other one, exactly where the output has the CRS of the latter,
else by nearest neighbour. A displacement is read on the grid of the output. The image to warp is
read on its own lattice, one without a lattice on that of the output. Without `maxOffset`
displacements of up to 64 pixels of the output's default scale count; a pixel displaced further is
masked.
"""

from __future__ import annotations

import math
from dataclasses import replace

from tileserver.compute.algorithms.image.reprojection import extent_in
from tileserver.compute.pixels.moved import MODES, Displaced, Moved, translated
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import (
    DEFAULT_PROJECTION,
    Band,
    Image,
    Projection,
    map_bands,
)
from tileserver.compute.values.pixel_type import PixelType
from tileserver.errors import InvalidRequest, shown

_DEFAULT_REACH_PX = 64


@algorithm(
    'Image.translate(input: Image, x: Float, y: Float, units: String = "meters",'
    " proj: Projection = null) -> Image"
)
def translate(image: Image, x: float, y: float, units: str, projection: Projection | None) -> Image:
    """Return an image moved by distances in a projection, its first band's if none is given."""
    if not image.bands:
        return image
    source = projection or image.bands[0].projection
    dx, dy = _distances(source, x, y, units)
    return _moved(image, source, translated(source, dx, dy))


def _distances(projection: Projection, x: float, y: float, units: str) -> tuple[float, float]:
    """Return distances in the units of a projection's CRS."""
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InvalidRequest(f"x and y must be finite numbers, got {x:g} and {y:g}.")
    if units == "meters":
        metres = Projection(projection.crs_code).nominal_scale_m
        return x / metres, y / metres
    if units == "pixels":
        origin_x, origin_y = projection.transform.apply(0, 0)
        to_x, to_y = projection.transform.apply(x, y)
        return to_x - origin_x, to_y - origin_y
    raise InvalidRequest(f"units must be meters or pixels, got {shown(units)}.")


@algorithm("Image.changeProj(input: Image, srcProj: Projection, dstProj: Projection) -> Image")
def change_proj(image: Image, source: Projection, target: Projection) -> Image:
    """Return an image, each pixel moved from one projection to the same place of another."""
    return _moved(image, source, target)


def _moved(image: Image, source: Projection, target: Projection) -> Image:
    def move(band: Band) -> Band:
        node = Moved(band.node, source, target, band.type.dtype)
        extent = extent_in(band, source)
        # Where the lattice is the source's, so are the pixels; another one is unknown there.
        return replace(band, projection=target, extent=extent, node=node)

    moved = map_bands(image, move)
    return replace(moved, properties=_without_footprint(moved))


def _without_footprint(image: Image) -> dict[str, object]:
    return {name: each for name, each in image.properties.items() if name != "system:footprint"}


@algorithm(
    'Image.displace(image: Image, displacement: Image, mode: String = "bicubic",'
    " maxOffset: Float = null) -> Image"
)
def displace(image: Image, displacement: Image, mode: str, max_offset: float | None) -> Image:
    """Return an image, each pixel read at its place plus a displacement in metres, (x, y)."""
    if mode not in MODES:
        raise InvalidRequest(f"mode must be one of {', '.join(MODES)}, got {shown(mode)}.")
    if len(displacement.bands) < 2:
        raise InvalidRequest(
            f"displacement must have two bands, x and y, got {len(displacement.bands)}."
        )
    if max_offset is not None and not 0 <= max_offset < math.inf:
        raise InvalidRequest(f"maxOffset must be a number of metres, got {max_offset:g}.")
    return map_bands(image, lambda band: _displaced(band, displacement, mode, max_offset))


def _displaced(band: Band, by: Image, mode: str, max_offset: float | None) -> Band:
    across, down = by.bands[:2]
    is_placed = band.extent is not None or band.projection != DEFAULT_PROJECTION
    lattice = band.projection if is_placed else None
    found = band.type
    if mode != "nearest_neighbor" and found.precision == "int":
        found = PixelType("float")
    crs_code = across.projection.crs_code
    unit = 1 / Projection(crs_code).nominal_scale_m
    node = Displaced(
        *(band.node, lattice, across.node, down.node, crs_code, unit),
        *(_reach(band, across, down, max_offset), mode, found.dtype),
    )
    return replace(band, type=found, node=node)


def _reach(band: Band, across: Band, down: Band, max_offset: float | None) -> float:
    """Return the largest displacement in metres: as given, known from types, or 64 pixels."""
    if max_offset is not None:
        return max_offset
    ends = [end for each in (across.type, down.type) for end in (each.min, each.max)]
    known = [abs(end) for end in ends if end is not None]
    if len(known) == len(ends) and max(known) < 2**15:
        return max(known)
    return _DEFAULT_REACH_PX * band.projection.nominal_scale_m
