"""How a table of features is drawn: the style of `ee.FeatureCollection.style`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

_COLORS = ("#2f6f9f", "#8a5a9c", "#b5653a", "#3c7d57", "#a84a63", "#6a6f2c")
"""Calm ones, of which a table has always the same."""
_WIDTH_PX, _POINT_PX = 1.5, 4
_FILL = "40"
"""Opacity of the fill of areas and points, as the last two digits of a colour."""
MAX_RADIUS_M = 1_000_000.0
"""Around a place, to look for features."""
REACH_PX = 512
"""Marks and lines lie no farther than this outside the bounds of their features."""
MARKS = (
    "circle", "square", "diamond", "cross", "plus", "pentagram", "hexagram", "triangle",
    "triangle_up", "triangle_down", "triangle_left", "triangle_right", "pentagon", "hexagon",
    "star5", "star6",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DrawnTable:
    """A table, and the arguments of `ee.FeatureCollection.style` that it is drawn with."""

    name: str
    """Full name of the asset."""
    color: str
    """Of outlines and lines: hexadecimal, with opacity if it has eight digits, or a name."""
    fill_color: str
    width: float
    """Of outlines and lines, in pixels."""
    point_size: int
    """Radius of the marks of points, in pixels."""
    point_shape: str

    def to_json(self) -> dict[str, object]:
        """Return the style, with Earth Engine's names."""
        return {
            "color": self.color,
            "fillColor": self.fill_color,
            "width": self.width,
            "pointSize": self.point_size,
            "pointShape": self.point_shape,
        }


def drawn_table(
    name: str,
    color: str | None = None,
    fill_color: str | None = None,
    width: float | None = None,
    point_size: int | None = None,
    point_shape: str | None = None,
) -> DrawnTable:
    """Return how a table is drawn; None is the default.

    The colour follows from the name, and the fill is the translucent colour.
    """
    color = color or _COLORS[zlib.crc32(name.encode()) % len(_COLORS)]
    is_plain = len(color) == 7 and color.startswith("#")
    return DrawnTable(
        name,
        color,
        fill_color or (f"{color}{_FILL}" if is_plain else color),
        _WIDTH_PX if width is None else width,
        _POINT_PX if point_size is None else point_size,
        point_shape or "circle",
    )
