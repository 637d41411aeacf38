"""Blocking calls with a time limit, in separate threads.

A thread cannot be stopped. A call into a library that exceeds its limit is abandoned: its key is
refused for a while, no second thread is started for it, and other calls go on. The while is short
at first, as the machine may only have been busy, and doubles with each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, NamedTuple, TypeVar

import anyio

from tileserver.concurrency.single_flight import SingleFlight
from tileserver.concurrency.time_limit import time_limit
from tileserver.errors import DeadlineExceeded, TileserverError

_LONGEST_RETRY_S = 60.0
_LATE_S = 0.25
"""Grace for calls that check their time limit themselves."""
_MAX_GIVEN_UP = 10_000
_SHORT_S = 5.0
_THREADS = 4

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class LimitedCalls(Generic[K, T]):
    """Calls a function of one argument, the key; calls for the same key share one thread."""

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
            function: blocks; should call `time_limit.check_time` between its steps.
            too_long: returns the error for a key whose call exceeds the limit.
            limit_s: of one call, from the start of its thread.
            threads: concurrent calls, without the abandoned ones.
            clock: seconds, monotonic.
        """
        self.function = function
        self.too_long = too_long
        self.limit_s = limit_s
        self._clock = clock
        self._limiter = anyio.CapacityLimiter(threads)
        self._flights: SingleFlight[K, T] = SingleFlight()
        self._running: set[K] = set()
        self._given_up: dict[K, _GivenUp] = {}

    async def call(self, key: K) -> T:
        """Return the result of the function for a key.

        Raises:
            TileserverError: `too_long`, for this call, for a while after it, and as long as its
                thread runs; or the error of the function.
        """
        given_up = self._given_up.get(key)
        if given_up and self._clock() < given_up.until_s:
            raise self.too_long(key)
        # Kept after its callers are cancelled: its thread runs on anyway.
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
            # A late result is correct all the same.
            self._given_up.pop(key, None)
            return result
        finally:
            self._running.discard(key)

    def _give_up(self, key: K) -> None:
        if len(self._given_up) >= _MAX_GIVEN_UP:
            self._given_up.clear()
        before = self._given_up.get(key)
        wait_s = min(2 * before.wait_s if before else self.limit_s, _LONGEST_RETRY_S)
        self._given_up[key] = _GivenUp(self._clock() + wait_s, wait_s)


class _GivenUp(NamedTuple):
    until_s: float
    """On the clock."""
    wait_s: float
    """Which the next one doubles."""


class ShortCalls:
    """Calls functions that may use PROJ, in separate threads, for a few seconds each."""

    def __init__(self, limit_s: float = _SHORT_S, threads: int = _THREADS) -> None:
        """`limit_s` is of one call, from the start of its thread."""
        self.limit_s = limit_s
        self._limiter = anyio.CapacityLimiter(threads)

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return the result of a function.

        Raises:
            DeadlineExceeded: it exceeds the limit.
            TileserverError: the error of the function.
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
    """Return the result of a call in a thread that anyio does not count.

    Raises:
        TimeoutError: it exceeds the limit; the thread runs on.
    """
    async with limiter:
        with anyio.fail_after(limit_s + _LATE_S):
            return await anyio.to_thread.run_sync(
                call, limiter=anyio.CapacityLimiter(1), abandon_on_cancel=True
            )
