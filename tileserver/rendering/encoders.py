"""Pixels to bytes, in every form getPixels knows, and WebP."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tileserver.contract.pixels import (
    AffineTransform,
    BandArrays,
    ImageFileFormat,
    PixelGrid,
    VisualizationOptions,
)
from tileserver.errors import InvalidRequest
from tileserver.rendering.geotiff import write_geotiff
from tileserver.rendering.png import SIGNATURE as PNG_SIGNATURE
from tileserver.rendering.png import write_png
from tileserver.rendering.render import Picture, draw, draws, visualized
from tileserver.rendering.tfrecord import write_tfrecord

MAX_WEBP_SIDE = 16383
"""Pixels; https://developers.google.com/speed/webp/faq."""

_JPEG_QUALITY = 85
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_ALIGNMENT = 64
_NPY_MAX_HEADER = 65535
_BY_NAME = frozenset(
    {
        ImageFileFormat.NPY,
        ImageFileFormat.TF_RECORD_IMAGE,
        ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND,
    }
)
"""Formats that find a band by its id."""


def encode(
    file_format: ImageFileFormat,
    bands: BandArrays,
    grid: PixelGrid,
    options: VisualizationOptions | None,
) -> bytes:
    """Return the bands in a file format.

    Pictures are drawn with the options, or clip to 0..255 without. With options the raw formats
    hold the drawn picture as three bands, see `render.visualized`; empty options are none.

    Args:
        file_format: how to encode.
        bands: the values, on the grid.
        grid: where the pixels lie; its width and height are those of the bands.
        options: how to draw.

    Raises:
        InvalidRequest: the bands cannot be drawn or do not fit the format.
    """
    if file_format.is_picture:
        return _encode_picture(file_format, draw(bands, options))
    return _encode_raw(file_format, visualized(bands, options) if draws(options) else bands, grid)


@lru_cache(maxsize=256)
def empty(
    file_format: ImageFileFormat, width: int, height: int, ids: tuple[str, ...], dtype: str
) -> bytes:
    """Return pixels of nothing: a transparent picture, or zeros in raw formats."""
    if file_format.is_picture:
        ids, dtype = ("empty",), "uint8"
    shape = (len(ids), height, width)
    bands = BandArrays(ids, np.zeros(shape, dtype), np.zeros(shape, np.bool_))
    nowhere = PixelGrid(width, height, AffineTransform(1.0, 0.0, 0.0, 0.0, -1.0), "EPSG:3857")
    return encode(file_format, bands, nowhere, None)


def media_type(file_format: ImageFileFormat, body: bytes) -> str:
    """Return the Content-Type of an encoded body; AUTO_JPEG_PNG is told by its first bytes."""
    if file_format is ImageFileFormat.AUTO_JPEG_PNG:
        if body.startswith(PNG_SIGNATURE):
            return ImageFileFormat.PNG.media_type
        if body.startswith(_JPEG_SIGNATURE):
            return ImageFileFormat.JPEG.media_type
    return file_format.media_type


def _encode_picture(file_format: ImageFileFormat, picture: Picture) -> bytes:
    match file_format:
        case ImageFileFormat.PNG:
            return write_png(picture)
        case ImageFileFormat.WEBP:
            return write_webp(picture)
        case ImageFileFormat.AUTO_JPEG_PNG if picture.alpha is not None:
            return write_png(picture)
        case _:
            return write_jpeg(picture)


def _encode_raw(file_format: ImageFileFormat, bands: BandArrays, grid: PixelGrid) -> bytes:
    if file_format in _BY_NAME and len(set(bands.ids)) != len(bands.ids):
        raise InvalidRequest(f"{file_format} tells bands by their ids, and two are the same.")
    match file_format:
        case ImageFileFormat.NPY:
            return write_npy(bands)
        case ImageFileFormat.GEO_TIFF:
            return write_geotiff(bands, grid)
        case ImageFileFormat.ZIPPED_GEO_TIFF:
            return _zipped([("image", write_geotiff(bands, grid))])
        case ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND:
            each = _split(bands)
            return _zipped((band.ids[0], write_geotiff(band, grid)) for band in each)
        case ImageFileFormat.TF_RECORD_IMAGE:
            return write_tfrecord(bands)
        case _:
            raise InvalidRequest(f"{file_format} is a format of pictures, not of raw values.")


