"""Connections to addresses that are allowed, for httpcore.

A host is looked up once for each connection, its addresses are checked, and the connection is made
to a checked address: a second lookup could have another result (DNS rebinding).
TLS still verifies the host's name.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from tileserver.rasters.remote.addresses import Resolve, literal, may_connect, resolve


class RefusedAddress(httpcore.ConnectError):
    """The host has no address that a connection may be made to."""


class Deadlines:
    """The deadline of the request of each thread, for all its reads, writes and connects."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound all reads, writes and connects of this thread."""
        self._local.end_s = time.monotonic() + seconds
        try:
            yield
        finally:
            self._local.end_s = None

    def left_s(self, at_most: float | None, late: type[Exception]) -> float | None:
        """Return how long a step may take; raises `late` when no time is left."""
        end_s = getattr(self._local, "end_s", None)
        if end_s is None:
            return at_most
        left_s = float(end_s - time.monotonic())
        if left_s <= 0:
            raise late("the deadline has passed")
        return left_s if at_most is None else min(at_most, left_s)

    def has_passed(self, in_s: float) -> bool:
        """Tell whether a request begun after a pause would be too late."""
        end_s = getattr(self._local, "end_s", None)
        return end_s is not None and time.monotonic() + in_s >= end_s


class Network(httpcore.NetworkBackend):
    """Makes connections to allowed addresses."""

    def __init__(
        self, deadlines: Deadlines, private_hosts: Collection[str] = (), resolve: Resolve = resolve
    ) -> None:
        self.deadlines = deadlines
        self.private_hosts = frozenset(name.lower() for name in private_hosts)
        self.resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first allowed address that answers.

        Raises:
            RefusedAddress: the host has none that is allowed.
        """
        failure: Exception | None = None
        for address in self._allowed(host, port):
            left_s = self.deadlines.left_s(timeout, httpcore.ConnectTimeout)
            try:
                plain = self._plain.connect_tcp(
                    address, port, left_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return _Stream(plain, self.deadlines)
        raise failure or httpcore.ConnectError("the host has no address")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _allowed(self, host: str, port: int) -> list[str]:
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError("the host cannot be resolved") from exc
        parsed = [(text, literal(text)) for text in found]
        allowed = [
            text for text, each in parsed if each and may_connect(host, each, self.private_hosts)
        ]
        if found and not allowed:
            raise RefusedAddress(f"the host stands for {found[0]}, which is not public")
        return allowed


class _Stream(httpcore.NetworkStream):
    """A connection whose every step lies within the deadline of its request."""

    def __init__(self, plain: httpcore.NetworkStream, deadlines: Deadlines) -> None:
        self._plain = plain
        self._deadlines = deadlines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = self._deadlines.left_s(timeout, httpcore.ReadTimeout)
        return self._plain.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, self._deadlines.left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadlines.left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._plain.start_tls(ssl_context, server_hostname, left_s), self._deadlines)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)
