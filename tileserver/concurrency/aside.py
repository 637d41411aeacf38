"""Blocking calls in threads of their own, none of which others wait long for.

A thread cannot be stopped. Where a single call into a library may take minutes, it is given up:
its key is refused at once from then on, no second thread is spent on it, and whatever else is
called goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import anyio

from tileserver.concurrency.single_flight import SingleFlight
from tileserver.concurrency.time_limit import time_limit
from tileserver.errors import DeadlineExceeded, TileserverError

_RETRY_S = 60.0
_LATE_S = 0.25
"""What a call that looks at its time limit may take longer than that."""
_MAX_GIVEN_UP = 10_000
_SHORT_S = 5.0
_THREADS = 4

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Aside(Generic[K, T]):
    """Calls a function of one argument, its key; calls for the same key share one thread."""

    def __init__(
        self,
        function: Callable[[K], T],
        too_long: Callable[[K], TileserverError],
        limit_s: float,
        threads: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wrap a function.

        Args:
            function: blocks; it should look at `patience.check_time` between its steps.
            too_long: returns the error for a key whose call takes too long.
            limit_s: for one call, from when its thread begins.
            threads: at once, those not counted that were given up.
            clock: seconds that never go back.
        """
        self.function = function
        self.too_long = too_long
        self.limit_s = limit_s
        self._clock = clock
        self._limiter = anyio.CapacityLimiter(threads)
        self._flights: SingleFlight[K, T] = SingleFlight()
        self._running: set[K] = set()
        self._given_up: dict[K, float] = {}

    async def call(self, key: K) -> T:
        """Return what the function returns for a key.

        Raises:
            TileserverError: `too_long`, now or within the last minute, or as long as that call
                has not ended; or what the function raises.
        """
        if self._clock() < self._given_up.get(key, 0.0):
            raise self.too_long(key)
        # Kept even if nobody waits any more: its thread runs on anyway, and need not be started
        # a second time.
        self._flights.keep(key, lambda: self._call(key))
        return await self._flights.join(key, lambda: self._call(key))

    async def _call(self, key: K) -> T:
        if key in self._running:
            raise self.too_long(key)
        try:
            return await _in_thread(lambda: self._run(key), self._limiter, self.limit_s)
        except (TimeoutError, DeadlineExceeded) as exc:
            self._give_up(key)
            raise self.too_long(key) from exc

    def _run(self, key: K) -> T:
        self._running.add(key)
        try:
            with time_limit(self.limit_s):
                result = self.function(key)
            # It may have come late, and is right all the same.
            self._given_up.pop(key, None)
            return result
        finally:
            self._running.discard(key)

    def _give_up(self, key: K) -> None:
        if len(self._given_up) >= _MAX_GIVEN_UP:
            self._given_up.clear()
        self._given_up[key] = self._clock() + _RETRY_S


class ShortCalls:
    """Calls functions that may ask PROJ, in threads of their own and for a few seconds each."""

    def __init__(self, limit_s: float = _SHORT_S, threads: int = _THREADS) -> None:
        """`limit_s` is for one call, from when its thread begins."""
        self.limit_s = limit_s
        self._limiter = anyio.CapacityLimiter(threads)

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return what a function returns.

        Raises:
            DeadlineExceeded: it takes too long.
            TileserverError: what else the function raises.
        """

        def within_limit() -> T:
            with time_limit(self.limit_s):
                return function(*arguments)

        try:
            return await _in_thread(within_limit, self._limiter, self.limit_s)
        except TimeoutError as exc:
            raise DeadlineExceeded(
                f"The coordinates take longer than {self.limit_s:g} s to work out."
            ) from exc


async def _in_thread(call: Callable[[], T], limiter: anyio.CapacityLimiter, limit_s: float) -> T:
    """Return what a call returns, in a thread beside those that anyio limits.

    Raises:
        TimeoutError: it takes longer than its time limit, counted from when its thread begins.
    """
    async with limiter:
        with anyio.fail_after(limit_s + _LATE_S):
            return await anyio.to_thread.run_sync(
                call, limiter=anyio.CapacityLimiter(1), abandon_on_cancel=True
            )
