"""Whether this worker should be sent requests, and whether something is amiss all the same.

Not ready: it is ending, or it cannot sign what it asks of Earth Engine. Degraded, and ready: Earth
Engine is down, or the shared cache; the memory can still answer, and to take all servers away
would help nobody.
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
"""Probes give up after a second or two."""


class Verdict(NamedTuple):
    """What a probe is told."""

    is_ready: bool
    status: str
    """ready, degraded or unready."""
    reason: str | None


class Readiness:
    """Knows the state; asks for a token once in five seconds at most, and for nothing else."""

    def __init__(
        self,
        token: Callable[[], Awaitable[object]] | None = None,
        refusal: Callable[[], str | None] = lambda: None,
        troubles: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Watch over what a server needs.

        Args:
            token: gets an access token, or raises; at once while there is one. None needs none.
            refusal: why the token that there is does not help, if so.
            troubles: what is amiss without being the end.
            clock: seconds that never go back.
        """
        self.token = token
        self.refusal = refusal
        self.troubles = troubles
        self.is_draining = False
        self._clock = clock
        self._found: tuple[str | None, float] | None = None
        self._looks: SingleFlight[str, str | None] = SingleFlight()

    async def state(self) -> Verdict:
        """Return the state as it was at most five seconds ago."""
        if self.is_draining:
            return Verdict(False, "unready", "The server is ending.")
        problem = await self._problem()
        if problem is not None:
            return Verdict(False, "unready", problem)
        troubles = self.troubles()
        return Verdict(True, "degraded" if troubles else "ready", " ".join(troubles) or None)

    async def _problem(self) -> str | None:
        if self._found is None or self._clock() - self._found[1] >= _KEPT_S:
            problem = await self._looks.join("token", self._look)
            self._found = problem, self._clock()
        return self._found[0]

    async def _look(self) -> str | None:
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
    def until_the_end(self) -> Iterator[None]:
        """Learn from SIGTERM and SIGINT that the server is ending, and pass them on."""
        # Elsewhere signals cannot be had, nor are they sent there.
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
