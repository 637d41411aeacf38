"""One round of one server: what it answered, and what it took of the machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.grand_prix.client import Client, Load
from tests.benchmarks.grand_prix.results import Effort
from tests.benchmarks.grand_prix.servers import TICKS, Server


def measured(
    client: Client,
    server: Server,
    paths: Sequence[str],
    connections: int,
    keep: bool = False,
    headers: dict[str, str] | None = None,
) -> tuple[Load, Effort]:
    """Request paths as `Client.run` does; return what came, and what it took.

    Raises:
        RuntimeError: a connection failed.
    """
    busy_s, cpu_s = _busy_s(), server.cpu_s()
    load = client.run(server.target, paths, connections, keep=keep, headers=headers)
    busy_s, cpu_s = _busy_s() - busy_s, server.cpu_s() - cpu_s
    cores_s = load.seconds * (os.cpu_count() or 1)
    effort = Effort(
        len(paths),
        load.seconds,
        cpu_s,
        load.body_bytes,
        client_share=load.cpu_s / load.seconds,
        others_share=min(max((busy_s - cpu_s - load.cpu_s) / cores_s, 0.0), 1.0),
    )
    return load, effort


def _busy_s() -> float:
    """Return the seconds that all cores were busy, or taken by another machine, since boot."""
    first = Path("/proc/stat").read_text().partition("\n")[0]
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, first.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS
