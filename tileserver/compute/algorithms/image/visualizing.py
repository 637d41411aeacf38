"""`Image.visualize`: images as 8-bit pictures, with the formula of `rendering.render`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tileserver.compute.algorithms.image.bands import select
from tileserver.compute.nodes import Apply, Pixels
from tileserver.compute.registry import algorithm
from tileserver.compute.values.image import Band, Image
from tileserver.compute.values.pixel_type import BYTE, PixelType
from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.errors import InvalidRequest, shown
from tileserver.rendering.colors import parse_palette
from tileserver.rendering.render import VISUALIZED_IDS, check_options, draw

_MAX_COLORS = 256


@algorithm(
    "Image.visualize(image: Image, bands: Object = null, gain: Object = null, bias: Object = null,"
    " min: Object = null, max: Object = null, gamma: Object = null, opacity: Number = null,"
    " palette: Object = null, forceRgbOutput: Boolean = false) -> Image"
)
def visualize(
    image: Image,
    bands: Any,
    gain: Any,
    bias: Any,
    low: Any,
    high: Any,
    gamma: Any,
    opacity: float | None,
    palette: Any,
    force_rgb: bool,
) -> Image:
    """Return a picture of one band or of three: vis-red, vis-green and vis-blue, or vis-gray."""
    chosen = _chosen(image, bands)
    colors = tuple(_texts(palette, "palette")) if palette is not None else ()
    if len(colors) > _MAX_COLORS:
        raise InvalidRequest(f"A palette has at most {_MAX_COLORS} colors, got {len(colors)}.")
    if colors and len(chosen) > 1:
        raise InvalidRequest("Cannot provide a palette when visualizing more than one band.")
    if colors:
        parse_palette(colors)
    ranges = _ranges(chosen, gain, bias, low, high, len(colors))
    gammas = _numbers(gamma, len(chosen), "gamma") or [1.0] * len(chosen)
    for each, gamma_ in zip(ranges, gammas, strict=True):
        check_options(VisualizationOptions((each,), gamma=gamma_), 1)
    share = 1.0 if opacity is None else opacity
    if not 0 <= share <= 1:
        raise InvalidRequest(f"opacity must be a number from 0 to 1, got {share:g}.")
    return Image(tuple(_picture_bands(chosen, ranges, gammas, share, colors, force_rgb)))


def _chosen(image: Image, wanted: Any) -> tuple[Band, ...]:
    if wanted in (None, [], ""):
        found = image.bands[:3]
    else:
        names = [str(n) if isinstance(n, str) else n for n in _listed(wanted)]
        found = select(image, names, None).bands
    if len(found) == 2:
        found = found[:1] if wanted in (None, [], "") else found
    if len(found) not in (1, 3):
        raise InvalidRequest(f"Expected one or three bands, got {len(found)}.")
    return found


def _listed(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, list | tuple) else [value]


def _texts(value: Any, name: str) -> list[str]:
    found = _listed(value)
    if wrong := [each for each in found if not isinstance(each, str)]:
        raise InvalidRequest(f"{name}: expected colors, got {shown(wrong[0])}.")
    return found


def _numbers(value: Any, count: int, name: str) -> list[float] | None:
    """Return a number for each band; None if none is given.

    Raises:
        InvalidRequest: it is no number, or there are too many.
    """
    if value is None:
        return None
    try:
        found = [float(each) for each in _listed(value)]
    except (TypeError, ValueError):
        raise InvalidRequest(f"{name}: expected numbers, got {shown(value)}.") from None
    if len(found) not in (1, count):
        raise InvalidRequest(f"{name}: expected one number or {count}, got {len(found)}.")
    return found * count if len(found) == 1 else found


def _ranges(
    bands: Sequence[Band], gain: Any, bias: Any, low: Any, high: Any, colors: int
) -> list[Range]:
    """Return the values of each band that become black and white.

    `gain * value + bias` is the byte, or the index of the colour in a palette. A range may fall,
    and one of a single value is a step, as `rendering.render` draws them.
    """
    count = len(bands)
    gains, biases = _numbers(gain, count, "gain"), _numbers(bias, count, "bias")
    lows, highs = _numbers(low, count, "min"), _numbers(high, count, "max")
    if (gains or biases) and (lows or highs):
        raise InvalidRequest("Cannot specify gain or bias together with min or max.")
    if gains or biases:
        top = colors - 1 if colors > 1 else 255
        gains, biases = gains or [1.0] * count, biases or [0.0] * count
        if 0 in gains:
            raise InvalidRequest("gain must not be zero.")
        return [Range(-b / g, (top - b) / g) for g, b in zip(gains, biases, strict=True)]
    if not lows and not highs:
        return [_default_range(band.type) for band in bands]
    lows, highs = lows or [0.0] * count, highs or [1.0] * count
    return [Range(*ends) for ends in zip(lows, highs, strict=True)]


def _default_range(type_: PixelType) -> Range:
    """Return the range of a band's type: of whole numbers all of it, of others 0 to 1."""
    if type_.precision != "int" or type_.min is None or type_.max is None:
        return Range(0.0, 1.0)
    limits = np.iinfo(type_.dtype)
    return Range(float(limits.min), float(limits.max))


def _picture_bands(
    bands: Sequence[Band],
    ranges: Sequence[Range],
    gammas: Sequence[float],
    opacity: float,
    colors: tuple[str, ...],
    force_rgb: bool,
) -> list[Band]:
    styles = [
        VisualizationOptions((range_,), colors, gamma)
        for range_, gamma in zip(ranges, gammas, strict=True)
    ]
    nodes = tuple(band.node for band in bands)
    if len(bands) == 1 and not colors and not force_rgb:
        node = _of_one(nodes, styles[0], None, opacity)
        return [replace(bands[0], id="vis-gray", type=BYTE, node=node)]
    drawn = []
    for i, name in enumerate(VISUALIZED_IDS):
        if len(bands) == 1:
            band, node = bands[0], _of_one(nodes, styles[0], i, opacity)
        else:
            band, node = bands[i], _of_three(nodes, styles[i], i, opacity)
        drawn.append(replace(band, id=name, type=BYTE, node=node))
    return drawn


def _of_one(
    nodes: tuple[Any, ...], options: VisualizationOptions, channel: int | None, opacity: float
) -> Apply:
    return Apply(lambda pixels: _channel(pixels, options, channel, opacity), nodes)


def _of_three(
    nodes: tuple[Any, ...], options: VisualizationOptions, i: int, opacity: float
) -> Apply:
    def compute(*pixels: Pixels) -> Pixels:
        # There is one alpha for all three: a pixel masked in any band is masked in all.
        mask = np.minimum.reduce([each.mask for each in pixels])
        numbers = [each.values for each in pixels if each.values.dtype.kind == "f"]
        for values in numbers:
            mask = np.where(np.isfinite(values), mask, np.float32(0))
        return _channel(Pixels(pixels[i].values, mask), options, None, opacity)

    return Apply(compute, nodes)


def _channel(
    pixels: Pixels, options: VisualizationOptions, channel: int | None, opacity: float
) -> Pixels:
    """Return one channel of the picture of a band: uint8 values, and its mask times the opacity."""
    values = np.ascontiguousarray(pixels.values)[np.newaxis]
    picture = draw(BandArrays(("band",), values, (pixels.mask > 0)[np.newaxis]), options)
    color = picture.color
    if color.ndim == 3 and channel is not None:
        color = color[..., channel]
    mask = pixels.mask if picture.alpha is None else pixels.mask * (picture.alpha > 0)
    return Pixels(np.ascontiguousarray(color), (mask * np.float32(opacity)).astype(np.float32))
