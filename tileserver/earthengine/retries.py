"""Retry transient failures, within one deadline and a retry budget.

Retries can turn a short disturbance into an outage, hence the budget: over ten seconds they are at
most a tenth of the requests (or three, so that a quiet server may retry at all). The waits
are Google's "full jitter" (https://cloud.google.com/iam/docs/retry-strategy).

Only TransientError and RateLimited are retried. A permanent error would fail the same way again,
and TooComplex needs smaller requests, see `splitting`.
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
"""Retry-After for clients when Earth Engine refuses a request without one."""

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class RetryBudget:
    """Allows retries up to a share of the requests of the last seconds."""

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
        """Count a request; its first attempt needs no budget."""
        self._requests.add()

    def spend(self) -> bool:
        """Return whether one more retry is allowed, and count it if so."""
        if self._retries.count() + 1 > max(self.at_least, self.ratio * self._requests.count()):
            return False
        self._retries.add()
        return True


class Retrying:
    """Retries transient failures of `source`, within one deadline."""

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
            source: fetches the pixels.
            tries: attempts at most, the first included.
            deadline_s: for all attempts and the waits between them.
            budget: to be shared by all callers of one upstream; its own by default.
            rng: randomizes the waits.
            sleep: waits for a number of seconds.
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
            DeadlineExceeded: no attempt succeeded within the deadline.
            Overloaded: Earth Engine's Retry-After lies beyond the deadline, or the last attempt
                was answered with 429; carries `retry_after_s`.
            TransientError: the error of the last attempt.
            TileserverError: any other error of `source`, without a retry.
        """
        return await self.call(request.asset_id, lambda: self.source.get_pixels(request))

    async def call(self, name: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return the result of any call to the same upstream; raises as `get_pixels`."""
        self.budget.note_request()
        async with deadline(self.deadline_s, name) as scope:
            tried = 1
            while True:
                try:
                    return await attempt()
                except (TransientError, RateLimited) as exc:
                    wait_s = self._wait_s(exc, tried, left_s(scope))
                await self._sleep(wait_s)
                tried += 1

    def _wait_s(self, failure: TransientError | RateLimited, tried: int, left_s: float) -> float:
        """Return the seconds until the next attempt; raises the failure if there is to be none."""
        after_s = failure.retry_after_s
        if after_s is not None and after_s > 0:
            wait_s = after_s + self._rng.uniform(0, _BASE_S)
            if wait_s >= left_s:
                raise _overloaded(failure) from failure
        else:
            wait_s = self._rng.uniform(0, min(_CAP_S, _BASE_S * 2 ** (tried - 1)))
        if tried < self.tries and wait_s < left_s and self.budget.spend():
            metrics.RETRIES.inc()
            return wait_s
        if isinstance(failure, RateLimited):
            raise _overloaded(failure) from failure
        raise failure


def _overloaded(failure: TransientError | RateLimited) -> Overloaded:
    after_s = failure.retry_after_s
    if after_s is None or not after_s > 0:
        after_s = _NO_RETRY_AFTER_S
    return Overloaded(str(failure), retry_after_s=min(after_s, _MAX_RETRY_AFTER_S))
