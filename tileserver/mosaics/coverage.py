"""Pixels of a grid in boxes of degrees, and a choice of files that cover a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import PixelGrid
from tileserver.contract.tiles import HALF_WORLD_M, WEB_MERCATOR, mercator_ys
from tileserver.geo.crs import WGS84

_LOOKED_AT = 10_000
"""Files that are tried to cover a grid; more would take longer than reading those chosen."""


def windows_of(boxes: NDArray[np.float64], grid: PixelGrid) -> NDArray[np.int64] | None:
    """Return the window of a grid with the pixel centres in each box.

    Args:
        boxes: shape (n, 4) in degrees; east may lie past 180.
        grid: whose pixels are counted.

    Returns:
        Shape (n, 4): column, row, width, height; a width or height of zero if there are none.
        None if the grid is not in EPSG:3857 or EPSG:4326, or not north up.
    """
    t = grid.transform
    if grid.crs_code not in (WEB_MERCATOR, WGS84) or t.shear_x or t.shear_y:
        return None
    if t.scale_x <= 0 or t.scale_y >= 0:
        return None
    west, south, east, north = boxes.T
    if grid.crs_code == WEB_MERCATOR:
        west, east = (degrees * (HALF_WORLD_M / 180) for degrees in (west, east))
        south, north = mercator_ys(south), mercator_ys(north)
    turn = 2 * HALF_WORLD_M if grid.crs_code == WEB_MERCATOR else 360.0
    left, right = _columns(west, east, grid, turn)
    top = np.clip(np.ceil((north - t.translate_y) / t.scale_y - 0.5), 0, grid.height)
    bottom = np.clip(np.floor((south - t.translate_y) / t.scale_y - 0.5) + 1, 0, grid.height)
    sides = [np.maximum(right - left, 0), np.maximum(bottom - top, 0)]
    return np.column_stack([left, top, *sides]).astype(np.int64)


def _columns(
    west: NDArray[np.float64], east: NDArray[np.float64], grid: PixelGrid, turn: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first column of each range of x and the one after its last.

    A range is looked for one turn to the west and to the east, too. What is there twice gets all
    columns between.
    """
    t = grid.transform
    lefts = np.full(len(west), float(grid.width))
    rights = np.zeros(len(west))
    for moved in (-turn, 0.0, turn):
        left = np.clip(np.ceil((west + moved - t.translate_x) / t.scale_x - 0.5), 0, grid.width)
        right = np.floor((east + moved - t.translate_x) / t.scale_x - 0.5) + 1
        right = np.clip(right, 0, grid.width)
        has_some = right > left
        lefts = np.where(has_some, np.minimum(lefts, left), lefts)
        rights = np.where(has_some, np.maximum(rights, right), rights)
    return lefts, rights


def covering(windows: NDArray[np.int64] | None, grid: PixelGrid, most: int) -> list[int]:
    """Return places of files that together cover a grid as well as so few can, in ascending order.

    First come those that add pixels to what the ones before them cover, the largest of them; then
    all others in their order.

    Args:
        windows: shape (n, 4): column, row, width, height of each file, in the order in which they
            are read; None if they are not known.
        grid: that is to be covered.
        most: files.
    """
    if windows is None:
        return list(range(most))
    covered = np.zeros((grid.height, grid.width), np.bool_)
    added = np.zeros(len(windows), np.int64)
    left = covered.size
    for number, (column, row, width, height) in enumerate(windows[:_LOOKED_AT].tolist()):
        part = covered[row : row + height, column : column + width]
        added[number] = part.size - np.count_nonzero(part)
        if added[number]:
            part[:] = True
            left -= int(added[number])
        if not left:
            break
    order = np.argsort(-added, kind="stable")
    return sorted(order[:most].tolist())
