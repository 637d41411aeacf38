"""The getPixels contract: frozen values that say which pixels, and in which form.

The names are Earth Engine's own, see
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/getPixels.
A `PixelRequest` is hashable, so the same value is the cache key, the single-flight key and
the test input. Its JSON form is in `wire`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.geometries import Geometry as Geometry
from tileserver.contract.grids import Box, PartialGrid, PixelGrid
from tileserver.contract.processing import Processing
from tileserver.contract.times import TimeRange
from tileserver.errors import RequestTooLarge

MAX_COLORS = 256
"""Stops in a palette; more cannot be told apart in eight bits."""
MAX_BYTES = 50331648
"""48 MiB uncompressed, counted with one mask byte a band and pixel."""
MAX_SIDE = 32768
"""Pixels on one side of a grid."""
MAX_BANDS = 1024
"""Bands in one request."""


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
    is_sample: bool = False
    """Whether a part of the pixels is enough, as for a stretch: of an image of many files a few are
    read. Not on the wire."""
    times: TimeRange | None = None
    """Of an image of many files those taken in it alone are meant; None is all. Not on the wire."""
    processing: Processing | None = None
    """The processing of bands before they are drawn, or None; not on the wire."""


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
    light: NDArray[np.float32] | None = None
    """Shape (height, width): the colours of a picture are multiplied by it; 1 is flat ground's."""
    covered_px: int | None = None
    """Pixels within the area that they are clipped to, valid or not; None if they are not."""

    def masked_to_zero(self) -> NDArray[Any]:
        """Return the values with zero where nothing is valid, as raw formats have it."""
        if self.valid.all():
            return self.values
        return np.where(self.valid, self.values, self.values.dtype.type(0))


@dataclass(frozen=True, slots=True)
class Moment:
    """The pixels of one file of an image of many, and when it was taken."""

    name: str
    """Full name of the file's own asset."""
    time: str | None
    """In the form of Earth Engine."""
    bands: BandArrays


@dataclass(frozen=True, eq=False)
class Taken:
    """When the files of an image of many were taken."""

    starts_s: NDArray[np.float64]
    """Seconds since 1970, sorted, each once."""
    file_count: int
    """Files with a time."""
    is_by_day: bool
    """True if no two files of one place were taken at different times of a day."""


class SeriesSource(Protocol):
    """What has images of many files."""

    async def read_times(self, name: str, version: str, box: Box | None) -> Taken:
        """Return when the files of an asset that meet a box in degrees, or all, were taken."""
        ...

    async def read_series(self, request: PixelRequest) -> Sequence[Moment]:
        """Return the pixels of each file that has a valid one on the request's grid, by time."""
        ...


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
