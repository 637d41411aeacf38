"""HTTP/1.1 on a connection, within limits: uvicorn's protocol, with bounds on what it keeps.

The parser keeps a line until it is whole, and uvicorn keeps a header until the last has come, so
both are counted on the way in. A request beyond a limit is answered and its connection closed.

    request line    16 kB     a header       8 kB, name and value
    headers         128       all of them    64 kB, trailers included
    head            10 s      answer         10 s without a byte taken by the client
    pipelined       16 requests

Of connections and of requests under way there are only so many. Beyond that a request is refused
with 503 before anything is done for it; one for /healthz never is.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from tileserver.concurrency.threads import was_refused
from tileserver.http.response_cache import RESPONSES, ResponseCache
from tileserver.server.ending import EndingProtocol
from tileserver.server.starts import Starts

MAX_LINE_BYTES = 16_384
MAX_HEADER_BYTES = 8192
MAX_HEADERS = 128
MAX_HEAD_BYTES = 65_536
_PIECE_BYTES = 16_384
"""Bytes given to the parser at once while it reads a head."""
_MAX_FRAMING_BYTES = 65_536
"""Bytes without any part of a body, such as chunk extensions."""
_MAX_PIPELINED = 16
_HEAD_S = 10.0
_STALLED_S = 10.0
_LINGER_S = 1.0
"""Seconds for a client that is still sending to read the error."""
_MAX_LINGER_BYTES = 10_000_000
MAX_CONNECTIONS = 4096
"""Open connections of a worker; further ones get one response, 503."""
_MAX_REFUSED_CONNECTIONS = 8192
"""Beyond `MAX_CONNECTIONS`; others are closed at once."""
MAX_REQUESTS = 2000
"""Requests in progress at once in a worker."""
_MAX_KEPT_CONNECTIONS = 1024
"""Beyond it a connection is closed after an answer."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_STARTS_REFUSED = 2
"""The same for a client that was refused a request within the last second."""
_HEALTH = re.compile(rb"/healthz(?:[?#]|\Z)")
"""The one path that is answered under any load."""
_WORDS = {400: "INVALID_ARGUMENT", 408: "DEADLINE_EXCEEDED", 503: "UNAVAILABLE"}


