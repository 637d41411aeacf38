"""Geometries of S2 cells; their edges are great circles."""

from __future__ import annotations

from tileserver.compute.registry import algorithm
from tileserver.compute.values.geometry import Geometry, make_geometry
from tileserver.compute.values.s2_cells import cell_corners, cell_of_token


@algorithm("Geometry.s2Cell(cellId: Long) -> Geometry")
@algorithm("Geometry.fromS2CellId(cellId: Long) -> Geometry")
def from_cell_id(cell: int) -> Geometry:
    """Return the polygon of the S2 cell with an id, a whole number of 64 bits."""
    return make_geometry("Polygon", [[list(corner) for corner in cell_corners(cell)]])


@algorithm("Geometry.fromS2CellToken(cellToken: String) -> Geometry")
def from_cell_token(token: str) -> Geometry:
    """Return the polygon of the S2 cell with a token, its id in hexadecimal digits."""
    return from_cell_id(cell_of_token(token))
