"""Hot tiles, and other answers without pixels, beside bare ASGI under the same uvicorn."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.measuring import measured
from tests.benchmarks.grand_prix.peers import Ours
from tests.benchmarks.grand_prix.results import Result
from tests.benchmarks.grand_prix.scenes import Scene, tiles_within
from tests.benchmarks.grand_prix.servers import Server, free_port, start_http
from tileserver.contract.tiles import Tile

_ROUNDS = 5
_REQUESTS = 3000
"""Of a round."""
BARE = "bare ASGI"
_APPS = str(Path(__file__).parent / "apps")


def start_bare(body: Path, workers: int) -> Server:
    """Start an ASGI application that sends a file, under our uvicorn with its own defaults."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port)),
        *("--workers", str(workers), "--no-access-log", "--log-level", "error"),
    ]
    return start_http(command, port, {"PYTHONPATH": _APPS, "BARE_BODY": str(body)})


def hot(
    name: str,
    clients: int,
    scene: Scene,
    path: Path,
    tools: tuple[Environments, Client],
    kind: str = "tile",
    workers: int = 1,
) -> Result:
    """Return answers a second of ours and of bare ASGI with the same body.

    Args:
        name: of the event.
        clients: connections.
        scene: and its file.
        path: of the file.
        tools: folder of bodies, and the client.
        kind: "tile", "304", "empty" or "healthz".
        workers: processes of each server.
    """
    environments, client = tools
    ours = Ours()
    server = ours.start({scene: str(path)}, environments, workers)
    try:
        url, headers, body = _request(ours, server, scene, path, kind, client)
        held = environments.folder / f"body-{name}"
        held.parent.mkdir(parents=True, exist_ok=True)
        held.write_bytes(body)
        bare = start_bare(held, workers)
        try:
            bare.wait("/")
            return _rounds(name, {ours.name: server, BARE: bare}, url, clients, headers, client)
        finally:
            bare.end()
    finally:
        server.end()


def _request(
    ours: Ours, server: Server, scene: Scene, path: Path, kind: str, client: Client
) -> tuple[str, dict[str, str], bytes]:
    """Return path and headers of the request, and the body that 200 has."""
    tile = Tile(0, 0, 12) if kind == "empty" else tiles_within(path, (12,))[0]
    url = "/healthz" if kind == "healthz" else ours.url(scene, str(path), tile)
    server.wait(url)
    body = client.run(server.target, [url], 1, keep=True).bodies[0]
    headers = {"if-none-match": "*"} if kind == "304" else {}
    return url, headers, body


def _rounds(
    name: str,
    servers: Mapping[str, Server],
    url: str,
    clients: int,
    headers: dict[str, str],
    client: Client,
) -> Result:
    result = Result(name, "answers/s")
    for number in range(_ROUNDS + 1):
        for each, server in servers.items():
            load, effort = measured(client, server, [url] * _REQUESTS, clients, headers=headers)
            if number == 0:
                continue
            result.add(each, load.per_s, effort)
            if set(load.statuses) != {"200"}:
                result.notes.append(f"{each}: statuses {load.statuses}")
    return result
