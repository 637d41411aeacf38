from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds

from tests.rasters.engine import asset_of, engine, name_of
from tests.support.rasterfiles import UTAH, affine, grid_of, noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.geojson import read_geometry, write_geometry
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid
from tileserver.contract.pixels import Geometry, PixelRequest, check_limits
from tileserver.contract.tiles import HALF_WORLD_M
from tileserver.errors import InvalidRequest, RequestTooLarge
from tileserver.geo.completion import complete

WIDTH, HEIGHT = 600, 500
UTM = "EPSG:32612"
NATIVE = grid_of(WIDTH, HEIGHT, UTAH, UTM)


@pytest.fixture(scope="module")
def utah_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rasters") / "utah.tif"
    return write_raster(path, noise(2, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def utah(utah_file: Path) -> ImageAsset:
    return asset_of(utah_file)


@pytest.fixture(scope="module")
def fiji_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rasters") / "fiji.tif"
    values = noise(1, 200, 400)
    return write_raster(path, values, "EPSG:4326", Affine(0.05, 0, 170, 0, -0.05, -10))


@pytest.fixture(scope="module")
def fiji(fiji_file: Path) -> ImageAsset:
    """An asset in degrees from 170 to 190."""
    return asset_of(fiji_file)


def completed(
    asset: ImageAsset,
    grid: PixelGrid | PartialGrid | None = None,
    region: Geometry | None = None,
) -> PixelGrid:
    return complete(PixelRequest(asset.name, grid=grid, region=region), asset)


def box(west: float, south: float, east: float, north: float) -> Geometry:
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    return Geometry("Polygon", (ring,))


def lonlat(x: float, y: float) -> tuple[float, float]:
    (lon,), (lat,) = transform(UTM, "EPSG:4326", [x], [y])
    return lon, lat


def around(west: float, south: float, east: float, north: float) -> Geometry:
    """Return a region in degrees with corners at a box's corners in UTM."""
    corners = [(west, south), (east, south), (east, north), (west, north)]
    return Geometry("Polygon", (tuple(lonlat(*corner) for corner in corners),))


def test_nothing_is_the_native_grid(utah: ImageAsset) -> None:
    assert completed(utah) == NATIVE
    assert completed(utah, PartialGrid()) == NATIVE


def test_all_three_are_taken_as_they_are(utah: ImageAsset) -> None:
    grid = PixelGrid(7, 9, AffineTransform(0.01, 0, -112, 0, -0.01, 40), "EPSG:4326")
    assert completed(utah, grid) == grid


def test_without_a_crs_it_is_the_assets_own(utah: ImageAsset) -> None:
    placed = AffineTransform(60, 0, 401_000, 0, -60, 4_499_000)
    grid = completed(utah, PartialGrid(width=10, height=20, transform=placed))
    assert grid == PixelGrid(10, 20, placed, UTM)


def test_a_region_alone_is_the_native_pixels_that_cover_it(utah: ImageAsset) -> None:
    grid = completed(utah, region=around(400_301, 4_498_000, 401_000, 4_499_995))
    left = (grid.transform.translate_x - 400_000) / 30
    top = (4_500_000 - grid.transform.translate_y) / 30
    assert (left, top) == (10, 0)
    # An edge straight in degrees bends a little in UTM, less than a pixel here.
    assert grid.width == 24
    assert grid.height in (66, 67, 68)
    assert (grid.transform.scale_x, grid.transform.scale_y) == (30, -30)


def test_a_region_with_dimensions_is_stretched_to_them(utah: ImageAsset) -> None:
    region = around(401_000, 4_490_000, 411_000, 4_495_000)
    grid = completed(utah, PartialGrid(width=256, height=256), region)
    west, south, east, north = transform_bounds(
        "EPSG:4326", UTM, *bounds_of(region), densify_pts=200
    )
    assert grid.crs_code == UTM
    assert (grid.width, grid.height) == (256, 256)
    assert grid.transform.translate_x == pytest.approx(401_000, abs=60)
    assert grid.transform.scale_x * 256 == pytest.approx(10_000, abs=120)
    assert -grid.transform.scale_y * 256 == pytest.approx(5000, abs=60)
    assert west <= grid.transform.translate_x < east
    assert south < grid.transform.translate_y <= north


def bounds_of(region: Geometry) -> tuple[float, float, float, float]:
    lons, lats = zip(*region.positions(), strict=True)
    return min(lons), min(lats), max(lons), max(lats)


@pytest.mark.parametrize("dimensions", [None, (1, 1)])
@pytest.mark.parametrize(
    ("x", "y"), [(400_015, 4_499_985), (400_001, 4_499_999), (411_234, 4_487_655)]
)
def test_a_point_is_the_one_pixel_that_holds_it(
    utah: ImageAsset, x: float, y: float, dimensions: tuple[int, int] | None
) -> None:
    partial = PartialGrid(*dimensions) if dimensions else None
    grid = completed(utah, partial, Geometry("Point", lonlat(x, y)))
    column, row = int((x - 400_000) // 30), int((4_500_000 - y) // 30)
    expected = AffineTransform(30, 0, 400_000 + 30 * column, 0, -30, 4_500_000 - 30 * row)
    assert grid == PixelGrid(1, 1, expected, UTM)


def test_a_point_reads_the_value_stored_there(utah: ImageAsset, utah_file: Path) -> None:
    values = noise(2, HEIGHT, WIDTH)
    rasters = engine(utah_file)
    for column, row in ((0, 0), (599, 499), (123, 456)):
        place = lonlat(400_000 + 30 * column + 3, 4_500_000 - 30 * row - 27)
        request = PixelRequest(utah.name, ImageFileFormat.NPY, region=Geometry("Point", place))
        assert rasters.bands(request).values.ravel().tolist() == values[:, row, column].tolist()


def test_dimensions_alone_stretch_over_the_footprint(utah: ImageAsset) -> None:
    grid = completed(utah, PartialGrid(width=60, height=25))
    expected = AffineTransform(300, 0, 400_000, 0, -600, 4_500_000)
    assert grid == PixelGrid(60, 25, expected, UTM)


def test_dimensions_and_a_crs_stretch_over_the_footprint_there(utah: ImageAsset) -> None:
    grid = completed(utah, PartialGrid(width=60, height=25, crs_code="EPSG:4326"))
    west, south, east, north = transform_bounds(UTM, "EPSG:4326", *bounds_in_utm(), densify_pts=200)
    t = grid.transform
    assert (t.translate_x, t.translate_y) == pytest.approx((west, north), abs=1e-4)
    assert (t.scale_x * 60, t.scale_y * 25) == pytest.approx((east - west, south - north), abs=2e-4)


def bounds_in_utm() -> tuple[float, float, float, float]:
    return 400_000, 4_500_000 - 30 * HEIGHT, 400_000 + 30 * WIDTH, 4_500_000


def test_region_dimensions_and_transform_are_finally_the_dimensions(utah: ImageAsset) -> None:
    region = around(401_000, 4_490_000, 411_000, 4_495_000)
    placed = AffineTransform(1, 0, 0, 0, -1, 0)
    with_transform = completed(utah, PartialGrid(40, 30, placed), region)
    assert with_transform == completed(utah, PartialGrid(40, 30), region)


def test_a_transform_without_dimensions_covers_the_region(utah: ImageAsset) -> None:
    placed = AffineTransform(100, 0, 7, 0, -100, 11)
    grid = completed(
        utah, PartialGrid(transform=placed), around(401_050, 4_490_050, 402_050, 4_491_050)
    )
    assert (grid.transform.translate_x - 7) % 100 == 0
    assert (grid.transform.translate_y - 11) % 100 == 0
    assert grid.transform.translate_x <= 401_050
    assert grid.transform.apply(grid.width, 0)[0] >= 402_050 - 15
    assert grid.width in (10, 11, 12)


def test_a_transform_alone_covers_the_footprint(utah: ImageAsset) -> None:
    placed = AffineTransform(90, 0, 0, 0, -90, 0)
    grid = completed(utah, PartialGrid(transform=placed))
    west, south, east, north = bounds_in_utm()
    assert 0 <= west - grid.transform.translate_x < 90
    assert 0 <= grid.transform.translate_y - north < 90
    right, bottom = grid.transform.apply(grid.width, grid.height)
    assert 0 <= right - east < 90
    assert 0 <= south - bottom < 90


def test_a_crs_alone_has_square_pixels_of_the_native_area(utah: ImageAsset) -> None:
    grid = completed(utah, PartialGrid(crs_code="EPSG:3857"))
    t = grid.transform
    assert t.scale_x == -t.scale_y
    assert t.scale_x * np.cos(np.radians(40.6)) == pytest.approx(30, rel=0.01)
    west, _, _, north = transform_bounds(UTM, "EPSG:3857", *bounds_in_utm(), densify_pts=200)
    assert (t.translate_x, t.translate_y) == pytest.approx((west, north), abs=30)
    assert grid.width == pytest.approx(WIDTH, abs=15)


@pytest.mark.parametrize(
    "member", [{"type": "Polygon", "evenOdd": True}, {"type": "Polygon", "geodesic": False}]
)
def test_a_ring_need_not_be_closed(utah: ImageAsset, member: dict[str, object]) -> None:
    ring = [[-112.1, 40.5], [-112.0, 40.5], [-112.0, 40.6], [-112.1, 40.6]]
    grids = {
        completed(utah, region=read_geometry({**member, "coordinates": [each]}))
        for each in (ring, [*ring, ring[0]])
    }
    assert len(grids) == 1


def test_the_edge_that_closes_a_ring_counts(tmp_path: Path) -> None:
    """At the pole an edge of 180 degrees bends far out between its ends."""
    polar = Affine(10_000, 0, -2e6, 0, -10_000, 2e6)
    path = write_raster(tmp_path / "a.tif", noise(1, 400, 400), "EPSG:3413", polar)
    ring = ((-135.0, 75.0), (45.0, 89.0), (45.0, 75.0))
    asset = asset_of(path)
    unclosed = completed(asset, region=Geometry("Polygon", (ring,)))
    assert unclosed == completed(asset, region=Geometry("Polygon", ((*ring, ring[0]),)))
    assert unclosed != completed(asset, region=Geometry("LineString", ring))


def test_nothing_lies_between_the_parts_of_a_region(tmp_path: Path) -> None:
    """Two points on a parallel: the parallel bulges, the points do not."""
    polar = Affine(10_000, 0, -2e6, 0, -10_000, 2e6)
    path = write_raster(tmp_path / "a.tif", noise(1, 400, 400), "EPSG:3413", polar)
    ends = ((-135.0, 75.0), (45.0, 75.0))
    points = completed(asset_of(path), region=Geometry("MultiPoint", ends))
    line = completed(asset_of(path), region=Geometry("LineString", ends))
    assert points.height < 5
    assert line.height > 100


def test_collections_and_multipolygons_reach_over_all_their_parts(utah: ImageAsset) -> None:
    first, second = box(-112.1, 40.5, -112.09, 40.51), box(-112.03, 40.55, -112.0, 40.6)
    every = completed(utah, region=box(-112.1, 40.5, -112.0, 40.6))
    multi = Geometry("MultiPolygon", (first.coordinates, second.coordinates))
    collection = Geometry("GeometryCollection", geometries=(first, second))
    assert completed(utah, region=multi) == completed(utah, region=collection)
    both = completed(utah, region=multi)
    assert abs(both.width - every.width) <= 40
    assert both.width > completed(utah, region=second).width


def test_heights_in_a_region_are_read_past(utah: ImageAsset) -> None:
    flat, high = (-112.05, 40.55), (-112.05, 40.55, 1200.0)
    grids = {completed(utah, region=Geometry("Point", place)) for place in (flat, high)}
    assert len(grids) == 1


@pytest.mark.parametrize("crs_code", ["EPSG:4326", "EPSG:3857"])
def test_a_region_across_the_antimeridian_stays_in_one_piece(
    fiji: ImageAsset, fiji_file: Path, crs_code: str
) -> None:
    grid = completed(fiji, PartialGrid(40, 20, crs_code=crs_code), box(175, -15, 185, -12))
    east, _ = grid.transform.apply(40, 0)
    turn = 360 if crs_code == "EPSG:4326" else 2 * HALF_WORLD_M
    assert (grid.transform.translate_x, east) == pytest.approx((175 * turn / 360, 185 * turn / 360))
    bands = engine(fiji_file).bands(PixelRequest(fiji.name, grid=grid))
    assert bands.valid.all()


def test_the_far_side_of_the_antimeridian_has_its_own_pixels(
    fiji: ImageAsset, fiji_file: Path
) -> None:
    values = noise(1, 200, 400)
    rasters = engine(fiji_file)
    for lon in (189.9, -170.1):
        request = PixelRequest(fiji.name, region=Geometry("Point", (lon, -12.02)))
        assert rasters.bands(request).values.item() == values[0, 40, 398]
    whole = rasters.bands(PixelRequest(fiji.name, region=box(170, -20, 190, -10)))
    assert np.array_equal(whole.values, values)


def test_a_pole_ends_at_the_edge_of_web_mercator(tmp_path: Path) -> None:
    world = Affine(1, 0, -180, 0, -1, 90)
    path = write_raster(tmp_path / "a.tif", noise(1, 180, 360), "EPSG:4326", world)
    square = PartialGrid(64, 64, crs_code="EPSG:3857")
    expected = AffineTransform(
        HALF_WORLD_M / 32, 0, -HALF_WORLD_M, 0, -HALF_WORLD_M / 32, HALF_WORLD_M
    )
    asset = asset_of(path)
    for region in (None, box(-180, -90, 180, 90)):
        found = completed(asset, square, region)
        assert tuple(affine(found.transform)) == pytest.approx(tuple(affine(expected)), abs=1e-6)


def disk_around(lon: float) -> str:
    """Return the WKT of a view of half the Earth."""
    return str(CRS.from_proj4(f"+proj=ortho +lat_0=0 +lon_0={lon}").to_wkt())


def test_a_region_outside_the_domain_of_the_crs_is_refused(utah: ImageAsset) -> None:
    partial = PartialGrid(10, 10, crs_code=disk_around(0))
    with pytest.raises(InvalidRequest, match="region: it reaches outside the domain of PROJCS"):
        completed(utah, partial, box(170, -5, 175, 5))
    unseen = disk_around(70)
    for grid in (PartialGrid(10, 10, crs_code=unseen), PartialGrid(crs_code=unseen)):
        with pytest.raises(InvalidRequest, match="lies outside the domain of PROJCS"):
            completed(utah, grid)


def test_where_the_asset_lies_matters_not_if_the_region_and_dimensions_say_all(
    utah: ImageAsset,
) -> None:
    grid = completed(utah, PartialGrid(10, 10, crs_code=disk_around(70)), box(69, -1, 71, 1))
    assert grid.transform.scale_x == pytest.approx(2 * 111_300 / 10, rel=0.01)


@pytest.mark.parametrize("code", ["EPSG:999999", "utm", "", "EPSG:5703", "x" * 1000])
def test_a_crs_that_proj_does_not_know_is_refused(utah: ImageAsset, code: str) -> None:
    with pytest.raises(InvalidRequest, match="not a known geographic or projected CRS") as caught:
        completed(utah, PixelGrid(1, 1, AffineTransform(1, 0, 0, 0, -1), code or "?"))
    assert len(str(caught.value)) < 300


METRE = AffineTransform(1, 0, 4e5, 0, -1, 4.5e6)
TOO_LARGE = {
    "48 MB, masks counted": (
        PixelGrid(4096, 2049, METRE, UTM),
        "Total request size (50356224 bytes) must be less than or equal to 50331648 bytes.",
    ),
    "a side": (
        PixelGrid(40818, 1, METRE, UTM),
        "Pixel grid dimensions (40818x1) must be less than or equal to 32768.",
    ),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_limits_are_told_in_earth_engines_words(
    utah: ImageAsset, utah_file: Path, case: str
) -> None:
    grid, message = TOO_LARGE[case]
    with pytest.raises(RequestTooLarge) as caught:
        engine(utah_file).pixels(PixelRequest(utah.name, ImageFileFormat.NPY, grid))
    assert str(caught.value) == message


def test_what_just_fits_is_answered(utah: ImageAsset, utah_file: Path) -> None:
    grid = PixelGrid(4096, 2048, METRE, UTM)
    bands = engine(utah_file).bands(PixelRequest(utah.name, grid=grid))
    assert bands.values.shape == (2, 2048, 4096)
    check_limits(32768, 1, [1] * 3)
    check_limits(1, 1, [8] * 1024)


def test_a_request_has_at_most_1024_bands(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(1025, 2, 2, "uint8"), overviews=())
    message = r"Number of bands \(1025\) must be less than or equal to 1024\."
    with pytest.raises(RequestTooLarge, match=message):
        engine(path).pixels(PixelRequest(name_of(path), ImageFileFormat.NPY))


@pytest.mark.parametrize("crs_code", ["EPSG:4326", "EPSG:3857"])
def test_a_region_across_the_antimeridian_is_as_wide_as_its_control(
    fiji: ImageAsset, crs_code: str
) -> None:
    grids = [
        completed(fiji, PartialGrid(crs_code=crs_code), box(west, -15, east, -12))
        for west, east in ((178, -178), (178, 182), (-182, -178), (174, 178))
    ]
    sizes = [(grid.width, grid.height) for grid in grids]
    assert max(w for w, _ in sizes) - min(w for w, _ in sizes) <= 1
    assert max(h for _, h in sizes) - min(h for _, h in sizes) <= 1
    assert 70 < sizes[0][0] < 100


def test_a_planar_region_goes_the_long_way(fiji: ImageAsset) -> None:
    wide = replace(box(-170, -15, 170, -12), is_planar=True)
    assert completed(fiji, PartialGrid(crs_code="EPSG:4326"), wide).width == 340 / 0.05
    again = read_geometry(write_geometry(wide))
    assert again == wide


def test_a_hole_beyond_the_antimeridian_does_not_widen_a_region(fiji: ImageAsset) -> None:
    ring = ((178.0, -15.0), (-178.0, -15.0), (-178.0, -12.0), (178.0, -12.0))
    hole = ((-179.5, -14.0), (-179.0, -14.0), (-179.0, -13.0), (-179.5, -13.0))
    region = Geometry("Polygon", (ring, hole))
    assert completed(fiji, PartialGrid(crs_code="EPSG:4326"), region).width == 4 / 0.05