class _Reading(Enum):
    """The part of a request that is being read."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class _Refused(Exception):
    """The request is beyond a limit; raised through the parser."""


class _Shared:
    """State of all connections of a server."""

    def __init__(self) -> None:
        self.starts = Starts()
        self.connections: Counter[str] = Counter()
        """By address of the peer."""


_shared: WeakKeyDictionary[ServerState, _Shared] = WeakKeyDictionary()


class LimitedProtocol(EndingProtocol):
    """A connection of a client."""

    def __init__(self, config: Config, server_state: ServerState, *more: Any, **named: Any) -> None:
        super().__init__(config, server_state, *more, **named)
        shared = _shared.get(server_state)
        if shared is None:
            shared = _shared[server_state] = _Shared()
        self._starts = shared.starts
        self._open = shared.connections
        self._responses: ResponseCache | None = self.app_state.get(RESPONSES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or abort it beyond the limit of refused ones."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._silent_bytes = 0
        self._parsed = 0
        self._reading = _Reading.NOTHING
        self._made_progress = False
        self._is_refused = False
        self._is_repeated = False
        self._running: RequestResponseCycle | None = None
        self._lingered_bytes = 0
        self._unsent_bytes = 0
        self._stall_timer: asyncio.TimerHandle | None = None
        self._refusal = 400, ""
        self._open[self._address] += 1
        count = len(self.connections)
        # As many for an address as are left: see `concurrency`.
        self._is_one_too_many = self._open[self._address] > MAX_CONNECTIONS - count + 1
        if count > MAX_CONNECTIONS + _MAX_REFUSED_CONNECTIONS:
            transport.abort()
        self._head_timer: asyncio.TimerHandle | None = self.loop.call_later(_HEAD_S, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._forget()
        self._drop_responses()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to the websocket protocol."""
        self._forget()
        super().handle_websocket_upgrade()

    def _forget(self) -> None:
        self._open[self._address] -= 1
        if not self._open[self._address]:
            del self._open[self._address]
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()

    def _drop_responses(self) -> None:
        """Have the application send nothing more for requests that are under way.

        Uvicorn does so for the last of pipelined requests, which is not the one that runs.
        """
        self.pipeline.clear()
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Feed received bytes to the parser, in small pieces outside bodies."""
        if self._is_refused:
            self._linger(len(data))
            return
        is_body = self._reading is _Reading.BODY
        # A body may still arrive after its request was answered.
        if not (is_body and self.cycle.response_complete):
            self._unset_keepalive_if_required()
        if is_body or len(data) <= _PIECE_BYTES:
            self._feed(data)
            return
        for start in range(0, len(data), _PIECE_BYTES):
            if self._is_refused or self.transport.is_closing():
                return
            self._feed(data[start : start + _PIECE_BYTES])

    def _feed(self, data: bytes) -> None:
        self._made_progress = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            return
        except httptools.HttpParserError:
            status, message = self._refusal
            self.refuse(status, message or "Invalid HTTP request received.")
            return
        if self._reading is _Reading.NOTHING and self._made_progress:
            self._silent_bytes = 0
            return
        self._check_progress(len(data))

    def _check_progress(self, size: int) -> None:
        """Refuse a request whose head, or a line of it, is beyond a limit, or comes too late."""
        # Headers and trailers are one list.
        parsed = 0 if self._reading is _Reading.NOTHING else len(self.url) + len(self.headers)
        if parsed > self._parsed:
            self._parsed, self._made_progress = parsed, True
            if beyond := self._beyond_limit():
                self.refuse(*beyond)
                return
        self._silent_bytes = 0 if self._made_progress else self._silent_bytes + size
        is_body = self._reading is _Reading.BODY
        if self._silent_bytes > (_MAX_FRAMING_BYTES if is_body else MAX_HEADER_BYTES):
            self.refuse(431, f"A line is longer than {MAX_HEADER_BYTES} bytes.")
        elif self._head_timer is None and (
            self._reading is _Reading.HEAD or (self._silent_bytes and not is_body)
        ):
            self._head_timer = self.loop.call_later(_HEAD_S, self._late)

    def on_message_begin(self) -> None:
        """Reset the counters of a request."""
        super().on_message_begin()
        self._reading, self._made_progress = _Reading.HEAD, True
        self._parsed = 0

    def _beyond_limit(self) -> tuple[int, str] | None:
        """Return status and message for a head beyond a limit, or None."""
        if len(self.url) > MAX_LINE_BYTES:
            return 414, f"The address is longer than {MAX_LINE_BYTES} bytes."
        if len(self.headers) > MAX_HEADERS:
            return 431, f"There are more than {MAX_HEADERS} headers."
        sizes = [len(name) + len(value) for name, value in self.headers]
        if sizes and max(sizes) > MAX_HEADER_BYTES:
            return 431, f"A header is longer than {MAX_HEADER_BYTES} bytes."
        if sum(sizes) > MAX_HEAD_BYTES:
            return 431, f"The headers are longer than {MAX_HEAD_BYTES} bytes."
        return None

    def on_headers_complete(self) -> None:
        """Start the request, unless the server is overloaded."""
        self._reading, self._made_progress = _Reading.BODY, True
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if beyond := self._beyond_limit():
            self._stop(*beyond)
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._stop(400, f"More than {_MAX_PIPELINED} requests wait on one connection.")
        if self._is_overloaded() and not self._is_health_check():
            self._stop(503, "The server is busy; expected fewer requests at once.")
        self._is_repeated = self._repeat()
        if self._is_repeated:
            return
        # The response to an earlier request of the same bytes may have set it.
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        if len(self.connections) > _MAX_KEPT_CONNECTIONS:
            self.cycle.keep_alive = False

    def _repeat(self) -> bool:
        """Send a kept response, if there is one and nothing else is under way."""
        if self._responses is None or not self._is_plain_get():
            return False
        found = self._responses.find(self.url, self.headers)
        if found is None:
            return False
        head, body = found
        added = [b"%s: %s\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(b"".join((head, *added, b"\r\n")))
        self.transport.write(body)
        self.on_response_complete()
        return True

    def _is_plain_get(self) -> bool:
        """Return whether it is a GET on a kept connection that has sent all earlier responses."""
        return (
            self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not (self.parser.should_upgrade() or self.is_ending)
            and (self.cycle is None or self.cycle.response_complete)
            and len(self.connections) <= _MAX_KEPT_CONNECTIONS
            and not (self.flow.write_paused or self.expect_100_continue or self._has_body())
        )

    def _is_overloaded(self) -> bool:
        return (
            self._is_one_too_many
            or len(self.tasks) + len(self._starts) >= MAX_REQUESTS
            or (self._starts.begun >= _STARTS_REFUSED and was_refused(self._address))
        )

    def _is_health_check(self) -> bool:
        return _HEALTH.match(self.url) is not None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        if self._starts.may_begin(self.loop) or self._is_health_check():
            super()._start_asgi_task(cycle, app)
        else:
            self._starts.wait(partial(super()._start_asgi_task, cycle, app))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._made_progress = True
        super().on_body(body)
        if self.cycle.response_complete:
            self._linger(len(body))

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._reading, self._made_progress = _Reading.NOTHING, True
        if not self._is_repeated:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Abort the connection later if the client does not read its response."""
        super().pause_writing()
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Cancel that timer: the client has read enough."""
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    def _watch_writing(self) -> None:
        self._stall_timer = self.loop.call_later(_STALLED_S, self._check_writing)

    def _check_writing(self) -> None:
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes >= self._unsent_bytes:
            self.transport.abort()
            return
        self._unsent_bytes = unsent_bytes
        self._watch_writing()

    def _stop(self, status: int, message: str) -> None:
        """Stop the parser and refuse the request."""
        self._refusal = status, message
        raise _Refused

    def is_reading_head(self) -> bool:
        """Return whether a part of a request's head has arrived; `_late` bounds its time."""
        return self._reading is _Reading.HEAD or bool(self._silent_bytes)

    def _late(self) -> None:
        """Close a connection whose request head did not arrive in time."""
        self._head_timer = None
        if self.is_reading_head():
            self.refuse(408, f"The headers have not come within {_HEAD_S:.0f} s.")
        else:
            self.transport.close()

    def refuse(self, status: int, message: str) -> None:
        """Send an error, and close the connection after the client had time to read it.

        A response in progress and pipelined requests are dropped.
        """
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        url = getattr(self, "url", b"")
        running = self._running
        is_sending = running and running.response_started and not running.response_complete
        # The application must not send a second response.
        self._drop_responses()
        if is_sending:
            self.transport.close()
            return
        self.transport.write(_answer(status, message, url))
        is_more_to_come = self._reading is not _Reading.BODY or self._has_body()
        if not is_more_to_come or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _has_body(self) -> bool:
        return any(name in _FRAMING for name, _ in self.headers)

    def _linger(self, size: int) -> None:
        """Count bytes received after the response; abort beyond `_MAX_LINGER_BYTES`."""
        self._lingered_bytes += size
        if self._lingered_bytes > _MAX_LINGER_BYTES:
            self.transport.abort()


def _answer(status: int, message: str, url: bytes) -> bytes:
    """Return an error response, as a Google API error below /v1 and as our own JSON elsewhere."""
    phrase = HTTPStatus(status).phrase
    error: dict[str, Any] = {"status": status, "message": message}
    if url.lstrip(b"/").startswith((b"v1", b"$discovery")):
        word = _WORDS.get(status, "INVALID_ARGUMENT")
        error = {"code": status, "message": message, "status": word}
    body = json.dumps({"error": error}).encode()
    head = [
        f"HTTP/1.1 {status} {phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: default-src 'none'; sandbox",
        "connection: close",
        *(["retry-after: 1"] if status == 503 else []),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
