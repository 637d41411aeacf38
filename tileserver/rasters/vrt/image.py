"""An image that a VRT makes of GeoTIFFs: the files drawn one over the other, as GDAL draws them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.rasters.band_files import ReadOne
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import is_partial, mask_value, opacity
from tileserver.rasters.vrt.description import alpha_of, describe_vrt, drawn_bands, nodata_of
from tileserver.rasters.vrt.document import Drawing, VrtBand, VrtDocument
from tileserver.rasters.vrt.drawings import PlacedFile, Shown, placed, shown
from tileserver.rasters.vrt.values import converted


class _Canvas(NamedTuple):
    """Pixels of a request, on which files are drawn."""

    request: PixelRequest
    at: Shown
    read_one: ReadOne
    dtype: np.dtype[Any]
    """Of values."""


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

    @cached_property
    def _is_scaled(self) -> bool:
        return any((each.ratio, each.offset) != (1.0, 0.0) for each in self.placed)

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
        given = steps.nodata if steps else None
        if steps is not None and self._is_scaled:
            # It is a value of the VRT's, not of the files'.
            request = replace(request, processing=replace(steps, nodata=None))
        at = shown(grid, self.grid)
        inside = _on(at.columns, self.grid.width) & _on(at.rows, self.grid.height)
        canvas = _Canvas(request, at, read_one, np.result_type(*dtypes))
        values = self._values(canvas, bands, dtypes)
        valid = np.broadcast_to(inside, values.shape).copy()
        alpha = self._mask(canvas, bands, values, valid)
        if given is not None:
            for found, seen in zip(values, valid, strict=True):
                mask_value(found, seen, given)
        ids = tuple(band.id for band in self.asset.select(request.band_ids))
        mixed = tuple(dtypes) if len(set(dtypes)) > 1 else ()
        return BandArrays(ids, values, valid, mixed, alpha)

    def _mask(
        self,
        canvas: _Canvas,
        bands: Sequence[VrtBand],
        values: NDArray[Any],
        valid: NDArray[np.bool_],
    ) -> NDArray[np.uint8] | None:
        """Set valid to False where pixels do not show; return their opacity if some do in part.

        As in GDAL a mask goes before nodata values, and these before alpha.
        """
        if self.document.mask is not None:
            valid &= self._plane(canvas, self.document.mask) != 0
            return None
        for band, found, seen in zip(bands, values, valid, strict=True):
            if (nodata := nodata_of(band)) is not None:
                mask_value(found, seen, nodata)
        place = alpha_of(self.document)
        if place is None or any(nodata_of(band) is not None for band in bands):
            return None
        alpha = opacity(self._plane(canvas, self.document.bands[place]))
        valid &= alpha != 0
        return alpha if is_partial(alpha) else None

    def _plane(self, canvas: _Canvas, band: VrtBand) -> NDArray[Any]:
        """Return a band that is none of those of the asset."""
        steps = canvas.request.processing
        if steps is not None:
            # Masks are not resampled.
            canvas = canvas._replace(request=replace(canvas.request, processing=None))
        canvas = canvas._replace(dtype=band.dtype)
        plane: NDArray[Any] = self._values(canvas, [band], [band.dtype])[0]
        return plane

    def _values(
        self, canvas: _Canvas, bands: Sequence[VrtBand], dtypes: Sequence[np.dtype[Any]]
    ) -> NDArray[Any]:
        """Return bands of shape (bands, height, width), all files drawn."""
        grid = canvas.at.grid
        values = np.zeros((len(bands), grid.height, grid.width), canvas.dtype)
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
    missing: dict[Drawing, float | None] = {}
    bands = document.bands if document.mask is None else (*document.bands, document.mask)
    for band in bands:
        for source in band.sources:
            used.setdefault(source.drawing, set()).add(source.band)
            missing.setdefault(source.drawing, nodata_of(band))
    made = {
        each: placed(each, sorted(used[each]), by_path[each.file], document, native, missing[each])
        for each in used
    }
    return VrtImage(asset, document, tuple(files), made)
