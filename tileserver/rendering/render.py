"""Arrays to pictures: the visualization of Earth Engine, in eight bits.

For each band v = clamp((x - min) / (max - min), 0, 1), then v ** (1 / gamma), then v * 255
rounded half up. A palette's stops are equally spaced over v, with straight lines in between.
Without ranges values clip to 0..255. Facts and sources: the guide
https://developers.google.com/earth-engine/guides/image_visualization and the reference
https://developers.google.com/earth-engine/reference/rest/v1/VisualizationOptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.rendering.colors import parse_palette

VISUALIZED_IDS = ("vis-red", "vis-green", "vis-blue")
"""Names of the bands that `ee.Image.visualize` makes."""

_CLIP = Range(0.0, 255.0)
_PLAIN = VisualizationOptions()


@dataclass(frozen=True)
class Picture:
    """Eight bits a channel, ready to be encoded."""

    color: NDArray[np.uint8]
    """Grey of shape (height, width), or red, green, blue of shape (height, width, 3).

    Zero where alpha is zero, so that hidden pixels cost next to nothing; but without options
    a channel is zero only where its own band is masked.
    """
    alpha: NDArray[np.uint8] | None
    """Shape (height, width), 255 is opaque; None when every pixel is."""


@dataclass(frozen=True)
class PalettePicture:
    """A picture of few colours: the number of each pixel's colour."""

    index: NDArray[np.unsignedinteger[Any]]
    """Shape (height, width); 0 where nothing shows."""
    colors: NDArray[np.uint8]
    """Shape (colours, 3); the first, of what does not show, is black."""
    alpha: int
    """Of the pixels that show; 255 is opaque."""

    def picture(self) -> Picture:
        """Return the same with the colour of each pixel."""
        shown = self.index > 0
        is_opaque = self.alpha == 255 and bool(shown.all())
        color = self.colors.take(self.index, axis=0)
        return Picture(color, None if is_opaque else shown * np.uint8(self.alpha))


@dataclass(frozen=True, slots=True)
class _Shade:
    """How the values of one band become bytes; hashable, so that its tables can be kept."""

    range: Range
    gamma: float
    palette: tuple[str, ...]


def draws(options: VisualizationOptions | None) -> bool:
    """Return whether the options ask for anything; empty ones are the same as none."""
    return options is not None and options != _PLAIN


def draw(bands: BandArrays, options: VisualizationOptions | None) -> Picture:
    """Return the picture of one band (grey, or coloured by a palette) or of three.

    A pixel is transparent where any band is masked, NaN or infinite.

    Raises:
        InvalidRequest: see `check_options`.
    """
    options = options or _PLAIN
    if few := draw_palette(bands, options):
        return few.picture()
    color = _color(bands.values, _shades(options, len(bands.values)))
    opaque = _drawable(bands)
    opacity = _opacity(options)
    if opacity == 1 and bands.alpha is None and opaque.all():
        return Picture(color, None)
    alpha = opaque * np.uint8(opacity * 255 + 0.5)
    if bands.alpha is not None:
        alpha = (opaque * (bands.alpha * opacity) + 0.5).astype(np.uint8)
    if draws(options):
        _blacken(color, alpha > 0)
    else:
        # GDAL reads samples out of such a picture: those of a band outlive the mask of another.
        _blacken(color, *map(_finite, bands.values, bands.valid))
    return Picture(color, alpha)


def draw_palette(bands: BandArrays, options: VisualizationOptions | None) -> PalettePicture | None:
    """Return the picture of one band coloured by a palette; None if it has none, or partial alpha.

    Raises:
        InvalidRequest: see `check_options`.
    """
    options = options or _PLAIN
    (shade, *_) = _shades(options, len(bands.values))
    if not shade.palette or bands.alpha is not None:
        return None
    steps, shade = _steps(bands.values[0], shade)
    numbers, colors = _numbered(steps.dtype.str, shade)
    alpha = int(_opacity(options) * 255 + 0.5)
    # Where nothing shows the number is 0.
    index = numbers.take(_unsigned(steps)) * (_drawable(bands) & (alpha > 0))
    return PalettePicture(index, colors, alpha)


