"""The events by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Race, Result, race
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.hot import hot
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.scenes import SCENE, SCENES, write_scene
from tests.benchmarks.grand_prix.start import memory, start


@dataclass(frozen=True)
class Stage:
    """What all events use."""

    peers: Sequence[Peer]
    environments: Environments
    client: Client
    folder: Path
    """Of the scenes."""
    is_small: bool

    def scene(self, name: str) -> Path:
        """Return the file of a scene, written if it is not there."""
        folder = self.folder / "small" if self.is_small else self.folder
        return write_scene(SCENE[name], folder, self.is_small)


Event = Callable[[str, Stage], Result]


def _cold(scene: str, clients: int, workers: int = 1, zooms: tuple[int, ...] = ()) -> Event:
    def event(name: str, stage: Stage) -> Result:
        zoomed = zooms or ((13, 14) if stage.is_small or scene == "many" else (11, 12, 13))
        one = Race(SCENE[scene], clients, zoomed, workers)
        tools = stage.environments, stage.client
        return race(name, one, stage.scene(scene), stage.peers, tools)

    return event


def _hot(kind: str, clients: int, workers: int = 1) -> Event:
    def event(name: str, stage: Stage) -> Result:
        tools = stage.environments, stage.client
        return hot(name, clients, SCENE["utm"], stage.scene("utm"), tools, kind, workers)

    return event


def _start(name: str, stage: Stage) -> Result:
    return start(name, SCENE["utm"], stage.scene("utm"), stage.peers, stage.environments)


def _memory(count: int) -> Event:
    def event(name: str, stage: Stage) -> Result:
        tools = stage.environments, stage.client
        return memory(name, count, SCENE["utm"], stage.scene("utm"), stage.peers, tools)

    return event


EVENTS: dict[str, Event] = {
    **{
        f"{scene.name}-{clients}": _cold(scene.name, clients)
        for scene in SCENES
        for clients in (1, 8)
    },
    "region-8": _cold("utm", 8, zooms=(15, 16)),
    "utm-8-two": _cold("utm", 8, workers=2),
    **{f"hot-{clients}": _hot("tile", clients) for clients in (1, 8, 32)},
    "hot-8-two": _hot("tile", 8, workers=2),
    "304": _hot("304", 8),
    "empty": _hot("empty", 8),
    "healthz": _hot("healthz", 8),
    "start": _start,
    "idle": _memory(0),
    "memory": _memory(5000),
}
