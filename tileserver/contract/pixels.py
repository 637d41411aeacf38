"""The getPixels contract: frozen values that say which pixels, and in which form.

The names are Earth Engine's own, see
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/getPixels.
A `PixelRequest` is hashable, so the same value is the cache key, the single-flight key and
the test input. Its JSON form is in `wire`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.errors import RequestTooLarge

MAX_COLORS = 256
"""Stops in a palette; more cannot be told apart in eight bits."""
MAX_BYTES = 50331648
"""48 MiB uncompressed, counted with one mask byte a band and pixel."""
MAX_SIDE = 32768
"""Pixels on one side of a grid."""
MAX_BANDS = 1024
"""Bands in one request."""


class ImageFileFormat(StrEnum):
    """How pixels are encoded; Earth Engine's names, and WEBP, which is ours."""

    JPEG = "JPEG"
    PNG = "PNG"
    AUTO_JPEG_PNG = "AUTO_JPEG_PNG"
    """PNG when any pixel is transparent, else JPEG; the default when none is given."""
    NPY = "NPY"
    GEO_TIFF = "GEO_TIFF"
    TF_RECORD_IMAGE = "TF_RECORD_IMAGE"
    ZIPPED_GEO_TIFF = "ZIPPED_GEO_TIFF"
    ZIPPED_GEO_TIFF_PER_BAND = "ZIPPED_GEO_TIFF_PER_BAND"
    WEBP = "WEBP"
    """Lossless WebP, for tiles; Earth Engine does not know it."""

    @property
    def is_picture(self) -> bool:
        """True for the formats of 8-bit pictures, which visualization options apply to."""
        return self in _PICTURES

    @property
    def media_type(self) -> str:
        """The Content-Type; AUTO_JPEG_PNG has none of its own, look at the bytes."""
        return _MEDIA_TYPES[self]


_PICTURES = frozenset(
    {
        ImageFileFormat.JPEG,
        ImageFileFormat.PNG,
        ImageFileFormat.AUTO_JPEG_PNG,
        ImageFileFormat.WEBP,
    }
)
_MEDIA_TYPES = {
    ImageFileFormat.JPEG: "image/jpeg",
    ImageFileFormat.PNG: "image/png",
    ImageFileFormat.AUTO_JPEG_PNG: "application/octet-stream",
    ImageFileFormat.NPY: "application/octet-stream",
    ImageFileFormat.GEO_TIFF: "image/tiff",
    ImageFileFormat.TF_RECORD_IMAGE: "application/octet-stream",
    ImageFileFormat.ZIPPED_GEO_TIFF: "application/zip",
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND: "application/zip",
    ImageFileFormat.WEBP: "image/webp",
}


@dataclass(frozen=True, slots=True)
class AffineTransform:
    """Pixel corner (column, row) to CRS (x, y), in CRS units; missing members are zero.

    x = scale_x * column + shear_x * row + translate_x
    y = shear_y * column + scale_y * row + translate_y

    (0, 0) is the outer corner of the first pixel (PixelIsArea); scale_y is usually negative.
    """

    scale_x: float = 0.0
    shear_x: float = 0.0
    translate_x: float = 0.0
    shear_y: float = 0.0
    scale_y: float = 0.0
    translate_y: float = 0.0

    @property
    def determinant(self) -> float:
        """Signed area of a pixel in CRS units squared; zero when nothing can be drawn."""
        return self.scale_x * self.scale_y - self.shear_x * self.shear_y

    def apply(self, columns: Any, rows: Any) -> tuple[Any, Any]:
        """Return CRS (x, y) of pixel coordinates, scalars or arrays alike."""
        x = self.scale_x * columns + self.shear_x * rows + self.translate_x
        y = self.shear_y * columns + self.scale_y * rows + self.translate_y
        return x, y

    def inverse(self) -> AffineTransform:
        """Return the transform from CRS (x, y) to pixel (column, row).

        Raises:
            ZeroDivisionError: the determinant is zero.
        """
        det = self.determinant
        a, b, c = self.scale_x, self.shear_x, self.translate_x
        d, e, f = self.shear_y, self.scale_y, self.translate_y
        return AffineTransform(
            scale_x=e / det,
            shear_x=-b / det,
            translate_x=(b * f - c * e) / det,
            shear_y=-d / det,
            scale_y=a / det,
            translate_y=(c * d - a * f) / det,
        )


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """A rectangle of pixels laid on the Earth, with nothing left open."""

    width: int
    """Columns. The matching NumPy shape is (bands, height, width)."""
    height: int
    """Rows; row 0 is the northern edge when transform.scale_y is negative."""
    transform: AffineTransform
    crs_code: str
    """Authority code such as "EPSG:3857", or WKT for a CRS that has no code."""


