from __future__ import annotations

from pathlib import Path

import pytest
import shapely
from rasterio import Affine
from shapely.geometry import shape

from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.errors import InvalidRequest
from tileserver.geo.outlines import footprint, geometry_json, meets, read_region
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root


def asset_of(folder: Path, crs: str, transform: Affine, side: int = 100) -> ImageAsset:
    write_raster(folder / "scene.tif", noise(1, side, side), crs, transform, overviews=())
    return Catalogue([Root(str(folder))]).find("projects/localhost/assets/scene").asset


def test_a_geographic_footprint_has_four_corners(tmp_path: Path) -> None:
    asset = asset_of(tmp_path, "EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, 50))
    geometry = geometry_json(asset)
    assert geometry is not None
    assert geometry["type"] == "Polygon"
    assert [list(each) for each in geometry["coordinates"][0]] == [
        [10, 50],
        [20, 50],
        [20, 40],
        [10, 40],
        [10, 50],
    ]


def test_a_projected_footprint_follows_its_curved_edges(tmp_path: Path) -> None:
    asset = asset_of(tmp_path, "EPSG:32633", Affine(10_000, 0, 0, 0, -10_000, 9_000_000))
    around = footprint(asset)
    # Across the middle of its northern edge the parallel lies above the chord.
    assert around.bounds[3] > shapely.get_coordinates(around)[0][1]
    assert around.is_valid


def test_a_footprint_across_the_antimeridian_has_two_parts(tmp_path: Path) -> None:
    asset = asset_of(tmp_path, "EPSG:32660", Affine(10_000, 0, 300_000, 0, -10_000, 2_000_000))
    geometry = geometry_json(asset)
    assert geometry is not None
    assert geometry["type"] == "MultiPolygon"
    parts = shapely.get_parts(shape(geometry))
    bounds = sorted(part.bounds for part in parts)
    assert bounds[0][0] == -180
    assert bounds[1][2] == 180
    for lon in (179.5, -179.5, 180.5, -180.5):
        assert meets(asset, read_region({"type": "Point", "coordinates": [lon, 15]}))
    assert not meets(asset, read_region({"type": "Point", "coordinates": [0, 15]}))


def test_a_raster_around_the_earth_or_a_pole_is_a_box(tmp_path: Path) -> None:
    world = asset_of(tmp_path, "EPSG:4326", Affine(3.6, 0, -180, 0, -1.8, 90))
    assert footprint(world).bounds == (-180, -90, 180, 90)
    pole = asset_of(tmp_path, "EPSG:3413", Affine(20_000, 0, -1e6, 0, -20_000, 1e6))
    west, south, east, north = footprint(pole).bounds
    assert (west, east, north) == (-180, 180, 90)
    assert 70 < south < 80


@pytest.mark.parametrize(
    "value", [{"type": "Polygon", "coordinates": [[[0, 0]]]}, {"type": "Round"}, None]
)
def test_a_region_without_shape_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest, match="region"):
        read_region(value)
