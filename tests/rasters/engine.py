"""The local engine over one folder, and what tests ask of it."""

from pathlib import Path

import mercantile

from tests.support.oracles import Answer, pixels_of
from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.tiles import Tile
from tileserver.geo.extents import lonlat_bounds
from tileserver.geo.positions import Level, choose_level
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.roots import Root


def name_of(path: Path) -> str:
    return f"{LOCAL_PREFIX}/{path.stem}"


def engine(path: Path) -> LocalRasters:
    """Return an engine that serves one GeoTIFF, or a folder of them."""
    return LocalRasters(Catalogue([Root(str(path))]))


def raster_of(path: Path) -> GeoTiff:
    raster = engine(path).catalogue.find(name_of(path))
    assert isinstance(raster, GeoTiff)
    return raster


def asset_of(path: Path) -> ImageAsset:
    return raster_of(path).asset


def level_of(raster: GeoTiff, grid: PixelGrid) -> Level:
    return choose_level(raster.levels, raster.grid, grid)


def raw(path: Path, grid: PixelGrid | None, *bands: str) -> PixelRequest:
    return PixelRequest(name_of(path), ImageFileFormat.NPY, grid, band_ids=bands)


def read(path: Path, grid: PixelGrid | None) -> BandArrays:
    return engine(path).bands(raw(path, grid))


def oracle(path: Path, grid: PixelGrid) -> Answer:
    """Return what rasterio reads from the level that the engine chooses."""
    return pixels_of(path, grid, level_of(raster_of(path), grid).overview)


def tiles_over(asset: ImageAsset, zooms: tuple[int, ...]) -> list[Tile]:
    """Return the tiles at an asset's middle and two of its corners, at each zoom."""
    bounds = lonlat_bounds(asset)
    east = bounds.east if bounds.east > bounds.west else bounds.east + 360
    across = (bounds.west, (bounds.west + east) / 2, east - 1e-9)
    down = (bounds.north, (bounds.north + bounds.south) / 2, bounds.south)
    tiles = {
        mercantile.tile((lon + 180) % 360 - 180, min(max(lat, -85), 85), zoom)
        for lon, lat in zip(across, down, strict=True)
        for zoom in zooms
    }
    return sorted((Tile(*tile) for tile in tiles), key=lambda tile: (tile.z, tile.x, tile.y))
