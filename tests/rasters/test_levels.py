"""Which level of the pyramid is read, and that all tiles of a zoom agree on it."""

from pathlib import Path

import mercantile
import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio import Affine

from tests.rasters.engine import asset_of, engine, level_of, raster_of, raw, read
from tests.support.oracles import SINUSOIDAL
from tests.support.rasterfiles import noise, ramp, write_raster
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.tiles import WEB_MERCATOR, Tile, pixel_m, tile_grid
from tileserver.geo.extents import lonlat_bounds


@pytest.fixture(scope="module")
def utah(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rasters") / "utah.tif"
    return write_raster(path, noise(3, 900, 1100), overviews=(2, 4, 8))


def with_pixels(path: Path, across: float, down: float) -> PixelGrid:
    """Return a grid in the asset's CRS whose pixels are so many native ones wide and high."""
    native = raster_of(path).grid.transform
    transform = AffineTransform(
        native.scale_x * across, 0, native.translate_x, 0, native.scale_y * down, native.translate_y
    )
    return PixelGrid(40, 40, transform, "EPSG:32612")


@pytest.mark.parametrize(
    ("asked", "factor"),
    [(0.3, 1), (1, 1), (1.99, 1), (2, 2), (3, 2), (3.99, 2), (4, 4), (7.9, 4), (8, 8), (500, 8)],
)
def test_the_level_is_the_closest_one_not_coarser_than_asked(
    utah: Path, asked: float, factor: int
) -> None:
    assert level_of(raster_of(utah), with_pixels(utah, asked, asked)).factor == factor


@pytest.mark.parametrize(("across", "down"), [(2, 8), (8, 2), (-2, 8), (2, -3)])
def test_of_flat_pixels_the_shorter_side_counts(utah: Path, across: float, down: float) -> None:
    assert level_of(raster_of(utah), with_pixels(utah, across, down)).factor == 2


def test_the_side_of_a_turned_pixel_is_measured_along_it(utah: Path) -> None:
    side = 4 * 30 / np.sqrt(2)
    turned = AffineTransform(side, side, 410_000, side, -side, 4_490_000)
    grid = PixelGrid(10, 10, turned, "EPSG:32612")
    assert level_of(raster_of(utah), grid).factor == 4


def test_overviews_may_have_any_factors(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1, 900, 1100), overviews=(3, 10))
    raster = raster_of(path)
    chosen = [level_of(raster, with_pixels(path, f, f)).factor for f in (2.9, 3, 9.9, 10)]
    assert chosen == [1, 3, 3, 10]


def test_a_raster_one_pixel_wide_is_read_from_the_image_itself(tmp_path: Path) -> None:
    values = noise(1, 1000, 1)
    path = write_raster(tmp_path / "a.tif", values, overviews=(2, 4), tiled=False)
    bands = read(path, None)
    assert np.array_equal(bands.values, values)


