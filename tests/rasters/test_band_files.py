"""An image of several files: each band is what rasterio reads of its own file."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine

from tests.support.oracles import pixels_of
from tests.support.rasterfiles import UTAH, grid_of, noise, write_raster
from tests.support.scenefiles import BANDS, SIDE_M, utah, write_scene
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.tiles import Tile, native_zoom, tile_grid
from tileserver.errors import RequestTooLarge, UnreadableRaster
from tileserver.geo.asset_extents import extent_of
from tileserver.geo.extents import lonlat_bounds
from tileserver.geo.positions import Positions, choose_level, positions
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.roots import Root

SCENE = f"{LOCAL_PREFIX}/S2A"
IDS = tuple(band.id for band in BANDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "S2A")


@pytest.fixture(scope="module")
def rasters(folder: Path) -> LocalRasters:
    return LocalRasters(Catalogue([Root(str(folder))]))


def request(grid: PixelGrid | None, *bands: str) -> PixelRequest:
    return PixelRequest(SCENE, ImageFileFormat.NPY, grid, band_ids=bands)


def check(rasters: LocalRasters, folder: Path, grid: PixelGrid, bands: BandArrays) -> None:
    """Compare bands with what rasterio reads of the level of each file that fits a grid."""
    for index, band in enumerate(bands.ids):
        one = BandArrays((band,), bands.values[[index]], bands.valid[[index]])
        raster = rasters.catalogue.find(f"{LOCAL_PREFIX}/{band}")
        assert isinstance(raster, GeoTiff)
        level = choose_level(raster.levels, raster.grid, grid)
        wanted = pixels_of(folder / f"{band}.tif", grid, level.overview)
        assert wanted.differences(one)[1] == 0, band
        assert wanted.valid.any()


def middle_tile(rasters: LocalRasters, zoom: int) -> PixelGrid:
    bounds = lonlat_bounds(rasters.catalogue.find(SCENE).asset)
    lon, lat = (bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2
    across = (lon + 180) / 360 * 2**zoom
    down = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom
    return tile_grid(Tile(int(across), int(down), zoom), 256)


@pytest.mark.parametrize("zoom", [9, 11, 12, 13, 14, 16])
def test_tiles_show_each_file_at_its_own_level(
    rasters: LocalRasters, folder: Path, zoom: int
) -> None:
    grid = middle_tile(rasters, zoom)
    check(rasters, folder, grid, rasters.bands(request(grid)))


@pytest.mark.parametrize("bands", [(), ("SCL", "B02"), ("B8A",), ("B11", "B01", "B8A")])
def test_a_request_without_a_grid_has_that_of_its_first_band(
    rasters: LocalRasters, folder: Path, bands: tuple[str, ...]
) -> None:
    first = next(band for band in BANDS if band.id == (bands or IDS)[0])
    px = SIDE_M // first.pixel_m
    grid = grid_of(px, px, utah(first.pixel_m), "EPSG:32612")
    found = rasters.bands(request(None, *bands))
    assert found.ids == (bands or IDS)
    check(rasters, folder, grid, found)


def test_an_npy_has_the_type_of_each_band(rasters: LocalRasters, folder: Path) -> None:
    grid = middle_tile(rasters, 13)
    records = np.load(io.BytesIO(rasters.pixels(request(grid))))
    assert records.dtype == np.dtype([(b.id, np.dtype(b.dtype).newbyteorder("<")) for b in BANDS])
    values = np.stack([records[band].astype(np.float64) for band in IDS])
    check(rasters, folder, grid, BandArrays(IDS, values, rasters.bands(request(grid)).valid))


def test_bands_know_their_own_grids_types_and_nodata(rasters: LocalRasters) -> None:
    asset = rasters.catalogue.find(SCENE).asset
    for band, wanted in zip(asset.bands, BANDS, strict=True):
        assert (band.id, band.dtype.name, band.nodata) == (wanted.id, wanted.dtype, wanted.nodata)
        assert band.grid.transform.scale_x == wanted.pixel_m
        assert band.grid.width == SIDE_M // wanted.pixel_m
    assert asset.common_grid.transform.scale_x == 10


def test_the_finest_band_sets_the_zoom(rasters: LocalRasters) -> None:
    asset = rasters.catalogue.find(SCENE).asset
    alone = rasters.catalogue.find(f"{LOCAL_PREFIX}/B02").asset
    coarse = rasters.catalogue.find(f"{LOCAL_PREFIX}/B01").asset
    assert extent_of(asset).full_zoom == extent_of(alone).full_zoom
    assert extent_of(asset).full_zoom > extent_of(coarse).full_zoom
    assert native_zoom(10 / np.cos(np.radians(40.6))) == extent_of(asset).full_zoom


def test_bounds_hold_all_files(tmp_path: Path) -> None:
    folder = tmp_path / "S2A"
    folder.mkdir()
    for band, east in (("B02", 0), ("B03", 9000)):
        moved = Affine(30, 0, UTAH.c + east, 0, -30, UTAH.f)
        write_raster(folder / f"{band}.tif", noise(1, 100, 100), transform=moved, overviews=())
    rasters = LocalRasters(Catalogue([Root(str(folder))]))
    assets = [rasters.catalogue.find(f"{LOCAL_PREFIX}/{each}").asset for each in ("B02", "B03")]
    bounds = [lonlat_bounds(asset) for asset in assets]
    joined = lonlat_bounds(rasters.catalogue.find(SCENE).asset)
    assert joined.west == min(each.west for each in bounds)
    assert joined.east == max(each.east for each in bounds)


def test_the_size_is_counted_over_all_files(rasters: LocalRasters) -> None:
    grid = middle_tile(rasters, 13)
    # 48 MiB hold a band of float32 of this size, but not all of them together.
    large = grid.coarsened(2000, 2000)
    assert rasters.bands(request(large, "B8A")).values.shape == (1, 2000, 2000)
    with pytest.raises(RequestTooLarge, match="Total request size"):
        rasters.bands(request(large))


def test_the_version_follows_every_file_and_the_sidecar(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "S2A", overviews=())
    catalogue = Catalogue([Root(str(folder))])
    seen = [catalogue.find(SCENE, 0).asset.version]
    assert catalogue.find(SCENE, 0).asset.version == seen[0]
    write_raster(folder / "SCL.tif", noise(1, 192, 192, "uint8", 77), overviews=())
    seen.append(catalogue.find(SCENE, 0).asset.version)
    (folder / "S2A.json").write_text(
        json.dumps({"startTime": "2020-04-01T18:49:19Z", "properties": {"CLOUD": 3}})
    )
    seen.append(catalogue.find(SCENE, 0).asset.version)
    assert len(set(seen)) == 3
    asset = catalogue.find(SCENE, 0).asset
    assert asset.start_time == "2020-04-01T18:49:19Z"
    assert asset.properties == {"CLOUD": 3}


def test_a_sidecar_names_the_bands(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "S2A", overviews=())
    names = ["coastal", "blue", "red", "nir", "swir", "class"]
    (folder / "S2A.json").write_text(json.dumps({"bands": [{"id": name} for name in names]}))
    rasters = LocalRasters(Catalogue([Root(str(folder))]))
    assert rasters.catalogue.find(SCENE).asset.band_ids == tuple(names)
    found = rasters.bands(request(None, "swir"))
    alone = rasters.bands(PixelRequest(f"{LOCAL_PREFIX}/B11", ImageFileFormat.NPY))
    assert np.array_equal(found.values, alone.values)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "S2A", overviews=())
    (folder / "B11.tif").write_bytes((folder / "B11.tif").read_bytes()[:100])
    with pytest.raises(UnreadableRaster, match="S2A/B11"):
        Catalogue([Root(str(folder))]).find(SCENE)


def test_a_file_that_goes_leaves_the_scene_of_the_others(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "S2A", overviews=())
    catalogue = Catalogue([Root(str(folder))])
    assert "B11" in catalogue.find(SCENE).asset.band_ids
    os.unlink(folder / "B11.tif")
    with pytest.raises(UnreadableRaster, match=r"S2A/B11.*gone"):
        catalogue.find(SCENE, 0)
    assert "B11" not in Catalogue([Root(str(folder))]).find(SCENE).asset.band_ids


def test_files_of_several_bands_share_their_name(tmp_path: Path) -> None:
    folder = tmp_path / "S2A"
    folder.mkdir()
    write_raster(folder / "B02.tif", noise(1, 60, 60), overviews=())
    two = ["value", "quality"]
    write_raster(folder / "B03.tif", noise(2, 60, 60), overviews=(), descriptions=two)
    asset = Catalogue([Root(str(folder))]).find(SCENE).asset
    assert asset.band_ids == ("B02", "B03_value", "B03_quality")


def test_a_file_that_is_being_written_is_no_band_yet(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "S2A", overviews=())
    content = (folder / "SCL.tif").read_bytes()
    os.unlink(folder / "SCL.tif")
    catalogue = Catalogue([Root(str(folder))])
    assert catalogue.find(SCENE).asset.band_ids == IDS[:-1]
    with (folder / "SCL.tif").open("wb") as file:
        file.write(content[:1000])
        file.flush()
        catalogue.scan_again()
        assert catalogue.find(SCENE, 0).asset.band_ids == IDS[:-1]
        file.write(content[1000:])
    catalogue.scan_again()
    assert catalogue.find(SCENE, 0).asset.band_ids == IDS


def test_files_of_one_grid_share_the_places_of_pixels(
    rasters: LocalRasters, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(grid: PixelGrid, native: PixelGrid) -> Positions:
        asked.append(native)
        return positions(grid, native)

    monkeypatch.setattr("tileserver.rasters.band_files.positions", counted)
    rasters.bands(request(middle_tile(rasters, 13), "B02", "B8A", "B04", "SCL", "B11"))
    assert len(asked) == len(set(asked)) == 2
