"""The engine of mosaics: each is one image over all GeoTIFFs of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.contract.pixels import BandArrays, Moment, PixelRequest, Taken
from tileserver.contract.times import time_text
from tileserver.errors import AssetChanged, AssetNotFound, ConfigError
from tileserver.geo.completion import complete
from tileserver.mosaics.index import MosaicIndex
from tileserver.mosaics.index_file import IndexFile
from tileserver.mosaics.reading import MosaicReader
from tileserver.mosaics.selection import parse_rule
from tileserver.mosaics.snapshots import Snapshot
from tileserver.mosaics.taken import taken
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.rendering.encoders import encode
from tileserver.rendering.render import check_options

_WAITING = 16


class Mosaics:
    """An `Engine` of the mosaics among the roots of local rasters, by their names."""

    def __init__(self, rasters: LocalRasters, indexes: Sequence[MosaicIndex]) -> None:
        self.rasters = rasters
        self.indexes = {index.name: index for index in indexes}
        self._reader = MosaicReader(rasters.bands)
        self._waiting: anyio.CapacityLimiter | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The full names of the mosaics."""
        return tuple(self.indexes)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises as `LocalRasters.get_pixels`."""
        return await self.rasters.in_thread(self.pixels, request, request.asset_id)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid; raises as `get_pixels`."""
        return await self.rasters.in_thread(self.bands, request, request.asset_id)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return a mosaic as it is known now; waits until some of its files are.

        Raises:
            AssetNotFound: there is no such mosaic, or it has no files.
            UnreadableRaster: none of its files can be drawn.
        """
        index = self._index(name)
        known = index.known()
        if known is not None:
            return known.asset
        if self._waiting is None:
            self._waiting = anyio.CapacityLimiter(_WAITING)
        found = await anyio.to_thread.run_sync(
            index.wait, abandon_on_cancel=True, limiter=self._waiting
        )
        return found.asset

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the mosaic if some of its files are known, else None."""
        known = self._index(name).known()
        return known.asset if known else None

    def find(self, name: str) -> ImageAsset:
        """Return a mosaic as `get_asset` does; blocks."""
        return self._index(name).wait().asset

    def pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; blocks."""
        snapshot = self._snapshot(request)
        if request.file_format.is_picture or request.visualization_options is not None:
            band_count = len(snapshot.asset.indexes(request.band_ids))
            check_options(request.visualization_options, band_count)
        with time_limit(self.rasters.deadline_s):
            grid = complete(request, snapshot.asset)
            bands = self._reader.read(snapshot, request, grid)
        return encode(request.file_format, bands, grid, request.visualization_options)

    def bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity; blocks."""
        snapshot = self._snapshot(request)
        with time_limit(self.rasters.deadline_s):
            return self._reader.read(snapshot, request, complete(request, snapshot.asset))

    async def read_series(self, request: PixelRequest) -> list[Moment]:
        """Return the pixels of each file with a valid one on the request's grid, by time."""
        return await self.rasters.in_thread(self.series, request, request.asset_id)

    def series(self, request: PixelRequest) -> list[Moment]:
        """Return a series as `read_series` does; blocks."""
        snapshot = self._snapshot(request)
        with time_limit(self.rasters.deadline_s):
            grid = complete(request, snapshot.asset)
            found = self._reader.series(snapshot, request, grid)
        members, name = snapshot.members, snapshot.asset.name
        return [
            Moment(f"{name}/{members.name(n)}", time_text(float(members.starts_s[n])), pixels)
            for n, pixels in found
        ]

    async def read_times(self, name: str, version: str, box: Box | None) -> Taken:
        """Return when the files that meet a box in degrees, or all, were taken."""
        request = PixelRequest(name, asset_version=version)

        def look(request: PixelRequest) -> Taken:
            return taken(self._snapshot(request), box)

        return await self.rasters.in_thread(look, request, name)

    def start(self) -> None:
        """Begin to index all mosaics."""
        for index in self.indexes.values():
            index.start()

    def close(self) -> None:
        """End the threads of the indexes."""
        for index in self.indexes.values():
            index.close()

    def _index(self, name: str) -> MosaicIndex:
        index = self.indexes.get(name)
        if index is None:
            raise AssetNotFound(name)
        return index

    def _snapshot(self, request: PixelRequest) -> Snapshot:
        index = self._index(request.asset_id)
        if not request.asset_version:
            return index.wait()
        found = index.of_version(request.asset_version)
        if found is None:
            raise AssetChanged(request.asset_id)
        return found


def mosaics_of(roots: Sequence[Root], rasters: LocalRasters, folder: Path) -> Mosaics | None:
    """Return the engine of the mosaics among roots; None if there are none.

    Args:
        roots: those of the catalogue of `rasters`.
        rasters: reads the files.
        folder: keeps the indexes of roots that name no other.

    Raises:
        ConfigError: two have one name, or a rule of selection is unknown.
    """
    indexes: dict[str, MosaicIndex] = {}
    for root in roots:
        options = root.mosaic
        if options is None:
            continue
        if options.name in indexes:
            raise ConfigError(
                f"two mosaics would both be {options.name}; give one a prefix of its own "
                "([[rasters]] prefix)"
            )
        # Steps of time lie where the others do; what one has masked is no gap for them to fill.
        rule = replace(parse_rule(options.pixel_selection), shows_one=root.cube is not None)
        place = Path(options.index_folder) if options.index_folder else folder
        key = f"{root.path} {options.name} {rule.by}"
        file = IndexFile(place, key)
        indexes[options.name] = MosaicIndex(rasters.catalogue, options.name, rule, file)
    return Mosaics(rasters, list(indexes.values())) if indexes else None
