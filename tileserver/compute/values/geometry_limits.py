"""A limit on how often edges of shapes may cross, checked before a union or intersection.

Two combs of 50,000 teeth cross 2.5 billion times: a short request could use up all memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from tileserver.errors import InvalidRequest

_FEW = 2000
"""Fewer edges than this are not checked."""
_MOST = 2_000_000
"""Pairs of edges whose boxes meet, beside the neighbours that each edge has."""
_NEIGHBOURS = 20
_MOST_COMPARED = 600_000_000
"""Pairs of points, in some seconds."""
_AT_ONCE = 2_000_000


def check_crossings(shapes: Iterable[BaseGeometry], few: int = _FEW, most: int = _MOST) -> None:
    """Raise InvalidRequest if edges of shapes might cross too often.

    Args:
        shapes: their edges are counted together.
        few: edges that are not checked.
        most: pairs of edges that may be near each other, beside their neighbours.
    """
    edges = _edges([shape for shape in shapes if not shape.is_empty], few)
    count = len(edges)
    if count <= few:
        return
    tree = shapely.STRtree(edges)
    most += _NEIGHBOURS * count
    size = max(1, _AT_ONCE // count)
    found = 0
    for start in range(0, count, size):
        found += tree.query(edges[start : start + size]).shape[1]
        if found > most:
            raise InvalidRequest("The edges of the geometry cross too often; make it simpler.")


def check_pairs(a: BaseGeometry, b: BaseGeometry) -> None:
    """Raise InvalidRequest if a distance would compare too many points of two shapes."""
    count = int(shapely.get_num_coordinates(a)) * int(shapely.get_num_coordinates(b))
    if count > _MOST_COMPARED:
        raise InvalidRequest("Computation timed out.")


def _edges(shapes: list[BaseGeometry], few: int) -> NDArray[Any]:
    """Return each edge; the lines between parts count as edges too."""
    points = [shapely.get_coordinates(shape) for shape in shapes]
    ends = [(each[:-1], each[1:]) for each in points if len(each) > 1]
    if sum(len(start) for start, _ in ends) <= few:
        return np.empty(0, object)
    starts, stops = (np.concatenate(each) for each in zip(*ends, strict=True))
    # A tree looks at boxes alone, and these take less room than boxes as such.
    return np.asarray(shapely.linestrings(np.stack([starts, stops], axis=1)), dtype=object)
