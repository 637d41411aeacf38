"""Untrusted regular expressions, matched in bounded time and memory.

RE2 reads each character once for each instruction of a pattern at most, and lets other threads
run meanwhile: https://github.com/google/re2/wiki/WhyRE2. A pattern is Java's, as at Earth Engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import re2

from tileserver.compute.context import MAX_LIST, check_length
from tileserver.compute.text.java_patterns import Unsupported, translated
from tileserver.concurrency.time_limit import check_time
from tileserver.errors import InvalidRequest, shown

_MAX_LENGTH = 1000
_MAX_GROUPS = 100
_MAX_BYTES = 2_000_000
"""Memory of a compiled pattern with RE2's caches for it."""
_MAX_COMPILED = 16
_MAX_STEPS = 300_000_000
"""Instructions times bytes of text, about 2 s: a single match cannot be interrupted."""
_TIME_S = 2.0


class Patience:
    """Time that several patterns may take together."""

    def __init__(self, time_s: float = _TIME_S) -> None:
        self.left_s = time_s


class Pattern:
    """A regular expression."""

    def __init__(
        self, text: str, ignores_case: bool = False, patience: Patience | None = None
    ) -> None:
        """Compile it, or raise InvalidRequest; without `patience` it has one of its own."""
        if len(text) > _MAX_LENGTH:
            raise InvalidRequest(f"The pattern {shown(text)} is longer than {_MAX_LENGTH}.")
        self.text = text
        self.patience = patience or Patience()
        try:
            self._compiled = _compiled(text, ignores_case)
        except Unsupported as exc:
            raise InvalidRequest(
                f"The pattern {shown(text)} is no regular expression: {exc}."
            ) from exc

    def fullmatch(self, text: str) -> bool:
        """Tell whether it matches all of a text."""
        return next(self._matches(self._once(self._compiled.fullmatch), text), None) is not None

    def search(self, text: str) -> list[str] | None:
        """Return the first match and its groups; a group that is not in it is empty."""
        found = next(self._matches(self._once(self._compiled.search), text), None)
        return None if found is None else [group or "" for group in (found[0], *found.groups())]

    def find_all(self, text: str) -> list[str]:
        """Return all matches, without groups; raises InvalidRequest if there are too many."""
        found: list[str] = []
        for match in self._matches(self._compiled.finditer, text):
            found.append(match[0])
            check_length(len(found), MAX_LIST, "matches")
        return found

    def split(self, text: str) -> list[str]:
        """Return the parts between matches; raises InvalidRequest if there are too many."""
        found, start = [], 0
        for match in self._matches(self._compiled.finditer, text):
            if match.end() > match.start():
                found.append(text[start : match.start()])
                start = match.end()
                check_length(len(found), MAX_LIST, "parts of a string")
        return [*found, text[start:]]

    def replaced(self, text: str, by: Callable[[Any], str], is_all: bool) -> str:
        """Return a text with the first match, or all, replaced by the result of `by`."""
        made: list[str] = []
        start = 0
        for match in self._matches(self._compiled.finditer, text):
            made += (text[start : match.start()], by(match))
            start = match.end()
            if not is_all:
                break
        return "".join((*made, text[start:]))

    @staticmethod
    def _once(find: Callable[[str], Any]) -> Callable[[str], Iterator[Any]]:
        return lambda text: iter([found] if (found := find(text)) is not None else [])

    def _matches(self, find: Callable[[str], Iterator[Any]], text: str) -> Iterator[Any]:
        """Yield matches as long as there is time; the caller's work between them counts.

        Raises:
            InvalidRequest: the time is over, or a single match could take longer than that.
        """
        check_time()
        if self.patience.left_s <= 0:
            raise self._slow()
        # A character takes four bytes at most.
        if 4 * len(text) * self._compiled.programsize > _MAX_STEPS and (
            len(text.encode()) * self._compiled.programsize > _MAX_STEPS
        ):
            raise self._slow()
        start = time.monotonic()
        try:
            for match in find(text):
                if time.monotonic() - start > self.patience.left_s:
                    raise self._slow()
                yield match
        finally:
            self.patience.left_s -= time.monotonic() - start

    def _slow(self) -> InvalidRequest:
        return InvalidRequest(
            f"The pattern {shown(self.text)} takes too long; expected a simpler one, or a shorter "
            "text."
        )


@lru_cache(maxsize=_MAX_COMPILED)
def _compiled(text: str, ignores_case: bool) -> Any:
    options = re2.Options()
    options.max_mem = _MAX_BYTES
    options.case_sensitive = not ignores_case
    # RE2 would write the untrusted pattern to standard error.
    options.log_errors = False
    try:
        found = re2.compile(translated(text), options)
    except re2.error as exc:
        raise Unsupported(_reason(exc.args[0])) from exc
    finally:
        # Its own cache would hold 128 of them.
        re2.purge()
    if found.groups > _MAX_GROUPS:
        raise Unsupported(f"it has {found.groups} groups, at most {_MAX_GROUPS} are allowed")
    return found


def _reason(message: bytes) -> str:
    """Return the reason of a refusal, from RE2's message."""
    if message.startswith(b"bad repetition operator"):
        return "a repetition of a repetition, as in the possessive a++, is not supported"
    return shown(message.decode("utf-8", "replace"))[1:-1]
