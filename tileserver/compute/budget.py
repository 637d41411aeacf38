"""Time and memory that one request may take."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tileserver.errors import InvalidRequest

COMPUTING_S = 30.0
"""Default deadline of one request."""
MAX_WORK_PX = 20_000_000_000
"""Steps times pixels, over all pieces."""
MAX_LIVE_BYTES = 400_000_000
"""Memory of the arrays of one piece at once."""


@dataclass
class Budget:
    """The time and the work that a request has left."""

    deadline: float
    """On time.monotonic()."""
    work_px: int = MAX_WORK_PX

    def spend(self, work_px: int) -> None:
        """Subtract work from the rest.

        Raises:
            InvalidRequest: there was not enough left.
        """
        self.work_px -= work_px
        if self.work_px < 0:
            raise timed_out()

    def check_time(self) -> None:
        """Raise InvalidRequest when the time is over."""
        if time.monotonic() > self.deadline:
            raise timed_out()


def timed_out() -> InvalidRequest:
    """Return Earth Engine's error for a computation that takes too long."""
    return InvalidRequest("Computation timed out.")


class OutOfMemory(InvalidRequest):
    """A computation takes too much memory; fewer pixels at once may take less."""


def out_of_memory() -> OutOfMemory:
    """Return Earth Engine's error for a computation that takes too much memory."""
    return OutOfMemory("User memory limit exceeded.")
