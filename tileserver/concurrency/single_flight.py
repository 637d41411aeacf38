"""The same call made once for all that need its result at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Run one call a key at a time; whoever asks meanwhile waits for the same answer.

    The call is a task of its own: a client that leaves does not cancel the others, only when
    the last one leaves it is cancelled. A failure reaches every waiter and is forgotten.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}
        self._waiting: Counter[K] = Counter()
        self._kept: set[asyncio.Task[T]] = set()

    async def join(self, key: K, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` returns, calling it only if no call for the key is under way."""
        task = self._start(key, call)
        self._waiting[key] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._leave(key, task)

    def _leave(self, key: K, task: asyncio.Task[T]) -> None:
        self._waiting[key] -= 1
        if self._waiting[key] == 0:
            del self._waiting[key]
            # Out of the dictionary first: whoever comes now must not join what is being cancelled.
            if not task.done() and task not in self._kept:
                del self._tasks[key]
                task.cancel()

    def keep(self, key: K, call: Callable[[], Awaitable[T]]) -> None:
        """Make a call that nobody need wait for, if none for the key is under way."""
        self._kept.add(self._start(key, call))

    def _start(self, key: K, call: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return the task that makes the call for a key, a new one if none is under way."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(_run(call))
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return task

    def _land(self, key: K, task: asyncio.Task[T]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        self._kept.discard(task)
        if not task.cancelled():
            task.exception()  # Looked at here, as all who waited may have left.


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
