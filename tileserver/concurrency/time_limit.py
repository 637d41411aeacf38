"""How long the work of a thread may go on: whoever calls PROJ many times looks here in between.

A thread cannot be stopped from outside. It can stop itself, where its work is made of many short
calls: so is that of points which lie outside the domain of their CRS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tileserver.errors import DeadlineExceeded


def _no_limit() -> None:
    pass


_check: ContextVar[Callable[[], None]] = ContextVar("check", default=_no_limit)


def check_time() -> None:
    """Raise, if there is a limit to the work under way here and it is over."""
    _check.get()()


@contextmanager
def checked(check: Callable[[], None]) -> Iterator[None]:
    """Have `check_time` call a function that raises once the work is to end, and those before."""
    before = _check.get()

    def both() -> None:
        before()
        check()

    token = _check.set(both)
    try:
        yield
    finally:
        _check.reset(token)


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Have `check_time` raise DeadlineExceeded when so many seconds have passed."""
    ends_s = time.monotonic() + limit_s

    def check() -> None:
        if time.monotonic() > ends_s:
            raise DeadlineExceeded(f"The coordinates take longer than {limit_s:g} s to work out.")

    with checked(check):
        yield
