"""A real HTTP/1.1 server on loopback that can misbehave down to the byte; base of the stand-ins.

It runs in a thread of its own on asyncio streams, so that an answer may be cut, reset, dripped or
never ended. What goes wrong is injected by name; the names are registered by `@fault`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

_MAX_HEAD = 1 << 16
_PATIENCE_S = 60
_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ssl.SSLError)


@dataclass
class Asked:
    """A request as it came, and what became of it."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    kind: str = ""
    """What the server calls this sort of request, such as getPixels."""
    status: int | None = None
    """Of the answer; None while there is none, and after a fault that wrote for itself."""
    fault: str | None = None
    """The fault injected into the answer."""
    arrived_s: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        pairs = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[-1] for name, values in pairs.items()}

    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """An answer to be written with its length; Content-Type is one of the headers."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self, more: Mapping[str, str] | None = None) -> bytes:
        """Return the status line and headers; `more` win, and say how the body is framed."""
        framing = {"content-length": str(len(self.body))} if more is None else more
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **framing}.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


@dataclass
class Exchange:
    """One request, the wire it came on, and the answer it would get if nothing went wrong."""

    asked: Asked
    writer: asyncio.StreamWriter
    honest: Callable[[], Awaitable[Answer]]
    turn: int = 0
    """How many requests the same fault befell before."""

    @property
    def is_open(self) -> bool:
        """False once the client has hung up."""
        return not self.writer.is_closing()


Act = Callable[[Exchange], Awaitable[Answer | None]]
"""Returns the answer to send, or None if it wrote for itself and the connection is to end."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, by name."""

    name: str
    row: int
    """Its row among the upstream faults that the server is tested against; 0 is none of them."""
    act: Act


FAULTS: dict[str, Fault] = {}
"""Every fault that can be injected."""


def fault(row: int, name: str) -> Callable[[Act], Act]:
    """Register a fault."""

    def register(act: Act) -> Act:
        assert name not in FAULTS
        FAULTS[name] = Fault(name, row, act)
        return act

    return register


@dataclass
class _Injection:
    fault: Fault
    left: float
    only: str | None
    befallen: int = 0


class Loopback:
    """A server on a free port of 127.0.0.1, from `with` to the end of its block."""

    def __init__(self, tls: ssl.SSLContext | None = None, idle_s: float | None = None) -> None:
        """`idle_s` is how long a connection may stay open unused; None is for ever."""
        self.seen: list[Asked] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self.idle_s = idle_s
        self.port = 0
        self._tls = tls
        self._injections: list[_Injection] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def url(self) -> str:
        """Where it is, without a final slash."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    def count(self, kind: str | None = None) -> int:
        """Return how many requests came, of one kind or of all."""
        return sum(kind in (None, asked.kind) for asked in list(self.seen))

    def forget(self) -> None:
        """Set the counters back."""
        self.seen = []
        self.max_in_flight = self.in_flight

    def inject(self, name: str, times: int | None = 1, only: str | None = None) -> None:
        """Let a fault befall the next requests.

        Args:
            name: one of `FAULTS`.
            times: how many requests, or None for all that come.
            only: the kind of request; None is every kind.
        """
        left = float("inf") if times is None else times
        self._injections.append(_Injection(FAULTS[name], left, only))

    def heal(self) -> None:
        """Take back all faults."""
        self._injections = []

    def kind(self, asked: Asked) -> str:
        """Return what sort of request this is."""
        return asked.path

    async def honest(self, asked: Asked) -> Answer:
        """Return the right answer."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        self._thread.start()
        assert self._started.wait(_PATIENCE_S), "the server did not start"
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Hang up on everyone and end."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE_S)
        assert not self._thread.is_alive(), "the server did not end"

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connect, "127.0.0.1", 0, ssl=self._tls, limit=_MAX_HEAD, backlog=2048
        )
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            early: bytes | None = b""
            while early is not None:
                async with asyncio.timeout(self.idle_s):
                    asked = await _read(reader, early)
                early = await self._exchange(asked, reader, writer)
        except (*_GONE, TimeoutError, asyncio.CancelledError):
            pass  # The client left, or the test is over.
        finally:
            self._connections.discard(task)
            writer.close()

    async def _exchange(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer a request; return what of the next has come, or None if there will be none."""
        asked.kind = self.kind(asked)
        self.seen.append(asked)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            answer, early = await _unless_left(reader, self._answer(asked, writer))
        finally:
            # Before the answer goes out: whoever has it may ask again at once.
            self.in_flight -= 1
        if answer is None:
            return None
        asked.status = answer.status
        writer.write(answer.head() + (b"" if asked.method == "HEAD" else answer.body))
        await writer.drain()
        return None if asked.headers.get("connection", "").lower() == "close" else early

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> Answer | None:
        chosen = self._next_fault(asked)
        if chosen is None:
            return await self.honest(asked)
        asked.fault = chosen.fault.name
        exchange = Exchange(asked, writer, lambda: self.honest(asked), chosen.befallen - 1)
        return await chosen.fault.act(exchange)

    def _next_fault(self, asked: Asked) -> _Injection | None:
        for injection in self._injections:
            if injection.left > 0 and injection.only in (None, asked.kind):
                injection.left -= 1
                injection.befallen += 1
                return injection
        return None


async def _unless_left(
    reader: asyncio.StreamReader, answering: Coroutine[Any, Any, Answer | None]
) -> tuple[Answer | None, bytes]:
    """Return the answer, and what came meanwhile of the next request.

    Raises:
        ConnectionError: the client hung up; the work was stopped.
    """
    work = asyncio.create_task(answering)
    watch = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not watch.result():
            raise ConnectionResetError("the client hung up")
        answer = await work
        return answer, watch.result() if watch.done() and not watch.exception() else b""
    finally:
        work.cancel()
        watch.cancel()
        await asyncio.gather(work, watch, return_exceptions=True)


async def _read(reader: asyncio.StreamReader, early: bytes) -> Asked:
    head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


def json_answer(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a document as JSON."""
    kind = {"content-type": "application/json; charset=UTF-8"}
    return Answer(json.dumps(document).encode(), status, {**kind, **(headers or {})})


def error_answer(
    code: int, message: str, status: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Answer:
    """Return an error in the shape of Google's APIs."""
    error = {"code": code, "message": message, "status": status, **more}
    return json_answer({"error": error}, code, headers)