def visualized(bands: BandArrays, options: VisualizationOptions | None) -> BandArrays:
    """Return the picture as three bands of uint8, for the formats that carry raw values.

    Earth Engine's options ask for "an 8-bit RGB visualization of the data, rather than the raw
    data", so a grey picture comes as three equal bands. Opacity has no place in them.

    Raises:
        InvalidRequest: see `check_options`.
    """
    check_options(options, len(bands.values))
    picture = draw(bands, replace(options or _PLAIN, opacity=None))
    color = picture.color
    height, width = color.shape[:2]
    values = (
        np.moveaxis(color, -1, 0) if color.ndim == 3 else np.broadcast_to(color, (3, *color.shape))
    )
    valid = np.ones((height, width), bool) if picture.alpha is None else picture.alpha > 0
    return BandArrays(
        VISUALIZED_IDS, np.ascontiguousarray(values), np.broadcast_to(valid, (3, height, width))
    )


def ramp(options: VisualizationOptions, positions: ArrayLike) -> NDArray[np.uint8]:
    """Return the colours of one band, shape (positions, 3), for a legend.

    Args:
        options: their palette and gamma are used.
        positions: 0 is the colour of the range's min, 1 that of its max.
    """
    shade = replace(_shades(options, 1)[0], range=Range(0.0, 1.0))
    color = _shaded(np.asarray(positions, dtype=np.float64), shade)
    return color if color.ndim == 2 else np.repeat(color[:, np.newaxis], 3, axis=1)


def check_options(options: VisualizationOptions | None, band_count: int) -> None:
    """Check that options can draw a number of bands, before a pixel is read.

    What passes is kept: `draw` does not check the same options again.

    Raises:
        InvalidRequest: the bands are neither one nor three, or an option is out of range.
    """
    _shades(options or _PLAIN, band_count)


@lru_cache(maxsize=256)
def _shades(options: VisualizationOptions, band_count: int) -> tuple[_Shade, ...]:
    """Return how each band is drawn; raises as `check_options`."""
    _check(options, band_count)
    ranges: Sequence[Range] = options.ranges or (_CLIP,)
    if len(ranges) == 1:
        ranges = [ranges[0]] * band_count
    gamma = 1.0 if options.gamma is None else options.gamma
    return tuple(_Shade(each, gamma, options.palette_colors) for each in ranges)


def _check(options: VisualizationOptions, band_count: int) -> None:
    if options.palette_colors:
        _check_palette(options.palette_colors, band_count)
    if band_count not in (1, 3):
        raise InvalidRequest(f"A picture is made of one or three bands, got {band_count}.")
    _check_ranges(options.ranges, band_count)
    gamma, opacity = options.gamma, options.opacity
    if gamma is not None and not 0 < gamma < math.inf:
        raise InvalidRequest(f"gamma must be a number greater than 0, got {gamma}.")
    if opacity is not None and not 0 <= opacity <= 1:
        raise InvalidRequest(f"opacity must be a number from 0 to 1, got {opacity}.")


def _check_palette(palette_colors: tuple[str, ...], band_count: int) -> None:
    if band_count > 1:
        raise InvalidRequest(
            "Image.visualize: Cannot provide a palette when visualizing more than one band."
        )
    parse_palette(palette_colors)


def _check_ranges(ranges: tuple[Range, ...], band_count: int) -> None:
    if len(ranges) not in (0, 1, band_count):
        raise InvalidRequest(
            f"There must be one range (min and max) for all bands or one for each of "
            f"{band_count}, got {len(ranges)}."
        )
    for each in ranges:
        if not (math.isfinite(each.min) and math.isfinite(each.max)):
            raise InvalidRequest(
                f"A range's min and max must be finite, got min {each.min} and max {each.max}."
            )


def check_rising(ranges: Sequence[Range]) -> None:
    """Raise InvalidRequest if a range falls or has no width: a legend can not show that."""
    for each in ranges:
        if not each.min < each.max:
            raise InvalidRequest(
                f"A range's min must be less than its max, got min {each.min} and max {each.max}."
            )


def _opacity(options: VisualizationOptions) -> float:
    return 1.0 if options.opacity is None else options.opacity


def _color(values: NDArray[Any], shades: Sequence[_Shade]) -> NDArray[np.uint8]:
    if len(shades) == 1:
        return _paint(values[0], shades[0])
    color = np.empty((*values.shape[1:], len(shades)), np.uint8)
    for channel, shade in enumerate(shades):
        color[..., channel] = _paint(values[channel], shade)
    return color


def _drawable(bands: BandArrays) -> NDArray[np.bool_]:
    """Return where every band has a finite value, shape (height, width)."""
    drawable: NDArray[np.bool_] = np.logical_and.reduce(bands.valid, axis=0)
    for values in bands.values:
        drawable = _finite(values, drawable)
    return drawable


