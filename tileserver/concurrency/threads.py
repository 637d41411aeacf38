"""Blocking calls in a limited number of threads, with a bounded queue that is fair to clients.

- A free slot is taken at once, so a lone client may have all of them.
- Clients take turns. Within a client the newest request goes first, since a map that was panned no
  longer needs the old tiles; every fourth turn goes to the oldest. With more than a screenful
  waiting the oldest goes first: in a flood the newest ones would overtake the others until those
  time out.
- A client may have as many waiting as there is room left in the queue (the "dynamic threshold"
  of switches, Choudhury and Hahne 1998): one alone fills half of it, two fill a third each, and
  a newcomer always finds room. A request beyond that is refused at once, before any work.
- A request is also refused at once if it would wait too long by the duration of recent calls; one
  that has waited too long nevertheless is refused then.
- A request that is cancelled while it waits never runs.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Generic, TypeVar

import anyio
from cachetools import TTLCache

from tileserver.errors import Overloaded

MAX_WAITING = 1024
QUICK_S = 0.25
"""How long a call holds up others that wait for its slot, where there are slots for slow ones."""
PATIENCE_S = 10.0
"""Longest wait for a slot; clients and proxies give up after 25 to 60 s."""
_SCREENFUL = 100
"""Requests of one client that may wait whatever the estimate says; more are a flood."""
_OLDEST_EVERY = 4
_FIRST_GUESS_S = 0.02
"""Seconds a call takes, until the first is measured."""
_SMOOTHING = 0.1
_MIN_RETRY_AFTER_S = 1.0
_MAX_RETRY_AFTER_S = 30.0
_LOST_AFTER_S = 1.0
"""How long an abandoned call keeps its slot, unless it returns before."""
_MAX_LOST = 32
"""Abandoned calls that may run beside those that have a slot."""

_REFUSED_S = 1.0
_MAX_REFUSED = 1000
_UNLIMITED = anyio.CapacityLimiter(math.inf)
"""anyio's threads are limited by slots."""

T = TypeVar("T")

_client: ContextVar[str] = ContextVar("client", default="")

_refused: TTLCache[str, None] = TTLCache(_MAX_REFUSED, _REFUSED_S)
"""Clients with a request refused within the last second."""


@contextmanager
def on_behalf_of(client: str) -> Iterator[None]:
    """Attribute calls made inside, and in tasks started inside, to a client."""
    token = _client.set(client)
    try:
        yield
    finally:
        _client.reset(token)


def was_refused(client: str) -> bool:
    """Return whether a request of a client was refused within the last second."""
    return client in _refused


