"""Reprojection, default projection and resampling of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tileserver.compute.pixels.reprojected import Interpolated, Reprojected
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image, Projection, map_bands
from tileserver.compute.values.pixel_type import PixelType
from tileserver.contract.grids import AffineTransform, Window
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.extents import projected_box


def projection_of(crs: Projection, transform: list[Any] | None, scale: float | None) -> Projection:
    """Return the projection of a CRS and either a transform or a scale in metres.

    Raises:
        InvalidRequest: both are given, or the transform is malformed.
    """
    if transform is not None and scale is not None:
        raise InvalidRequest("Cannot specify both crsTransform and scale.")
    if transform is not None:
        return Projection(crs.crs_code, read_transform(transform))
    return crs if scale is None else crs.at_scale(scale)


def read_transform(members: Sequence[Any], name: str = "crsTransform") -> AffineTransform:
    """Return the transform of six numbers: scaleX, shearX, translateX, shearY, scaleY, translateY.

    Raises:
        InvalidRequest: they are not six finite numbers, or a pixel has no area; says `name`.
    """
    numbers = [m for m in members if isinstance(m, int | float) and not isinstance(m, bool)]
    if len(members) != 6 or len(numbers) != 6:
        raise InvalidRequest(f"{name} must be a list of six numbers, got {shown(list(members))}.")
    found = AffineTransform(*map(float, numbers))
    if not 0 < abs(found.determinant) < math.inf or not math.isfinite(sum(numbers)):
        raise InvalidRequest(f"{name} cannot be inverted: a pixel has no area.")
    return found


@algorithm(
    "Image.reproject(image: Image, crs: Projection, crsTransform: List = null,"
    " scale: Float = null) -> Image"
)
def reproject(
    image: Image, crs: Projection, transform: list[Any] | None, scale: float | None
) -> Image:
    """Return an image that is computed in a projection, then sampled from there."""
    target = projection_of(crs, transform, scale)
    return map_bands(image, lambda band: _reprojected(band, target))


def _reprojected(band: Band, target: Projection) -> Band:
    node = Reprojected(band.node, target, band.type.dtype)
    return replace(band, projection=target, extent=extent_in(band, target), node=node)


def extent_in(band: Band, target: Projection) -> Window | None:
    """Return a band's extent in the pixels of another projection; None if unbounded there."""
    if band.extent is None:
        return None
    if band.projection == target:
        return band.extent
    grid = band.projection.transform.grid(band.extent, band.projection.crs_code)
    box = projected_box(grid, target.crs_code)
    return None if box is None else target.transform.covering(box)


@algorithm(
    "Image.setDefaultProjection(image: Image, crs: Projection, crsTransform: List = null,"
    " scale: Float = null) -> Image"
)
def set_default_projection(
    image: Image, crs: Projection, transform: list[Any] | None, scale: float | None
) -> Image:
    """Return an image with another default projection, for outputs that request none."""
    target = projection_of(crs, transform, scale)
    return map_bands(
        image, lambda band: replace(band, projection=target, extent=extent_in(band, target))
    )


@algorithm('Image.resample(image: Image, mode: String = "bilinear") -> Image')
def resample(image: Image, mode: str) -> Image:
    """Return an image that is interpolated between its own pixels, bilinear or bicubic."""
    if mode not in ("bilinear", "bicubic"):
        raise InvalidRequest(f"mode must be bilinear or bicubic, got {shown(mode)}.")
    return map_bands(image, lambda band: _interpolated(band, mode == "bicubic"))


def _interpolated(band: Band, is_cubic: bool) -> Band:
    if band.type.dimensions:
        raise InvalidRequest(f"Band '{band.id[:80]}' has arrays, which cannot be interpolated.")
    found = band.type if band.type.precision != "int" else PixelType("float")
    node = Interpolated(band.node, band.projection, is_cubic, found.dtype)
    return replace(band, type=found, node=node)
