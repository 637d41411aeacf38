"""Legends as SVG: a colour bar, class swatches, or what each channel shows."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.pixels import Range, VisualizationOptions
from tileserver.rendering.render import check_options, check_rising, ramp

WIDTH = 240
"""Pixels."""
Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_MARGIN = 12
_TITLE_BASELINE = 24
_BODY_TOP = 36
_ROW = 20
_BAR_HEIGHT = 14
_GRADIENT_STOPS = 33
_CURVE_STOPS = 129
_INK, _FAINT, _PAPER, _EDGE = "#1f2328", "#59636e", "#ffffff", "#8c959f"
_CHANNELS = (("R", "#d1242f"), ("G", "#1a7f37"), ("B", "#0969da"))
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def legend_svg(
    title: str,
    band_ids: Sequence[str],
    options: VisualizationOptions | None,
    class_names: Sequence[str] | None = None,
    classes: Sequence[tuple[int, str]] = (),
    curve: Curve | None = None,
) -> str:
    """Return the legend of a style, with the colours the tiles have.

    The panel is white, so it reads on any background. Opacity is left out: a faint layer is
    explained by full colours.

    Args:
        title: what the layer is called.
        band_ids: one band, or three for red, green and blue.
        options: the style; None is a clip to 0..255.
        class_names: when given with one band, the classes from min to max, equally spaced, as
            the colours of a class palette are.
        classes: when given instead with one band, the values and names of classes.
        curve: of one band, from shares of its range to shades; straight without any.

    Raises:
        InvalidRequest: the options cannot draw this many bands, see `render.check_options`, or a
            range does not rise.
    """
    options = options or VisualizationOptions()
    check_options(options, len(band_ids))
    check_rising(options.ranges)
    ranges = options.ranges or (Range(0.0, 255.0),)
    body = ET.Element("g")
    if len(band_ids) == 3:
        height = _add_channels(body, band_ids, ranges)
    elif class_names:
        at = np.linspace(0, 1, len(class_names))
        height = _add_classes(body, class_names, at, options)
    elif classes:
        between = ranges[0]
        places = [(value - between.min) / (between.max - between.min) for value, _ in classes]
        height = _add_classes(body, [name for _, name in classes], np.array(places), options)
    else:
        height = _add_bar(body, band_ids[0], ranges[0], options, curve)
    return _document(title or ", ".join(band_ids), body, height)


def swatches_svg(title: str, swatches: Sequence[tuple[str, str]]) -> str:
    """Return the legend of classes: the label and the colour, as #rrggbb, of each."""
    body = ET.Element("g")
    for row, (label, color) in enumerate(swatches):
        _add_swatch(body, _BODY_TOP + row * _ROW, label, color)
    return _document(title, body, _BODY_TOP + len(swatches) * _ROW + 6)


def _add_swatch(parent: ET.Element, top: int, label: str, color: str) -> None:
    _rectangle(parent, _MARGIN, top, 14, 14, color, rx="2")
    _text(parent, _MARGIN + 22, top + 11, _shortened(label, 30))


def _document(title: str, body: ET.Element, height: int) -> str:
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(WIDTH),
            "height": str(height),
            "viewBox": f"0 0 {WIDTH} {height}",
            "role": "img",
            "font-family": "system-ui, sans-serif",
            "font-size": "12",
        },
    )
    ET.SubElement(svg, "title").text = _xml_text(title)
    _rectangle(svg, 0.5, 0.5, WIDTH - 1, height - 1, _PAPER, rx="6")
    heading = _text(svg, _MARGIN, _TITLE_BASELINE, _shortened(title, 26), weight="600")
    heading.set("font-size", "13")
    svg.append(body)
    return ET.tostring(svg, encoding="unicode")


def _add_bar(
    parent: ET.Element,
    band_id: str,
    between: Range,
    options: VisualizationOptions,
    curve: Curve | None,
) -> int:
    bar_width = WIDTH - 2 * _MARGIN
    fill = _add_gradient(parent, options, curve)
    _text(parent, _MARGIN, _BODY_TOP + 8, _shortened(band_id, 32), color=_FAINT)
    top = _BODY_TOP + 16
    _rectangle(parent, _MARGIN, top, bar_width, _BAR_HEIGHT, fill)
    # Halves first: the sum of two huge numbers overflows.
    middle = between.min / 2 + between.max / 2
    labels = ((between.min, "start"), (middle, "middle"), (between.max, "end"))
    for step, (value, anchor) in enumerate(labels):
        x = _MARGIN + step * bar_width / 2
        _text(parent, x, top + _BAR_HEIGHT + 16, _number(value), anchor=anchor)
    return top + _BAR_HEIGHT + 28


