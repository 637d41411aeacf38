"""Screens of a raster behind a server that takes its time for each request."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Place, able_of, in_turn, pictures_of_first, started
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.floor import Floor
from tests.benchmarks.grand_prix.measuring import measured
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.scenes import Scene, linked, tiles_within, write_bands
from tests.benchmarks.grand_prix.servers import Server
from tests.benchmarks.grand_prix.slowfiles import SlowFiles, slow_files
from tileserver.contract.tiles import Tile

_DELAY_S = 0.030
_COLUMNS, _ROWS = 6, 4
_CONNECTIONS = 6
"""Of a browser to a host."""
_SAMPLES = 2


@dataclass(frozen=True)
class Screens:
    """An event of screens."""

    scene: Scene
    zoom: int
    is_first: bool = False
    """Whether each is the first that a server draws of its file."""
    rounds: int = 5


def screens_within(path: Path, zoom: int, count: int) -> list[list[Tile]]:
    """Return so many screens of tiles that do not overlap, at random, or as many as there are."""
    tiles = set(tiles_within(path, (zoom,)))
    west, north = min(each.x for each in tiles), min(each.y for each in tiles)
    corners = {
        ((each.x - west) // _COLUMNS * _COLUMNS, (each.y - north) // _ROWS * _ROWS)
        for each in tiles
    }
    screens = [
        [Tile(west + x + i, north + y + j, zoom) for j in range(_ROWS) for i in range(_COLUMNS)]
        for x, y in sorted(corners)
    ]
    whole = [each for each in screens if tiles.issuperset(each)]
    return random.Random(0).sample(whole, min(count, len(whole)))


def screens(
    name: str, event: Screens, path: Path, peers: Sequence[Peer], tools: tuple[Environments, Client]
) -> Result:
    """Return the seconds of a screen of 24 tiles over six connections, of each peer.

    The floor is the delay of one request, or of two if the header has to be read first, and to
    decode and encode.
    """
    write_bands(event.scene, path)  # Of Terracotta.
    result = Result(name, "s", is_time=True)
    # The first screen is for samples: they warm the servers up, and pictures are compared.
    sample, *turns = screens_within(path, event.zoom, event.rounds + 1)
    with slow_files(path.parent, _DELAY_S) as files, Floor(event.scene, path) as floor:
        track = _Track(event.scene, f"{files.url}/{path.name}", files, tools[1], result)
        scenes, samples = {event.scene: track.source}, track.places(sample[:_SAMPLES])
        if event.is_first:
            # A server is warm by another file, on disk.
            scenes |= linked(event.scene, path, 1)
            other = list(scenes)[-1]
            samples = [Place(other, scenes[other], tile) for tile in sample[:_SAMPLES]]
        number = 0
        for batch in [[each] for each in turns] if event.is_first else [turns]:
            with started(peers, scenes, tools[0], 1, result.notes) as servers:
                able = able_of(servers, samples, tools[1], result)
                for tiles in batch:
                    pictures = track.round(number, able, tiles)
                    taken_s = len(tiles) / floor.round(tiles, pictures)
                    least_s = _DELAY_S * (1 + event.is_first) + taken_s
                    result.add_floor(least_s, floor.cpu_s, len(tiles))
                    number += 1
    return result


@dataclass(frozen=True)
class _Track:
    """What the rounds have in common."""

    scene: Scene
    source: str
    files: SlowFiles
    client: Client
    result: Result

    def places(self, tiles: Sequence[Tile]) -> list[Place]:
        """Return the tiles as places of the remote file."""
        return [Place(self.scene, self.source, tile) for tile in tiles]

    def round(
        self, number: int, servers: Mapping[Peer, Server], tiles: Sequence[Tile]
    ) -> list[bytes]:
        """Let each server draw the screen; return the pictures of the first."""
        pictures: dict[Peer, list[bytes]] = {}
        for peer in in_turn(servers, number):
            if peer.name in self.result.out:
                continue
            paths = [each.path(peer) for each in self.places(tiles)]
            self.files.sent()
            try:
                load, effort = measured(self.client, servers[peer], paths, _CONNECTIONS, keep=True)
            except RuntimeError as exc:
                self.result.retire(peer.name, str(exc))
                continue
            if set(load.statuses) != {"200"}:
                self.result.notes.append(f"{peer.name}: statuses {load.statuses}")
            self.result.add(peer.name, load.seconds, effort)
            self.result.limit(peer.name)
            self.result.fetched.setdefault(peer.name, []).append(self.files.sent())
            pictures[peer] = load.bodies
        return pictures_of_first(servers, pictures)
