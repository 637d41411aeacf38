"""Stretches of a file that are fetched by one request each: ranges that lie near one another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

Stretch = tuple[int, int]
"""The first byte and the one after the last."""


def joined(spans: Iterable[Stretch], gap: int, most: int) -> list[Stretch]:
    """Return the stretches that hold some spans, in their order in the file.

    Args:
        spans: in any order; they may overlap, and empty ones are left out.
        gap: bytes that may lie between two spans of a stretch.
        most: bytes of a stretch of several spans.

    >>> joined([(40, 50), (0, 10), (12, 20), (9, 9)], gap=2, most=100)
    [(0, 20), (40, 50)]
    >>> joined([(0, 10), (10, 20), (20, 30)], gap=2, most=20)
    [(0, 20), (20, 30)]
    """
    found: list[Stretch] = []
    for start, stop in sorted(each for each in spans if each[0] < each[1]):
        if found:
            first, last = found[-1]
            if start - last <= gap and max(last, stop) - first <= most:
                found[-1] = first, max(last, stop)
                continue
        found.append((start, stop))
    return found


def parts(stretch: Stretch, most: int) -> list[Stretch]:
    """Return the parts of a stretch, each of `most` bytes or fewer.

    >>> parts((5, 12), 3)
    [(5, 8), (8, 11), (11, 12)]
    """
    start, stop = stretch
    return [(at, min(at + most, stop)) for at in range(start, stop, most)]


class Fetched:
    """The bytes of stretches."""

    def __init__(
        self,
        stretches: Sequence[Stretch],
        fetch_all: Callable[[list[Stretch]], Iterable[bytes]],
        most: int,
    ) -> None:
        """Fetch stretches.

        Args:
            stretches: as `joined` returns them.
            fetch_all: returns the bytes of some stretches, side by side.
            most: bytes that are fetched by one request.
        """
        cut = [parts(each, most) for each in stretches]
        bodies = iter(fetch_all([part for each in cut for part in each]))
        self._starts = [start for start, _ in stretches]
        self._bodies = [b"".join(islice(bodies, len(each))) for each in cut]

    def cut(self, start: int, stop: int) -> bytes:
        """Return the bytes of one of the spans that were joined."""
        if start >= stop:
            return b""
        # Of stretches that overlap, the last one that begins no later holds the whole span.
        which = bisect_right(self._starts, start) - 1
        begin = self._starts[which]
        return self._bodies[which][start - begin : stop - begin]
