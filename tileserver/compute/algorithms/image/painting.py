"""Collections painted onto images, and drawn as pictures.

Widths and sizes are in pixels of the requested grid, at any scale; a point's size is the
radius of its mark. Features of the same style that follow one another are drawn as one: where
they overlap, translucent colours do not add up. Dashes are four widths long and two apart, dots
one long and one apart, counted from where a line begins. A colour to paint that no feature has as
a property may be the text of a number, such as the "000000" of Google's guide of vectors.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from tileserver.compute.algorithms.image.casts import cast_values
from tileserver.compute.budget import Budget
from tileserver.compute.context import check_length, check_scanned
from tileserver.compute.nodes import ApplyOnGrid, Pixels
from tileserver.compute.pixels.dashes import DASHES
from tileserver.compute.pixels.drawn_shapes import Shapes
from tileserver.compute.pixels.many_shapes import can_draw, covered, dotted, stroked
from tileserver.compute.pixels.rasterize import (
    MARKERS,
    check_size,
    drawn,
    marker,
    near,
    outline,
)
from tileserver.compute.registry import algorithm
from tileserver.compute.values.feature import Collection, Element, geometry_of
from tileserver.compute.values.geometry import Geometry
from tileserver.compute.values.image import DEFAULT_PROJECTION, Band, Image, map_bands
from tileserver.compute.values.pixel_type import BYTE
from tileserver.compute.values.stored_features import StoredFeatures
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest, shown
from tileserver.rendering.colors import parse_css_color
from tileserver.rendering.render import VISUALIZED_IDS

Mask = NDArray[np.bool_]
_POINT, _POLYGON = 0, 3
"""GEOS's numbers of types."""
_FILL_OPACITY = 0.66
_MANY = 400
"""So many parts near a grid are drawn at once, not one by one."""
_DRAWING_S = 10.0
"""Seconds to draw one piece of an image."""
_MOST_DRAWN = 200_000
"""Features of a stored table; others are fewer."""
_MOST_DIGITS = 300
_MOST_HELD = 8
"""Drawings of pieces, 4 MB each, for all images together: images are held long, and many."""
_SHORT = {
    "o": "circle", "s": "square", "d": "diamond", "x": "cross", "+": "plus", "p": "pentagram",
    "h": "hexagram", "^": "triangle_up", "v": "triangle_down", "<": "triangle_left",
    ">": "triangle_right",
}  # fmt: skip


def placed_elements(collection: Collection) -> list[tuple[Element, Geometry]]:
    """Return the elements that lie somewhere, with where."""
    check_scanned(collection.elements)
    check_length(len(collection.elements), _MOST_DRAWN, "features to draw")
    found = ((each, geometry_of(each)) for each in collection.elements)
    return [(each, geometry) for each, geometry in found if geometry is not None]


@algorithm(
    "Image.paint(image: Image, featureCollection: FeatureCollection, color: Object = 0.0,"
    " width: Object = null) -> Image"
)
def paint(image: Image, collection: Collection, color: Any, width: Any) -> Image:
    """Return an image with a number where features are, or within a width of their edges."""
    placed = placed_elements(collection)
    values = np.array([_number(each, color, "color") for each, _ in placed], np.float64)
    widths = None if width is None else _widths([each for each, _ in placed], width)
    drawing = _Painted(Shapes(tuple(geometry for _, geometry in placed)), widths)

    def change(band: Band) -> Band:
        def compute(grid: PixelGrid, pixels: Pixels) -> Pixels:
            found = _held(drawing, grid)
            if not (found >= 0).any():
                return pixels
            colors = cast_values(values[found], band.type.dtype)
            mask = np.where(found >= 0, np.float32(1), pixels.mask)
            return Pixels(np.where(found >= 0, colors, pixels.values), mask)

        return replace(band, node=ApplyOnGrid(compute, (band.node,)))

    return map_bands(image, change)


def _number(element: Element, wanted: Any, name: str) -> float:
    value = element.properties.get(wanted) if isinstance(wanted, str) else wanted
    if value is None and isinstance(wanted, str) and wanted.isascii() and wanted.isdecimal():
        value = float(wanted[:_MOST_DIGITS])
    if isinstance(value, bool) or not isinstance(value, int | float):
        where = f" of property {shown(wanted)}" if isinstance(wanted, str) else ""
        raise InvalidRequest(f"{name}: expected a number, got {shown(value)}{where}.")
    return float(value)


def _widths(elements: Sequence[Element], wanted: Any) -> list[float]:
    # A width below zero has always been none.
    numbers = (max(_number(each, wanted, "width"), 0.0) for each in elements)
    return [check_size(each, "width") for each in numbers]


@dataclass(frozen=True, eq=False)
class _Painted:
    """Geometries to be painted, each with a width in pixels if only edges are."""

    shapes: Shapes
    widths: list[float] | None

    def on(self, grid: PixelGrid) -> NDArray[np.int32]:
        """Return which geometry each pixel shows, -1 for none."""
        budget = _drawing_budget()
        owners, parts = [], []
        widest = max(self.widths or (), default=0.0)
        for place, found in self.shapes.parts_near(grid, 1 + widest):
            width = None if self.widths is None else self.widths[place]
            for part in near(found, grid, 1 + (width or 0)):
                budget.check_time()
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
    line: str


