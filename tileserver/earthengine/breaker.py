"""A circuit breaker: requests fail at once while Earth Engine is down.

It opens after failures, for 5 s; then one request probes, and closes it by success. Each failed
probe doubles the pause, to 60 s at most. Only missing answers count: "no such asset" or "too many
requests" shows that Earth Engine is up.

It is for an upstream that is down, not for one that fails now and then: an upstream that answers
every second request is still useful, and an open breaker would lose all of them. At that rate five
failures in a row, or half of twenty, both common thresholds, come within a minute; those of `Trip`
practically never do, and an upstream that is down meets them after ten or twenty requests.
Failures are often quicker than answers: a request that was sent before the last failure and is
still in flight may succeed, and counts as if it had.

A used-up quota opens it for ten minutes. The daily one is said to return at midnight, but
administrators raise quotas at any hour, monthly ones come back on another day, and the clock of
this machine may be wrong: one request every ten minutes costs nothing and is always right.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tileserver.contract.pixels import PixelRequest, PixelSource
from tileserver.earthengine.quota import Clock, Recent
from tileserver.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    QuotaExhausted,
    RateLimited,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamDown,
)

_FIRST_PAUSE_S = 5.0
_LONGEST_PAUSE_S = 60.0
_QUOTA_PAUSE_S = 600.0
_MIN_RETRY_AFTER_S = 1.0
_FAILURES = (TransientError, DeadlineExceeded)
_ANSWERS = (InvalidRequest, NotFound, TooComplex, RateLimited)


@dataclass(frozen=True, slots=True)
class Trip:
    """Thresholds that open the breaker: failures in a row, or a share of recent requests."""

    in_a_row: int = 10
    over_s: float = 1.0
    """Least seconds from the first to the last of the row: one short disturbance may fail many."""
    share: float = 0.9
    of_at_least: int = 20
    window_s: float = 10.0


class Breaker:
    """Passes requests to `source` unless it is down."""

    def __init__(
        self, source: PixelSource, clock: Clock = time.monotonic, trip: Trip | None = None
    ) -> None:
        self.source = source
        self.trip = trip or Trip()
        self._clock = clock
        self._pause_s = _FIRST_PAUSE_S
        self._until_s: float | None = None
        """End of the pause; None is closed."""
        self._why = ""
        self._probing = False
        self._changes = 0
        self._under_way: set[int] = set()
        """Numbers of the calls in flight."""
        self._numbers = itertools.count()
        self._row = 0
        self._row_since_s = 0.0
        self._asked = Recent(self.trip.window_s, clock)
        self._failed = Recent(self.trip.window_s, clock)

    @property
    def is_open(self) -> bool:
        """True from the failures until the next success."""
        return self._until_s is not None

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            UpstreamDown: the breaker is open; carries `retry_after_s`.
            TileserverError: the error of `source`.
        """
        with self.asking():
            return await self.source.get_pixels(request)

    def check(self) -> None:
        """Raise if the breaker is open and no probe is due.

        Raises:
            UpstreamDown: it is.
        """
        if self._until_s is None:
            return
        left_s = self._until_s - self._clock()
        if left_s > 0 or self._probing:
            raise UpstreamDown(
                f"Earth Engine is not asked for now: {self._why}",
                retry_after_s=max(left_s, _MIN_RETRY_AFTER_S),
            )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Record the outcome of one call to Earth Engine.

        Raises:
            UpstreamDown: the breaker is open.
        """
        self.check()
        changes = self._changes
        probes = self._probing = self.is_open
        number = next(self._numbers)
        self._under_way.add(number)
        try:
            yield
        except TileserverError as exc:
            self._learn(exc, changes, number)
            raise
        else:
            self._learn(None, changes, number)
        finally:
            self._under_way.discard(number)
            # Also after the probe was cancelled: the next request probes in its place.
            if probes:
                self._probing = False

    def _learn(self, failure: TileserverError | None, changes: int, number: int) -> None:
        if changes != self._changes:
            return  # Sent before the breaker opened or closed.
        if isinstance(failure, QuotaExhausted):
            self._open(_QUOTA_PAUSE_S, str(failure))
        elif isinstance(failure, _FAILURES):
            self._note_failure(failure, sum(each < number for each in self._under_way))
        elif failure is None or isinstance(failure, _ANSWERS):
            self._note_answer()

    def _note_answer(self) -> None:
        if self.is_open:
            self._close()
        self._row = 0
        self._asked.add()

    def _note_failure(self, failure: TileserverError, older: int) -> None:
        if self.is_open:
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            self._open(self._pause_s, f"it still fails ({failure})")
            return
        if self._row == 0:
            self._row_since_s = self._clock()
        self._row += 1
        self._asked.add()
        self._failed.add()
        if self._is_too_much(older):
            self._open(self._pause_s, f"it failed too often ({failure})")

    def _is_too_much(self, older: int) -> bool:
        """Return whether to open; `older` calls in flight began before this one."""
        trip = self.trip
        row_s = self._clock() - self._row_since_s
        if self._row >= trip.in_a_row and row_s >= trip.over_s:
            return self._row >= trip.share * (self._row + older)
        asked = self._asked.count()
        return asked >= trip.of_at_least and self._failed.count() >= trip.share * (asked + older)

    def _open(self, pause_s: float, why: str) -> None:
        self._until_s = self._clock() + pause_s
        self._why = why
        self._change()

    def _close(self) -> None:
        self._until_s = None
        self._pause_s = _FIRST_PAUSE_S
        self._change()

    def _change(self) -> None:
        self._changes += 1
        self._row = 0
        self._asked.clear()
        self._failed.clear()


class Guarded:
    """Refuses requests while the breaker is open, before they wait for a slot."""

    def __init__(self, source: PixelSource, breaker: Breaker) -> None:
        self.source = source
        self.breaker = breaker

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises UpstreamDown, or the error of `source`."""
        self.breaker.check()
        return await self.source.get_pixels(request)
