"""Collections painted onto images, and drawn as pictures.

Widths and sizes are in pixels of what is asked for, whatever its scale; a point's size is the
radius of its mark. Features of the same style that follow one another are drawn as one: where
they overlap, translucent colours do not add up. Lines are solid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.colors import parse_color
from tileserver.compute.algorithms.casts import cast_values
from tileserver.compute.context import check_elements
from tileserver.compute.drawing import MARKERS, drawn, marker, near, outline, parts_of
from tileserver.compute.elements import Collection, Element, geometry_of
from tileserver.compute.geometries import Geometry
from tileserver.compute.images import DEFAULT_PROJECTION, Band, Image, map_bands
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixeltypes import BYTE
from tileserver.compute.registry import algorithm
from tileserver.errors import InvalidRequest, shown
from tileserver.pixels import PixelGrid
from tileserver.render import VISUALIZED_IDS

_FILL_OPACITY = 0.66
_SHORT = {
    "o": "circle", "s": "square", "d": "diamond", "x": "cross", "+": "plus", "p": "pentagram",
    "h": "hexagram", "^": "triangle_up", "v": "triangle_down", "<": "triangle_left",
    ">": "triangle_right",
}  # fmt: skip


@dataclass(frozen=True)
class _Shapes:
    """Geometries, carried into each CRS once."""

    geometries: tuple[Geometry, ...]
    _carried: dict[str, list[list[BaseGeometry]]] = field(default_factory=dict)

    def parts_in(self, crs_code: str) -> list[list[BaseGeometry]]:
        """Return the simple parts of each geometry in a CRS."""
        if crs_code not in self._carried:
            self._carried[crs_code] = [parts_of(g.in_crs(crs_code)) for g in self.geometries]
        return self._carried[crs_code]


def _placed(collection: Collection) -> list[tuple[Element, Geometry]]:
    """Return the elements that lie somewhere, with where."""
    check_elements(len(collection.elements))
    found = ((each, geometry_of(each)) for each in collection.elements)
    return [(each, geometry) for each, geometry in found if geometry is not None]


@algorithm(
    "Image.paint(image: Image, featureCollection: FeatureCollection, color: Object = 0.0,"
    " width: Object = null) -> Image"
)
def paint(image: Image, collection: Collection, color: Any, width: Any) -> Image:
    """Return an image with a number where features are, or within a width of their edges."""
    placed = _placed(collection)
    values = np.array([_number(each, color, "color") for each, _ in placed], np.float64)
    widths = None if width is None else [_number(each, width, "width") for each, _ in placed]
    shapes = _Shapes(tuple(geometry for _, geometry in placed))

    @lru_cache(maxsize=2)
    def places(grid: PixelGrid) -> NDArray[np.int32]:
        return _places(shapes, widths, grid)

    def change(band: Band) -> Band:
        def compute(grid: PixelGrid, pixels: Pixels) -> Pixels:
            found = places(grid)
            if not (found >= 0).any():
                return pixels
            colors = cast_values(values[found], band.type.dtype)
            mask = np.where(found >= 0, np.float32(1), pixels.mask)
            return Pixels(np.where(found >= 0, colors, pixels.values), mask)

        return replace(band, node=ApplyOnGrid(compute, (band.node,)))

    return map_bands(image, change)


def _number(element: Element, wanted: Any, name: str) -> float:
    value = element.properties.get(wanted) if isinstance(wanted, str) else wanted
    if isinstance(value, bool) or not isinstance(value, int | float):
        where = f" of property {shown(wanted)}" if isinstance(wanted, str) else ""
        raise InvalidRequest(f"{name}: expected a number, got {shown(value)}{where}.")
    return float(value)


def _places(shapes: _Shapes, widths: list[float] | None, grid: PixelGrid) -> NDArray[np.int32]:
    """Return which geometry each pixel shows, -1 for none."""
    owners, parts = [], []
    for place, found in enumerate(shapes.parts_in(grid.crs_code)):
        width = None if widths is None else max(widths[place], 0)
        for part in near(found, grid, 1 + (width or 0)):
            owners.append(place)
            parts.append(part if width is None else outline(part, width, grid))
    return np.array([*owners, -1], np.int32)[drawn(parts, grid)]


@dataclass(frozen=True, slots=True)
class _Style:
    """How a feature is drawn; colours are red, green, blue 0..255 and opacity 0..1."""

    color: tuple[float, ...]
    fill: tuple[float, ...]
    size_px: float
    mark: str
    width_px: float


@algorithm(
    "Collection.draw(collection: FeatureCollection, color: String, pointRadius: Integer = 3.0,"
    " strokeWidth: Integer = 2.0) -> Image"
)
def draw(collection: Collection, color: str, radius: int, width: int) -> Image:
    """Return a picture of features in one colour."""
    given = {"color": color, "pointSize": radius, "width": width}
    return _picture([(geometry, _style(given)) for _, geometry in _placed(collection)])


@algorithm(
    'Collection.style(collection: FeatureCollection, color: String = "black",'
    ' pointSize: Integer = 3.0, pointShape: String = "circle", width: Float = 2.0,'
    " fillColor: String = null, styleProperty: String = null, neighborhood: Integer = 5.0,"
    ' lineType: String = "solid") -> Image'
)
def style(
    collection: Collection,
    color: str,
    size: int,
    mark: str,
    width: float,
    fill: str | None,
    property_name: str | None,
    neighborhood: int,
    line: str,
) -> Image:
    """Return a picture of features, each in a style of its own if a property holds one."""
    base = {
        "color": color,
        "pointSize": size,
        "pointShape": mark,
        "width": width,
        "fillColor": fill,
        "lineType": line,
    }
    styled = []
    for element, geometry in _placed(collection):
        own = element.properties.get(property_name) if property_name else {}
        if not isinstance(own, Mapping):
            raise InvalidRequest(f"styleProperty: expected a dictionary, got {shown(own)}.")
        styled.append((geometry, _style({**base, **own})))
    return _picture(styled)


def _style(given: Mapping[str, Any]) -> _Style:
    known = ("color", "pointSize", "pointShape", "width", "fillColor", "lineType")
    if unknown := [name for name in given if name not in (*known, "neighborhood")]:
        raise InvalidRequest(f"Unknown style {shown(unknown[0])}; expected {', '.join(known)}.")
    mark = _SHORT.get(str(given.get("pointShape", "circle")), given.get("pointShape", "circle"))
    if mark != "circle" and mark not in MARKERS:
        names = ", ".join(("circle", *MARKERS))
        raise InvalidRequest(f"pointShape must be one of {names}, got {shown(mark)}.")
    if given.get("lineType", "solid") not in ("solid", None):
        raise InvalidRequest(f"lineType must be solid, got {shown(given['lineType'])}.")
    color = _color(given.get("color"))
    fill = given.get("fillColor")
    default = (*color[:3], color[3] * _FILL_OPACITY)
    return _Style(
        color,
        default if fill is None else _color(fill),
        _size(given, "pointSize"),
        str(mark),
        _size(given, "width"),
    )


def _size(given: Mapping[str, Any], name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidRequest(f"{name} must be a number of pixels from 0, got {shown(value)}.")
    return float(value)


def _color(text: Any) -> tuple[float, ...]:
    if not isinstance(text, str):
        raise InvalidRequest(f"Expected a color, got {shown(text)}.")
    digits = text.strip().removeprefix("#")
    if len(digits) == 8 and set(digits.lower()) <= set("0123456789abcdef"):
        return (*parse_color(digits[:6]), int(digits[6:], 16) / 255)
    return (*parse_color(text), 1.0)


def _picture(styled: Sequence[tuple[Geometry, _Style]]) -> Image:
    runs = [
        (each, _Shapes(tuple(geometry for geometry, _ in run)))
        for each, run in groupby(styled, key=lambda pair: pair[1])
    ]

    @lru_cache(maxsize=2)
    def picture(grid: PixelGrid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return _drawn_on(grid, runs)

    def band(channel: int) -> Band:
        def compute(grid: PixelGrid) -> Pixels:
            color, alpha = picture(grid)
            return Pixels((color[channel] + 0.5).astype(np.uint8), alpha)

        name = VISUALIZED_IDS[channel]
        return Band(name, BYTE, DEFAULT_PROJECTION, None, ApplyOnGrid(compute))

    return Image(tuple(map(band, range(3))))


def _drawn_on(
    grid: PixelGrid, runs: Sequence[tuple[_Style, _Shapes]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return colours, shape (3, height, width), 0..255, and opacity, 0..1."""
    color = np.zeros((3, grid.height, grid.width), np.float32)
    alpha = np.zeros((grid.height, grid.width), np.float32)
    for style_, shapes in runs:
        areas, edges = _layers(style_, shapes, grid)
        for parts, paint_ in ((areas, style_.fill), (edges, style_.color)):
            if parts and paint_[3] > 0:
                over = np.where(drawn(parts, grid) >= 0, np.float32(paint_[3]), np.float32(0))
                color, alpha = _over(color, alpha, paint_, over)
    return color, alpha


def _layers(
    style_: _Style, shapes: _Shapes, grid: PixelGrid
) -> tuple[list[BaseGeometry], list[BaseGeometry]]:
    """Return what is filled, and what is drawn as lines and edges."""
    areas, edges = [], []
    parts = [part for found in shapes.parts_in(grid.crs_code) for part in found]
    for part in near(parts, grid, style_.size_px + style_.width_px + 1):
        is_point = part.geom_type == "Point"
        shape = marker(part, style_.mark, style_.size_px, grid) if is_point else part
        if shape.geom_type == "Polygon":
            areas.append(shape)
        if style_.width_px > 0:
            edges.append(outline(shape, style_.width_px, grid))
    return areas, edges


def _over(
    color: NDArray[np.float32],
    alpha: NDArray[np.float32],
    paint_: tuple[float, ...],
    over: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return colours and opacity with another colour on top, as translucent as `over` says."""
    total = over + alpha * (1 - over)
    share = np.divide(over, total, out=np.zeros_like(total), where=total > 0)
    flat = np.array(paint_[:3], np.float32)[:, np.newaxis, np.newaxis]
    return color + (flat - color) * share, total
