"""Colours of red, green and blue as hue, saturation and value, and back.

Source: the reference pages of `Image.rgbToHsv` and `Image.hsvToRgb`; the arithmetic is Smith's
of 1978, as everywhere. All numbers are from 0 to 1. Decided: grey has hue and saturation zero; a
hue past 1 wraps around; a pixel that is masked in one of the three bands is masked in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Image
from tileserver.compute.values.pixel_type import PixelType
from tileserver.errors import InvalidRequest

Channel = NDArray[np.float32]
Conversion = Callable[[Channel, Channel, Channel], tuple[Channel, Channel, Channel]]


@algorithm("Image.rgbToHsv(image: Image) -> Image")
def rgb_to_hsv(image: Image) -> Image:
    """Return hue, saturation and value of an image of red, green and blue, all from 0 to 1."""
    return _converted(image, _hsv_of, ("hue", "saturation", "value"))


@algorithm("Image.hsvToRgb(image: Image) -> Image")
def hsv_to_rgb(image: Image) -> Image:
    """Return red, green and blue of an image of hue, saturation and value, all from 0 to 1."""
    return _converted(image, _rgb_of, ("red", "green", "blue"))


def _converted(image: Image, convert: Conversion, ids: tuple[str, str, str]) -> Image:
    if len(image.bands) != 3:
        raise InvalidRequest(f"Expected an image of three bands, got {len(image.bands)}.")
    nodes = tuple(band.node for band in image.bands)

    def compute(place: int, *pixels: Pixels) -> Pixels:
        a, b, c = (each.values.astype(np.float32) for each in pixels)
        mask = np.minimum.reduce([each.mask for each in pixels])
        return Pixels(convert(a, b, c)[place], mask)

    def node(place: int) -> Apply:
        return Apply(lambda *pixels: compute(place, *pixels), nodes)

    type_ = PixelType("float")
    return image.derived(
        replace(band, id=name, type=type_, node=node(place))
        for place, (band, name) in enumerate(zip(image.bands, ids, strict=True))
    )


def _divided(a: Any, b: Any) -> Channel:
    quotient: Channel = np.divide(a, b, out=np.zeros_like(a), where=b != 0)
    return quotient


def _hsv_of(red: Channel, green: Channel, blue: Channel) -> tuple[Channel, Channel, Channel]:
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    sixth = np.where(
        value == red,
        _divided(green - blue, chroma),
        np.where(
            value == green, 2 + _divided(blue - red, chroma), 4 + _divided(red - green, chroma)
        ),
    )
    hue = np.where(chroma == 0, 0, sixth / 6 % 1).astype(np.float32)
    return hue, _divided(chroma, value), value


def _rgb_of(hue: Channel, saturation: Channel, value: Channel) -> tuple[Channel, Channel, Channel]:
    def channel(shift: float) -> Channel:
        k = (shift + hue * 6) % 6
        share = np.clip(np.minimum(k, 4 - k), 0, 1)
        found: Channel = (value - value * saturation * share).astype(np.float32)
        return found

    return channel(5), channel(3), channel(1)
