"""Reads the pixels of a file that a VRT draws, where it draws them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import UnreadableRaster
from tileserver.geo.positions import Positions, nearest, positions
from tileserver.rasters.band_files import ReadOne
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import mask_value
from tileserver.rasters.vrt.document import Drawing, Rect, VrtDocument
from tileserver.rasters.vrt.values import converted, scaled

_EPSILON_PX = 1e-3
"""An edge of a rectangle this close to that of a pixel is on it, as in GDAL."""
_OPAQUE = 255

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Shown:
    """Which pixel of a VRT each pixel of a grid shows; outside of the VRT there are some, too."""

    grid: PixelGrid
    columns: Index
    """Broadcasts with rows to (height, width)."""
    rows: Index


def shown(grid: PixelGrid, native: PixelGrid) -> Shown:
    """Return the pixels of a native grid that a grid shows."""
    at = positions(grid, native)
    return Shown(grid, nearest(at.columns), nearest(at.rows))


@dataclass(frozen=True, eq=False)
class PlacedFile:
    """A file that is drawn: how it is read, and where its pixels lie in the VRT."""

    raster: GeoTiff
    """On the grid that its rectangles imply; ids of bands are GDAL's indexes."""
    native: PixelGrid
    """Of the VRT."""
    drawing: Drawing
    source: Rect
    target: Rect

    @property
    def scale_x(self) -> float:
        """Columns of the file in one of the VRT."""
        return self.source.width / self.target.width

    @property
    def scale_y(self) -> float:
        """Rows of the file in one of the VRT."""
        return self.source.height / self.target.height

    def part(self, at: Shown) -> tuple[Window, NDArray[np.bool_]] | None:
        """Return which pixels of a grid show it: a window, and in that those that do.

        None is returned if there are none.
        """
        across = _inside(at.columns, self.target.left, self.target.width, self.native.width)
        down = _inside(at.rows, self.target.top, self.target.height, self.native.height)
        # Most files of a mosaic are not in sight.
        if not (across.any() and down.any()):
            return None
        inside = across & down
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if not rows.size:
            return None
        window = Window.between(
            int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        )
        assert window is not None, "it has pixels"
        return window, inside[window.slices]

    def positions(self, grid: PixelGrid, _: PixelGrid) -> Positions:
        """Return where a grid's pixels fall in the file's: where those of the VRT do they show."""
        at = shown(grid, self.native)
        columns = (at.columns + 0.5 - self.target.left) * self.scale_x + self.source.left
        rows = (at.rows + 0.5 - self.target.top) * self.scale_y + self.source.top
        return Positions(
            _within(columns, self.source.left, self.source.width),
            _within(rows, self.source.top, self.source.height),
        )

    def read(
        self, request: PixelRequest, grid: PixelGrid, bands: Sequence[int], read_one: ReadOne
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return stored values and which of them are drawn, of shape (bands, height, width).

        Args:
            request: has what is done to the bands.
            grid: which pixels to read.
            bands: GDAL's indexes of bands of the file.
            read_one: reads bands of one file.

        Raises:
            TileserverError: as `read_one`.
        """
        different = tuple(dict.fromkeys(map(str, bands)))
        part = replace(request, asset_id=self.raster.asset.name, band_ids=different)
        found = read_one(self.raster, part, grid, self.positions)
        values, valid = self._drawn(found)
        if len(different) == len(bands):
            return values, valid
        places = [different.index(str(band)) for band in bands]
        return values[places], valid[places]

    def _drawn(self, found: BandArrays) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        drawing = self.drawing
        if drawing.is_mask:
            all_drawn = np.ones_like(found.valid)
            drawn = found.valid if drawing.uses_mask else all_drawn
            return found.valid * np.uint8(_OPAQUE), drawn
        values, valid = found.values, found.valid
        if drawing.nodata is not None:
            mask_value(values, valid, drawing.nodata)
        return values, valid

    def as_drawn(self, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return values that were read as they are in a band of some type."""
        ratio, offset = self.drawing.ratio, self.drawing.offset
        if (ratio, offset) != (1.0, 0.0):
            values = scaled(values, ratio, offset, dtype)
        return converted(values, dtype)


def placed(
    drawing: Drawing,
    bands: Sequence[int],
    file: GeoTiff,
    document: VrtDocument,
    native: PixelGrid,
) -> PlacedFile:
    """Return a file as a VRT draws it.

    Args:
        drawing: what the VRT says.
        bands: GDAL's indexes of the bands that it draws.
        file: as it is itself; where it says that it lies is not looked at.
        document: the VRT.
        native: the grid of the VRT.

    Raises:
        UnreadableRaster: the file lacks a band, or has complex numbers.
    """
    own = file.warp.source if file.warp else file.grid
    source = drawing.source or Rect(0, 0, own.width, own.height)
    target = drawing.target or Rect(0, 0, document.width, document.height)
    has_mask = drawing.is_mask or drawing.uses_mask
    raster = _masked(file) if has_mask else _unmasked(file)
    _check_bands(raster, bands)
    grid = _file_grid(source, target, own, native)
    # Only what the VRT's own grid has is looked for.
    there = tuple(replace(band, grid=native) for band in raster.asset.bands)
    raster = replace(raster, grid=grid, warp=None, asset=_with(raster, there))
    return PlacedFile(raster, native, drawing, source, target)


def _check_bands(raster: GeoTiff, bands: Sequence[int]) -> None:
    lacking = sorted(set(map(str, bands)) - set(raster.asset.band_ids))
    if raster.is_complex or lacking:
        what = f"no band {lacking[0]} to draw" if lacking else "complex numbers, which are not read"
        raise UnreadableRaster(f"{raster.asset.name}: the file has {what}.")


def _file_grid(source: Rect, target: Rect, own: PixelGrid, native: PixelGrid) -> PixelGrid:
    """Return the grid of all pixels of a file, from where some of them lie in another grid."""
    across, down = target.width / source.width, target.height / source.height
    left, top = target.left - source.left * across, target.top - source.top * down
    x, y = native.transform.apply(left, top)
    moved = replace(native.transform, translate_x=float(x), translate_y=float(y))
    return PixelGrid(own.width, own.height, _scaled(moved, across, down), native.crs_code)


def _scaled(transform: AffineTransform, across: float, down: float) -> AffineTransform:
    is_same = abs(across - 1) < 1e-9 and abs(down - 1) < 1e-9
    return transform if is_same else transform.scaled(across, down)


def _masked(file: GeoTiff) -> GeoTiff:
    """Return a file with GDAL's indexes as ids of its bands, that of opacity among them."""
    alpha = () if file.alpha_index is None else (file.alpha_index,)
    indexes = (*file.band_indexes, *alpha)
    bands = _numbered(file.asset.bands[0], indexes)
    return replace(_without_others(file), band_indexes=indexes, asset=_with(file, bands))


def _with(file: GeoTiff, bands: tuple[Band, ...]) -> ImageAsset:
    return replace(file.asset, bands=bands)


def _numbered(band: Band, indexes: Sequence[int]) -> tuple[Band, ...]:
    return tuple(replace(band, id=str(index)) for index in indexes)


def _unmasked(file: GeoTiff) -> GeoTiff:
    """Return a file with all its bands, that of opacity too, and each of their pixels valid."""
    indexes = tuple(range(1, file.sample_count + 1))
    bands = _numbered(replace(file.asset.bands[0], nodata=None), indexes)
    kept = _without_others(file)
    return replace(
        kept,
        asset=_with(file, bands),
        band_indexes=indexes,
        layouts=tuple(replace(each, mask=None) for each in kept.layouts),
        has_mask=False,
        has_given_nodata=False,
        shares_mask=False,
        alpha_index=None,
        mask=None,
        masks_by_value=False,
    )


def _without_others(file: GeoTiff) -> GeoTiff:
    """Return a file without the levels that lack its band of opacity: those of other files."""
    if file.sample_count == len(file.band_indexes):
        return file
    keeps = [not level.is_beside for level in file.levels]
    return replace(file, levels=_kept(file.levels, keeps), layouts=_kept(file.layouts, keeps))


def _kept(values: tuple[Any, ...], keeps: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(each for each, is_kept in zip(values, keeps, strict=False) if is_kept)


def _inside(places: Index, start: float, size: float, end: int) -> NDArray[np.bool_]:
    first = max(math.floor(start + _EPSILON_PX), 0)
    last = min(math.ceil(start + size - _EPSILON_PX), end)
    found: NDArray[np.bool_] = (places >= first) & (places < last)
    return found


def _within(places: NDArray[Any], start: float, size: float) -> NDArray[np.float64]:
    """Return positions moved into a rectangle: the edges of one need not be those of pixels."""
    found: NDArray[np.float64] = np.clip(places, start, start + max(size - _EPSILON_PX, 0))
    return found
