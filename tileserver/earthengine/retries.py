"""Asked again what may succeed the second time: a few times, in time, and not by everybody.

Retries are what turns a hiccup into an outage, hence the budget: over ten seconds they are at
most a tenth of the requests (or three, so that a quiet server may retry at all). The waits
are Google's "full jitter" (https://cloud.google.com/iam/docs/retry-strategy).

Only TransientError and RateLimited are asked again. A permanent error fails the same way
again, and what is TooComplex has to be asked in smaller parts, see `splitting`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tileserver import metrics
from tileserver.concurrency.deadline import deadline, left_s
from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.earthengine.quota import Clock, Recent
from tileserver.errors import Overloaded, RateLimited, TransientError

DEADLINE_S = 25.0
"""Clients such as QGIS give up after 60 s, proxies after 30."""

_TRIES = 3
_BASE_S = 0.25
_CAP_S = 4.0
_MAX_RETRY_AFTER_S = 60.0
_NO_RETRY_AFTER_S = 5.0
"""What clients are told when Earth Engine refuses but does not say for how long."""

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class RetryBudget:
    """How many retries there may be: a share of the requests of the last seconds."""

    def __init__(
        self,
        ratio: float = 0.1,
        at_least: int = 3,
        window_s: float = 10.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self.ratio = ratio
        self.at_least = at_least
        self._requests = Recent(window_s, clock)
        self._retries = Recent(window_s, clock)

    def note_request(self) -> None:
        """Count a request; its first try costs nothing."""
        self._requests.add()

    def spend(self) -> bool:
        """Return whether one more retry may be made, and count it if so."""
        if self._retries.count() + 1 > max(self.at_least, self.ratio * self._requests.count()):
            return False
        self._retries.add()
        return True


class Retrying:
    """Ask `source` again when that may help, within one deadline."""

    def __init__(
        self,
        source: PixelSource,
        tries: int = _TRIES,
        deadline_s: float = DEADLINE_S,
        budget: RetryBudget | None = None,
        rng: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Wrap a source.

        Args:
            source: whom to ask.
            tries: how often at most, the first time included.
            deadline_s: for all tries and the waits between them.
            budget: shared by all who ask the same upstream; one of its own by default.
            rng: spreads the waits.
            sleep: waits so many seconds.
        """
        self.source = source
        self.tries = tries
        self.deadline_s = deadline_s
        self.budget = budget or RetryBudget()
        self._rng = rng or random.Random()
        self._sleep = sleep

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            DeadlineExceeded: there is no answer in time.
            Overloaded: Earth Engine says to ask later than the deadline, or still says 429
                after the last try; carries `retry_after_s`.
            TransientError: what the last try failed with.
            TileserverError: what else `source` raises, at once.
        """
        return await self.until_it_helps(request.asset_id, lambda: self.source.get_pixels(request))

    async def until_it_helps(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        """Return what any call to the same upstream returns; raises as `get_pixels`."""
        self.budget.note_request()
        async with deadline(self.deadline_s, name) as scope:
            tried = 1
            while True:
                try:
                    return await call()
                except (TransientError, RateLimited) as exc:
                    wait_s = self._wait_s(exc, tried, left_s(scope))
                await self._sleep(wait_s)
                tried += 1

    def _wait_s(self, failure: TransientError | RateLimited, tried: int, left_s: float) -> float:
        """Return how long to wait before the next try; raises when there is none."""
        after_s = failure.retry_after_s
        if after_s is not None and after_s > 0:
            wait_s = after_s + self._rng.uniform(0, _BASE_S)
            if wait_s >= left_s:
                raise _asked_later(failure) from failure
        else:
            wait_s = self._rng.uniform(0, min(_CAP_S, _BASE_S * 2 ** (tried - 1)))
        if tried < self.tries and wait_s < left_s and self.budget.spend():
            metrics.RETRIES.inc()
            return wait_s
        if isinstance(failure, RateLimited):
            raise _asked_later(failure) from failure
        raise failure


def _asked_later(failure: TransientError | RateLimited) -> Overloaded:
    after_s = failure.retry_after_s
    if after_s is None or not after_s > 0:
        after_s = _NO_RETRY_AFTER_S
    return Overloaded(str(failure), retry_after_s=min(after_s, _MAX_RETRY_AFTER_S))