def _add_gradient(parent: ET.Element, options: VisualizationOptions, curve: Curve | None) -> str:
    """Add the gradient of the style and return the fill that refers to it."""
    found = gradient(options, curve)
    colors = [color for _, color in found]
    # A page may hold several legends inline, and ids are the page's.
    name = f"ramp-{zlib.crc32(' '.join(colors).encode()):08x}"
    element = ET.SubElement(ET.SubElement(parent, "defs"), "linearGradient", {"id": name})
    for offset, color in found:
        ET.SubElement(element, "stop", {"offset": f"{offset:.6g}", "stop-color": color})
    return f"url(#{name})"


def gradient(options: VisualizationOptions, curve: Curve | None = None) -> list[tuple[float, str]]:
    """Return the stops of a band's gradient: shares of its range, and colours as #rrggbb.

    Args:
        options: the style of one band.
        curve: from shares of its range to shades; straight without any.
    """
    offsets = _offsets(options) if curve is None else np.linspace(0, 1, _CURVE_STOPS)
    shades = offsets if curve is None else curve(offsets)
    colors = [_hex(color) for color in ramp(options, shades)]
    return list(zip(offsets.tolist(), colors, strict=True))


def class_colors(options: VisualizationOptions, places: Sequence[float]) -> list[str]:
    """Return the colours, as #rrggbb, at shares of a band's range."""
    return [_hex(color) for color in ramp(options, np.array(places))]


def _offsets(options: VisualizationOptions) -> NDArray[np.float64]:
    """Return where to sample: at the palette's own stops while the ramp is straight between."""
    if options.gamma in (None, 1):
        return np.linspace(0, 1, max(2, len(options.palette_colors)))
    return np.linspace(0, 1, max(_GRADIENT_STOPS, len(options.palette_colors)))


def _add_classes(
    parent: ET.Element,
    class_names: Sequence[str],
    positions: NDArray[np.float64],
    options: VisualizationOptions,
) -> int:
    colors = ramp(options, positions)
    for row, (name, color) in enumerate(zip(class_names, colors, strict=True)):
        _add_swatch(parent, _BODY_TOP + row * _ROW, name, _hex(color))
    return _BODY_TOP + len(class_names) * _ROW + 6


def _add_channels(parent: ET.Element, band_ids: Sequence[str], ranges: Sequence[Range]) -> int:
    each = ranges if len(ranges) == len(band_ids) else [ranges[0]] * len(band_ids)
    rows = zip(_CHANNELS, band_ids, each, strict=True)
    for row, ((letter, color), band_id, between) in enumerate(rows):
        top = _BODY_TOP + row * _ROW
        _rectangle(parent, _MARGIN, top, 14, 14, color, rx="7")
        label = _text(parent, _MARGIN + 7, top + 11, letter, color=_PAPER, anchor="middle")
        label.set("font-size", "10")
        _text(parent, _MARGIN + 22, top + 11, _shortened(band_id, 13))
        extent = f"{_number(between.min)} to {_number(between.max)}"
        _text(parent, WIDTH - _MARGIN, top + 11, extent, color=_FAINT, anchor="end")
    return _BODY_TOP + len(band_ids) * _ROW + 6


def _rectangle(
    parent: ET.Element, x: float, y: float, width: float, height: float, fill: str, rx: str = "0"
) -> None:
    size = {"x": f"{x:g}", "y": f"{y:g}", "width": f"{width:g}", "height": f"{height:g}"}
    ET.SubElement(parent, "rect", size | {"rx": rx, "fill": fill, "stroke": _EDGE})


def _text(
    parent: ET.Element,
    x: float,
    y: float,
    text: str,
    *,
    color: str = _INK,
    anchor: str = "start",
    weight: str = "400",
) -> ET.Element:
    place = {"x": f"{x:g}", "y": f"{y:g}", "fill": color}
    style = {"text-anchor": anchor, "font-weight": weight}
    element = ET.SubElement(parent, "text", place | style)
    element.text = _xml_text(text)
    return element


def _hex(color: NDArray[np.uint8]) -> str:
    return f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}"


def _number(value: float) -> str:
    # Adding zero turns -0.0 into 0.0.
    return f"{value + 0.0:.6g}"


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _xml_text(text: str) -> str:
    """Return the text without the characters that no XML document may hold."""
    return _NOT_XML.sub("", text)