@algorithm(
    "Collection.draw(collection: FeatureCollection, color: String, pointRadius: Integer = 3.0,"
    " strokeWidth: Integer = 2.0) -> Image"
)
def draw(collection: Collection, color: str, radius: int, width: int) -> Image:
    """Return a picture of features in one colour."""
    given = {"color": color, "pointSize": radius, "width": width}
    if isinstance(collection.elements, StoredFeatures):
        return _picture_of_one(_geometries(collection.elements), _style(given))
    return _picture([(geometry, _style(given)) for _, geometry in placed_elements(collection)])


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
    if isinstance(collection.elements, StoredFeatures) and not property_name:
        return _picture_of_one(_geometries(collection.elements), _style(base))
    styled = []
    for element, geometry in placed_elements(collection):
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
    line = given.get("lineType") or "solid"
    if line not in ("solid", *DASHES):
        names = ", ".join(("solid", *DASHES))
        raise InvalidRequest(f"lineType must be one of {names}, got {shown(line)}.")
    color = _color(given.get("color"))
    fill = given.get("fillColor")
    default = (*color[:3], color[3] * _FILL_OPACITY)
    return _Style(
        color,
        default if fill is None else _color(fill),
        _size(given, "pointSize"),
        str(mark),
        _size(given, "width"),
        str(line),
    )


def _size(given: Mapping[str, Any], name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{name} must be a number of pixels, got {shown(value)}.")
    return check_size(float(value), name)


def _color(text: Any) -> tuple[float, ...]:
    if not isinstance(text, str):
        raise InvalidRequest(f"Expected a color, got {shown(text)}.")
    return parse_css_color(text)


def _geometries(features: StoredFeatures) -> tuple[Geometry, ...]:
    """Return where features of a table lie, without their properties."""
    shapes = features.table.geometries[features.rows]
    return tuple(Geometry(each, geodesic=False) for each in shapes if each is not None)


def _picture_of_one(geometries: tuple[Geometry, ...], style_: _Style) -> Image:
    drawing = _Styled([(style_, Shapes(geometries))])
    return Image(tuple(_channel_band(drawing, channel) for channel in range(3)))


def _picture(styled: Sequence[tuple[Geometry, _Style]]) -> Image:
    runs = [
        (each, Shapes(tuple(geometry for geometry, _ in run)))
        for each, run in groupby(styled, key=lambda pair: pair[1])
    ]

    drawing = _Styled(runs)
    return Image(tuple(_channel_band(drawing, channel) for channel in range(3)))


def _channel_band(drawing: _Styled, channel: int) -> Band:
    def compute(grid: PixelGrid) -> Pixels:
        color, alpha = _held(drawing, grid)
        return Pixels((color[channel] + 0.5).astype(np.uint8), alpha)

    node = ApplyOnGrid(compute)
    return Band(VISUALIZED_IDS[channel], BYTE, DEFAULT_PROJECTION, None, node)


@dataclass(frozen=True, eq=False)
class _Styled:
    """Geometries to be drawn, together as far as they have the same style."""

    runs: Sequence[tuple[_Style, Shapes]]

    def on(self, grid: PixelGrid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return colours, shape (3, height, width), 0..255, and opacity, 0..1."""
        budget = _drawing_budget()
        color = np.zeros((3, grid.height, grid.width), np.float32)
        alpha = np.zeros((grid.height, grid.width), np.float32)
        for style_, shapes in self.runs:
            filled, edged = _masks(style_, shapes, grid, budget)
            for shown_, paint_ in ((filled, style_.fill), (edged, style_.color)):
                if paint_[3] > 0 and shown_.any():
                    over = np.where(shown_, np.float32(paint_[3]), np.float32(0))
                    color, alpha = _over(color, alpha, paint_, over)
        return color, alpha


@lru_cache(maxsize=_MOST_HELD)
def _held(drawing: _Painted | _Styled, grid: PixelGrid) -> Any:
    """Return a drawing on a grid, cached as each band of an image needs it in turn."""
    return drawing.on(grid)


def _drawing_budget() -> Budget:
    return Budget(time.monotonic() + _DRAWING_S)


def _masks(style_: _Style, shapes: Shapes, grid: PixelGrid, budget: Budget) -> tuple[Mask, Mask]:
    """Return the pixels of areas to fill, and those of outlines: drawn as lines and edges."""
    margin_px = style_.size_px + style_.width_px + 1
    parts = near(
        [part for _, found in shapes.parts_near(grid, margin_px) for part in found], grid, margin_px
    )
    if len(parts) >= _MANY and can_draw(grid) and style_.line not in DASHES:
        return _masks_of_many(style_, np.array(parts, object), grid)
    areas, edges = [], []
    for part in parts:
        budget.check_time()
        is_point = part.geom_type == "Point"
        shape = marker(part, style_.mark, style_.size_px, grid) if is_point else part
        if shape.geom_type == "Polygon":
            areas.append(shape)
        if style_.width_px > 0:
            edges.append(outline(shape, style_.width_px, grid, DASHES.get(style_.line)))
    return drawn(areas, grid) >= 0, drawn(edges, grid) >= 0


def _masks_of_many(
    style_: _Style, parts: NDArray[np.object_], grid: PixelGrid
) -> tuple[Mask, Mask]:
    kinds = shapely.get_type_id(parts)
    points, others = parts[kinds == _POINT], parts[kinds != _POINT]
    places = shapely.get_coordinates(points)
    filled = edged = np.zeros((grid.height, grid.width), np.bool_)
    if len(points) and style_.mark == "circle":
        filled, edged = dotted(places, style_.size_px, style_.width_px, grid)
    elif len(points):
        corners = MARKERS[style_.mark] * style_.size_px * grid.transform.pixel_side
        marks = shapely.polygons(places[:, np.newaxis, :] + corners)
        others = np.concatenate([others, marks])
    filled = filled | covered(others[shapely.get_type_id(others) == _POLYGON], grid)
    if style_.width_px > 0:
        edged = edged | stroked(others, style_.width_px, grid)
    return filled, edged


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
