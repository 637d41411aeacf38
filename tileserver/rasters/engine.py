"""Local rasters: Earth Engine's getPixels over GeoTIFFs on disk or in object storage.

A grid is read from the pyramid level whose pixels are the closest in size and not coarser, by
nearest neighbour at pixel centres; nothing is averaged at read time. The work is plain
functions in a thread; a dataset stays open for the next tile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.allocator import reuse_memory
from tileserver.concurrency.cores import cores
from tileserver.concurrency.limited_calls import LimitedCalls
from tileserver.concurrency.retry_changed import read_again
from tileserver.concurrency.threads import Threads
from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.errors import AssetChanged, DeadlineExceeded, UnreadableRaster
from tileserver.geo.completion import complete
from tileserver.geo.positions import Level, choose_level, positions
from tileserver.rasters.band_files import BandFiles, PositionsOf
from tileserver.rasters.blocks.cache import BlockCache
from tileserver.rasters.blocks.codecs import DamagedBlock
from tileserver.rasters.blocks.levels import BlockKey, BlockLevel, FileBlocks, check_current
from tileserver.rasters.catalogue import Catalogue, Raster
from tileserver.rasters.cubes.images import CubeImage, CubeLevel
from tileserver.rasters.dataset_pool import DatasetPool
from tileserver.rasters.datasets import gdal_environment, quiet_libraries
from tileserver.rasters.decode_budget import MAX_DECODING_BYTES, DecodeBudget
from tileserver.rasters.gdal_levels import GdalLevel
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masked_levels import MaskedLevel
from tileserver.rasters.masking import is_partial
from tileserver.rasters.samplers import Sampler, samplers
from tileserver.rasters.vrt.image import VrtImage
from tileserver.rasters.windows import (
    MAX_WINDOW_BYTES,
    LevelReader,
    read_timed_out,
)
from tileserver.rendering.encoders import encode
from tileserver.rendering.render import check_options

_DEADLINE_S = 30.0
_DESCRIBING_S = 5.0
"""Seconds to read the metadata of an asset; a local file takes a few milliseconds."""
_THREADS = 8
"""Requests at once that are slow, or for remote rasters."""
BLOCK_CACHE_BYTES = 256_000_000
"""Unless it is told otherwise, as a server is."""

log = logging.getLogger(__name__)

A = TypeVar("A")
T = TypeVar("T")


class LocalRasters:
    """A `PixelSource` and `BandSource` over the GeoTIFFs of a catalogue."""

    resamples = True
    """It does the `reading` part of processing itself."""

    def __init__(
        self,
        catalogue: Catalogue,
        threads: int | None = None,
        deadline_s: float = _DEADLINE_S,
        max_decoding_bytes: int = MAX_DECODING_BYTES,
        block_cache_bytes: int = BLOCK_CACHE_BYTES,
    ) -> None:
        reuse_memory()
        quiet_libraries()
        self.catalogue = catalogue
        self.budget = DecodeBudget(max_decoding_bytes)
        self.deadline_s = deadline_s
        self.note_request: Callable[[], None] | None = None
        """Called at the begin and end of each request, by which others tell an idle server."""
        self.datasets = DatasetPool()
        self.blocks: BlockCache[BlockKey] = BlockCache(block_cache_bytes)
        self._describing: LimitedCalls[str, Raster] = LimitedCalls(
            catalogue.find, _slow_to_describe, _DESCRIBING_S, _THREADS
        )
        # More threads than cores would only take turns with Python's lock, and crowd the caches.
        quick = cores() + 1 if threads is None else threads
        self._threads = Threads(quick, "requests for rasters", slow_slots=_THREADS)
        self._remote_threads = Threads(threads or _THREADS, "requests for remote rasters")

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels, read in a thread.

        Raises:
            AssetNotFound: there is no such asset.
            InvalidRequest: the request does not fit the asset.
            UnreadableRaster: the file is damaged.
            AssetChanged: the file is no longer of the request's version, or changes all the time.
            DeadlineExceeded: reading took too long.
            Overloaded: too many requests wait already.
        """
        return await self.in_thread(self.pixels, request, request.asset_id)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity, shape (bands, height, width); raises as `get_pixels`."""
        return await self.in_thread(self.bands, request, request.asset_id)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset as its file is now.

        Raises:
            AssetNotFound: there is no such asset.
            UnreadableRaster: the file is damaged.
        """
        raster = self.catalogue.known(name) or await self._describing.call(name)
        return raster.asset

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset if its file was checked recently, else None."""
        raster = self.catalogue.known(name)
        return raster.asset if raster else None

    def pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; blocks, and raises as `get_pixels`."""
        with time_limit(self.deadline_s):
            return self._of_one_version(request, lambda raster: self._encoded(raster, request))

    def bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity, shape (bands, height, width); blocks."""
        with time_limit(self.deadline_s):
            return self._of_one_version(
                request, lambda raster: self._read(raster, request, complete(request, raster.asset))
            )

    def close(self) -> None:
        """Close the datasets kept open, and connections."""
        self.datasets.close()
        self.blocks.close()
        self.catalogue.remote.close()

    def _of_one_version(self, request: PixelRequest, read: Callable[[Raster], T]) -> T:
        """Return the result of `read` for the raster, of the version of a request that has one."""

        def found_and_read() -> T:
            raster = self.catalogue.find(request.asset_id)
            try:
                if request.asset_version not in ("", raster.asset.version):
                    raise AssetChanged(request.asset_id)
                return read(raster)
            except AssetChanged:
                self.catalogue.expire(request.asset_id)
                raise

        # The caller of a request with a version must look the asset up again.
        return found_and_read() if request.asset_version else read_again(found_and_read)

    def _encoded(self, raster: Raster, request: PixelRequest) -> bytes:
        if request.file_format.is_picture or request.visualization_options is not None:
            band_count = len(raster.asset.indexes(request.band_ids))
            check_options(request.visualization_options, band_count)
        grid = complete(request, raster.asset)
        bands = self._read(raster, request, grid)
        return encode(request.file_format, bands, grid, request.visualization_options)

    def _read(self, raster: Raster, request: PixelRequest, grid: PixelGrid) -> BandArrays:
        if isinstance(raster, BandFiles | VrtImage):
            return raster.read(request, grid, self._read_file)
        return self._read_file(raster, request, grid)

    def _read_file(
        self,
        raster: GeoTiff | CubeImage,
        request: PixelRequest,
        grid: PixelGrid,
        positions_of: PositionsOf = positions,
    ) -> BandArrays:
        asset = raster.asset
        chosen = asset.select(request.band_ids)
        check_limits(grid.width, grid.height, [band.dtype.itemsize for band in chosen])
        indexes = [raster.band_indexes[i] for i in asset.indexes(request.band_ids)]
        shape = (len(chosen), grid.height, grid.width)
        steps = request.processing
        values = np.zeros(shape, steps.read_as(raster.dtype) if steps else raster.dtype)
        valid = np.zeros(shape, np.bool_)
        alpha = None if raster.alpha_index is None else np.zeros(shape[1:], np.uint8)
        level = choose_level(raster.levels, raster.grid, grid)
        deadline = time.monotonic() + self.deadline_s
        # A level's pixels are up to twice as fine as the grid's, most often; its mask goes with it.
        window_bytes = min(2 * MAX_WINDOW_BYTES, 16 * values.nbytes)
        read = partial(self._read_level, raster, level, indexes, deadline)
        for part, sample in samplers(steps, raster, grid, positions_of):
            place = slice(None), *part.slices
            here = values[place], valid[place], None if alpha is None else alpha[part.slices]
            # Until a dataset of large blocks is closed again, too.
            with self.budget.hold(raster.decode_bytes + window_bytes, deadline, asset.name):
                read(sample, *here)
        shown = alpha if alpha is not None and is_partial(alpha) else None
        return BandArrays(tuple(b.id for b in chosen), values, valid, alpha=shown)

    def _read_level(
        self,
        raster: GeoTiff | CubeImage,
        level: Level,
        indexes: Sequence[int],
        deadline: float,
        sample: Sampler,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None,
    ) -> None:
        """Read a level at positions: by blocks, or by GDAL if they are not as they should be."""
        name = raster.asset.name
        if raster.source and (level.is_beside or raster.layouts):
            check_current(raster.source, name)
        for by_blocks in (True, False):
            try:
                with self._reader(raster, level, deadline, by_blocks) as reader:
                    return sample.read(reader, name, indexes, values, valid, alpha, deadline)
            except DamagedBlock as exc:
                log.debug("%s: GDAL reads it, since %s", name, exc)
            except UnreadableRaster:
                # A pyramid is ours: the raster shows without it, and gets another one.
                pyramids = self.catalogue.pyramids
                beside = raster.beside if isinstance(raster, GeoTiff) else None
                if level.is_beside and pyramids and pyramids.discard(beside):
                    raise AssetChanged(name) from None
                raise

    @contextmanager
    def _reader(
        self, raster: GeoTiff | CubeImage, level: Level, deadline: float, by_blocks: bool
    ) -> Iterator[LevelReader]:
        """Lend a reader of a level: of its blocks, if it has any and they are wanted, or GDAL's."""
        if isinstance(raster, CubeImage):
            yield CubeLevel(raster)
            return
        if raster.mask is not None and not level.is_beside:
            mask = raster.mask
            with (
                self._reader(raster.without_mask, level, deadline, by_blocks) as image,
                self._reader(mask, mask.levels[0], deadline, by_blocks) as valid,
            ):
                yield MaskedLevel(image, valid, mask.dtype)
            return
        name = raster.asset.name
        location, seen = raster.place_of(level)
        source = seen if isinstance(location, str) else location
        layout = raster.layout_of(level) if by_blocks else None
        if source and layout:
            yield BlockLevel(FileBlocks(self.blocks, source, name, deadline), layout, raster)
            return
        lent = self.datasets.borrow(location, raster.asset.version, name, level.overview, seen)
        with gdal_environment(), lent as dataset:
            yield GdalLevel(dataset, raster)

    async def in_thread(self, function: Callable[[A], T], argument: A, name: str) -> T:
        """Return the result of a blocking function, which reads an asset or what is below it.

        Raises:
            DeadlineExceeded: it took too long.
            Overloaded: too many requests wait already.
        """
        if self.note_request is None:
            return await self._with_deadline(function, argument, name)
        self.note_request()
        try:
            return await self._with_deadline(function, argument, name)
        finally:
            self.note_request()

    async def _with_deadline(self, function: Callable[[A], T], argument: A, name: str) -> T:
        try:
            async with asyncio.timeout(self.deadline_s):
                is_remote = self.catalogue.is_remote(name)
                threads = self._remote_threads if is_remote else self._threads
                return await threads.run(function, argument)
        except TimeoutError as exc:
            raise read_timed_out(name) from exc


def _slow_to_describe(name: str) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"{name}: its header or its CRS takes longer than {_DESCRIBING_S:g} s to read; it is "
        "looked at again later."
    )
