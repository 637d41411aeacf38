"""What a shared store can do, and how it is used without ever being relied on.

A store holds bodies and settles who fetches a missing one. It may fail in any way: then pixels
are fetched as if there were none. `Tolerant` sees to that, `Shared` is what uses it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from tileserver import metrics
from tileserver.caching.envelope import key_of
from tileserver.contract.pixels import PixelRequest, PixelSource

MAX_BODY_BYTES = 16_000_000
"""What is larger is not shared; a block of 4x4 tiles has some 2 MB."""
_STEPS = 20
_PATIENCE_S = 25.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_POLL_S = 0.01, 0.04

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreError(Exception):
    """A store failed; says how, without any secret."""


class Store(Protocol):
    """Bodies by key, and leave to fetch a missing one; every call may raise StoreError."""

    name: str
    """A word for logs and metrics."""
    budget_s: float
    """How long a call may take."""

    async def get(self, key: str) -> bytes | None:
        """Return a body that is whole and not too old, or None."""
        ...

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body for a while."""
        ...

    async def claim(self, key: str) -> bool:
        """Return whether to fetch the body; False while somebody else who lives does."""
        ...

    async def release(self, key: str) -> None:
        """Give a claim back."""
        ...

    async def close(self) -> None:
        """Let go of everything."""
        ...


class Tolerant:
    """A store whose failures are counted, told once, and felt by nobody.

    After a failure it is left alone, for a second at first and half a minute at last; then one
    call tries it, and the others do without until that has succeeded.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.store = store
        self._clock = clock
        self._pause_s = 0.0
        self._until_s = 0.0
        self._failed_s = -math.inf
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def is_failing(self) -> bool:
        """True from a failure until a call has succeeded again."""
        return self._pause_s > 0

    async def get(self, key: str) -> bytes | None:
        """Return what is held, or None, also when that cannot be told."""
        return await self._try("get", self.store.get(key), None)

    async def claim(self, key: str) -> bool:
        """Return whether to fetch: when it cannot be told, yes."""
        return await self._try("claim", self.store.claim(key), True)

    def end(self, key: str, body: bytes | None) -> None:
        """Put what was fetched, if anything was, and give the claim back; waits for neither."""
        task = asyncio.create_task(self._end(key, body))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end(self, key: str, body: bytes | None) -> None:
        if body is not None and len(body) <= MAX_BODY_BYTES:
            await self._try("put", self.store.put(key, body), None)
        # Also while it fails: a claim that is not given back would hold others up.
        await self._try("release", self.store.release(key), None, always=True)

    async def close(self) -> None:
        """Finish what is under way, and let go of the store."""
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self._try("close", self.store.close(), None, always=True)

    async def _try(
        self, operation: str, call: Coroutine[Any, Any, T], otherwise: T, always: bool = False
    ) -> T:
        now_s = self._clock()
        if self.is_failing and not always:
            if now_s < self._until_s:
                call.close()
                return otherwise
            self._until_s = now_s + self._pause_s
        try:
            found = await _within(self.store.budget_s, call)
        except (StoreError, TimeoutError) as exc:
            self._fail(operation, str(exc) or f"no answer within {self.store.budget_s:g} s", now_s)
            return otherwise
        if self.is_failing and not always:
            log.warning("The shared cache (%s) works again.", self.store.name)
            self._pause_s = 0.0
        return found

    def _fail(self, operation: str, why: str, began_s: float) -> None:
        metrics.SHARED_FAILURES.labels(self.store.name, operation).inc()
        if not self.is_failing:
            log.warning(
                "The shared cache (%s) fails, and is done without: %s: %s",
                self.store.name,
                operation,
                why,
            )
        if began_s >= self._failed_s:  # Else it was begun before the last failure: nothing new.
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._failed_s = self._clock()
            self._until_s = self._failed_s + self._pause_s


async def _within(budget_s: float, call: Coroutine[Any, Any, T]) -> T:
    """Return what a call returns, or cancel it when it takes too long.

    The time is taken in steps: while this process is too busy to look at its sockets and threads,
    which is no fault of the store's, they pass no faster than it comes around.

    Raises:
        TimeoutError: it was cancelled for that.
    """
    task = asyncio.create_task(call)
    task.add_done_callback(_look_at)
    try:
        for _ in range(_STEPS):
            await asyncio.wait({task}, timeout=budget_s / _STEPS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()


def _look_at(task: asyncio.Task[Any]) -> None:
    """See a failure that came too late for anybody to be told."""
    if not task.cancelled():
        task.exception()


class Shared:
    """Answer from the store; of all who miss the same one asks `source`, the others wait for it.

    Who fails to fetch it fails alone: the next who waits tries in turn. What is put is the source's
    answer byte for byte. In the store it grows as old as in a memory, so that with both pixels are
    at most twice that old.
    """

    def __init__(
        self,
        store: Tolerant,
        source: PixelSource,
        namespace: str,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Wrap a source.

        Args:
            store: where bodies are.
            source: what is asked.
            namespace: who may see the same pixels under the same names.
            patience_s: who has waited so long for another to fetch them fetches them too.
        """
        self.store = store
        self.source = source
        self.namespace = namespace
        self.patience_s = patience_s
        self._rng = random.Random()

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels; raises what `source` raises."""
        key = key_of(self.namespace, request)
        began_s = time.monotonic()
        while time.monotonic() - began_s < self.patience_s:
            held = await self._get(key)
            if held is not None:
                return held
            found, is_mine = await self._in_turn(key, request)
            if is_mine:
                return found
            await asyncio.sleep(self._rng.uniform(*_POLL_S))
        return await self.source.get_pixels(request)

    async def _in_turn(self, key: str, request: PixelRequest) -> tuple[bytes, bool]:
        """Return the pixels, fetched if nobody else fetches them, and whether that was so."""
        body: bytes | None = None
        is_mine = True  # Who leaves in the midst of claiming may hold the claim.
        try:
            is_mine = await self.store.claim(key)
            if not is_mine:
                return b"", False
            # Between the look and the claim another may have put it.
            held = await self._get(key)
            if held is not None:
                return held, True
            metrics.SHARED.labels(self.store.store.name, "miss").inc()
            body = await self.source.get_pixels(request)
            return body, True
        finally:
            if is_mine:
                self.store.end(key, body)

    async def _get(self, key: str) -> bytes | None:
        held = await self.store.get(key)
        if held is not None:
            metrics.SHARED.labels(self.store.store.name, "hit").inc()
        return held
