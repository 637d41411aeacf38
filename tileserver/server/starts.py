"""The number of requests that start in one iteration of the event loop, limited."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_STARTS = 16
"""Requests started in one iteration of the event loop."""


class Starts:
    """Starts a few requests in each iteration of the event loop.

    So iterations stay short, and connections and health checks are served in time.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()
        self.begun = 0
        """Requests started in this iteration."""

    def __len__(self) -> int:
        """Return the number of requests that wait."""
        return len(self._waiting)

    def may_begin(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Return whether one more request may start in this iteration, and count it."""
        if self.begun >= _STARTS:
            return False
        if self.begun == 0:
            loop.call_soon(self._next_iteration, loop)
        self.begun += 1
        return True

    def wait(self, start: Callable[[], None]) -> None:
        """Start a request in a later iteration, after all that wait already."""
        self._waiting.append(start)

    def _next_iteration(self, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = min(_STARTS, len(self._waiting))
        if self.begun:
            loop.call_soon(self._next_iteration, loop)
        for _ in range(self.begun):
            self._waiting.popleft()()
