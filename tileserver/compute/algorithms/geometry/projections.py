"""Projections: constructor, scaling, translation and properties."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tileserver.compute.algorithms.image.reprojection import read_transform
from tileserver.compute.coercion import to_projection
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image, Projection
from tileserver.contract.grids import AffineTransform
from tileserver.errors import InvalidRequest, shown
from tileserver.geo.crs import EARTH_RADIUS_M, code_of_crs, crs_of

_ELEMENT = re.compile(r'PARAMETER\["elt_([01])_([012])",\s*([-+.\deE]{1,40})\]')
_CODE = re.compile(r"[A-Z][A-Z0-9_-]*:[0-9A-Z._-]+")
_MAX_WKT = 10_000


@algorithm(
    "deprecated Proj(crs: Object, transform: List = null, transformWkt: String = null)"
    " -> Projection"
)
@algorithm(
    "Projection(crs: Object, transform: List = null, transformWkt: String = null) -> Projection"
)
def projection(
    context: Context, crs: Any, transform: Sequence[Any] | None, transform_wkt: str | None
) -> Projection:
    """Return the projection of a CRS, with a transform from its pixels to its coordinates."""
    found = to_projection(crs, context)
    if found is None:
        raise InvalidRequest(f"Expected a CRS such as EPSG:4326, got {shown(crs)}.")
    if transform is not None and transform_wkt is not None:
        raise InvalidRequest("May not specify both 'transform' and 'transformWkt'.")
    if transform is not None:
        return replace(found, transform=read_transform(transform, "transform"))
    if transform_wkt is not None:
        return replace(found, transform=_affine_of_wkt(transform_wkt))
    return found


def _affine_of_wkt(text: str) -> AffineTransform:
    if len(text) > _MAX_WKT or not text.lstrip().upper().startswith("PARAM_MT"):
        raise InvalidRequest(f'Expected PARAM_MT["Affine", …] as transformWkt, got {shown(text)}.')
    members = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for row, column, number in _ELEMENT.findall(text):
        members[3 * int(row) + int(column)] = float(number)
    return read_transform(members, "transformWkt")


def _affine_to_wkt(transform: AffineTransform) -> str:
    rows = transform.members[:3], transform.members[3:]
    parts = ['PARAMETER["num_row", 3]', 'PARAMETER["num_col", 3]']
    for i, row in enumerate(rows):
        for j, member in enumerate(row):
            if member != (1.0 if i == j else 0.0):
                parts.append(f'PARAMETER["elt_{i}_{j}", {member!r}]')
    return 'PARAM_MT["Affine", \n  ' + ", \n  ".join(parts) + "]"


@algorithm("Projection.atScale(projection: Projection, meters: Float) -> Projection")
def at_scale(projection: Projection, metres: float) -> Projection:
    """Return the projection with pixels of so many metres; degrees count as along the equator."""
    if not 0 < metres < float("inf"):
        raise InvalidRequest(f"The scale must be a positive number of meters, got {metres:g}.")
    factor = metres / projection.nominal_scale_m
    if crs_of(projection.crs_code).is_geographic:
        # The same to the last digit as the pixels of Earth Engine's exports in degrees.
        degrees = projection.transform.pixel_side
        factor = metres / (math.radians(1) * EARTH_RADIUS_M) / degrees
    return scaled(projection, factor, factor)


@algorithm("Projection.nominalScale(proj: Projection) -> Float")
def nominal_scale(projection: Projection) -> float:
    """Return the side of a pixel in metres, where the projection is true to scale."""
    return projection.nominal_scale_m


@algorithm("Projection.crs(projection: Projection) -> String")
def crs(projection: Projection) -> str | None:
    """Return the code of the CRS, or null where it has none."""
    code = projection.crs_code
    return code if _CODE.fullmatch(code) else code_of_crs(code)


@algorithm("Projection.transform(projection: Projection) -> String")
def transform(projection: Projection) -> str:
    """Return the transform as WKT; members equal to the identity's are left out."""
    return _affine_to_wkt(projection.transform)


@algorithm("Projection.wkt(projection: Projection) -> String")
def wkt(projection: Projection) -> str:
    """Return the CRS as WKT."""
    return str(crs_of(projection.crs_code).to_wkt())


@algorithm("Projection.scale(projection: Projection, x: Float, y: Float) -> Projection")
def scaled(projection: Projection, x: float, y: float) -> Projection:
    """Return the projection with pixels so many times as wide and high, the origin in place."""
    found = projection.scaled(x, y)
    if not 0 < abs(found.transform.determinant) < math.inf:
        raise InvalidRequest(f"A projection cannot be scaled by {x:g} and {y:g}.")
    return found


@algorithm("Projection.translate(projection: Projection, x: Float, y: Float) -> Projection")
def translate(projection: Projection, x: float, y: float) -> Projection:
    """Return the projection with its origin moved by so many pixels."""
    left, top = projection.transform.apply(x, y)
    if not math.isfinite(left + top):
        raise InvalidRequest(f"A projection cannot be moved by {x:g} and {y:g}.")
    moved = replace(projection.transform, translate_x=left, translate_y=top)
    return replace(projection, transform=moved)


@algorithm("Image.projection(image: Image) -> Projection")
def image_projection(image: Image) -> Projection:
    """Return the projection that all bands of an image have."""
    if not image.bands:
        raise InvalidRequest("The image has no bands.")
    found = {band.projection for band in image.bands}
    if len(found) > 1:
        raise InvalidRequest(
            "The bands of the specified image contain different projections. "
            "Use Image.select to pick a single band."
        )
    return found.pop()
