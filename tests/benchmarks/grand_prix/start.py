"""Time from the start of the process to the first tile, and memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Result
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.scenes import Scene, tiles_within

_ROUNDS = 3


def start(
    name: str, scene: Scene, path: Path, peers: Sequence[Peer], environments: Environments
) -> Result:
    """Return the seconds from the start of each peer's process to its first tile."""
    result = Result(name, "s")
    tile = tiles_within(path, (13,))[0]
    for _ in range(_ROUNDS):
        for peer in peers:
            server = peer.start({scene: str(path)}, environments, 1)
            try:
                taken_s = server.wait(peer.url(scene, str(path), tile))
            finally:
                server.end()
            result.figures.setdefault(peer.name, []).append(taken_s)
    return result


def memory(
    name: str,
    count: int,
    scene: Scene,
    path: Path,
    peers: Sequence[Peer],
    tools: tuple[Environments, Client],
) -> Result:
    """Return the MB of each peer after one tile, and so many distinct tiles more, 8 at once."""
    environments, client = tools
    result = Result(name, "MB")
    first, *tiles = tiles_within(path, (14,))
    for peer in peers:
        server = peer.start({scene: str(path)}, environments, 1)
        try:
            server.wait(peer.url(scene, str(path), first))
            paths = [peer.url(scene, str(path), tile) for tile in tiles[:count]]
            if paths:
                client.run(server.target, paths, 8)
            result.figures[peer.name] = [server.memory_mb()]
        finally:
            server.end()
    return result
