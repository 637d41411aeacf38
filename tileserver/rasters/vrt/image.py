"""An image that a VRT makes of GeoTIFFs: the files drawn one over the other, as GDAL draws them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.geo.positions import Level, choose_level, parts
from tileserver.geo.spreads import Spread, spread
from tileserver.rasters.band_files import ReadOne
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import is_partial, mask_value, opacity
from tileserver.rasters.resampled import Resampler, pieces
from tileserver.rasters.vrt.description import alpha_of, describe_vrt, drawn_bands, nodata_of
from tileserver.rasters.vrt.document import Drawing, VrtBand, VrtDocument
from tileserver.rasters.vrt.drawings import PlacedFile, Shown, placed, shown
from tileserver.rasters.vrt.levels import VrtLevel
from tileserver.rasters.vrt.values import converted

_DEADLINE_S = 30.0


class _Canvas(NamedTuple):
    """Pixels of a request, on which files are drawn."""

    request: PixelRequest
    """Without processing."""
    at: Shown
    read_one: ReadOne


@dataclass(frozen=True, eq=False)
class VrtImage:
    """An image asset in a VRT. Equal only to itself."""

    asset: ImageAsset
    document: VrtDocument
    files: tuple[GeoTiff, ...]
    """In the order of the document's files."""
    placed: Mapping[Drawing, PlacedFile]

    @property
    def grid(self) -> PixelGrid:
        """The native grid of all bands."""
        return self.asset.common_grid

    @cached_property
    def _drawn(self) -> tuple[int, ...]:
        return drawn_bands(self.document)

    def read(self, request: PixelRequest, grid: PixelGrid, read_one: ReadOne) -> BandArrays:
        """Return bands on a grid, each file read from the pyramid level that fits it.

        Args:
            request: has the ids of bands.
            grid: which pixels to read.
            read_one: reads bands of one of the files.

        Raises:
            RequestTooLarge: as `check_limits`.
            TileserverError: as `read_one`.
        """
        places = [self._drawn[index] for index in self.asset.indexes(request.band_ids)]
        bands = [self.document.bands[place] for place in places]
        check_limits(grid.width, grid.height, [band.dtype.itemsize for band in bands])
        steps = request.processing
        dtypes = [steps.read_as(band.dtype) if steps else band.dtype for band in bands]
        plain = _Canvas(replace(request, processing=None), shown(grid, self.grid), read_one)
        if steps is None or steps.resampling is None:
            values, valid, alpha = self._nearest(plain, bands, dtypes)
            for found, seen in zip(values, valid, strict=True):
                if steps is not None and steps.nodata is not None:
                    mask_value(found, seen, steps.nodata)
        else:
            make = partial(Resampler, steps.resampling, nodata=steps.nodata)
            values, valid = self._resampled(plain, bands, dtypes, make)
            alpha = self._opacity(plain, bands)
        ids = tuple(band.id for band in self.asset.select(request.band_ids))
        mixed = tuple(dtypes) if len(set(dtypes)) > 1 else ()
        shows = alpha is not None and is_partial(alpha)
        return BandArrays(ids, values, valid, mixed, alpha if shows else None)

    def _nearest(
        self, canvas: _Canvas, bands: Sequence[VrtBand], dtypes: Sequence[np.dtype[Any]]
    ) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.uint8] | None]:
        """Return values and validity, shape (bands, height, width), and opacity if there is any."""
        at = canvas.at
        inside = _on(at.columns, self.grid.width) & _on(at.rows, self.grid.height)
        values = self._values(canvas, bands, dtypes)
        valid = np.broadcast_to(inside, values.shape).copy()
        return values, valid, self._mask(canvas, bands, values, valid)

    def _resampled(
        self,
        canvas: _Canvas,
        bands: Sequence[VrtBand],
        dtypes: Sequence[np.dtype[Any]],
        make: Callable[[Spread, PixelGrid, np.dtype[Any]], Resampler],
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return values made of several pixels each, and validity; the files are drawn first."""
        grid, stored = canvas.at.grid, [band.dtype for band in bands]
        shape = (len(bands), grid.height, grid.width)
        values, valid = np.zeros(shape, np.result_type(*dtypes)), np.zeros(shape, np.bool_)
        dtype, level = np.result_type(*stored), self._level_grid(grid)

        def read_grid(part: PixelGrid) -> tuple[NDArray[Any], NDArray[np.bool_]]:
            at = canvas._replace(at=shown(part, self.grid))
            return self._nearest(at, bands, stored)[:2]

        reader = VrtLevel(level, dtype.itemsize, read_grid)
        indexes, deadline = range(1, len(bands) + 1), time.monotonic() + _DEADLINE_S
        for part in parts(self.asset, grid):
            for piece in pieces(part):
                resampler = make(spread(grid.window(piece), self.grid), self.grid, dtype)
                here = (slice(None), *piece.slices)
                name = self.asset.name
                resampler.read(reader, name, indexes, values[here], valid[here], None, deadline)
        for found, band_dtype in zip(values, dtypes, strict=True):
            if band_dtype != values.dtype:
                found[...] = converted(found, band_dtype)
        return values, valid

    def _level_grid(self, grid: PixelGrid) -> PixelGrid:
        """Return the native grid, as coarse as the overviews of all files and a grid allow."""
        factors = (1, *self.asset.overview_factors)
        levels = tuple(Level(i - 1 if i else None, factor) for i, factor in enumerate(factors))
        factor = choose_level(levels, self.grid, grid).factor
        width, height = (-(-side // factor) for side in (self.grid.width, self.grid.height))
        return self.grid if factor == 1 else self.grid.coarsened(width, height)

    def _mask(
        self,
        canvas: _Canvas,
        bands: Sequence[VrtBand],
        values: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> NDArray[np.uint8] | None:
        """Set valid to False where pixels do not show, and return the opacity if there is any.

        As in GDAL a mask goes before nodata values, and these before alpha.
        """
        if self.document.mask is not None:
            valid &= self._plane(canvas, self.document.mask) != 0
            return None
        for band, found, seen in zip(bands, values, valid, strict=True):
            if (nodata := nodata_of(band)) is not None:
                mask_value(found, seen, nodata)
        alpha = self._opacity(canvas, bands)
        if alpha is not None:
            valid &= alpha != 0
        return alpha

    def _opacity(self, canvas: _Canvas, bands: Sequence[VrtBand]) -> NDArray[np.uint8] | None:
        """Return the alpha band, unless a mask or nodata values go before it."""
        place = alpha_of(self.document)
        has_nodata = any(nodata_of(band) is not None for band in bands)
        if place is None or has_nodata or self.document.mask is not None:
            return None
        return opacity(self._plane(canvas, self.document.bands[place]))

    def _plane(self, canvas: _Canvas, band: VrtBand) -> NDArray[Any]:
        """Return a band that is none of those of the asset."""
        plane: NDArray[Any] = self._values(canvas, [band], [band.dtype])[0]
        return plane

    def _values(
        self, canvas: _Canvas, bands: Sequence[VrtBand], dtypes: Sequence[np.dtype[Any]]
    ) -> NDArray[Any]:
        """Return bands of shape (bands, height, width), all files drawn."""
        grid = canvas.at.grid
        values = np.zeros((len(bands), grid.height, grid.width), np.result_type(*dtypes))
        for band, found in zip(bands, values, strict=True):
            if band.nodata is not None:
                found[...] = converted(np.array(band.nodata), band.dtype)
        for places in _alike(bands):
            self._draw(canvas, places, bands, dtypes, values)
        return values

    def _draw(
        self,
        canvas: _Canvas,
        places: Sequence[int],
        bands: Sequence[VrtBand],
        dtypes: Sequence[np.dtype[Any]],
        values: NDArray[Any],
    ) -> None:
        """Draw the files of bands that are made of the same files in the same way."""
        for sources in zip(*(bands[place].sources for place in places), strict=True):
            file = self.placed[sources[0].drawing]
            part = file.part(canvas.at)
            if part is None:
                continue
            window, inside = part
            indexes = [source.band for source in sources]
            grid = canvas.at.grid.window(window)
            found, valid = file.read(canvas.request, grid, indexes, canvas.read_one)
            for place, own, seen in zip(places, found, valid, strict=True):
                target = values[(place, *window.slices)]
                np.copyto(target, file.as_drawn(own, dtypes[place]), where=seen & inside)


def _on(places: NDArray[np.int64], end: int) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (places >= 0) & (places < end)
    return found


def _alike(bands: Sequence[VrtBand]) -> Iterator[list[int]]:
    """Yield the places of bands that are made of the same files in the same way."""
    groups: dict[tuple[Drawing, ...], list[int]] = {}
    for place, band in enumerate(bands):
        groups.setdefault(tuple(each.drawing for each in band.sources), []).append(place)
    yield from groups.values()


def compose(
    name: str,
    version: str,
    document: VrtDocument,
    files: Sequence[GeoTiff],
    members: Mapping[str, Any],
) -> VrtImage:
    """Return the image of a VRT.

    Args:
        name: of the asset.
        version: of the VRT and its files together.
        document: what it says.
        files: those of the document, in their order.
        members: of the asset, as in a sidecar.

    Raises:
        UnreadableRaster: the VRT cannot be placed, the members do not fit it, or a file lacks a
            band.
    """
    factors = [set(file.asset.overview_factors) for file in files]
    shared = tuple(sorted(set.intersection(*factors))) if factors else ()
    asset = describe_vrt(document, name, version, members, shared)
    asset = replace(
        asset,
        update_time=max((file.asset.update_time or "" for file in files), default="") or None,
        size_bytes=sum(file.asset.size_bytes or 0 for file in files) or None,
    )
    by_path = dict(zip(document.files, files, strict=True))
    native = asset.common_grid
    used: dict[Drawing, set[int]] = {}
    bands = document.bands if document.mask is None else (*document.bands, document.mask)
    for source in (source for band in bands for source in band.sources):
        used.setdefault(source.drawing, set()).add(source.band)
    made = {
        drawing: placed(drawing, sorted(indexes), by_path[drawing.file], document, native)
        for drawing, indexes in used.items()
    }
    return VrtImage(asset, document, tuple(files), made)
