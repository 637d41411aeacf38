"""Cells of S2: quadrilaterals on the sphere whose numbers follow a Hilbert curve on a cube's faces.

As s2geometry.io describes them ("S2 Cells", "Earthscape"): three bits of an id are the face, two
bits for each of up to 30 levels the quarter along the curve, then a one ends it.
"""

from __future__ import annotations

import numpy as np

from tileserver.compute.values.sphere import lonlat
from tileserver.errors import InvalidRequest, shown

_LEVELS, _FACES = 30, 6
_BITS = 64
_QUARTERS = ((0, 1, 3, 2), (0, 2, 3, 1), (3, 2, 0, 1), (3, 1, 0, 2))
"""The quarter, 2 i + j, at each place of the curve, in its four orientations."""
_TURNS = 1, 0, 0, 3
"""How each place of the curve changes the orientation: 1 swaps the axes, 2 turns them around."""
_ENDS = 0x1555555555555555
"""The places where the one may be that ends an id."""
Corner = tuple[float, float]


def cell_of_token(token: str) -> int:
    """Return the id that a token stands for: hexadecimal digits, zeros at the end left out.

    Raises:
        InvalidRequest: it is none.
    """
    digits = token.strip().lower()
    if not 0 < len(digits) <= _BITS // 4 or set(digits) - set("0123456789abcdef"):
        raise InvalidRequest(f"Expected an S2 token of up to 16 hex digits, got {shown(token)}.")
    return int(digits.ljust(_BITS // 4, "0"), 16)


def cell_corners(cell: int) -> list[Corner]:
    """Return longitude and latitude of a cell's four corners, counter-clockwise.

    Args:
        cell: the id as a whole number of 64 bits, with or without a sign.

    Raises:
        InvalidRequest: there is no such cell.
    """
    number = cell % 2**_BITS
    last = number & -number
    face = number >> _BITS - 3
    if not -(2**63) <= cell < 2**_BITS or not last & _ENDS or face >= _FACES:
        raise InvalidRequest(f"There is no S2 cell {shown(cell)}.")
    level = _LEVELS - (last.bit_length() - 1) // 2
    i, j = _place(number, face, level)
    size = 2.0**-level
    west, east = _on_face(i * size), _on_face((i + 1) * size)
    south, north = _on_face(j * size), _on_face((j + 1) * size)
    ring = ((west, south), (east, south), (east, north), (west, north))
    return [_corner(face, u, v) for u, v in ring]


def _place(number: int, face: int, level: int) -> tuple[int, int]:
    """Return column and row of a cell on its face, at its level."""
    i = j = 0
    orientation = face & 1
    for k in range(1, level + 1):
        place = number >> (_BITS - 3 - 2 * k) & 3
        quarter = _QUARTERS[orientation][place]
        i, j = 2 * i + (quarter >> 1), 2 * j + (quarter & 1)
        orientation ^= _TURNS[place]
    return i, j


def _on_face(share: float) -> float:
    """Return where along a face, -1 to 1, a share of its cells ends: they are of like area."""
    if share >= 0.5:
        return (4 * share * share - 1) / 3
    return (1 - 4 * (1 - share) ** 2) / 3


def _corner(face: int, u: float, v: float) -> Corner:
    sides = ((1, u, v), (-u, 1, v), (-u, -v, 1), (-1, -v, -u), (v, -1, -u), (v, u, -1))
    return lonlat(np.array(sides[face], np.float64))
