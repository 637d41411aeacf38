"""Tells whether the files of a raster are whole and can be read, beyond their headers."""

from __future__ import annotations

from collections.abc import Iterator

from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import UnreadableRaster
from tileserver.rasters.band_files import BandFiles
from tileserver.rasters.catalogue import Raster
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.files import SeenFile, file_errors, open_beneath
from tileserver.rasters.settling import ends_early
from tileserver.rasters.vrt.image import VrtImage


def check_sound(rasters: LocalRasters, name: str) -> None:
    """Look at a raster: that its files hold all blocks they name, and two pixels of each file.

    Blocks; reads the tables of blocks, and two blocks of each file.

    Raises:
        AssetNotFound: there is no such asset.
        UnreadableRaster: a file is cut off or damaged.
        TileserverError: as `LocalRasters.bands`.
    """
    raster = rasters.catalogue.find(name)
    for file in _local_files(raster):
        with file_errors(name):
            opened = open_beneath(file.place)
        if opened is None:
            continue
        with opened:
            if ends_early(opened):
                shown = f" {file.place.below}" if isinstance(raster, BandFiles | VrtImage) else ""
                raise UnreadableRaster(
                    f"{name}: the file{shown} ends before its last pixels; it was not copied or "
                    "written to its end."
                )
    for band in _first_bands(raster):
        for grid in _looked_at(raster.asset.grid_of((band,))):
            rasters.bands(PixelRequest(name, ImageFileFormat.NPY, grid, band_ids=(band,)))


def _local_files(raster: Raster) -> Iterator[SeenFile]:
    files = raster.files if isinstance(raster, BandFiles | VrtImage) else (raster,)
    yield from (each.file for each in files if each.file is not None)


def _first_bands(raster: Raster) -> tuple[str, ...]:
    """Return a band of each file."""
    if isinstance(raster, VrtImage):
        return raster.asset.band_ids
    if not isinstance(raster, BandFiles):
        return raster.asset.band_ids[:1]
    ids = zip(raster.sources, raster.asset.band_ids, strict=True)
    firsts = {source.file: band_id for source, band_id in reversed(list(ids))}
    return tuple(firsts.values())


def _looked_at(grid: PixelGrid) -> Iterator[PixelGrid]:
    """Yield the pixel in the middle, and the last one, whose block is at the end of most files."""
    yield grid.window(Window(grid.width // 2, grid.height // 2, 1, 1))
    yield grid.window(Window(grid.width - 1, grid.height - 1, 1, 1))
