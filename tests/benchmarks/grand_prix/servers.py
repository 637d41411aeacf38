"""Processes of servers: started on the same cores, waited for, measured, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.grand_prix.client import Target, run

_PATIENCE_S = 60
CORES = sorted(os.sched_getaffinity(0))[:2]
"""Of every server."""
TICKS = os.sysconf("SC_CLK_TCK")
"""Units of CPU time in /proc, in a second."""


@dataclass
class Server:
    """A server that was started."""

    target: Target
    processes: list[subprocess.Popen[bytes]]
    started: float
    """`time.perf_counter()` before the first process."""
    files: list[Path] = field(default_factory=list)
    """Are deleted when it has ended."""

    def wait(self, path: str) -> float:
        """Return the seconds from the start until a path was answered with 200.

        Raises:
            TimeoutError: it was not, within a minute from now.
        """
        said: object = None
        ends = time.perf_counter() + _PATIENCE_S
        while time.perf_counter() < ends:
            try:
                load = run(self.target, [path], 1, keep=True)
                if "200" in load.statuses:
                    return time.perf_counter() - self.started
                said = load.statuses, load.bodies[0][:300]
            except (OSError, ValueError) as exc:
                said = exc
            if any(each.poll() is not None for each in self.processes):
                break
            time.sleep(0.005)
        raise TimeoutError(f"no answer to {path}: {said}")

    def memory_mb(self) -> float:
        """Return the memory of its processes and their children in MB, shared pages divided."""
        return sum(_pss_kb(pid) for pid in self._pids()) / 1024

    def cpu_s(self) -> float:
        """Return the CPU seconds of its processes, their children, and those that have ended."""
        return sum(_cpu_s(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        groups = {each.pid for each in self.processes}
        pids = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]
        return [pid for pid in pids if _group(pid) in groups]

    def end(self) -> None:
        """End its processes and their children."""
        for each in self.processes:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGTERM)
        for each in self.processes:
            try:
                each.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait(10)
        for path in self.files:
            path.unlink(missing_ok=True)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def start_http(command: Sequence[str | Path], port: int, environ: Mapping[str, str]) -> Server:
    """Start a server that listens on a port of loopback."""
    started = time.perf_counter()
    return Server(Target(port=port), [_start(command, environ)], started)


def start_fastcgi(
    command: Sequence[str | Path], environ: Mapping[str, str], folder: Path, processes: int
) -> Server:
    """Start processes that accept FastCGI on one socket, which is their standard input."""
    path = folder / f"fastcgi-{os.getpid()}-{free_port()}.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(128)
    started = time.perf_counter()
    with listening:
        running = [_start(command, environ, listening.fileno()) for _ in range(processes)]
    return Server(Target(socket_path=str(path), parameters=dict(environ)), running, started, [path])


def _start(
    command: Sequence[str | Path], environ: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    cores = ",".join(map(str, CORES))
    return subprocess.Popen(
        ["taskset", "-c", cores, *map(str, command)],
        env={**os.environ, **environ},
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def _cpu_s(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # Its own in user and system mode, and of the children that it has waited for.
    return sum(map(int, text.rpartition(")")[2].split()[11:15])) / TICKS


def _pss_kb(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
