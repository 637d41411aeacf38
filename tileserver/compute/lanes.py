"""Threads of expressions in two lanes, so that a short one never waits for long ones.

A computation begins in the short lane. One that takes longer than `SHORT_S` goes on in a slot of
the long lane if one is free; else it is stopped, waits for one, and begins again. An expression
that took long is remembered, and begins in the long lane the next time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from cachetools import LRUCache

from tileserver.compute.budget import Budget
from tileserver.concurrency.threads import Pool, Slots, Work
from tileserver.errors import TileserverError

SHORT_S = 0.25
_SHORT_SLOTS = 2
_STOPPED_S = 0.25
"""Time for a stopped computation to end."""
_MAX_REMEMBERED = 1000
_PLURAL = "expressions"

T = TypeVar("T")
Call = Callable[[Budget], T]


class Lanes:
    """Threads that compute, some of them for short computations only."""

    def __init__(self, threads: int, short_s: float = SHORT_S) -> None:
        """Make lanes.

        Args:
            threads: of the long lane; the short one has two more.
            short_s: longest time in the short lane.
        """
        self.short_s = short_s
        self._short = Slots(_SHORT_SLOTS, _PLURAL)
        self._long = Slots(threads, _PLURAL)
        self._pool = Pool(threads + _SHORT_SLOTS, _PLURAL)
        self._long_ones: LRUCache[int, None] = LRUCache(_MAX_REMEMBERED)

    async def run(self, call: Call[T], name: str, deadline: float) -> T:
        """Return the result of a call, whose budget ends when the caller is cancelled.

        Args:
            call: may be called twice; raises when its budget's time is over.
            name: of the expression, by which long ones are remembered.
            deadline: on `time.monotonic()`.

        Raises:
            Overloaded: too many wait already.
        """
        key = hash(name)
        if key not in self._long_ones:
            await self._short.take()
            budget = Budget(deadline)
            work = self._pool.begin(self._short, partial(call, budget))
            if await self._may_go_on(work, budget, key):
                return await _result(work, budget)
        await self._long.take()
        budget, began_s = Budget(deadline), time.monotonic()
        try:
            return await _result(self._pool.begin(self._long, partial(call, budget)), budget)
        finally:
            if time.monotonic() - began_s < self.short_s:
                self._long_ones.pop(key, None)

    async def _may_go_on(self, work: Work[T], budget: Budget, key: int) -> bool:
        """Return whether a computation is done, or has a slot to go on; stop it otherwise."""
        try:
            if await work.is_done_within(self.short_s):
                return True
            self._long_ones[key] = None
            if self._long.take_free():
                work.move(self._long)
                return True
        except BaseException:
            budget.deadline = 0.0
            work.leave()
            raise
        budget.deadline = 0.0
        await _stopped(work)
        return False


async def _result(work: Work[T], budget: Budget) -> T:
    try:
        return await work.result()
    finally:
        budget.deadline = 0.0


async def _stopped(work: Work[T]) -> None:
    """Wait until a stopped computation has ended, or `_STOPPED_S` has passed."""
    try:
        if await work.is_done_within(_STOPPED_S):
            with suppress(TileserverError):
                await work.result()
    finally:
        work.leave()