@pytest.mark.parametrize("zoom", range(6, 16))
def test_all_tiles_of_a_zoom_read_the_same_level(utah: Path, zoom: int) -> None:
    raster = raster_of(utah)
    side = pixel_m(zoom) * np.cos(np.radians(40.6)) / 30
    expected = max((f for f in (1, 2, 4, 8) if f <= side), default=1)
    tiles = [Tile(x, y, zoom) for x in (0, 2**zoom // 5, 2**zoom - 1) for y in (0, 2**zoom // 3)]
    assert {level_of(raster, tile_grid(tile)).factor for tile in tiles} == {expected}
    doubled = [
        tile_grid(tile._replace(z=zoom - 1, x=tile.x // 2, y=tile.y // 2), 512) for tile in tiles
    ]
    assert {level_of(raster, grid).factor for grid in doubled} == {expected}


def metatile(tile: Tile, size: int) -> PixelGrid:
    corner = tile_grid(tile)
    return PixelGrid(size, size, corner.transform, WEB_MERCATOR)


def joined(path: Path, corner: Tile, count: int) -> NDArray[np.uint16]:
    """Return the pixels of count x count tiles in one array."""
    rasters, (x, y, z) = engine(path), corner
    grids = [[tile_grid(Tile(x + i, y + j, z)) for i in range(count)] for j in range(count)]
    bands = [[rasters.bands(raw(path, grid)).values for grid in row] for row in grids]
    return np.concatenate([np.concatenate(row, axis=2) for row in bands], axis=1)


def middle(path: Path, zoom: int, multiple: int) -> Tile:
    """Return the tile at an asset's middle, or the one whose x and y are multiples before it."""
    bounds = lonlat_bounds(asset_of(path))
    place = (bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2
    x, y, _ = mercantile.tile(*place, zoom)
    return Tile(x // multiple * multiple, y // multiple * multiple, zoom)


@pytest.mark.parametrize("zoom", [9, 11, 13, 15, 17])
def test_a_metatile_equals_its_sixteen_tiles(utah: Path, zoom: int) -> None:
    corner = middle(utah, zoom, multiple=4)
    large = read(utah, metatile(corner, 1024))
    assert large.valid.any()
    assert np.array_equal(large.values, joined(utah, corner, 4))


@pytest.mark.parametrize("zoom", [7, 9, 10, 11, 12, 15, 19])
def test_a_tile_at_2x_equals_the_four_of_the_next_zoom(utah: Path, zoom: int) -> None:
    tile = middle(utah, zoom, multiple=1)
    doubled = read(utah, tile_grid(tile, 512))
    assert doubled.valid.any()
    next_zoom = Tile(tile.x * 2, tile.y * 2, zoom + 1)
    assert np.array_equal(doubled.values, joined(utah, next_zoom, 2))


SMOOTH = {
    "degrees": ("EPSG:4326", Affine(0.01, 0, 8, 0, -0.01, 48), Tile(267, 178, 9)),
    "degrees, antimeridian": ("EPSG:4326", Affine(0.01, 0, 176, 0, -0.01, 48), Tile(509, 178, 9)),
    "web mercator": ("EPSG:3857", Affine(500, 0, 1e6, 0, -500, 6e6), Tile(269, 180, 9)),
    "utm": ("EPSG:32612", Affine(600, 0, 4e5, 0, -600, 4.5e6), Tile(97, 193, 9)),
    "north pole": ("EPSG:3413", Affine(600, 0, 1e5, 0, -600, -1.5e6), Tile(200, 96, 9)),
    "lambert": ("EPSG:2154", Affine(500, 0, 6e5, 0, -500, 6.7e6), Tile(259, 179, 9)),
    "modis": (SINUSOIDAL, Affine(900, 0, -1.1e6, 0, -900, 5.5e6), Tile(236, 174, 9)),
}


def jumps(values: NDArray[np.float32], valid: NDArray[np.bool_], axis: int) -> float:
    """Return the largest step between neighbours along an axis where both are shown."""
    near = (slice(None, -1), slice(1, None))
    both = np.logical_and(
        *(np.take(valid, range(*s.indices(valid.shape[axis])), axis) for s in near)
    )
    steps = np.abs(np.diff(values, axis=axis))
    assert both.any()
    return float(steps[both].max())


@pytest.mark.parametrize("place", SMOOTH)
def test_neighbours_go_on_without_a_jump(tmp_path: Path, place: str) -> None:
    crs, transform, corner = SMOOTH[place]
    values = ramp(600, 800, per_column=1.0, per_row=0.7)
    path = write_raster(tmp_path / "a.tif", values, crs, transform)
    rasters = engine(path)
    for zoom in (9, 8, 7):
        x, y = corner.x >> (9 - zoom) & ~1, corner.y >> (9 - zoom) & ~1
        grids = [tile_grid(Tile((x + i) % 2**zoom, y + j, zoom)) for j in (0, 1) for i in (0, 1)]
        tiles = [rasters.bands(raw(path, grid)) for grid in grids]
        shown, valid = (
            np.block([[part[0], part[1]], [part[2], part[3]]])
            for part in ([t.values[0] for t in tiles], [t.valid[0] for t in tiles])
        )
        for axis in (0, 1):
            across = [np.s_[:, 255:257], np.s_[255:257, :]][1 - axis]
            within = jumps(shown, valid, axis)
            if valid[across].all(axis=axis).any():
                assert jumps(shown[across], valid[across], axis) <= within
        assert valid.mean() > 0.03