@dataclass(frozen=True, slots=True)
class PartialGrid:
    """A grid as a client may send it; `grids.complete` fills in what is None."""

    width: int | None = None
    height: int | None = None
    transform: AffineTransform | None = None
    crs_code: str | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """A GeoJSON geometry (RFC 7946), longitude before latitude, as nested tuples."""

    type: str
    coordinates: Any = ()
    """Nested tuples of floats; empty for a GeometryCollection."""
    geometries: tuple[Geometry, ...] = ()

    def positions(self) -> Iterator[tuple[float, float]]:
        """Yield every (longitude, latitude) in degrees."""
        for geometry in self.geometries:
            yield from geometry.positions()
        yield from _positions(self.coordinates)


def _positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    if coordinates and isinstance(coordinates[0], float):
        yield coordinates[0], coordinates[1]
        return
    for part in coordinates:
        yield from _positions(part)


@dataclass(frozen=True, slots=True)
class Range:
    """Band values that map to 0 and 255."""

    min: float = 0.0
    max: float = 0.0


@dataclass(frozen=True, slots=True)
class VisualizationOptions:
    """How values become an 8-bit picture; see `render` for the formula."""

    ranges: tuple[Range, ...] = ()
    """One for all bands, or one a band; none stretches nothing, values clip to 0..255."""
    palette_colors: tuple[str, ...] = ()
    """Equally spaced stops, hex (with or without #) or CSS names; one band only."""
    gamma: float | None = None
    """Above zero; above one brightens. None is 1."""
    opacity: float | None = None
    """0 to 1, multiplies alpha. None is 1."""


@dataclass(frozen=True, slots=True)
class PixelRequest:
    """Which pixels of which asset, in which form."""

    asset_id: str
    """Full name, `projects/*/assets/**`."""
    file_format: ImageFileFormat = ImageFileFormat.AUTO_JPEG_PNG
    grid: PixelGrid | PartialGrid | None = None
    """None is the native grid of the first band asked for."""
    region: Geometry | None = None
    """Its bounding box in the output CRS is what is returned."""
    band_ids: tuple[str, ...] = ()
    """Output order; empty is every band."""
    visualization_options: VisualizationOptions | None = None
    workload_tag: str | None = field(default=None, compare=False)
    """For Earth Engine's accounting; changes no pixel, so it is no part of the key."""
    asset_version: str = ""
    """The state of the asset that is meant, so that caches never mix two; not on the wire."""
    expression: str | None = None
    """What to compute instead of reading the asset: Earth Engine's expression, as JSON."""
    tiles_per_side: int | None = field(default=None, compare=False)
    """Tiles on one side of the blocks in which Earth Engine is asked, as the layer has it; changes
    no pixel, and is not on the wire. None is the server's own."""


@dataclass(frozen=True, slots=True)
class BandArrays:
    """Pixels as read, before they are drawn or encoded."""

    ids: tuple[str, ...]
    values: NDArray[Any]
    """Shape (bands, height, width). What stands where nothing is valid is unspecified."""
    valid: NDArray[np.bool_]
    """Shape (bands, height, width), True where there is data (NumPy's masks mean the opposite)."""
    dtypes: tuple[np.dtype[Any], ...] = ()
    """The type of each band, where they are not all that of `values`, which holds them all."""
    alpha: NDArray[np.uint8] | None = None
    """Shape (height, width), 255 is opaque, where a picture is more than there or not."""

    def masked_to_zero(self) -> NDArray[Any]:
        """Return the values with zero where nothing is valid, as raw formats have it."""
        if self.valid.all():
            return self.values
        return np.where(self.valid, self.values, self.values.dtype.type(0))


class PixelSource(Protocol):
    """Everything that yields pixels: the engines, and all that wraps around one."""

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            TileserverError: see `errors`.
        """
        ...


class BandSource(Protocol):
    """An engine that can also tell masked from zero."""

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return the values and their validity on the request's grid; its format is ignored."""
        ...


def check_limits(width: int, height: int, sample_bytes: Iterable[int]) -> None:
    """Raise what Earth Engine would say of a request of this size.

    Args:
        width: columns of the grid.
        height: rows of the grid.
        sample_bytes: bytes of one sample, one entry a band.

    Raises:
        RequestTooLarge: too many pixels on a side, too many bands, or too many bytes.
            Earth Engine counts one mask byte a band and pixel
            (https://github.com/google/Xee/issues/50).
    """
    samples = tuple(sample_bytes)
    if width > MAX_SIDE or height > MAX_SIDE:
        raise RequestTooLarge(
            f"Pixel grid dimensions ({width}x{height}) must be less than or equal to {MAX_SIDE}."
        )
    if len(samples) > MAX_BANDS:
        raise RequestTooLarge(
            f"Number of bands ({len(samples)}) must be less than or equal to {MAX_BANDS}."
        )
    total = width * height * sum(size + 1 for size in samples)
    if total > MAX_BYTES:
        raise RequestTooLarge(
            f"Total request size ({total} bytes) must be less than or equal to {MAX_BYTES} bytes."
        )
