from __future__ import annotations

import pytest

from tileserver.caching.sizes import default_block_bytes, default_tile_bytes

MB = 10**6


@pytest.mark.parametrize(
    ("memory_mb", "workers", "blocks_mb", "tiles_mb"),
    [
        (512, 1, 128, 64),
        (2_000, 1, 500, 250),
        (2_000, 4, 125, 62.5),
        (64_000, 1, 2_000, 512),
        (64, 1, 64, 16),
        (2_000, 10_000, 64, 16),
    ],
)
def test_the_defaults_are_shares_of_the_memory_and_bounded(
    memory_mb: int, workers: int, blocks_mb: float, tiles_mb: float
) -> None:
    assert default_block_bytes(workers, memory_mb * MB) == blocks_mb * MB
    assert default_tile_bytes(workers, memory_mb * MB) == tiles_mb * MB


def test_a_process_has_a_memory_to_share() -> None:
    assert 64 * MB <= default_block_bytes() <= 2_000 * MB
    assert 16 * MB <= default_tile_bytes() <= 512 * MB
