"""Many shapes drawn at once, against shapely's distances and areas at each pixel's centre."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray

from tests.support.limits import cpu_limit
from tileserver.compute.algorithms.image.painting import style
from tileserver.compute.pixels.many_shapes import can_draw, covered, dotted, stroked
from tileserver.compute.pixels.rasterize import drawn
from tileserver.compute.values.feature import Collection
from tileserver.compute.values.stored_features import StoredFeatures
from tileserver.contract.grids import AffineTransform, Box, PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M
from tileserver.geo.tables import Table

SIDE = 96
GRID = PixelGrid(SIDE, SIDE, AffineTransform.north_up(500.0, 900.0, 2.0, 2.0), "EPSG:32633")
CHANCE = np.random.default_rng(11)
CENTRES = shapely.points(
    500 + 2 * (np.arange(SIDE) + 0.5)[np.newaxis, :],
    900 - 2 * (np.arange(SIDE) + 0.5)[:, np.newaxis],
)


def rings(count: int, low: float, high: float) -> NDArray[Any]:
    """Return polygons with corners at random distances of a centre on and around the grid."""
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    centres = CHANCE.uniform((480, 690), (710, 920), (count, 2))
    reach = CHANCE.uniform(low, high, (count, 9, 1))
    turned = np.stack([np.cos(angles), np.sin(angles)], -1)[np.newaxis]
    return np.asarray(shapely.polygons(centres[:, np.newaxis] + reach * turned))


HOLLOW = [
    shapely.Polygon(each.exterior, [shapely.affinity.scale(each, 0.5, 0.5).exterior])
    for each in rings(6, 20, 40)
]
AREAS = {
    "mixed": [*rings(40, 1, 30), *HOLLOW, shapely.box(0, 0, 1e5, 870)],
    "tiny": list(rings(900, 0.01, 1.5)),
    "one": [shapely.box(-1e6, 800, 1e6, 1e6)],
}
LINES = [shapely.LineString(each) for each in CHANCE.uniform((450, 650), (750, 950), (30, 3, 2))]


@pytest.mark.parametrize("name", AREAS)
def test_a_pixel_is_covered_if_its_centre_is(name: str) -> None:
    wanted = np.zeros((SIDE, SIDE), bool)
    for each in AREAS[name]:
        wanted |= shapely.contains_xy(each, shapely.get_coordinates(CENTRES)).reshape(SIDE, SIDE)
    np.testing.assert_array_equal(covered(AREAS[name], GRID), wanted)
    np.testing.assert_array_equal(covered(AREAS[name], GRID), drawn(AREAS[name], GRID) >= 0)


@pytest.mark.parametrize("width", [0.4, 2.0, 7.0])
@pytest.mark.parametrize("name", AREAS)
def test_an_outline_is_within_half_a_width_of_an_edge(name: str, width: float) -> None:
    found = stroked(AREAS[name], width, GRID)
    edges = shapely.union_all([each.boundary for each in AREAS[name]])
    away = shapely.distance(CENTRES, edges) / 2
    # Dots stand for what is smaller than half a pixel, and edges are simplified by a tenth.
    slack = 0.51 if name == "tiny" else 0.11
    assert found[away < width / 2 - slack].all()
    assert not found[away > width / 2 + slack].any()


@pytest.mark.parametrize("width", [0.4, 2.0, 7.0])
def test_lines_have_flat_ends(width: float) -> None:
    found = stroked(LINES, width, GRID)
    wanted = shapely.union_all(shapely.buffer(LINES, width, quad_segs=32, cap_style="flat"))
    is_clear = shapely.distance(CENTRES, wanted.boundary) / 2 > 0.11
    inside = np.asarray(shapely.contains(wanted, CENTRES))
    np.testing.assert_array_equal(found[is_clear], inside[is_clear])


@pytest.mark.parametrize(("radius", "width"), [(3.0, 2.0), (0.0, 3.0), (12.5, 0.0)])
def test_circles_lie_around_points(radius: float, width: float) -> None:
    points = CHANCE.uniform((480, 690), (710, 920), (60, 2))
    filled, edged = dotted(points, radius, width, GRID)
    places = np.asarray(CENTRES)[..., np.newaxis]
    away = shapely.distance(places, np.asarray(shapely.points(points))) / 2
    assert filled[(away < radius - 0.07).any(axis=-1)].all()
    assert not filled[(away > radius + 0.07).all(axis=-1)].any()
    off = np.abs(away - radius)
    assert edged[(off < width / 2 - 0.07).any(axis=-1)].all()
    assert not edged[(off > width / 2 + 0.07).all(axis=-1)].any()


def test_pieces_of_a_picture_are_those_of_the_whole() -> None:
    shapes = [*AREAS["mixed"], *AREAS["tiny"]]
    quarters = [GRID.window(each) for each in GRID.whole.quarters()]
    for make in (covered, lambda some, grid: stroked(some, 3.0, grid)):
        parts = [make(shapes, each) for each in quarters]
        whole = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
        np.testing.assert_array_equal(whole, make(shapes, GRID))


def test_turned_and_oblong_pixels_are_left_to_others() -> None:
    assert can_draw(GRID)
    assert not can_draw(PixelGrid(4, 4, AffineTransform(1, 0.2, 0, 0.2, -1, 0), "EPSG:32633"))
    assert not can_draw(PixelGrid(4, 4, AffineTransform.north_up(0, 0, 1, 2), "EPSG:32633"))


def test_a_hundred_thousand_areas_are_drawn_in_seconds() -> None:
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    places = CHANCE.uniform((-170, -75), (170, 75), (100_000, 2))
    turned = np.stack([np.cos(angles), np.sin(angles)], -1)[np.newaxis]
    shapes = shapely.polygons(places[:, np.newaxis] + 0.1 * turned)
    table = Table("t", "1", "", 0, np.asarray(shapes, object), {})
    features = Collection("FeatureCollection", StoredFeatures(table), "t")
    world = Box(-HALF_WORLD_M, -HALF_WORLD_M, HALF_WORLD_M, HALF_WORLD_M)
    grid = PixelGrid.filling(world, 256, 256, "EPSG:3857")
    with cpu_limit(10):
        image = style(features, "black", 3, "circle", 2.0, None, None, 5, "solid")
        found = image.bands[0].node.function(grid)  # type: ignore[attr-defined]
    x = (places[:, 0] + 180) / 360 * 256
    y = 128 - np.degrees(np.arcsinh(np.tan(np.radians(places[:, 1])))) / 360 * 256
    inside = np.zeros((256, 256), bool)
    inside[y.astype(int), x.astype(int)] = True
    # A line two pixels wide shows each of them on the pixel that it lies on.
    assert (found.mask[inside] > 0).mean() > 0.999
