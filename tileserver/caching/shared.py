"""A store that workers and machines share, used only as far as it works.

A store holds bodies and grants claims, so that one process fetches a missing body and the others
wait. Every failure of a store is treated as a cache miss (`BestEffortStore`); `Shared` is the pixel
source on top of it.
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
"""Larger bodies are not shared; a block of 4x4 tiles has some 2 MB."""
_STEPS = 20
_PATIENCE_S = 25.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_POLL_S = 0.01, 0.04

log = logging.getLogger(__name__)

T = TypeVar("T")


class StoreError(Exception):
    """A store failed; the message contains no secret."""


class Store(Protocol):
    """Bodies by key, and claims to fetch a missing one; every call may raise StoreError."""

    name: str
    """For logs and metrics."""
    budget_s: float
    """Time limit of a call."""

    async def get(self, key: str) -> bytes | None:
        """Return a body that is complete and fresh, or None."""
        ...

    async def put(self, key: str, body: bytes) -> None:
        """Keep a body for a while."""
        ...

    async def claim(self, key: str) -> bool:
        """Claim a missing body; return False while another live process holds the claim."""
        ...

    async def release(self, key: str) -> None:
        """Release a claim."""
        ...

    async def close(self) -> None:
        """Release all resources."""
        ...


class BestEffortStore:
    """Treats a failing store as a cache miss; logs once, counts every failure.

    After a failure the store is not used for a pause of one second, which doubles up to 30 s; then
    a single call tries it, and all others are misses until it succeeds.
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
        """True from a failure until the next success."""
        return self._pause_s > 0

    async def get(self, key: str) -> bytes | None:
        """Return the body, or None; also when the store fails."""
        return await self._try("get", self.store.get(key), None)

    async def claim(self, key: str) -> bool:
        """Return whether to fetch the body; True when the store fails."""
        return await self._try("claim", self.store.claim(key), True)

    def end(self, key: str, body: bytes | None) -> None:
        """Put a fetched body, if any, and release its claim, both in the background."""
        task = asyncio.create_task(self._end(key, body))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end(self, key: str, body: bytes | None) -> None:
        if body is not None and len(body) <= MAX_BODY_BYTES:
            await self._try("put", self.store.put(key, body), None)
        # Also during a pause: a claim that is not released delays other processes.
        await self._try("release", self.store.release(key), None, always=True)

    async def close(self) -> None:
        """Wait for background calls, and close the store."""
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
        if began_s >= self._failed_s:  # An older call says nothing new.
            self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
            self._failed_s = self._clock()
            self._until_s = self._failed_s + self._pause_s


async def _within(budget_s: float, call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a call, or cancel it after its time limit.

    The limit is counted in steps of the event loop, so that it passes more slowly while this
    process is too busy to read its sockets, which is not the store's fault.

    Raises:
        TimeoutError: the call was cancelled.
    """
    task = asyncio.create_task(call)
    task.add_done_callback(_retrieve_exception)
    try:
        for _ in range(_STEPS):
            await asyncio.wait({task}, timeout=budget_s / _STEPS)
            if task.done():
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark a late failure as retrieved, or asyncio logs it."""
    if not task.cancelled():
        task.exception()


class Shared:
    """Answers from the store; on a miss one process fetches from `source` and the others wait.

    A failed fetch fails only for the process that made it: the next waiting one tries in turn.
    Bodies are stored byte for byte. A body may spend its time to live in the store and once more
    in memory, so pixels are at most twice that old.
    """

    def __init__(
        self,
        store: BestEffortStore,
        source: PixelSource,
        namespace: str,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Wrap a source.

        Args:
            store: the shared bodies.
            source: fetches missing ones.
            namespace: separates deployments that see different pixels under the same names.
            patience_s: longest wait for another process to fetch a body.
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
            found, is_mine = await self._fetch_if_claimed(key, request)
            if is_mine:
                return found
            await asyncio.sleep(self._rng.uniform(*_POLL_S))
        return await self.source.get_pixels(request)

    async def _fetch_if_claimed(self, key: str, request: PixelRequest) -> tuple[bytes, bool]:
        """Return (pixels, True), or (b"", False) while another process holds the claim."""
        body: bytes | None = None
        is_mine = True  # A call that is cancelled while it claims may hold the claim.
        try:
            is_mine = await self.store.claim(key)
            if not is_mine:
                return b"", False
            # Another process may have put it between the miss and the claim.
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
