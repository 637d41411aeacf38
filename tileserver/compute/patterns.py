"""Regular expressions that strangers write: they end in time, and let other threads run meanwhile.

Python's own may take for ever (`(a|a)*b`) and hold all threads up while they do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import regex

from tileserver.errors import InvalidRequest, shown

T = TypeVar("T")

_MAX_LENGTH = 1000
_TIME_S = 0.5


class Patience:
    """Time that patterns may take, all together."""

    def __init__(self, time_s: float = _TIME_S) -> None:
        self.left_s = time_s

    def call(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Return what a function of `regex` returns.

        Raises:
            TimeoutError: the time is over.
        """
        if self.left_s <= 0:
            raise TimeoutError
        start = time.monotonic()
        try:
            return function(*arguments, timeout=self.left_s, concurrent=True, **options)
        finally:
            self.left_s -= time.monotonic() - start


class Pattern:
    """A regular expression."""

    def __init__(
        self, text: str, ignores_case: bool = False, patience: Patience | None = None
    ) -> None:
        """Read it; without `patience` it has some of its own, for all it is asked.

        Raises:
            InvalidRequest: it is none, or too long.
        """
        if len(text) > _MAX_LENGTH:
            raise InvalidRequest(f"The pattern {shown(text)} is longer than {_MAX_LENGTH}.")
        self.text = text
        self.patience = patience or Patience()
        try:
            self._compiled = regex.compile(text, regex.IGNORECASE if ignores_case else 0)
        except (regex.error, OverflowError, RecursionError) as exc:
            message = f"The pattern {shown(text)} is no regular expression."
            raise InvalidRequest(message) from exc

    def fullmatch(self, text: str) -> bool:
        """Tell whether it matches all of a text."""
        return self._timed(self._compiled.fullmatch, text) is not None

    def search(self, text: str) -> list[str] | None:
        """Return the first match and its groups; a group that is not in it is empty."""
        found = self._timed(self._compiled.search, text)
        return None if found is None else [group or "" for group in (found[0], *found.groups())]

    def find_all(self, text: str) -> list[str]:
        """Return all matches, without groups."""

        def every(text: str, **options: Any) -> list[str]:
            return [match[0] for match in self._compiled.finditer(text, **options)]

        return self._timed(every, text)

    def split(self, text: str) -> list[str]:
        """Return what lies between matches."""

        def parts(text: str, **options: Any) -> list[str]:
            found, start = [], 0
            for match in self._compiled.finditer(text, **options):
                if match.end() > match.start():
                    found.append(text[start : match.start()])
                    start = match.end()
            return [*found, text[start:]]

        return self._timed(parts, text)

    def replaced(self, text: str, by: Callable[[Any], str], is_all: bool) -> str:
        """Return a text with the first match, or all, replaced by what `by` makes of it."""
        replace = partial(self._compiled.sub, by, count=0 if is_all else 1)
        return self._timed(replace, text)

    def _timed(self, function: Callable[..., T], text: str) -> T:
        try:
            return self.patience.call(function, text)
        except TimeoutError as exc:
            raise InvalidRequest(
                f"The pattern {shown(self.text)} takes too long; expected a simpler one."
            ) from exc
