"""Ranges joined to stretches hold the bytes of each range, however they lie."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from tileserver.rasters.remote.stretches import Fetched, Stretch, joined

BODY = np.random.default_rng(5).bytes(3000)


@pytest.mark.parametrize("gap", [0, 20])
@pytest.mark.parametrize("most", [1, 90, 5000])
def test_each_range_is_cut_from_what_is_fetched(gap: int, most: int) -> None:
    random = np.random.default_rng(most)
    for count in range(30):
        starts, sizes = random.integers(0, 2800, count), random.integers(0, 200, count)
        spans = [(int(start), int(start + size)) for start, size in zip(starts, sizes, strict=True)]
        requests: list[Stretch] = []

        def fetch_all(wanted: list[Stretch], seen: list[Stretch] = requests) -> list[bytes]:
            seen += wanted
            return [BODY[start:stop] for start, stop in wanted]

        fetched = Fetched(joined(spans, gap, most), fetch_all, most)
        assert [fetched.cut(*each) for each in spans] == [BODY[slice(*each)] for each in spans]
        assert all(0 < stop - start <= most for start, stop in requests)


def test_stretches_are_no_nearer_than_a_gap_unless_they_would_be_too_long() -> None:
    random = np.random.default_rng(1)
    spans = [(int(start), int(start) + 10) for start in random.integers(0, 2800, 60)]
    stretches = joined(spans, 20, 5000)
    assert all(later[0] - earlier[1] > 20 for earlier, later in pairwise(stretches))
    assert sum(stop - start for start, stop in stretches) <= 60 * 10 + 59 * 20
