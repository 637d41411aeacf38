"""Styled layer descriptors for rasters, read: OGC SLD 1.0 with GeoServer's kinds of maps, SE 1.1.

A document may be whole or just a RasterSymbolizer; there must be exactly one of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tileserver.compute.context import check_length
from tileserver.compute.text.xml_documents import Element, parse_xml
from tileserver.errors import InvalidRequest, shown
from tileserver.rendering.colors import parse_color

_MAX_ENTRIES = 5000
Kind = Literal["ramp", "intervals", "values"]
Rgb = tuple[int, int, int]
_KINDS: dict[str, Kind] = {"ramp": "ramp", "intervals": "intervals", "values": "values"}


@dataclass(frozen=True, slots=True)
class Enhancement:
    """A contrast enhancement."""

    method: Literal["", "Normalize", "Histogram"] = ""
    gamma: float = 1.0


@dataclass(frozen=True, slots=True)
class Channel:
    """A band of the input, by name or by number, and its enhancement."""

    source: str | None
    """None is the first band."""
    enhancement: Enhancement


@dataclass(frozen=True, slots=True)
class ColorMap:
    """Colours of values."""

    kind: Kind
    quantities: tuple[float, ...]
    colors: tuple[Rgb, ...]
    are_opaque: tuple[bool, ...]
    """Of intervals that end with all values there is one colour more than quantities."""


@dataclass(frozen=True, slots=True)
class RasterStyle:
    """A RasterSymbolizer."""

    channels: tuple[Channel, ...]
    """Three, or one grey one; none where the document selects none."""
    enhancement: Enhancement
    color_map: ColorMap | None
    is_opaque: bool


def parse_style(text: str) -> RasterStyle:
    """Return the style of a document.

    Raises:
        InvalidRequest: it is malformed, or has something that cannot be drawn; says what.
    """
    found = parse_xml(text).all_below("RasterSymbolizer")
    if len(found) != 1:
        raise InvalidRequest(f"Exactly one RasterSymbolizer is required, got {len(found)}.")
    symbolizer = found[0]
    color_map = symbolizer.child("ColorMap")
    return RasterStyle(
        _channels(symbolizer.child("ChannelSelection")),
        _enhancement(symbolizer.child("ContrastEnhancement")),
        None if color_map is None else _color_map(color_map),
        _opacity(symbolizer.child("Opacity")) > 0,
    )


def _channels(selection: Element | None) -> tuple[Channel, ...]:
    if selection is None:
        return ()
    gray = selection.child("GrayChannel")
    if gray is not None:
        return (_channel(gray),)
    found = [selection.child(f"{color}Channel") for color in ("Red", "Green", "Blue")]
    channels = [_channel(each) for each in found if each is not None]
    if len(channels) != 3:
        raise InvalidRequest(
            "ChannelSelection must have a GrayChannel, or a RedChannel, GreenChannel and "
            "BlueChannel."
        )
    return tuple(channels)


def _channel(element: Element) -> Channel:
    source = element.child("SourceChannelName")
    name = None if source is None or not source.text else source.text
    return Channel(name, _enhancement(element.child("ContrastEnhancement")))


def _enhancement(element: Element | None) -> Enhancement:
    if element is None:
        return Enhancement()
    gamma_element = element.child("GammaValue")
    gamma = 1.0 if gamma_element is None else _number(gamma_element.text, "GammaValue")
    if gamma <= 0:
        raise InvalidRequest(f"GammaValue must be above zero, got {gamma:g}.")
    if element.child("Normalize") is not None:
        return Enhancement("Normalize", gamma)
    if element.child("Histogram") is not None:
        return Enhancement("Histogram", gamma)
    return Enhancement("", gamma)


def _color_map(element: Element) -> ColorMap:
    for name, read in (("Categorize", _categorized), ("Interpolate", _interpolated)):
        inner = element.child(name)
        if inner is not None:
            return read(inner)
    kind = element.attributes.get("type", "ramp")
    if kind not in _KINDS:
        raise InvalidRequest(
            f"The type of ColorMap must be ramp, intervals or values, not {shown(kind)}."
        )
    entries = [each for each in element.children if each.name == "ColorMapEntry"]
    _check_count(len(entries))
    numbers = [_number(each.attributes.get("quantity", ""), "quantity") for each in entries]
    colors = [_color(each.attributes.get("color", "")) for each in entries]
    opaque = [_number(each.attributes.get("opacity", "1"), "opacity") > 0 for each in entries]
    if kind != "values" and sorted(numbers) != numbers:
        raise InvalidRequest("The quantities of a ColorMap must ascend.")
    return ColorMap(_KINDS[kind], tuple(numbers), tuple(colors), tuple(opaque))


def _check_count(count: int) -> None:
    check_length(count, _MAX_ENTRIES, "entries in a ColorMap")
    if not count:
        raise InvalidRequest("A ColorMap needs an entry at least.")


def _categorized(element: Element) -> ColorMap:
    colors = [_color(each.text) for each in element.children if each.name == "Value"]
    numbers = [
        _number(each.text, "Threshold") for each in element.children if each.name == "Threshold"
    ]
    _check_count(len(colors))
    if len(colors) != len(numbers) + 1:
        raise InvalidRequest("Categorize needs one Value more than it has Thresholds.")
    if sorted(numbers) != numbers:
        raise InvalidRequest("The Thresholds of Categorize must ascend.")
    opaque = (True,) * len(colors)
    return ColorMap("intervals", tuple(numbers), tuple(colors), opaque)


def _interpolated(element: Element) -> ColorMap:
    points = [each for each in element.children if each.name == "InterpolationPoint"]
    _check_count(len(points))
    numbers = [_number(_text_of(each, "Data"), "Data") for each in points]
    colors = [_color(_text_of(each, "Value")) for each in points]
    if sorted(numbers) != numbers:
        raise InvalidRequest("The InterpolationPoints must ascend.")
    return ColorMap("ramp", tuple(numbers), tuple(colors), (True,) * len(colors))


def _text_of(element: Element, name: str) -> str:
    child = element.child(name)
    return "" if child is None else child.text


def _opacity(element: Element | None) -> float:
    return 1.0 if element is None else _number(element.text, "Opacity")


def _number(text: str, name: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InvalidRequest(f"{name} must be a number, got {shown(text)}.")
    return found


def _color(text: str) -> Rgb:
    red, green, blue = (int(each) for each in parse_color(text.strip())[:3])
    return red, green, blue
