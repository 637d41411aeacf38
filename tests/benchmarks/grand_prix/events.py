"""The events by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Place, Race, race
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.hot import hot
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.scenes import SCENE, SCENES, linked, tiles_within, write_scene
from tests.benchmarks.grand_prix.screens import Screens, screens
from tests.benchmarks.grand_prix.start import memory, start

_MOST_TILES = 204
"""Of 5 rounds, and 4 to warm up."""


@dataclass(frozen=True)
class Stage:
    """What all events use."""

    peers: Sequence[Peer]
    environments: Environments
    client: Client
    folder: Path
    """Of the scenes."""
    is_small: bool

    def scene(self, name: str, is_small: bool = False) -> Path:
        """Return the file of a scene, written if it is not there."""
        is_small = is_small or self.is_small
        folder = self.folder / "small" if is_small else self.folder
        return write_scene(SCENE[name], folder, is_small)

    @property
    def tools(self) -> tuple[Environments, Client]:
        """What runs servers and asks them."""
        return self.environments, self.client


@dataclass(frozen=True)
class Event:
    """What is run, and what it is in words."""

    what: str
    run: Callable[[str, Stage], Result]


def _places(scene: str, path: Path, zooms: tuple[int, ...]) -> list[Place]:
    return [Place(SCENE[scene], str(path), tile) for tile in tiles_within(path, zooms)]


def _cold(scene: str, clients: int, workers: int = 1, zooms: tuple[int, ...] = ()) -> Event:
    def run(name: str, stage: Stage) -> Result:
        path = stage.scene(scene)
        zoomed = zooms or ((13, 14) if stage.is_small or scene == "many" else (11, 12, 13))
        places = _places(scene, path, zoomed)
        one = Race({SCENE[scene]: str(path)}, places, clients, workers)
        return race(name, one, stage.peers, stage.tools)

    more = f", {workers} workers" if workers > 1 else ""
    return Event(f"{SCENE[scene].what}, {_clients(clients)}{more}", run)


def _repeated(clients: int) -> Event:
    """The same 40 tiles in each round, with another stretch."""

    def run(name: str, stage: Stage) -> Result:
        path = stage.scene("utm")
        tiles = _places("utm", path, (13,))[:40]
        places = [
            Place(each.scene, each.source, each.tile, salt)
            for salt in range(6)
            for each in (tiles if salt else tiles[:4])
        ]
        one = Race({SCENE["utm"]: str(path)}, places, clients, tiles=len(tiles))
        return race(name, one, stage.peers, stage.tools)

    return Event(f"the same tiles with other stretches, {_clients(clients)}", run)


def _layers(count: int, clients: int) -> Event:
    """Random tiles of random layers."""

    def run(name: str, stage: Stage) -> Result:
        path = stage.scene("three", is_small=True)
        scenes = linked(SCENE["three"], path, count)
        one = Race(scenes, _of_layers(list(scenes.items()), path), clients)
        return race(name, one, stage.peers, stage.tools)

    return Event(f"{count:,} layers by turns, {_clients(clients)}", run)


def _of_layers(layers: Sequence[tuple[object, str]], path: Path) -> list[Place]:
    """Return random tiles of random layers, each layer as often as the others."""
    draw = random.Random(0)
    tiles = tiles_within(path, (13, 14))
    chosen = draw.sample(layers, min(len(layers), _MOST_TILES))
    return [
        Place(SCENE["three"], chosen[number % len(chosen)][1], tiles[number % len(tiles)])
        for number in range(_MOST_TILES)
    ]


def _screens(is_first: bool) -> Event:
    def run(name: str, stage: Stage) -> Result:
        event = Screens(SCENE["utm"], 13 if stage.is_small else 12, is_first)
        return screens(name, event, stage.scene("utm"), stage.peers, stage.tools)

    which = "a server's first screen" if is_first else "a screen"
    return Event(f"{which} of 24 tiles, the file 30 ms away, 6 connections", run)


def _hot(what: str, kind: str, clients: int, workers: int = 1) -> Event:
    def run(name: str, stage: Stage) -> Result:
        path = stage.scene("utm")
        return hot(name, clients, SCENE["utm"], path, stage.tools, kind, workers)

    more = f", {workers} workers" if workers > 1 else ""
    return Event(f"{what}, {_clients(clients)}{more}", run)


def _start(layers: int = 0) -> Event:
    def run(name: str, stage: Stage) -> Result:
        path = stage.scene("three", is_small=True) if layers else stage.scene("utm")
        scene = SCENE["three" if layers else "utm"]
        scenes = linked(scene, path, layers) if layers else {scene: str(path)}
        drawn, source = next(iter(scenes.items()))
        place = Place(drawn, source, tiles_within(path, (13,))[0])
        return start(name, place, scenes, stage.peers, stage.environments)

    more = f", {layers:,} layers" if layers else ""
    return Event(f"from the start of the process to the first tile{more}", run)


def _memory(count: int) -> Event:
    def run(name: str, stage: Stage) -> Result:
        path = stage.scene("utm")
        places = _places("utm", path, (14,))[: count + 1]
        scenes = {SCENE["utm"]: str(path)}
        return memory(name, places, scenes, stage.peers, stage.tools)

    more = f" and {count:,} more, or all there are" if count else ""
    return Event(f"after one tile{more}", run)


def _clients(count: int) -> str:
    return f"{count} client{'s' if count > 1 else ''}"


EVENTS: dict[str, Event] = {
    **{
        f"{scene.name}-{clients}": _cold(scene.name, clients)
        for scene in SCENES
        for clients in (1, 8)
    },
    "region-8": _cold("utm", 8, zooms=(15, 16)),
    "repeated-8": _repeated(8),
    "utm-8-two": _cold("utm", 8, workers=2),
    "layers-50": _layers(50, 8),
    "layers-10000": _layers(10_000, 8),
    "screen-first": _screens(is_first=True),
    "screen": _screens(is_first=False),
    **{f"hot-{clients}": _hot("a hot tile", "tile", clients) for clients in (1, 8, 32)},
    "hot-8-two": _hot("a hot tile", "tile", 8, workers=2),
    "304": _hot("304", "304", 8),
    "empty": _hot("a tile outside", "empty", 8),
    "healthz": _hot("/healthz", "healthz", 8),
    "start": _start(),
    "start-10000": _start(10_000),
    "idle": _memory(0),
    "memory": _memory(5000),
}
