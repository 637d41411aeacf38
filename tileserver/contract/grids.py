"""Pixel grids and their arithmetic: windows, corners, boxes, scaling.

A `Window` counts columns and rows of a grid; a `Box` is a rectangle in the units of a CRS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

SNAP_PX = 1e-6
"""Of a pixel: an edge this close to a whole one is taken to be on it."""
Point = tuple[float, float]
Slices = tuple[slice, slice]


class Box(NamedTuple):
    """A rectangle in the units of a CRS.

    In degrees, west > east means that it crosses the antimeridian, as in GeoJSON's bbox
    (RFC 7946, section 5.2). For arithmetic, `unrolled` puts east past 180 instead.
    """

    west: float
    south: float
    east: float
    north: float

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """South-west, south-east, north-east and north-west, each as (x, y)."""
        west, south, east, north = self
        return (west, south), (east, south), (east, north), (west, north)

    @property
    def ring(self) -> tuple[Point, ...]:
        """The corners as a closed ring of GeoJSON, counter-clockwise."""
        return (*self.corners, (self.west, self.south))

    @property
    def has_area(self) -> bool:
        """Whether its width and height are above zero."""
        return self.west < self.east and self.south < self.north

    def unrolled(self) -> Box:
        """Return the box with east past 180 where it crosses the antimeridian, in degrees."""
        return self._replace(east=self.east + 360) if self.west > self.east else self

    def meets(self, other: Box) -> bool:
        """Return whether two boxes have a point in common."""
        return (
            self.west <= other.east
            and other.west <= self.east
            and self.south <= other.north
            and other.south <= self.north
        )


class Window(NamedTuple):
    """A rectangle of whole pixels of a grid; it may reach past the grid's edges."""

    column: int
    row: int
    width: int
    height: int

    @classmethod
    def between(cls, left: int, top: int, right: int, bottom: int) -> Window | None:
        """Return the window between edges, right and bottom excluded; None if it is empty."""
        if left >= right or top >= bottom:
            return None
        return cls(left, top, right - left, bottom - top)

    @classmethod
    def around(cls, columns: tuple[float, float], rows: tuple[float, float]) -> Window:
        """Return the whole pixels that cover a range of columns and of rows; one for a point."""
        left, top = (math.floor(low + SNAP_PX) for low, _ in (columns, rows))
        right, bottom = (math.ceil(high - SNAP_PX) for _, high in (columns, rows))
        return cls(left, top, max(right - left, 1), max(bottom - top, 1))

    @property
    def right(self) -> int:
        """The column after the last."""
        return self.column + self.width

    @property
    def bottom(self) -> int:
        """The row after the last."""
        return self.row + self.height

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def slices(self) -> Slices:
        """Its (rows, columns) in arrays of shape (..., height, width) of the grid."""
        return slice(self.row, self.bottom), slice(self.column, self.right)

    def intersection(self, other: Window) -> Window | None:
        """Return the pixels that two windows of a grid share; None if there are none."""
        return Window.between(
            max(self.column, other.column),
            max(self.row, other.row),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def quarters(self) -> list[Window]:
        """Return the four quarters; the second half of an odd side is the longer one."""
        left, top = self.width // 2, self.height // 2
        right, bottom = self.width - left, self.height - top
        return [
            Window(self.column, self.row, left, top),
            Window(self.column + left, self.row, right, top),
            Window(self.column, self.row + top, left, bottom),
            Window(self.column + left, self.row + top, right, bottom),
        ]


@dataclass(frozen=True, slots=True)
class AffineTransform:
    """Pixel corner (column, row) to CRS (x, y), in CRS units; missing members are zero.

    x = scale_x * column + shear_x * row + translate_x
    y = shear_y * column + scale_y * row + translate_y

    (0, 0) is the outer corner of the first pixel (PixelIsArea); scale_y is usually negative.
    """

    scale_x: float = 0.0
    shear_x: float = 0.0
    translate_x: float = 0.0
    shear_y: float = 0.0
    scale_y: float = 0.0
    translate_y: float = 0.0

    @classmethod
    def north_up(cls, west: float, north: float, width: float, height: float) -> AffineTransform:
        """Return the transform of pixels of a width and height, from a north-western corner."""
        return cls(scale_x=width, translate_x=west, scale_y=-height, translate_y=north)

    @property
    def members(self) -> tuple[float, float, float, float, float, float]:
        """The six numbers in the order of the fields, which is rasterio's `Affine` too."""
        return (
            self.scale_x,
            self.shear_x,
            self.translate_x,
            self.shear_y,
            self.scale_y,
            self.translate_y,
        )

    @property
    def determinant(self) -> float:
        """Signed area of a pixel in CRS units squared; zero if the transform has no inverse."""
        return self.scale_x * self.scale_y - self.shear_x * self.shear_y

    @property
    def pixel_side(self) -> float:
        """Side of a square with the area of a pixel, in CRS units."""
        return float(abs(self.determinant) ** 0.5)

    def apply(self, columns: Any, rows: Any) -> tuple[Any, Any]:
        """Return CRS (x, y) of pixel coordinates, scalars or arrays of one shape."""
        x = self.scale_x * columns + self.shear_x * rows + self.translate_x
        y = self.shear_y * columns + self.scale_y * rows + self.translate_y
        return x, y

    def inverse(self) -> AffineTransform:
        """Return the transform from CRS (x, y) to pixel (column, row).

        Raises:
            ZeroDivisionError: the determinant is zero.
        """
        det = self.determinant
        a, b, c, d, e, f = self.members
        return AffineTransform(
            scale_x=e / det,
            shear_x=-b / det,
            translate_x=(b * f - c * e) / det,
            shear_y=-d / det,
            scale_y=a / det,
            translate_y=(c * d - a * f) / det,
        )

    def moved(self, column: int, row: int) -> AffineTransform:
        """Return the transform with its origin at a pixel, rounded only once.

        So the windows of a grid meet without a seam, and a window of a window equals that of the
        grid.
        """
        if column == row == 0:
            return self
        return replace(
            self,
            translate_x=_origin(self.scale_x, column, self.shear_x, row, self.translate_x),
            translate_y=_origin(self.shear_y, column, self.scale_y, row, self.translate_y),
        )

    def scaled(self, across: float, down: float) -> AffineTransform:
        """Return the transform of pixels `across` times as wide and `down` times as high."""
        return AffineTransform(
            self.scale_x * across,
            self.shear_x * down,
            self.translate_x,
            self.shear_y * across,
            self.scale_y * down,
            self.translate_y,
        )

    def grid(self, window: Window, crs_code: str) -> PixelGrid:
        """Return the grid of a window of the pixels that have this transform in a CRS."""
        transform = self.moved(window.column, window.row)
        return PixelGrid(window.width, window.height, transform, crs_code)

    def covering(self, box: Box) -> Window:
        """Return the whole pixels that cover a box of the CRS; one for a point.

        Raises:
            OverflowError: the box is not finite, or the pixels are too small to count.
        """
        inverse = self.inverse()
        columns, rows = zip(*(inverse.apply(x, y) for x, y in box.corners), strict=True)
        if not all(map(math.isfinite, (*columns, *rows))):
            raise OverflowError(f"{box} in pixels of {self}")
        return Window.around((min(columns), max(columns)), (min(rows), max(rows)))


def _origin(per_column: float, column: int, per_row: float, row: int, origin: float) -> float:
    try:
        return float(Fraction(per_column) * column + Fraction(per_row) * row + Fraction(origin))
    except (OverflowError, ValueError):
        # Infinite or not a number: plain arithmetic gives the same.
        return per_column * column + per_row * row + origin


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """A rectangle of pixels laid on the Earth, with nothing left open."""

    width: int
    """Columns. The matching NumPy shape is (bands, height, width)."""
    height: int
    """Rows; row 0 is the northern edge when transform.scale_y is negative."""
    transform: AffineTransform
    crs_code: str
    """Authority code such as "EPSG:3857", or WKT for a CRS that has no code."""

    @classmethod
    def filling(cls, box: Box, width: int, height: int, crs_code: str) -> PixelGrid:
        """Return the grid of `width` x `height` pixels that fills a box, north up."""
        pixel_width = (box.east - box.west) / width
        pixel_height = (box.north - box.south) / height
        transform = AffineTransform.north_up(box.west, box.north, pixel_width, pixel_height)
        return cls(width, height, transform, crs_code)

    @property
    def whole(self) -> Window:
        """All its pixels."""
        return Window(0, 0, self.width, self.height)

    @property
    def corners(self) -> tuple[Point, Point, Point, Point]:
        """The outer corners in the CRS, once around, each as (x, y)."""
        width, height = self.width, self.height
        at = self.transform.apply
        return at(0, 0), at(width, 0), at(width, height), at(0, height)

    @property
    def box(self) -> Box:
        """The box around its pixels, in its CRS."""
        x, y = zip(*self.corners, strict=True)
        return Box(min(x), min(y), max(x), max(y))

    def window(self, window: Window) -> PixelGrid:
        """Return the grid of a window, its pixels exactly in place."""
        return self.transform.grid(window, self.crs_code)

    def coarsened(self, width: int, height: int) -> PixelGrid:
        """Return the grid of `width` x `height` pixels over the same place."""
        transform = self.transform.scaled(self.width / width, self.height / height)
        return PixelGrid(width, height, transform, self.crs_code)


@dataclass(frozen=True, slots=True)
class PartialGrid:
    """A grid as a client may send it; `geo.completion.complete` fills in what is None."""

    width: int | None = None
    height: int | None = None
    transform: AffineTransform | None = None
    crs_code: str | None = None
