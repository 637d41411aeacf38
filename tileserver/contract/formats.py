"""The file formats that pixels are encoded in, one row each.

The names are Earth Engine's own
(https://developers.google.com/earth-engine/reference/rest/v1/ImageFileFormat), except for those
that it does not write: such pictures are requested as PNG, and NPZ as NPY, and encoded here.
`rendering.encoders` has the writer of each format.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tileserver.errors import InvalidRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The properties of a file format, except for its writer."""

    media_type: str
    suffixes: tuple[str, ...] = ()
    """Of file names, without the dot; the first is the one that is written."""
    is_picture: bool = False
    """True for 8-bit pictures, which visualization options apply to."""
    is_of_tiles: bool = False
    """True if the suffixes are those of tiles and previews."""
    is_earth_engines: bool = True
    """False if Earth Engine does not write it; only pictures and NPZ may have False."""
    is_fixed: bool = True
    """False if the pixels decide which format the bytes have."""
    is_lossless: bool = True
    """False if decoding gives other pixels than were encoded."""
    max_side: int | None = None
    """Most pixels on a side; None where only the limits of getPixels hold."""
    aliases: tuple[str, ...] = ()
    """Spellings that `ee.data` translates before it sends (python/ee/_cloud_api_utils.py)."""


class ImageFileFormat(StrEnum):
    """How pixels are encoded."""

    row: Row

    def __new__(cls, name: str, row: Row = Row(media_type="")) -> ImageFileFormat:
        """Return a member with its name and row."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.row = row
        return member

    PNG = (
        "PNG",
        Row(media_type="image/png", suffixes=("png",), is_picture=True, is_of_tiles=True),
    )
    JPEG = (
        "JPEG",
        Row(
            media_type="image/jpeg",
            suffixes=("jpg", "jpeg"),
            is_picture=True,
            is_of_tiles=True,
            is_lossless=False,
            aliases=("JPG",),
        ),
    )
    AUTO_JPEG_PNG = (
        "AUTO_JPEG_PNG",
        Row(
            media_type="application/octet-stream",
            is_picture=True,
            is_fixed=False,
            is_lossless=False,
            aliases=("AUTO",),
        ),
    )
    """PNG when any pixel is transparent, else JPEG; the default when none is given."""
    WEBP = (
        "WEBP",
        Row(
            media_type="image/webp",
            suffixes=("webp",),
            is_picture=True,
            is_of_tiles=True,
            is_earth_engines=False,
            # https://developers.google.com/speed/webp/faq
            max_side=16383,
        ),
    )
    """Lossless WebP."""
    AVIF = (
        "AVIF",
        Row(
            media_type="image/avif",
            suffixes=("avif",),
            is_picture=True,
            is_of_tiles=True,
            is_earth_engines=False,
            is_lossless=False,
            max_side=32768,
        ),
    )
    """Lossy, with alpha: photographs in a fifth of a PNG's bytes."""
    NPZ = (
        "NPZ",
        Row(
            media_type="application/zip",
            suffixes=("npz",),
            is_of_tiles=True,
            is_earth_engines=False,
        ),
    )
    """Values with their masks, which NPY does not tell from zero; see `rendering.npz`."""
    NPY = (
        "NPY",
        Row(
            media_type="application/octet-stream",
            suffixes=("npy",),
            is_of_tiles=True,
            aliases=("NUMPY", "NUMPY_NDARRAY"),
        ),
    )
    GEO_TIFF = (
        "GEO_TIFF",
        Row(media_type="image/tiff", suffixes=("tif",), aliases=("GEOTIFF",)),
    )
    TF_RECORD_IMAGE = (
        "TF_RECORD_IMAGE",
        Row(
            media_type="application/octet-stream",
            suffixes=("tfrecord",),
            aliases=("TFRECORD",),
        ),
    )
    ZIPPED_GEO_TIFF = (
        "ZIPPED_GEO_TIFF",
        Row(media_type="application/zip", suffixes=("zip",)),
    )
    ZIPPED_GEO_TIFF_PER_BAND = (
        "ZIPPED_GEO_TIFF_PER_BAND",
        Row(media_type="application/zip", suffixes=("zip",)),
    )

    @property
    def is_picture(self) -> bool:
        """True for the formats of 8-bit pictures, which visualization options apply to."""
        return self.row.is_picture

    @property
    def media_type(self) -> str:
        """The Content-Type; that of AUTO_JPEG_PNG follows from the bytes."""
        return self.row.media_type

    @property
    def upstream(self) -> ImageFileFormat:
        """The format of the request to Earth Engine: one that it writes, with known bytes."""
        if self is ImageFileFormat.NPZ:
            return ImageFileFormat.NPY
        is_its_own = self.row.is_earth_engines and self.row.is_fixed
        return self if is_its_own else ImageFileFormat.PNG

    @property
    def of_parts(self) -> ImageFileFormat | None:
        """The lossless format in which blocks and quarters are fetched.

        None for formats that are fetched whole.
        """
        if self.is_picture:
            return ImageFileFormat.PNG
        return self if self in (ImageFileFormat.NPY, ImageFileFormat.NPZ) else None


EARTH_ENGINE_FORMATS = tuple(each for each in ImageFileFormat if each.row.is_earth_engines)
"""The formats that Earth Engine's API names."""
CLIENT_ALIASES = {alias: each for each in ImageFileFormat for alias in each.row.aliases}
TILE_FORMATS = {
    suffix: each for each in ImageFileFormat if each.row.is_of_tiles for suffix in each.row.suffixes
}
"""Suffixes of tiles and previews."""
TILE_SUFFIXES = tuple(f".{each.row.suffixes[0]}" for each in dict.fromkeys(TILE_FORMATS.values()))
"""The suffixes in documents and messages, with the dot; one for each format."""


def check_side(file_format: ImageFileFormat, width: int, height: int) -> None:
    """Check the size of a picture against the limit of its format.

    Raises:
        InvalidRequest: a side has more pixels than the format allows.
    """
    most = file_format.row.max_side
    if most is not None and max(width, height) > most:
        raise InvalidRequest(
            f"{file_format} has at most {most} pixels a side, got {width}x{height}."
        )
