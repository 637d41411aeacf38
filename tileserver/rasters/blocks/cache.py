"""Decoded blocks kept in memory for all threads, each decoded by one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from cachetools import LRUCache
from numpy.typing import NDArray

from tileserver.concurrency.cores import cores
from tileserver.errors import DeadlineExceeded

K = TypeVar("K", bound=Hashable)
Block = NDArray[Any]
Load = Callable[[Sequence[K]], Iterable[Callable[[], Block]]]
"""Fetches blocks at once, and returns for each what decodes it."""

_OVERHEAD_BYTES = 1000
_LARGEST_SHARE = 4
"""A block of more than this part of the cache is not kept in it."""


class BlockCache(Generic[K]):
    """Blocks by key: the least recently used go first. Any thread may use it."""

    def __init__(self, max_bytes: int, decoders: int | None = None) -> None:
        """Hold nothing yet.

        Args:
            max_bytes: bytes of all blocks together.
            decoders: threads that decode beside the caller's own; the machine's cores less one
                by default.
        """
        self.max_bytes = max_bytes
        self.decoded = 0
        """Blocks decoded so far."""
        self._held: LRUCache[K, Block] = LRUCache(max_bytes, getsizeof=_size)
        self._flights: dict[K, Future[Block]] = {}
        self._lock = threading.Lock()
        self._decoders = max(cores() - 1, 1) if decoders is None else decoders
        self._threads: ThreadPoolExecutor | None = None

    @property
    def held_bytes(self) -> int:
        """Bytes of all blocks that are kept."""
        return int(self._held.currsize)

    def get(self, keys: Sequence[K], load: Load[K], deadline: float) -> Mapping[K, Block]:
        """Return blocks, those that are missing loaded, or waited for if they are on their way.

        Args:
            keys: of the blocks, no two the same.
            load: is called once at most, with the keys of those that no other thread loads.
            deadline: on time.monotonic(), to wait for other threads.

        Raises:
            DeadlineExceeded: another thread took too long.
            Exception: what `load`, or decoding, raises.
        """
        with self._lock:
            found = {key: block for key in keys if (block := self._held.get(key)) is not None}
            awaited = {key: self._flights[key] for key in keys if key in self._flights}
            mine = [key for key in keys if key not in found and key not in awaited]
            flights = {key: Future[Block]() for key in mine}
            self._flights |= flights
        if mine:
            self._load(flights, load)
        return found | {key: _result(each, deadline) for key, each in (awaited | flights).items()}

    def close(self) -> None:
        """Let the threads end."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _load(self, flights: Mapping[K, Future[Block]], load: Load[K]) -> None:
        """Decode blocks side by side, the last one in this thread."""
        try:
            pairs = list(zip(flights.items(), load(list(flights)), strict=True))
        except BaseException as exc:
            for key, flight in flights.items():
                self._land(key, flight, None, exc)
            raise
        for (key, flight), decode in pairs[:-1]:
            self._submit(self._decode, key, flight, decode)
        for (key, flight), decode in pairs[-1:]:
            self._decode(key, flight, decode)

    def _submit(self, function: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._decoders, "decode")
            threads = self._threads
        threads.submit(function, *arguments)

    def _decode(self, key: K, flight: Future[Block], decode: Callable[[], Block]) -> None:
        try:
            block = decode()
        except BaseException as exc:
            self._land(key, flight, None, exc)
        else:
            # It is lent to many threads at once.
            block.setflags(write=False)
            self._land(key, flight, block, None)

    def _land(
        self, key: K, flight: Future[Block], block: Block | None, error: BaseException | None
    ) -> None:
        with self._lock:
            del self._flights[key]
            if block is not None:
                self.decoded += 1
                if _size(block) <= self.max_bytes // _LARGEST_SHARE:
                    self._held[key] = block
        if block is None:
            flight.set_exception(error)
        else:
            flight.set_result(block)


def _size(block: Block) -> int:
    """Return the bytes that a block takes, the little around it included."""
    return _OVERHEAD_BYTES + (block.nbytes if any(block.strides) else 0)


def _result(flight: Future[Block], deadline: float) -> Block:
    try:
        return flight.result(max(deadline - time.monotonic(), 0))
    except TimeoutError as exc:
        raise DeadlineExceeded("The raster's blocks are not decoded in time.") from exc