class Slots:
    """A limited number of slots, with a bounded queue of waiting calls."""

    def __init__(
        self,
        slots: int,
        what: str,
        max_waiting: float = MAX_WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Make slots that are all free.

        Args:
            slots: calls at once.
            what: plural noun for the waiting calls, for messages.
            max_waiting: calls that may wait, of all clients together.
            patience_s: longest wait.
        """
        self.what = what
        self.max_waiting = max_waiting
        self.patience_s = patience_s
        self.waiting = 0
        self._slots = slots
        self._free = slots
        self._queues: OrderedDict[str, OrderedDict[asyncio.Future[None], None]] = OrderedDict()
        """Waiting calls by client; the client whose turn is next comes first."""
        self._turn = 0
        self._call_s = _FIRST_GUESS_S

    def take_free(self) -> bool:
        """Take a free slot; return False if there is none."""
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Take a slot once one is free and it is this client's turn.

        Raises:
            Overloaded: the wait would be, or was, too long; carries `retry_after_s`.
        """
        if self.take_free():
            return
        client = _client.get()
        self._check_room(client)
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(client, OrderedDict())[waiter] = None
        self.waiting += 1
        try:
            async with asyncio.timeout(self.patience_s if self.patience_s < math.inf else None):
                await waiter
        except BaseException as exc:
            self._leave(client, waiter)
            if isinstance(exc, TimeoutError):
                raise self._refusal() from None
            raise

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold a slot while inside; raises as `take`."""
        await self.take()
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.give_back(time.monotonic() - began_s)

    def give_back(self, took_s: float) -> None:
        """Free a slot, or hand it to the next in the queue.

        Args:
            took_s: seconds it was held.
        """
        self._call_s += _SMOOTHING * (took_s - self._call_s)
        while self._queues:
            waiter = self._next()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    def _check_room(self, client: str) -> None:
        own = len(self._queues.get(client, ()))
        clients = len(self._queues) + (own == 0)
        wait_s = (own + 1) * clients * self._call_s / self._slots
        is_too_long = own >= _SCREENFUL and wait_s > self.patience_s
        if is_too_long or own >= self.max_waiting - self.waiting:
            raise self._refusal()

    def _refusal(self) -> Overloaded:
        _refused[_client.get()] = None
        drained_s = (self.waiting + 1) * self._call_s / self._slots
        return Overloaded(
            f"The server is busy, {self.waiting} {self.what} wait; expected fewer at once.",
            retry_after_s=min(max(drained_s, _MIN_RETRY_AFTER_S), _MAX_RETRY_AFTER_S),
        )

    def _next(self) -> asyncio.Future[None]:
        client, queue = self._queues.popitem(last=False)
        self._turn = (self._turn + 1) % _OLDEST_EVERY
        is_flood = len(queue) > _SCREENFUL
        waiter, _ = queue.popitem(last=not is_flood and self._turn != 0)
        self.waiting -= 1
        if queue:
            self._queues[client] = queue
        return waiter

    def _leave(self, client: str, waiter: asyncio.Future[None]) -> None:
        """Leave the queue, or pass on a slot granted just before the cancellation."""
        queue = self._queues.get(client, OrderedDict())
        if waiter in queue:
            del queue[waiter]
            self.waiting -= 1
            if not queue:
                del self._queues[client]
        elif waiter.done() and not waiter.cancelled():
            self.give_back(self._call_s)


class Work(Generic[T]):
    """A call in a thread, with the slot that it holds until it returns."""

    def __init__(self, call: Callable[[], T], slots: Slots) -> None:
        """Begin a call, for which a slot of `slots` was taken."""
        self._slots: Slots | None = slots
        self._began_s = time.monotonic()
        self._is_running = False
        self._is_left = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._scope = anyio.CancelScope()
        self._task = asyncio.create_task(self._run(call))
        # Without waiters asyncio would log the error.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def is_done_within(self, seconds: float) -> bool:
        """Wait for the call for a number of seconds; return whether it is done."""
        done, _ = await asyncio.wait((self._task,), timeout=seconds)
        return bool(done)

    async def result(self) -> T:
        """Return the result of the call; after a cancellation it keeps its slot for a while."""
        try:
            await asyncio.wait((self._task,))
            return self._task.result()
        finally:
            self.leave()

    def move(self, slots: Slots) -> None:
        """Exchange the slot for one of `slots`, which has been taken already."""
        self._free()
        self._slots = slots
        self._began_s = time.monotonic()

    def move_when_late(self, slots: Slots, after_s: float) -> None:
        """Exchange the slot for one of `slots` once the call has taken so long and one is free."""
        self._timer = self._loop.call_later(after_s, self._move_if_free, slots, after_s)

    def _move_if_free(self, slots: Slots, again_s: float) -> None:
        if slots.take_free():
            self.move(slots)
        else:
            self.move_when_late(slots, again_s)

    def leave(self) -> None:
        """Free the slot when the call returns, or a little later if it does not.

        Code that the call runs in the event loop (`anyio.from_thread`) is cancelled.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._task.done() and not self._is_running:
            self._free()
            return
        self._is_left = True
        self._scope.cancel()
        self._loop.call_later(_LOST_AFTER_S, self._free)

    async def _run(self, call: Callable[[], T]) -> T:
        with self._scope:
            return await anyio.to_thread.run_sync(
                self._called, call, limiter=_UNLIMITED, abandon_on_cancel=True
            )
        raise asyncio.CancelledError

    def _called(self, call: Callable[[], T]) -> T:
        self._is_running = True
        try:
            return call()
        finally:
            self._is_running = False
            if self._is_left:
                with suppress(RuntimeError):  # The loop is closed.
                    self._loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back(time.monotonic() - self._began_s)


class Pool:
    """Threads for the calls that hold a slot, and for a limited number of abandoned calls."""

    def __init__(self, slots: int, what: str) -> None:
        self._most = slots + _MAX_LOST
        self._what = what
        self._running = 0
        self._lock = threading.Lock()

    def begin(self, slots: Slots, call: Callable[[], T]) -> Work[T]:
        """Begin a call for which a slot was taken.

        Raises:
            Overloaded: too many abandoned calls have not returned.
        """
        if self._running >= self._most:
            slots.give_back(0.0)
            raise Overloaded(
                f"The server is busy: {self._most} {self._what} do not end.",
                retry_after_s=_MAX_RETRY_AFTER_S,
            )
        return Work(partial(self._counted, call), slots)

    def _counted(self, call: Callable[[], T]) -> T:
        with self._lock:
            self._running += 1
        try:
            return call()
        finally:
            with self._lock:
                self._running -= 1


class Threads:
    """A limited number of threads with a bounded, fair queue."""

    def __init__(
        self,
        slots: int,
        what: str = "requests",
        max_waiting: float = MAX_WAITING,
        patience_s: float = PATIENCE_S,
        slow_slots: int = 0,
        quick_s: float = QUICK_S,
    ) -> None:
        """Make threads.

        Args:
            slots: see `Slots`, as for the next three.
            what: plural noun.
            max_waiting: calls.
            patience_s: longest wait.
            slow_slots: calls that may go on beside the others once they have taken long.
            quick_s: when a call has taken long.
        """
        self.slots = Slots(slots, what, max_waiting, patience_s)
        self._slow = Slots(slow_slots, what)
        self._quick_s = quick_s
        self._pool = Pool(slots + slow_slots, what)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Return the result of a blocking function; after a cancellation it runs on, abandoned.

        Raises:
            Overloaded: the queue is full, or the wait too long.
        """
        await self.slots.take()
        work = self._pool.begin(self.slots, partial(function, *arguments))
        work.move_when_late(self._slow, self._quick_s)
        return await work.result()
