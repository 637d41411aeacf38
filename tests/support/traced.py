"""Which functions of the package a request calls, in all threads that it starts or uses."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import CO_COROUTINE
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from tests.support.commands import ROOT

_PACKAGE = f"{ROOT / 'tileserver'}/"


class Entered(NamedTuple):
    """A call of one of our functions."""

    module: str
    """Dotted, below the package: "layers.styles"."""
    function: str
    is_awaited: bool
    """It is a coroutine function: the request waits in it."""


@contextmanager
def tracing() -> Iterator[list[Entered]]:
    """Note every call of our functions in this thread and in those that start meanwhile.

    Yields:
        The calls so far; `clear` it to begin anew.
    """
    calls: list[Entered] = []
    before = sys.getprofile(), threading.getprofile()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(_PACKAGE):
            path = Path(code.co_filename.removeprefix(_PACKAGE)).with_suffix("")
            calls.append(
                Entered(".".join(path.parts), code.co_qualname, bool(code.co_flags & CO_COROUTINE))
            )

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])
