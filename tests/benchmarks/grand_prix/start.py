"""Time from the start of the process to the first tile, and memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Place, in_turn, started
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.peers import Peer
from tests.benchmarks.grand_prix.results import Effort, Result
from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import Server

_ROUNDS = 3
_LONGEST_S, _AT_ONCE = 60, 100
"""How long, and by how many, tiles are drawn before memory is read."""


def start(
    name: str,
    place: Place,
    scenes: Mapping[Scene, str],
    peers: Sequence[Peer],
    environments: Environments,
) -> Result:
    """Return the seconds from the start of each peer's process to its first tile."""
    result = Result(name, "s", is_time=True)
    for number in range(_ROUNDS):
        for peer in in_turn(peers, number):
            with started([peer], scenes, environments, 1, result.notes) as servers:
                for server in servers.values():
                    _first(server, place.path(peer), peer.name, result)
    return result


def _first(server: Server, path: str, name: str, result: Result) -> None:
    """Wait for the first tile of a server that was started."""
    try:
        seconds = server.wait(path)
    except TimeoutError as exc:
        result.notes.append(f"{name}: {exc}")
        return
    result.add(name, seconds, Effort(1, seconds, server.cpu_s()))


def memory(
    name: str,
    places: Sequence[Place],
    scenes: Mapping[Scene, str],
    peers: Sequence[Peer],
    tools: tuple[Environments, Client],
) -> Result:
    """Return the MB of each peer after the first of some tiles, and the others, 8 at once."""
    environments, client = tools
    result = Result(name, "MB", is_time=True)
    for peer in peers:
        first, *paths = (each.path(peer) for each in places)
        with started([peer], scenes, environments, 1, result.notes) as servers:
            for server in servers.values():
                try:
                    server.wait(first)
                    drawn = _draw(client, server, paths)
                except (TimeoutError, RuntimeError) as exc:
                    result.notes.append(f"{peer.name}: {exc}")
                    continue
                if drawn < len(paths):
                    result.notes.append(f"{peer.name}: after {drawn} tiles, which took a minute")
                result.figures[peer.name] = [server.memory_mb()]
    return result


def _draw(client: Client, server: Server, paths: Sequence[str]) -> int:
    """Let a server draw tiles, for little more than a minute; return how many it drew."""
    ends_s = time.monotonic() + _LONGEST_S
    for begin in range(0, len(paths), _AT_ONCE):
        if time.monotonic() > ends_s:
            return begin
        client.run(server.target, paths[begin : begin + _AT_ONCE], 8)
    return len(paths)
