"""Pictures of bands beyond Earth Engine's own visualization: curves and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.drawing import ColorClass, Curve, Shading
from tileserver.contract.formats import ImageFileFormat, check_side
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.contract.processing import Encoding, Processing
from tileserver.errors import InvalidRequest
from tileserver.processing.relief import lit
from tileserver.processing.terrain import mapbox, terrarium
from tileserver.rendering.curves import equalized, logarithmic
from tileserver.rendering.encoders import encode, encode_picture
from tileserver.rendering.png import write_palette_png
from tileserver.rendering.render import PalettePicture, Picture, check_options, draw


def drawn(
    bands: BandArrays,
    grid: PixelGrid,
    file_format: ImageFileFormat,
    options: VisualizationOptions | None,
    processing: Processing | None,
) -> bytes:
    """Return bands in a file format; pictures with the curve or the classes of processing.

    Raises:
        InvalidRequest: they cannot be drawn so.
    """
    if not file_format.is_picture or processing is None:
        if options is not None:
            check_options(options, len(bands.ids))
        return encode(file_format, bands, grid, options)
    if processing.algorithm is not None and processing.algorithm.is_color:
        _check_lossless(file_format, processing)
    if processing.encoding is not None:
        return encode_picture(file_format, encoded(bands, processing.encoding))
    if processing.classes:
        return _classified(bands, file_format, processing.classes, options)
    check_options(options, len(bands.ids))
    if processing.shading is not None:
        bands, options = shaded(bands, options, processing.shading)
    if bands.light is not None:
        height, width = bands.light.shape
        check_side(file_format, width, height)
        return encode_picture(file_format, lit(draw(bands, options), bands.light))
    return encode(file_format, bands, grid, options)


def _check_lossless(file_format: ImageFileFormat, processing: Processing) -> None:
    if not file_format.row.is_lossless:
        raise InvalidRequest(
            f"algorithm: the colours of {processing.algorithm} are numbers, which {file_format} "
            "would change; expected png or webp"
        )


def encoded(bands: BandArrays, encoding: Encoding) -> Picture:
    """Return the picture that holds the values of one band; what is masked is transparent.

    Raises:
        InvalidRequest: there are several bands.
    """
    if len(bands.ids) != 1:
        raise InvalidRequest(f"encoding: expected one band, got {len(bands.ids)}")
    values = bands.values[0].astype(np.float64)
    shown = bands.valid[0] & np.isfinite(values)
    values[~shown] = 0
    color = terrarium(values) if encoding is Encoding.TERRARIUM else mapbox(values)
    color[:, ~shown] = 0
    alpha = None if shown.all() else shown * np.uint8(255)
    return Picture(np.ascontiguousarray(np.moveaxis(color, 0, -1)), alpha)


def shaded(
    bands: BandArrays, options: VisualizationOptions | None, shading: Shading
) -> tuple[BandArrays, VisualizationOptions]:
    """Return bands from 0 to 1 after a curve, and the options that draw them."""
    options = options or VisualizationOptions()
    values = np.empty(bands.values.shape, np.float64)
    ranges = options.ranges or (Range(0.0, 255.0),)
    for index, (made, stored) in enumerate(zip(values, bands.values, strict=True)):
        if shading.curve is Curve.EQUALIZE:
            quantiles = shading.quantiles[index % len(shading.quantiles)]
            made[:] = equalized(stored, quantiles)
        else:
            made[:] = _logarithmic(stored, ranges[index % len(ranges)])
    if bands.values.dtype.kind == "f":
        values[~np.isfinite(bands.values)] = np.nan
    return replace(bands, values=values, dtypes=()), replace(options, ranges=(Range(0.0, 1.0),))


def _logarithmic(values: NDArray[Any], between: Range) -> NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        share = (values.astype(np.float64) - between.min) / (between.max - between.min)
        return logarithmic(np.clip(share, 0.0, 1.0))


def _classified(
    bands: BandArrays,
    file_format: ImageFileFormat,
    classes: Sequence[ColorClass],
    options: VisualizationOptions | None,
) -> bytes:
    if len(bands.ids) != 1:
        raise InvalidRequest(f"colormap: expected one band, got {len(bands.ids)}")
    index = class_numbers(bands.values[0], classes)
    finite = bands.valid[0]
    if bands.values.dtype.kind == "f":
        # In single precision the end of an interval may be as infinite as the value.
        finite = finite & np.isfinite(bands.values[0])
    index = np.where(finite, index, 0)
    opacity = 1.0 if options is None or options.opacity is None else options.opacity
    table = np.array([(0, 0, 0, 0), *(each.color for each in classes)], np.uint8)
    alphas = (table[:, 3] * opacity + 0.5).astype(np.uint8)
    table[alphas == 0] = 0
    height, width = index.shape
    check_side(file_format, width, height)
    (alpha, *others) = set(alphas[1:].tolist())
    if file_format is ImageFileFormat.PNG and not others:
        return write_palette_png(PalettePicture(index, table[:, :3], alpha))
    shown = alphas.take(index)
    picture = Picture(table[:, :3].take(index, axis=0), None if shown.min() == 255 else shown)
    return encode_picture(file_format, picture)


def class_numbers(values: NDArray[Any], classes: Sequence[ColorClass]) -> NDArray[np.uint16]:
    """Return the number of each value's class, from 1; 0 where it is in none.

    Of intervals that overlap the first holds, and a class of one value before any. Numbers are
    compared as the type of the values has them: 0.7 is that of float32, and 1e308 infinite there.
    """
    with np.errstate(over="ignore"):
        return _class_numbers(values, classes)


def _class_numbers(values: NDArray[Any], classes: Sequence[ColorClass]) -> NDArray[np.uint16]:
    numbers = np.zeros(values.shape, np.uint16)
    for number, each in reversed(list(enumerate(classes, 1))):
        if each.high is not None:
            numbers[(values >= each.low) & (values < each.high)] = number
    single = {
        each.low: number
        for number, each in reversed(list(enumerate(classes, 1)))
        if each.high is None
    }
    if single:
        keys = np.array(sorted(single))
        of_keys = np.array([single[key] for key in keys.tolist()], np.uint16)
        if values.dtype.kind == "f":
            keys = keys.astype(values.dtype)
        place = np.clip(np.searchsorted(keys, values), 0, len(keys) - 1)
        np.copyto(numbers, of_keys[place], where=keys[place] == values)
    return numbers
