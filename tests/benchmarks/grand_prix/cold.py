"""Cold tiles: servers take turns in short rounds over the same random distinct tiles."""

from __future__ import annotations

import io
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.grand_prix.client import Client, Load
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.floor import Floor
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.scenes import Scene, tiles_within
from tests.benchmarks.grand_prix.servers import Server
from tileserver.contract.tiles import Tile

_SAMPLES = 4
"""Tiles that warm a server up and whose pictures are compared."""
_MOST_DIFFERENCE = 12.0
"""Of 255, between pictures of the same tile; another overview or half a pixel is below."""


@dataclass
class Result:
    """What an event gave: figures of each server, of each round."""

    event: str
    unit: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    bytes: dict[str, float] = field(default_factory=dict)
    """Of the body of a tile, mean."""
    floor: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_time: bool = False
    """Whether less is better."""

    def median(self, name: str) -> float:
        """Return the median of a server."""
        return statistics.median(self.figures[name])

    def ratio(self, over: str, name: str) -> float:
        """Return the median over rounds of one server's figure divided by another's."""
        pairs = zip(self.figures[over], self.figures[name], strict=True)
        return statistics.median(one / other for one, other in pairs)

    def of_floor(self, name: str) -> float:
        """Return the time of the floor over that of a server, both summed over the rounds.

        The floor decodes a block in the first round that touches it, so rounds differ.
        """
        return sum(1 / each for each in self.floor) / sum(1 / each for each in self.figures[name])


@dataclass(frozen=True)
class Race:
    """An event of cold tiles."""

    scene: Scene
    clients: int
    zooms: tuple[int, ...] = (11, 12, 13)
    workers: int = 1
    rounds: int = 5
    tiles: int = 40
    """Of a round."""


@contextmanager
def started(
    peers: Sequence[Peer], scenes: Mapping[Scene, str], environments: Environments, workers: int
) -> Iterator[dict[Peer, Server]]:
    """Start all peers; end them after the block."""
    with ExitStack() as stack:
        servers = {}
        for peer in peers:
            servers[peer] = peer.start(scenes, environments, workers)
            stack.callback(servers[peer].end)
        yield servers


def race(
    name: str, event: Race, path: Path, peers: Sequence[Peer], tools: tuple[Environments, Client]
) -> Result:
    """Return tiles a second of each peer and of the floor; tiles are distinct over all rounds."""
    environments, client = tools
    result = Result(name, "tiles/s")
    tiles = tiles_within(path, event.zooms)
    samples, left = tiles[:_SAMPLES], tiles[_SAMPLES:]
    count = min(event.tiles, len(left) // event.rounds)
    with (
        started(peers, {event.scene: str(path)}, environments, event.workers) as servers,
        Floor(event.scene, path) as floor,
    ):
        able = _able(servers, event.scene, path, samples, client, result)
        # The floor decodes them, too: what the servers hold by now.
        floor.round(samples, [])
        for number in range(event.rounds):
            turn = left[number * count : (number + 1) * count]
            pictures = _round(number, able, event, path, turn, client, result)
            result.floor.append(floor.round(turn, pictures))
    return result


def _able(
    servers: Mapping[Peer, Server],
    scene: Scene,
    path: Path,
    samples: Sequence[Tile],
    client: Client,
    result: Result,
) -> dict[Peer, Server]:
    """Return the servers that answer, and note those that do not or show something else."""
    able, first = {}, None
    for peer, server in servers.items():
        paths = [peer.url(scene, str(path), tile) for tile in samples]
        try:
            server.wait(paths[0])
            load = client.run(server.target, paths, 1, keep=True)
        except (TimeoutError, RuntimeError) as exc:
            result.notes.append(f"{peer.name}: {exc}")
            continue
        first = first or load.bodies
        difference = _difference(first, load.bodies)
        if difference > _MOST_DIFFERENCE:
            result.notes.append(f"{peer.name}: pictures differ by {difference:.0f} of 255")
        able[peer] = server
    return able


def _round(
    number: int,
    servers: Mapping[Peer, Server],
    event: Race,
    path: Path,
    tiles: Sequence[Tile],
    client: Client,
    result: Result,
) -> list[bytes]:
    """Let each server answer the tiles, another one first in each round; return the pictures."""
    order = list(servers)
    order = order[number % len(order) :] + order[: number % len(order)]
    loads: dict[Peer, Load] = {}
    for peer in order:
        paths = [peer.url(event.scene, str(path), tile) for tile in tiles]
        load = loads[peer] = client.run(servers[peer].target, paths, event.clients, keep=True)
        if set(load.statuses) != {"200"}:
            result.notes.append(f"{peer.name}: statuses {load.statuses}")
        result.figures.setdefault(peer.name, []).append(load.per_s)
        result.bytes[peer.name] = load.body_bytes / len(tiles)
    return loads[next(iter(servers))].bodies


def _difference(ones: Sequence[bytes], others: Sequence[bytes]) -> float:
    """Return the mean absolute difference of pictures, of 255, where both have colour."""
    return statistics.mean(
        float(np.abs(_rgb(one) - _rgb(other)).mean())
        for one, other in zip(ones, others, strict=True)
    )


def _rgb(picture: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    with Image.open(io.BytesIO(picture)) as image:
        rgba = np.asarray(image.convert("RGBA")).astype(np.int16)
    return rgba[..., :3] * (rgba[..., 3:] > 0)
