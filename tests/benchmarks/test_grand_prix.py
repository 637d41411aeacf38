"""A small grand prix: cold tiles beside the floor of decoding and encoding, in one run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import started
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.floor import Floor
from tests.benchmarks.grand_prix.peers import Ours
from tests.benchmarks.grand_prix.scenes import SCENE, tiles_within, write_scene
from tests.support.waiting import cpu_s

RECORDED = 0.50
"""CPU time of the floor over the server's; wall time depends on what else the cores do."""
_ROUNDS, _TILES = 3, 40


@pytest.mark.slow
@pytest.mark.alone
def test_cold_tiles_take_no_more_of_the_processor_than_recorded(tmp_path: Path) -> None:
    scene, ours = SCENE["utm"], Ours()
    path = write_scene(scene, tmp_path, is_small=True)
    first, *tiles = (ours.url(scene, str(path), t) for t in tiles_within(path, (12, 13, 14)))
    addresses = tiles_within(path, (12, 13, 14))[1:]
    server_s = floor_s = 0.0
    with (
        Client() as client,
        started([ours], {scene: str(path)}, Environments(tmp_path), 1) as servers,
        Floor(scene, path) as floor,
    ):
        server = servers[ours]
        server.wait(first)
        for start in range(0, _ROUNDS * _TILES, _TILES):
            before_s = cpu_s(server.processes[0].pid)
            load = client.run(server.target, tiles[start : start + _TILES], 8, keep=True)
            server_s += cpu_s(server.processes[0].pid) - before_s
            assert set(load.statuses) == {"200"}
            before_s = time.process_time()
            floor.round(addresses[start : start + _TILES], load.bodies)
            floor_s += time.process_time() - before_s
    assert floor_s / server_s > RECORDED * 0.75
