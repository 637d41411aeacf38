"""Readiness of this worker, for load balancers.

unready: it is shutting down, or has no valid access token for Earth Engine. degraded: Earth
Engine or the shared cache fails. A degraded worker still takes requests, as it can answer from
memory, and all workers are degraded at once.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from tileserver.concurrency.single_flight import SingleFlight
from tileserver.errors import TileserverError

_KEPT_S = 5.0
_PATIENCE_S = 1.0
"""Probes time out after one or two seconds."""


class Verdict(NamedTuple):
    """The answer to a probe."""

    is_ready: bool
    status: str
    """ready, degraded or unready."""
    reason: str | None


class Readiness:
    """Checks the access token at most once in five seconds."""

    def __init__(
        self,
        token: Callable[[], Awaitable[object]] | None = None,
        refusal: Callable[[], str | None] = lambda: None,
        troubles: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Check what a server needs.

        Args:
            token: returns an access token, at once while one is valid, or raises; None if the
                server needs none.
            refusal: returns why Earth Engine refuses the token, or None.
            troubles: returns the reasons for being degraded.
            clock: monotonic seconds.
        """
        self.token = token
        self.refusal = refusal
        self.troubles = troubles
        self.is_draining = False
        self._clock = clock
        self._found: tuple[str | None, float] | None = None
        self._checks: SingleFlight[str, str | None] = SingleFlight()

    async def state(self) -> Verdict:
        """Return the state, at most five seconds old."""
        if self.is_draining:
            return Verdict(False, "unready", "The server is ending.")
        problem = await self._problem()
        if problem is not None:
            return Verdict(False, "unready", problem)
        troubles = self.troubles()
        return Verdict(True, "degraded" if troubles else "ready", " ".join(troubles) or None)

    async def _problem(self) -> str | None:
        if self._found is None or self._clock() - self._found[1] >= _KEPT_S:
            problem = await self._checks.join("token", self._check_token)
            self._found = problem, self._clock()
        return self._found[0]

    async def _check_token(self) -> str | None:
        if self.token is None:
            return None
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self.token()
        except TileserverError as exc:
            return str(exc)
        except TimeoutError:
            return "There is no access token yet."
        return self.refusal()

    @contextmanager
    def draining_on_signals(self) -> Iterator[None]:
        """Set `is_draining` on SIGTERM and SIGINT, and pass the signals on."""
        # Python handles signals in the main thread only.
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def drain(number: int, frame: FrameType | None) -> Any:
            self.is_draining = True
            handler = before[signal.Signals(number)]
            if callable(handler):
                return handler(number, frame)
            signal.signal(number, handler)
            signal.raise_signal(number)
            return None

        for number in before:
            signal.signal(number, drain)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
