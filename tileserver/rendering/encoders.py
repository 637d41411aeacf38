"""Pixels to bytes: the writer of every file format, looked up in one table."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.formats import ImageFileFormat, check_side
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.rendering.geotiff import write_geotiff
from tileserver.rendering.npy import write_npy
from tileserver.rendering.npz import write_npz
from tileserver.rendering.png import SIGNATURE as PNG_SIGNATURE
from tileserver.rendering.png import write_palette_png, write_png
from tileserver.rendering.render import Picture, draw, draw_palette, draws, visualized
from tileserver.rendering.tfrecord import write_tfrecord

if TYPE_CHECKING:
    from PIL import Image

_JPEG_QUALITY = 85
_AVIF_QUALITY = 80
_JPEG_SIGNATURE = b"\xff\xd8\xff"
_BY_NAME = frozenset(
    {
        ImageFileFormat.NPY,
        ImageFileFormat.NPZ,
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
    if file_format is ImageFileFormat.PNG and (few := draw_palette(bands, options)):
        check_side(file_format, grid.width, grid.height)
        return write_palette_png(few)
    if file_format.is_picture:
        return encode_picture(file_format, draw(bands, options))
    shown = visualized(bands, options) if draws(options) else bands
    if file_format in _BY_NAME and len(set(shown.ids)) != len(shown.ids):
        raise InvalidRequest(f"{file_format} tells bands by their ids, and two are the same.")
    return RAW_WRITERS[file_format](shown, grid)


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


def encode_picture(file_format: ImageFileFormat, picture: Picture) -> bytes:
    """Return a picture in a file format.

    Raises:
        InvalidRequest: a side is longer than the format can have.
    """
    height, width = picture.color.shape[:2]
    check_side(file_format, width, height)
    return PICTURE_WRITERS[file_format](picture)


def pillow_image(picture: Picture) -> Image.Image:
    """Return a picture as Pillow has it: RGB, with alpha only where something shows through."""
    # Late, as most tiles are PNGs, which are written without Pillow.
    from PIL import Image

    image = Image.fromarray(picture.color).convert("RGB")
    if picture.alpha is not None and picture.alpha.min(initial=255) < 255:
        image.putalpha(Image.fromarray(picture.alpha))
    return image


def write_jpeg(picture: Picture) -> bytes:
    """Return a JPEG. It has no alpha: masked pixels are black, opacity changes nothing."""
    from PIL import Image

    body = io.BytesIO()
    Image.fromarray(picture.color).save(body, "JPEG", quality=_JPEG_QUALITY)
    return body.getvalue()


def write_webp(picture: Picture) -> bytes:
    """Return a lossless WebP."""
    body = io.BytesIO()
    pillow_image(picture).save(body, "WEBP", lossless=True, quality=0, method=0)
    return body.getvalue()


def write_avif(picture: Picture) -> bytes:
    """Return a lossy AVIF, with alpha where something shows through.

    Colours are not thinned out, as edges of classes would blur. A tile must not take longer to
    encode than to fetch, hence the speed; and the server's threads are as many as there are cores.
    """
    body = io.BytesIO()
    image = pillow_image(picture)
    image.save(body, "AVIF", quality=_AVIF_QUALITY, speed=9, subsampling="4:4:4", max_threads=1)
    return body.getvalue()


def _write_auto(picture: Picture) -> bytes:
    """Return a PNG where the picture has alpha, else a JPEG."""
    return write_jpeg(picture) if picture.alpha is None else write_png(picture)


def _write_zip(bands: BandArrays, grid: PixelGrid) -> bytes:
    return _zipped([("image", write_geotiff(bands, grid))])


def _write_zip_per_band(bands: BandArrays, grid: PixelGrid) -> bytes:
    return _zipped((each.ids[0], write_geotiff(each, grid)) for each in _split(bands))


PICTURE_WRITERS: dict[ImageFileFormat, Callable[[Picture], bytes]] = {
    ImageFileFormat.PNG: write_png,
    ImageFileFormat.JPEG: write_jpeg,
    ImageFileFormat.AUTO_JPEG_PNG: _write_auto,
    ImageFileFormat.WEBP: write_webp,
    ImageFileFormat.AVIF: write_avif,
}
"""The writer of each format of pictures."""
RAW_WRITERS: dict[ImageFileFormat, Callable[[BandArrays, PixelGrid], bytes]] = {
    ImageFileFormat.NPY: lambda bands, grid: write_npy(bands),
    ImageFileFormat.NPZ: lambda bands, grid: write_npz(bands),
    ImageFileFormat.GEO_TIFF: write_geotiff,
    ImageFileFormat.TF_RECORD_IMAGE: lambda bands, grid: write_tfrecord(bands),
    ImageFileFormat.ZIPPED_GEO_TIFF: _write_zip,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: _write_zip_per_band,
}
"""The writer of each format of raw values. Masked is nodata in GeoTIFFs and 0 in the others."""


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
