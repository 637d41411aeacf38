"""The time of the last request for pixels, in a file that processes share."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_NAME = "activity"
_MOMENT = struct.Struct("<d")


class Activity:
    """The moment of the last request, on this machine's clock since its start."""

    def __init__(self, folder: Path) -> None:
        """Share the file of a folder.

        Raises:
            OSError: it cannot be written.
        """
        descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size < _MOMENT.size:
                os.ftruncate(descriptor, _MOMENT.size)
            self._memory = mmap.mmap(descriptor, _MOMENT.size)
        finally:
            os.close(descriptor)

    def note(self) -> None:
        """Note that a request is under way."""
        _MOMENT.pack_into(self._memory, 0, time.monotonic())

    def idle_s(self) -> float:
        """Return for how long none was."""
        (last_s,) = _MOMENT.unpack_from(self._memory)
        idle_s = time.monotonic() - last_s
        # A moment to come is from before the machine was started.
        return idle_s if idle_s >= 0 else float("inf")
