"""How tests wait, and how they measure time, on a machine that may be busy with other things."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0
"""How long to wait for an event that comes within a second on an idle machine."""
_CLOCK_TICKS = 100
"""Units of /proc/PID/stat in a second; the same on every Linux that Python runs on."""


def until(condition: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Return once a condition holds; fail the test if it does not within `patience_s`."""
    began_s = time.monotonic()
    while not condition():
        waited_s = time.monotonic() - began_s
        assert waited_s < patience_s, f"the condition did not hold within {patience_s:g} s"
        # Often enough not to add to a short wait, seldom enough not to hold up what is awaited.
        time.sleep(min(0.001 + waited_s / 10, 0.05))


class Stopwatch:
    """Measures a block of code: the lesser of its wall time and of this process's CPU time.

    A busy machine prolongs the wall time alone, computing without end takes both. A block that
    waits without computing takes no CPU time: its end must be proved by a time-out of its own.
    """

    def __init__(self) -> None:
        self.took_s = 0.0

    def __enter__(self) -> Self:
        """Start."""
        self._wall_s, self._cpu_s = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop."""
        cpu_s = time.process_time() - self._cpu_s
        self.took_s = min(time.monotonic() - self._wall_s, cpu_s)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that another process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def computing_threads() -> int:
    """Return how many threads of this process run or wait for a core, but for the caller's."""
    states = []
    for each in Path("/proc/self/task").glob("*/stat"):
        try:
            states.append(each.read_text().rpartition(")")[2].split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
    return states.count("R") - 1