def write_jpeg(picture: Picture) -> bytes:
    """Return a JPEG. It has no alpha: masked pixels are black, opacity changes nothing."""
    body = io.BytesIO()
    Image.fromarray(picture.color).save(body, "JPEG", quality=_JPEG_QUALITY)
    return body.getvalue()


def write_webp(picture: Picture) -> bytes:
    """Return a lossless WebP, with alpha where there is any.

    Raises:
        InvalidRequest: a side is longer than `MAX_WEBP_SIDE`.
    """
    height, width = picture.color.shape[:2]
    if max(height, width) > MAX_WEBP_SIDE:
        raise InvalidRequest(
            f"WebP has at most {MAX_WEBP_SIDE} pixels a side, got {width}x{height}."
        )
    image = Image.fromarray(picture.color).convert("RGB")
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(picture.alpha))
    body = io.BytesIO()
    image.save(body, "WEBP", lossless=True, quality=0, method=0)
    return body.getvalue()


def write_npy(bands: BandArrays) -> bytes:
    """Return a structured array of shape (height, width), one field a band; masked is 0.

    The header is always version 1.0, little endian and C order: GDAL reads no other. NumPy
    itself asks for `max_header_size` when there are more than some 400 bands.

    Raises:
        InvalidRequest: the band ids do not fit such a header.
    """
    values = bands.masked_to_zero()
    if len(set(bands.dtypes)) > 1:
        return _mixed_npy(bands, values)
    interleaved = np.moveaxis(values, 0, -1)
    little = (bands.dtypes[0] if bands.dtypes else values.dtype).newbyteorder("<")
    header = _npy_header(bands.ids, [little] * len(bands.ids), interleaved.shape[:2])
    # A record of equal fields lies in memory like the last axis of a plain array.
    return header + np.ascontiguousarray(interleaved, dtype=little).tobytes()


def _mixed_npy(bands: BandArrays, values: NDArray[Any]) -> bytes:
    """Return records whose fields have a type each."""
    dtypes = [dtype.newbyteorder("<") for dtype in bands.dtypes]
    records = np.empty(values.shape[1:], list(zip(bands.ids, dtypes, strict=True)))
    for band_id, each in zip(bands.ids, values, strict=True):
        records[band_id] = each
    return _npy_header(bands.ids, dtypes, values.shape[1:]) + records.tobytes()


def _npy_header(
    ids: tuple[str, ...], dtypes: Sequence[np.dtype[Any]], shape: tuple[int, ...]
) -> bytes:
    fields = [(band_id, dtype.str) for band_id, dtype in zip(ids, dtypes, strict=True)]
    text = repr({"descr": fields, "fortran_order": False, "shape": shape})
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError as exc:
        raise InvalidRequest("NPY has only Latin-1 characters in band ids.") from exc
    preamble = len(_NPY_MAGIC) + 2
    padded = -(-(preamble + len(content) + 1) // _NPY_ALIGNMENT) * _NPY_ALIGNMENT - preamble
    if padded > _NPY_MAX_HEADER:
        raise InvalidRequest(
            f"The ids of {len(ids)} bands do not fit an NPY header of {_NPY_MAX_HEADER} bytes, "
            "ask for fewer bands."
        )
    content = content.ljust(padded - 1) + b"\n"
    return _NPY_MAGIC + padded.to_bytes(2, "little") + content


def _split(bands: BandArrays) -> Iterable[BandArrays]:
    for band, band_id in enumerate(bands.ids):
        part: NDArray[Any] = bands.values[band : band + 1]
        if bands.dtypes:
            part = part.astype(bands.dtypes[band], copy=False)
        yield BandArrays((band_id,), part, bands.valid[band : band + 1])


def named_zip(body: bytes, prefix: str, is_per_band: bool) -> bytes:
    """Return a ZIP of `encode` with its files named as those of Earth Engine's downloads.

    That is `prefix.tif` of all bands, `prefix.B4.tif` of one.
    """
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = [(name.removesuffix(".tif"), archive.read(name)) for name in archive.namelist()]
    return _zipped((f"{prefix}.{stem}" if is_per_band else prefix, data) for stem, data in files)


def _zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a ZIP of `.tif` files, stored as they are since they are compressed already."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for stem, data in files:
            # ZipInfo's own date is constant, so equal pixels are equal bytes and equal ETags.
            archive.writestr(zipfile.ZipInfo(f"{_safe(stem)}.tif"), data)
    return body.getvalue()


def _safe(stem: str) -> str:
    """Return a file name that cannot leave the folder it is unpacked into."""
    return re.sub(r"[^\w.-]", "_", stem)
