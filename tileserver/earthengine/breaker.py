"""A dead upstream is left alone for a while, and nobody waits for it.

Open after failures, for 5 s; then one request may try, and the others follow if it succeeds;
each time it fails the pause doubles, to 60 s at most. Only failing to answer counts: an answer
of "no such asset" or "too many requests" shows that Earth Engine is alive.

It is for an upstream that is dead, not for one that is ill: an upstream that answers every
second request is worth asking, and being open costs it all. Five failures in a row, or half of
twenty, which others use, come every minute or sooner at a coin's toss; the defaults of `Trip`
all but never do, and a dead upstream meets them after ten or twenty requests. Failing is often
quicker than answering: what was asked before the last failure and is still under way may yet
succeed, and counts as if it had.

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
    """When failures are too many: so many in a row, or so large a share of the recent ones."""

    in_a_row: int = 10
    over_s: float = 1.0
    """From the first to the last of the row; many at once may fail for one short moment."""
    share: float = 0.9
    of_at_least: int = 20
    window_s: float = 10.0


class Breaker:
    """Ask `source` unless it is down."""

    def __init__(
        self, source: PixelSource, clock: Clock = time.monotonic, trip: Trip | None = None
    ) -> None:
        self.source = source
        self.trip = trip or Trip()
        self._clock = clock
        self._pause_s = _FIRST_PAUSE_S
        self._until_s: float | None = None
        """Until when it is open; None is closed."""
        self._why = ""
        self._probing = False
        self._changes = 0
        self._under_way: set[int] = set()
        """Which calls have no end yet, by their numbers."""
        self._numbers = itertools.count()
        self._row = 0
        self._row_since_s = 0.0
        self._asked = Recent(self.trip.window_s, clock)
        self._failed = Recent(self.trip.window_s, clock)

    @property
    def is_open(self) -> bool:
        """True from the failures until a request has succeeded again."""
        return self._until_s is not None

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels.

        Raises:
            UpstreamDown: `source` is not asked for now; carries `retry_after_s`.
            TileserverError: what `source` raises.
        """
        with self.asking():
            return await self.source.get_pixels(request)

    def check(self) -> None:
        """Raise if a request would be refused now.

        Raises:
            UpstreamDown: it would.
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
        """Learn from what one call to Earth Engine raises, or refuse it.

        Raises:
            UpstreamDown: it is refused.
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
            # Also when the client of the probe has left: the next request tries in its place.
            if probes:
                self._probing = False

    def _learn(self, failure: TileserverError | None, changes: int, number: int) -> None:
        if changes != self._changes:
            return  # It was sent before the breaker opened or closed and says nothing new.
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
        """Tell whether to open; `older` are the calls under way that began before this one."""
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
    """Refuse at once what the breaker further in would refuse after a wait for a slot."""

    def __init__(self, source: PixelSource, breaker: Breaker) -> None:
        self.source = source
        self.breaker = breaker

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises UpstreamDown, or what `source` raises."""
        self.breaker.check()
        return await self.source.get_pixels(request)
