"""Legends as PNG, painted from their SVG, of which `legend` uses few elements."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import InvalidRequest

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_SVG = "{http://www.w3.org/2000/svg}"
_ANCHORS = {"start": "ls", "middle": "ms", "end": "rs"}
_BOLDER_PX = 0.5
_MAX_PX = 16_000_000
"""Of a picture; each takes four bytes."""
Gradients = Mapping[str, NDArray[np.float64]]
"""Offsets and colours, shape (stops, 4), by the fill that refers to them."""


def legend_png(svg: str, scale: int = 1) -> bytes:
    """Return a legend that `legend` made as PNG, `scale` pixels for each of its own. Blocks.

    The font is Pillow's: it has no letters beyond those of European languages.

    Raises:
        InvalidRequest: the picture would be too large, of very many classes.
    """
    from PIL import Image, ImageDraw, ImageFont

    root = ET.fromstring(svg)
    width, height = (int(root.get(side, "0")) * scale for side in ("width", "height"))
    if width * height > _MAX_PX:
        raise InvalidRequest(
            f"scale: {scale} makes a picture of {width} x {height} pixels, and a legend has at "
            f"most {_MAX_PX}; expected a smaller scale or fewer classes"
        )
    image = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(image)
    # It takes milliseconds to load.
    font_of = lru_cache(ImageFont.load_default)
    gradients = {
        f"url(#{each.get('id')})": _stops(each) for each in root.iter(f"{_SVG}linearGradient")
    }
    for element in root.iter():
        if element.tag == f"{_SVG}rect":
            _paint_rectangle(image, draw, element, gradients, scale)
        elif element.tag == f"{_SVG}text":
            _paint_text(draw, element, scale, font_of)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


def _number(element: ET.Element, name: str, default: float = 0.0) -> float:
    return float(element.get(name, default))


def _stops(gradient: ET.Element) -> NDArray[np.float64]:
    return np.array(
        [
            (_number(stop, "offset"), *bytes.fromhex(stop.get("stop-color", "")[1:]))
            for stop in gradient
        ]
    )


def _paint_rectangle(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    element: ET.Element,
    gradients: Gradients,
    scale: int,
) -> None:
    left, top = _number(element, "x") * scale, _number(element, "y") * scale
    right = left + _number(element, "width") * scale
    bottom = top + _number(element, "height") * scale
    fill, edge = element.get("fill", ""), element.get("stroke", "")
    if fill not in gradients:
        radius = _number(element, "rx") * scale
        box = (int(left), int(top), int(right), int(bottom))
        draw.rounded_rectangle(box, radius, fill, edge, scale)
        return
    from PIL import Image

    columns, rows = round(right - left), round(bottom - top)
    stops = gradients[fill]
    at = (np.arange(columns) + 0.5) / columns
    bar = np.stack([np.interp(at, stops[:, 0], stops[:, 1 + each]) for each in range(3)], axis=-1)
    filled = np.broadcast_to(bar.round().astype(np.uint8), (rows, columns, 3))
    image.paste(Image.fromarray(np.ascontiguousarray(filled)), (int(left), int(top)))
    draw.rectangle((int(left), int(top), int(right), int(bottom)), None, edge, scale)


def _paint_text(
    draw: ImageDraw.ImageDraw, element: ET.Element, scale: int, font_of: Callable[[float], Any]
) -> None:
    # Only the heading has a size of its own, and two marks; the rest has that of the document.
    font = font_of(_number(element, "font-size", 12) * scale)
    draw.text(
        (_number(element, "x") * scale, _number(element, "y") * scale),
        element.text or "",
        element.get("fill"),
        font,
        _ANCHORS[element.get("text-anchor", "start")],
        stroke_width=_BOLDER_PX * scale if element.get("font-weight") == "600" else 0,
    )
