"""Limits on concurrent requests and requests per second to Earth Engine, newest first.

A project has 40 requests at once and 100 a second
(https://developers.google.com/earth-engine/guides/usage). The rules:

- The rate is exact over a sliding window, without a burst on top: no second ever holds more.
  Bursts inside it are as large as the concurrency, so that a whole view leaves at once.
- A 429 does not say whether the rate or the concurrency was too high: both shrink to 0.7.
  Of the requests that were in flight together only the first 429 counts, or one moment with 40 of
  them would reduce the limit to 1. Each full round of successes adds one slot.
- Of the waiting requests the newest goes first: a map that was panned no longer needs the old ones.
  Every fourth slot goes to the oldest, so nothing starves.
- A full queue drops its oldest request, not the newest: the client that has waited longest is the
  likeliest to have left, and a flood from one client must not lock out all others.
- A request that is cancelled while it waits is never sent and uses neither slot nor rate.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.errors import ConfigError, Overloaded, RateLimited, UpstreamDown

_QUEUE = 1000
"""Ten seconds of waiting at a hundred requests a second."""
_CUT = 0.7
_OLDEST_EVERY = 4
_SLACK = 1.02
"""The window is a little longer than asked for: on the way two requests may draw closer."""
_FIRST_GUESS_S = 0.5
"""Seconds an answer takes, until the first is measured."""
_SMOOTHING = 0.1
_MIN_RETRY_AFTER_S = 1.0
_MAX_RETRY_AFTER_S = 60.0
_STEPS = 10

Clock = Callable[[], float]
"""Seconds, never backwards, such as `time.monotonic`."""


def worker_share(cap: int, workers: int, index: int) -> int:
    """Return how many of `cap` concurrent requests worker `index` of `workers` may have.

    The shares add up to the cap; each is at least 1.

    Raises:
        ConfigError: there are more workers than concurrent requests.

    >>> [worker_share(40, 3, index) for index in range(3)]
    [14, 13, 13]
    """
    if workers > cap:
        raise ConfigError(
            f"[earth_engine] concurrency is {cap}, but each of {workers} workers needs at least "
            f"one request at once; start at most {cap} workers, or raise the concurrency."
        )
    share, left = divmod(cap, workers)
    return share + (index < left)


class Limited:
    """Sends requests to `source` within the quota; the rest wait."""

    def __init__(
        self,
        source: PixelSource,
        concurrency: int,
        requests_per_second: float,
        queue: int = _QUEUE,
        clock: Clock = time.monotonic,
    ) -> None:
        self.source = source
        self.slots = Slots(concurrency, requests_per_second, queue, clock)

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels, once a slot is free.

        Raises:
            Overloaded: the queue is full; carries `retry_after_s`.
            TileserverError: the error of `source`.
        """
        async with self.slots.take():
            return await self.source.get_pixels(request)


class _Grant(NamedTuple):
    """A granted slot."""

    at_s: float
    cuts: int
    """Reductions of the limit until then."""


