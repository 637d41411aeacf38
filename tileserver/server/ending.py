"""A connection of a server that ends: a request that is on its way is still answered."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_FIRST_REQUEST_S = 1.0
"""Seconds for a client that has connected and sent nothing yet."""
_NEXT_REQUEST_S = 0.2
"""Seconds for a client that keeps its connection, and may be sending on it."""
_LAST_LOOK_S = 0.01
"""A turn of the event loop, in which it reads all that had arrived before."""


class EndingProtocol(HttpToolsProtocol):
    """Uvicorn's protocol, which closes no connection on a request that has not been read.

    Uvicorn closes a connection without a request under way at once when the server ends. Bytes
    of a request may have arrived by then that the event loop has not read; the client's
    connection is reset, though a request on a new connection must be answered.
    """

    is_ending = False
    """Whether the next response is the connection's last."""

    def shutdown(self) -> None:
        """Close the connection after the request under way, or after the next if there is one."""
        self.is_ending = True
        if self.cycle is None:
            self.loop.call_later(_FIRST_REQUEST_S, self._look_again)
        elif self.cycle.response_complete:
            self.loop.call_later(_NEXT_REQUEST_S, self._look_again)
        else:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """Start the request; the connection of a server that ends is closed after it."""
        previous = self.cycle
        super().on_headers_complete()
        if self.is_ending and self.cycle is not previous:
            self._close_after(self.cycle, previous)

    def _close_after(
        self, cycle: RequestResponseCycle, previous: RequestResponseCycle | None
    ) -> None:
        """Have a response close the connection, in place of the one that comes before it."""
        if cycle.keep_alive and previous is not None and not previous.response_started:
            previous.keep_alive = True
        cycle.keep_alive = False

    def _look_again(self) -> None:
        # Timers come before sockets in a turn of the event loop, which may have been busy.
        self.loop.call_later(_LAST_LOOK_S, self._close_if_idle)

    def _close_if_idle(self) -> None:
        is_idle = self.cycle is None or self.cycle.response_complete
        if is_idle and not self.is_reading_head():
            self.transport.close()

    def is_reading_head(self) -> bool:
        """Return whether a part of a request's head has arrived."""
        return False
