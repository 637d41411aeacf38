"""Concurrent calls with the same key share one execution."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Runs one call for a key at a time; concurrent callers share its result.

    The call is a task of its own: it is cancelled only when its last waiter is. A failure reaches
    every waiter and is not remembered.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[T]] = {}
        self._waiting: Counter[K] = Counter()
        self._kept: set[asyncio.Task[T]] = set()

    async def join(self, key: K, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `call`, or of the call for the key that is already running."""
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
            # Out of the dictionary first: a new caller must not join a cancelled task.
            if not task.done() and task not in self._kept:
                del self._tasks[key]
                task.cancel()

    def keep(self, key: K, call: Callable[[], Awaitable[T]]) -> None:
        """Start a call without waiting for it, unless one for the key is running."""
        self._kept.add(self._start(key, call))

    def _start(self, key: K, call: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """Return the running task of a key, or a new one."""
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
            task.exception()  # Retrieved here, as all waiters may have been cancelled.


async def _run(call: Callable[[], Awaitable[T]]) -> T:
    return await call()
