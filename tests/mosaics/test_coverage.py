"""Which files are read for a grid that too many lie on, and the pixels that boxes hold."""

import numpy as np
import pytest
from rasterio.features import rasterize
from shapely.geometry import box

from tests.support.rasterfiles import affine
from tileserver.contract.grids import Box, PixelGrid
from tileserver.mosaics.coverage import covering, windows_of
from tileserver.mosaics.members import Member, Members

GRID = PixelGrid.filling(Box(0, 0, 20, 10), 20, 10, "EPSG:4326")


@pytest.mark.parametrize(
    ("windows", "most", "expected"),
    [
        # Once the grid is covered, the others follow in their order.
        ([(0, 0, 20, 10)] * 5, 3, [0, 1, 2]),
        # One that adds nothing is left out for one that does.
        ([(0, 0, 10, 10), (0, 0, 10, 10), (10, 0, 10, 10)], 2, [0, 2]),
        # The largest come first, and are read in the order of the rule.
        ([(0, 0, 1, 1), (5, 0, 2, 2), (10, 0, 5, 5), (16, 0, 3, 3)], 2, [2, 3]),
    ],
)
def test_files_that_cover_most_are_chosen(
    windows: list[tuple[int, ...]], most: int, expected: list[int]
) -> None:
    assert covering(np.array(windows), GRID, most) == expected


def test_windows_hold_the_pixel_centres_of_boxes() -> None:
    rng = np.random.default_rng(5)
    west, south = rng.uniform(-3, 20, 40), rng.uniform(-3, 10, 40)
    boxes = np.column_stack([west, south, west + rng.uniform(0, 6, 40), south + 2.3])
    windows = windows_of(boxes, GRID)
    assert windows is not None
    for each, (column, row, width, height) in zip(boxes.tolist(), windows.tolist(), strict=True):
        found = np.zeros((10, 20), np.uint8)
        found[row : row + height, column : column + width] = 1
        expected = rasterize(
            [(box(*each), 1)], out_shape=(10, 20), transform=affine(GRID.transform), dtype="uint8"
        )
        np.testing.assert_array_equal(found, expected)


def test_a_grid_that_is_not_north_up_has_no_windows() -> None:
    assert windows_of(np.array([[0.0, 0, 1, 1]]), PixelGrid.filling(
        Box(0, 0, 1, 1), 4, 4, "EPSG:32633")) is None  # fmt: skip


def test_members_are_joined_by_name() -> None:
    def member(name: str, crs: str, band: str) -> Member:
        grid = PixelGrid.filling(Box(0, 0, 1, 1), 4, 4, crs)
        return Member(name, "0" * 16, grid, Box(0, 0, 1, 1), ((band, "uint8"),))

    one = Members.of([member("b" * 300, "EPSG:4326", "red"), member("d", "EPSG:3857", "nir")])
    other = Members.of([member("ä", "EPSG:32633", "nir"), member("a", "EPSG:3857", "red")])
    both = one.joined(other)
    names = [both.name(number) for number in range(4)]
    assert names == ["a", "b" * 300, "d", "ä"]
    crs = [both.grid(number).crs_code for number in range(4)]
    assert crs == ["EPSG:3857", "EPSG:4326", "EPSG:3857", "EPSG:32633"]
    bands = [both.profiles[number][0][0] for number in both.profile_numbers]
    assert bands == ["red", "red", "nir", "nir"]
    assert len(both.take(np.array([True, False, False, True]))) == 2
