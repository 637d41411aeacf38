"""Cold tiles: servers take turns in short rounds over the same random distinct tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.environments import Environments, Unavailable
from tests.benchmarks.grand_prix.floor import Floor
from tests.benchmarks.grand_prix.measuring import measured
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.pictures import MOST_DIFFERENCE, difference
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import Server
from tileserver.contract.tiles import Tile

_SAMPLES = 4
"""Tiles that warm a server up and whose pictures are compared."""


@dataclass(frozen=True)
class Place:
    """What is drawn once: a tile of a scene."""

    scene: Scene
    source: str
    """Its file or address."""
    tile: Tile
    salt: int = 0
    """Is added to the upper end of the stretch, so that no cached picture serves."""

    def path(self, peer: Peer) -> str:
        """Return the path and query of a peer."""
        return peer.url(self.scene, self.source, self.tile, self.salt)


@dataclass(frozen=True)
class Race:
    """An event of cold tiles."""

    scenes: Mapping[Scene, str]
    """With their files, which hold the same pixels."""
    places: Sequence[Place]
    """The first warm the servers up."""
    clients: int
    workers: int = 1
    rounds: int = 5
    tiles: int = 40
    """Of a round, if there are enough places."""


@contextmanager
def started(
    peers: Sequence[Peer],
    scenes: Mapping[Scene, str],
    environments: Environments,
    workers: int,
    notes: list[str] | None = None,
) -> Iterator[dict[Peer, Server]]:
    """Start all peers; end them after the block.

    Raises:
        Unavailable: a peer cannot serve the scenes, and there is no list for a note of it.
    """
    with ExitStack() as stack:
        servers = {}
        for peer in peers:
            try:
                servers[peer] = peer.start(scenes, environments, workers)
            except Unavailable as exc:
                if notes is None:
                    raise
                notes.append(f"{peer.name}: {exc}")
                continue
            stack.callback(servers[peer].end)
        yield servers


def race(
    name: str, event: Race, peers: Sequence[Peer], tools: tuple[Environments, Client]
) -> Result:
    """Return tiles a second of each peer and of the floor."""
    environments, client = tools
    result = Result(name, "tiles/s")
    samples, left = event.places[:_SAMPLES], event.places[_SAMPLES:]
    count = min(event.tiles, len(left) // event.rounds)
    scene, source = next(iter(event.scenes.items()))
    with (
        started(peers, event.scenes, environments, event.workers, result.notes) as servers,
        Floor(scene, Path(source)) as floor,
    ):
        able = able_of(servers, samples, client, result)
        # The floor decodes them, too: what the servers hold by now.
        _floor(floor, samples, [])
        for number in range(event.rounds):
            turn = left[number * count : (number + 1) * count]
            pictures = _round(number, able, turn, event.clients, client, result)
            result.add_floor(_floor(floor, turn, pictures), floor.cpu_s, len(turn))
    return result


def able_of(
    servers: Mapping[Peer, Server], samples: Sequence[Place], client: Client, result: Result
) -> dict[Peer, Server]:
    """Return the servers that answer; note those that do not, and how far their pictures differ."""
    able: dict[Peer, Server] = {}
    first: list[bytes] = []
    for peer, server in servers.items():
        paths = [each.path(peer) for each in samples]
        try:
            server.wait(paths[0])
            load = client.run(server.target, paths, 1, keep=True)
        except (TimeoutError, RuntimeError) as exc:
            result.notes.append(f"{peer.name}: {exc}")
            continue
        if set(load.statuses) != {"200"}:
            result.notes.append(f"{peer.name}: statuses {load.statuses}")
            continue
        first = first or load.bodies
        differs = result.differences[peer.name] = difference(first, load.bodies)
        if differs > MOST_DIFFERENCE:
            result.notes.append(f"{peer.name}: pictures differ by {differs:.0f} of 255")
        able[peer] = server
    return able


def in_turn(peers: Iterable[Peer], number: int) -> list[Peer]:
    """Return the peers in the order of a round: each round begins with another one."""
    order = list(peers)
    first = number % max(len(order), 1)
    return order[first:] + order[:first]


def _round(
    number: int,
    servers: Mapping[Peer, Server],
    places: Sequence[Place],
    clients: int,
    client: Client,
    result: Result,
) -> list[bytes]:
    """Let each server answer the same tiles; return the pictures of the first of `servers`."""
    pictures: dict[Peer, list[bytes]] = {}
    for peer in in_turn(servers, number):
        if peer.name in result.out:
            continue
        paths = [each.path(peer) for each in places]
        try:
            load, effort = measured(client, servers[peer], paths, clients, keep=True)
        except RuntimeError as exc:
            result.retire(peer.name, str(exc))
            continue
        if set(load.statuses) != {"200"}:
            result.notes.append(f"{peer.name}: statuses {load.statuses}")
        result.add(peer.name, load.per_s, effort)
        result.limit(peer.name)
        pictures[peer] = load.bodies
    return pictures_of_first(servers, pictures)


def pictures_of_first(servers: Iterable[Peer], pictures: Mapping[Peer, list[bytes]]) -> list[bytes]:
    """Return the pictures of the first server that drew any, which the floor encodes."""
    return next((pictures[each] for each in servers if each in pictures), [])


def _floor(floor: Floor, places: Sequence[Place], pictures: Sequence[bytes]) -> float:
    """Return the tiles a second of the floor."""
    layers = [each.source for each in places]
    return floor.round([each.tile for each in places], pictures, layers)
