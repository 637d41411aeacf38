"""The zoom from which on tiles show all files; tiles counted with mercantile are the oracle."""

from collections import Counter

import mercantile
import numpy as np
import pytest
from numpy.typing import NDArray

from tileserver.mosaics.zooms import complete_from


def counted(boxes: NDArray[np.float64], most: int) -> int | None:
    for zoom in range(8):
        times: Counter[mercantile.Tile] = Counter()
        for west, south, east, north in boxes.tolist():
            parts = [(west, min(east, 180.0))] + ([(-180.0, east - 360)] if east > 180 else [])
            times.update({t for w, e in parts for t in mercantile.tiles(w, south, e, north, zoom)})
        if max(times.values()) <= most:
            return zoom
    return None


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_first_zoom_without_too_many_files(seed: int) -> None:
    rng = np.random.default_rng(seed)
    west, south = rng.uniform(-180, 179.7, 60), rng.uniform(-80, 79, 60)
    boxes = np.column_stack([west, south, west + rng.uniform(0.1, 2, 60), south + 0.7])
    assert complete_from(boxes, 10) == counted(boxes, 10)


def test_few_files_show_at_every_zoom() -> None:
    assert complete_from(np.array([[-180.0, -90, 180, 90]] * 3), 3) == 0


def test_files_on_top_of_one_another_never_all_show() -> None:
    assert complete_from(np.array([[10.0, 10, 11, 11]] * 5), 4) is None
