"""An image whose bands lie in several GeoTIFFs, each on a grid and of a type of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.band_notes import BandNotes
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.errors import TileserverError, UnreadableRaster
from tileserver.geo.positions import Positions, positions
from tileserver.rasters.band_sets import BandFile, BandSet
from tileserver.rasters.file_times import time_of_file
from tileserver.rasters.geotiffs import MAX_SAMPLES, GeoTiff, sidecar_bands
from tileserver.rasters.remote.files import RemoteFiles

_AT_ONCE = 8

PositionsOf = Callable[[PixelGrid, PixelGrid], Positions]
"""Returns where the pixel centres of one grid fall in the pixels of another."""
ReadOne = Callable[[GeoTiff, PixelRequest, PixelGrid, PositionsOf], BandArrays]
"""Reads bands of one file on a grid."""


class Source(NamedTuple):
    """Where a band lies."""

    file: int
    """Index of its file."""
    id: str
    """Of the band in the file."""


@dataclass(frozen=True, eq=False)
class BandFiles:
    """An image asset in several GeoTIFFs. Equal only to itself."""

    asset: ImageAsset
    files: tuple[GeoTiff, ...]
    sources: tuple[Source, ...]
    """Of each band of the asset."""

    @property
    def grid(self) -> PixelGrid:
        """The native grid of the band with the most pixels."""
        return self.asset.common_grid

    def read(self, request: PixelRequest, grid: PixelGrid, read_one: ReadOne) -> BandArrays:
        """Return bands on a grid: of each file from the pyramid level that fits that file.

        Where files are of one grid, positions in it are worked out once.

        Args:
            request: has the ids of bands.
            grid: which pixels to read.
            read_one: reads bands of one of the files.

        Raises:
            RequestTooLarge: as `check_limits`.
            TileserverError: as `read_one`.
        """
        chosen = self.asset.select(request.band_ids)
        dtypes = tuple(band.dtype for band in chosen)
        check_limits(grid.width, grid.height, [dtype.itemsize for dtype in dtypes])
        shape = (len(chosen), grid.height, grid.width)
        steps = request.processing
        dtypes = tuple(map(steps.read_as, dtypes)) if steps else dtypes
        values = np.zeros(shape, np.result_type(*dtypes))
        valid = np.zeros(shape, np.bool_)
        at = lru_cache(maxsize=1)(positions)
        alpha = None
        for file, places, band_ids in self._by_file(self.asset.indexes(request.band_ids)):
            part = replace(request, asset_id=file.asset.name, band_ids=band_ids)
            found = read_one(file, part, grid, at)
            values[places], valid[places] = found.values, found.valid
            alpha = _less_opaque(alpha, found.alpha)
        mixed = dtypes if len(set(dtypes)) > 1 else ()
        return BandArrays(tuple(b.id for b in chosen), values, valid, mixed, alpha)

    def _by_file(
        self, indexes: Sequence[int]
    ) -> Iterator[tuple[GeoTiff, list[int], tuple[str, ...]]]:
        """Yield files, places of their bands among those chosen, and ids of the bands there."""
        chosen: dict[int, list[tuple[int, str]]] = {}
        for place, index in enumerate(indexes):
            source = self.sources[index]
            chosen.setdefault(source.file, []).append((place, source.id))
        # Those of one grid follow each other.
        for file in sorted(chosen, key=lambda each: self.files[each].grid.width):
            places, band_ids = zip(*chosen[file], strict=True)
            yield self.files[file], list(places), band_ids


def _less_opaque(
    one: NDArray[np.uint8] | None, other: NDArray[np.uint8] | None
) -> NDArray[np.uint8] | None:
    if one is None or other is None:
        return other if one is None else one
    return np.minimum(one, other)


def look_up(remote: RemoteFiles, name: str, where: BandSet) -> None:
    """Have the remote files of an image looked up side by side; who reads one gets its error."""

    def ask(file: BandFile) -> None:
        if isinstance(file.location, str):
            with suppress(TileserverError):
                remote.current(file.location, f"{name}/{file.id}")

    if sum(isinstance(file.location, str) for file in where.files) > 1:
        with ThreadPoolExecutor(_AT_ONCE, "remote headers") as threads:
            list(threads.map(ask, where.files))


def join(
    name: str,
    where: BandSet,
    files: Sequence[GeoTiff],
    members: Mapping[str, Any],
    state: object,
) -> BandFiles:
    """Return the image of several files.

    Args:
        name: of the asset.
        where: the files' places, and the ids of their bands.
        files: what each of them holds.
        members: of the asset, as in a sidecar.
        state: of its sidecar; the version depends on it.

    Raises:
        UnreadableRaster: the members do not fit the bands, or two bands have one id.
    """
    files = [_with_nodata(file, place) for file, place in zip(files, where.files, strict=True)]
    bands: list[Band] = []
    sources: list[Source] = []
    for index, (file, place) in enumerate(zip(files, where.files, strict=True)):
        bands += _named(file.asset.bands, place, is_alone=len(files) == 1)
        sources += [Source(index, band.id) for band in file.asset.bands]
    if listed := sidecar_bands(members, len(bands), name):
        bands = [replace(band, id=given["id"]) for band, given in zip(bands, listed, strict=True)]
    _check_ids(bands, name)
    start_time = members.get("startTime") or _common(file.asset.start_time for file in files)
    end_time = members.get("endTime") or _common(file.asset.end_time for file in files)
    if not (start_time or end_time):
        start_time = time_of_file({}, name)
    asset = ImageAsset(
        name=name,
        version=_version([file.asset.version for file in files], where, state),
        bands=tuple(bands),
        start_time=start_time,
        end_time=end_time,
        update_time=max((file.asset.update_time or "" for file in files), default="") or None,
        size_bytes=sum(file.asset.size_bytes or 0 for file in files) or None,
        properties=members.get("properties") or {},
        overview_factors=max(files, key=_pixels).asset.overview_factors,
        max_samples=MAX_SAMPLES,
        no_place=_no_place(files, name),
    )
    return BandFiles(asset, tuple(files), tuple(sources))


def _no_place(files: Sequence[GeoTiff], name: str) -> str:
    reasons = [file.asset.no_place for file in files]
    if any(reasons) and not all(reasons):
        raise UnreadableRaster(f"{name}: one of its files, but not all, has no place on Earth.")
    return reasons[0]


def _with_nodata(file: GeoTiff, place: BandFile) -> GeoTiff:
    """Return a file with the nodata value of a catalogue, unless it has a mask of its own."""
    nodata = place.nodata
    if nodata is None or file.has_mask or not _fits(nodata, file.dtype):
        return file
    bands = tuple(replace(band, nodata=nodata) for band in file.asset.bands)
    return replace(file, asset=replace(file.asset, bands=bands), has_given_nodata=True)


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether pixels of a type can have a value."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def _named(bands: Sequence[Band], place: BandFile, is_alone: bool) -> list[Band]:
    """Return the bands of a file with their ids and notes in the image."""
    if len(place.bands) == len(bands):
        return [
            replace(band, id=band_id, notes=_merged(band.notes, notes))
            for band, (band_id, notes) in zip(bands, place.bands, strict=True)
        ]
    if len(bands) == 1:
        return [replace(bands[0], id=place.id)]
    return [replace(b, id=b.id if is_alone else f"{place.id}_{b.id}") for b in bands]


def _merged(own: BandNotes, given: BandNotes) -> BandNotes:
    said = {each.name: getattr(given, each.name) for each in fields(BandNotes)}
    return replace(own, **{name: value for name, value in said.items() if value is not None})


def _pixels(file: GeoTiff) -> int:
    return file.grid.width * file.grid.height


def _check_ids(bands: Sequence[Band], name: str) -> None:
    ids = [band.id for band in bands]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise UnreadableRaster(f"{name}: two of its bands are named {twice[0]!r}.")


def _common(texts: Iterator[str | None]) -> str | None:
    """Return the text if all are the same, else None."""
    different = set(texts)
    return different.pop() if len(different) == 1 else None


def _version(versions: Sequence[str], where: BandSet, state: object) -> str:
    said = [(file.id, file.bands, file.nodata) for file in where.files]
    text = f"{' '.join(versions)} {said} {where.token} {state}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
