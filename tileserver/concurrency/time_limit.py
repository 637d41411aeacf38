"""Time limits that blocking code checks itself, between its calls of PROJ.

A thread cannot be stopped from outside. Work that consists of many short calls can stop itself,
such as the transformation of points outside the domain of their CRS.
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
    """Raise if the current work has a limit that has passed."""
    _check.get()()


@contextmanager
def checked(check: Callable[[], None]) -> Iterator[None]:
    """Add a function that raises at the limit to those that `check_time` calls."""
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
    """Have `check_time` raise DeadlineExceeded after a number of seconds."""
    ends_s = time.monotonic() + limit_s

    def check() -> None:
        if time.monotonic() > ends_s:
            raise DeadlineExceeded(f"The coordinates take longer than {limit_s:g} s to work out.")

    with checked(check):
        yield