class Slots:
    """The slots of a quota, shared by requests for pixels, metadata and values."""

    def __init__(
        self,
        concurrency: int,
        requests_per_second: float,
        queue: int = _QUEUE,
        clock: Clock = time.monotonic,
    ) -> None:
        """Make slots that are all free.

        Args:
            concurrency: most requests in flight at once, at least 1.
            requests_per_second: most sent in any second; a fraction counts only below 1.
            queue: most requests that may wait.
            clock: seconds, monotonic.
        """
        self.concurrency = concurrency
        self.limit = concurrency
        """The concurrency allowed now: 429s lower it, to 1 at least."""
        self.in_flight = 0
        self._is_held = False
        self._queue = queue
        self._clock = clock
        self._rate = _Rate(requests_per_second)
        self._waiting: OrderedDict[asyncio.Future[_Grant], None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._turn = 0
        self._cuts = 0
        self._successes = 0
        self._answer_s = _FIRST_GUESS_S

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    def hold(self) -> None:
        """Grant no slot until `resume`; all requests wait."""
        self._is_held = True

    def resume(self) -> None:
        """Grant slots again."""
        self._is_held = False
        self._dispatch()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Hold a slot for one request; a RateLimited that passes through lowers the limit.

        Raises:
            Overloaded: the queue is full.
        """
        grant = await self._granted()
        try:
            yield
        except RateLimited:
            self._slow_down(grant)
            raise
        except UpstreamDown:
            self._rate.give_back(grant.at_s)  # Refused by the breaker, so never sent.
            raise
        else:
            self._speed_up(grant)
        finally:
            self.in_flight -= 1
            self._dispatch()

    async def _granted(self) -> _Grant:
        waiter: asyncio.Future[_Grant] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = None
        self._dispatch()
        self._shed()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiting.pop(waiter, None)
            # The slot, or the refusal, may have been set just before the cancellation.
            if not waiter.cancelled() and waiter.exception() is None:
                self._return_unused(waiter.result())
            raise

    def _return_unused(self, grant: _Grant) -> None:
        self._rate.give_back(grant.at_s)
        self.in_flight -= 1
        self._dispatch()

    def _dispatch(self) -> None:
        """Grant the free slots, or set a timer for when the rate allows."""
        while self._waiting and not self._is_held and self.in_flight < self.limit:
            now_s = self._clock()
            wait_s = self._rate.wait_s(now_s, self.limit / self.concurrency)
            if wait_s > 0:
                self._dispatch_after(wait_s)
                return
            waiter = self._next()
            if waiter.done():
                continue  # Cancelled, and its task has not run since.
            self._rate.note(now_s)
            self.in_flight += 1
            waiter.set_result(_Grant(now_s, self._cuts))

    def _next(self) -> asyncio.Future[_Grant]:
        self._turn = (self._turn + 1) % _OLDEST_EVERY
        waiter, _ = self._waiting.popitem(last=self._turn != 0)
        return waiter

    def _dispatch_after(self, wait_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._dispatch()

    def _shed(self) -> None:
        while len(self._waiting) > self._queue:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(
                    Overloaded(
                        f"More than {self._queue} requests wait for Earth Engine.",
                        retry_after_s=self._drained_after_s(),
                    )
                )

    def _drained_after_s(self) -> float:
        """Return an estimate of the seconds until the queue is empty."""
        per_second = min(
            self._rate.per_second(self.limit / self.concurrency), self.limit / self._answer_s
        )
        estimate_s = (len(self._waiting) + 1) / per_second
        return min(max(estimate_s, _MIN_RETRY_AFTER_S), _MAX_RETRY_AFTER_S)

    def _slow_down(self, grant: _Grant) -> None:
        if grant.cuts == self._cuts:
            self.limit = max(1, int(self.limit * _CUT))
            self._cuts += 1
            self._successes = 0

    def _speed_up(self, grant: _Grant) -> None:
        took_s = self._clock() - grant.at_s
        self._answer_s += _SMOOTHING * (took_s - self._answer_s)
        if grant.cuts != self._cuts or self.limit == self.concurrency:
            return
        self._successes += 1
        if self._successes >= self.limit:
            self.limit += 1
            self._successes = 0


class _Rate:
    """A sliding window: so many requests in any second, or one in a longer window."""

    def __init__(self, requests_per_second: float) -> None:
        self._count = max(1, int(requests_per_second))
        self._window_s = _SLACK * max(1.0, 1 / requests_per_second)
        self._sent_s: deque[float] = deque()

    def per_second(self, share: float) -> float:
        return self._allowed(share) / self._window_s

    def wait_s(self, now_s: float, share: float) -> float:
        """Return the seconds until the next request, at a share of the full rate; 0 is now."""
        while self._sent_s and self._sent_s[0] <= now_s - self._window_s:
            self._sent_s.popleft()
        allowed = self._allowed(share)
        if len(self._sent_s) < allowed:
            return 0.0
        return self._sent_s[-allowed] + self._window_s - now_s

    def note(self, now_s: float) -> None:
        self._sent_s.append(now_s)

    def give_back(self, sent_s: float) -> None:
        """Forget a request that was not sent, unless its window has passed."""
        if self._sent_s and sent_s >= self._sent_s[0]:
            self._sent_s.remove(sent_s)

    def _allowed(self, share: float) -> int:
        return max(1, int(self._count * share))


class Recent:
    """Counts events of the last `window_s` seconds, to a tenth of them."""

    def __init__(self, window_s: float, clock: Clock = time.monotonic) -> None:
        self._step_s = window_s / _STEPS
        self._clock = clock
        self._steps: deque[tuple[int, int]] = deque()
        """(number of the step, events in it), oldest first."""

    def add(self) -> None:
        """Count an event."""
        step = self._forget()
        count = self._steps.pop()[1] if self._steps and self._steps[-1][0] == step else 0
        self._steps.append((step, count + 1))

    def count(self) -> int:
        """Return the number of events."""
        self._forget()
        return sum(count for _, count in self._steps)

    def clear(self) -> None:
        """Reset the count to zero."""
        self._steps.clear()

    def _forget(self) -> int:
        step = int(self._clock() / self._step_s)
        while self._steps and self._steps[0][0] <= step - _STEPS:
            self._steps.popleft()
        return step