def _finite(values: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return valid & np.isfinite(values) if values.dtype.kind == "f" else valid


def _blacken(color: NDArray[np.uint8], *shown: NDArray[np.bool_]) -> None:
    """Put zero where nothing is shown: one mask for all channels, or one each."""
    channels = color if color.ndim == 3 else color[..., np.newaxis]
    # Channel by channel: a broadcast over the last axis of three takes twice as long.
    for channel in range(channels.shape[2]):
        channels[..., channel] *= shown[channel % len(shown)]


def _paint(values: NDArray[Any], shade: _Shade) -> NDArray[np.uint8]:
    """Return the bytes of one band, shape (height, width) or, with a palette, (…, 3)."""
    if not shade.palette and not _is_narrow(values.dtype):
        return _shaded(values, shade)
    steps, shade = _steps(values, shade)
    return np.take(_table(steps.dtype.str, shade), _unsigned(steps), axis=0)


def _steps(values: NDArray[Any], shade: _Shade) -> tuple[NDArray[Any], _Shade]:
    """Return integers of at most 16 bits, and how they become the bytes of the values.

    Interpolating three channels pixel by pixel is slow. 65536 steps are fine enough for the
    steepest palette: 255 stops of 0 and 255 in turn move by half a byte a step.
    """
    if _is_narrow(values.dtype):
        return values, shade
    steps = _rounded(_stretched(values, shade.range, shade.gamma), np.uint16)
    return steps, _Shade(Range(0.0, 65535.0), 1.0, shade.palette)


def _is_narrow(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" and dtype.itemsize <= 2


def _unsigned(values: NDArray[Any]) -> NDArray[Any]:
    return values.view(values.dtype.str.replace("i", "u"))


@lru_cache(maxsize=128)
def _numbered(
    dtype_str: str, shade: _Shade
) -> tuple[NDArray[np.unsignedinteger[Any]], NDArray[np.uint8]]:
    """Return the number of every value's colour, as `_table` has them, and the colours.

    Number 0 is black; the others are in the order of the values.
    """
    table = _table(dtype_str, shade)
    packed = table @ np.array([1 << 16, 1 << 8, 1])
    _, first, same = np.unique(packed, return_index=True, return_inverse=True)
    order = first.argsort()
    number = np.empty(len(order), np.min_scalar_type(len(order)))
    number[order] = np.arange(1, len(order) + 1)
    return number[same], np.concatenate([np.zeros((1, 3), np.uint8), table[first[order]]])


@lru_cache(maxsize=128)
def _table(dtype_str: str, shade: _Shade) -> NDArray[np.uint8]:
    """Return the bytes of every value of an 8 or 16 bit type, indexed by its unsigned twin."""
    dtype = np.dtype(dtype_str)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    every = np.arange(2 ** (8 * dtype.itemsize)).astype(unsigned)
    return _shaded(every.view(dtype.newbyteorder("=")), shade)


def _shaded(values: NDArray[Any], shade: _Shade) -> NDArray[np.uint8]:
    """Return the formula's own answer, of the values' shape or, with a palette, (…, 3)."""
    stretched = _stretched(values, shade.range, shade.gamma)
    if not shade.palette:
        return _rounded(stretched, np.uint8)
    palette = parse_palette(shade.palette)
    stops = np.linspace(0.0, 1.0, len(palette))
    channels = [np.interp(stretched, stops, palette[:, channel] / 255) for channel in range(3)]
    return _rounded(np.stack(channels, axis=-1), np.uint8)


def _stretched(values: NDArray[Any], between: Range, gamma: float) -> NDArray[np.float64]:
    """Return v of the formula, 0 to 1; NaN stays NaN."""
    low, high = between.min, between.max
    if low == high:
        # As in Earth Engine, a step: NaN must stay NaN, so no comparison alone.
        return np.where(np.isnan(values), np.nan, np.greater(values, low))
    if math.isinf(high - low):
        values, low, high = np.multiply(values, 0.25, dtype=np.float64), low / 4, high / 4
    # A value far outside a narrow range overflows to infinity, which is clipped like any other.
    with np.errstate(over="ignore", invalid="ignore"):
        stretched: NDArray[np.float64] = np.subtract(values, low, dtype=np.float64)
        stretched /= high - low
        np.clip(stretched, 0.0, 1.0, out=stretched)
    if gamma != 1:
        with np.errstate(under="ignore"):
            stretched **= 1 / gamma
    return stretched


def _rounded(stretched: NDArray[np.float64], dtype: type[Any]) -> NDArray[Any]:
    """Return 0..1 over the whole of an unsigned type, rounded half up; NaN becomes anything."""
    scaled = stretched * np.iinfo(dtype).max
    scaled += 0.5
    with np.errstate(invalid="ignore"):
        return scaled.astype(dtype)
