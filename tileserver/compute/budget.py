"""Time and memory that one request may take."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tileserver.errors import InvalidRequest

MAX_WORK_PX = 20_000_000_000
"""Steps times pixels, over all pieces."""


MAX_LIVE_BYTES = 400_000_000
"""Arrays held at once."""


@dataclass
class Budget:
    """What a request may still cost."""

    deadline: float
    """On time.monotonic()."""
    work_px: int = MAX_WORK_PX

    def spend(self, work_px: int) -> None:
        """Take work from what is left.

        Raises:
            InvalidRequest: there is not so much left.
        """
        self.work_px -= work_px
        if self.work_px < 0:
            raise too_long()

    def check_time(self) -> None:
        """Raise InvalidRequest when the time is over."""
        if time.monotonic() > self.deadline:
            raise too_long()


def too_long() -> InvalidRequest:
    """Return what Earth Engine says when a computation takes too long."""
    return InvalidRequest("Computation timed out.")


def too_much() -> InvalidRequest:
    """Return what Earth Engine says when a computation takes too much memory."""
    return InvalidRequest("User memory limit exceeded.")
