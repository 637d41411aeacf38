"""TCP and TLS for httpcore over asyncio's own streams, which can be hung up at once.

Those that httpcore brings are anyio's, which give way to other tasks at each read and write: four
turns of the event loop for one request, and all of a request should cost less than a millisecond.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore
from aiohappyeyeballs import start_connection

from tileserver.earthengine.abandon import about_to_send

_HAPPY_EYEBALLS_S = 0.25
"""After which the next address of a host is tried beside the first (RFC 8305)."""


class Network(httpcore.AsyncNetworkBackend):
    """Makes connections."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Return a connection; the last two arguments are nobody's here."""
        with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            async with asyncio.timeout(timeout):
                return NetworkStream(*await _connect(host, port))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class NetworkStream(httpcore.AsyncNetworkStream):
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._unsent = b""
        self.user: object = None

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Take what is to be sent; it goes out when an answer is read, and all of it at once."""
        about_to_send(self)
        self._unsent += buffer

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bytes:
        """Return what has come, as soon as anything has; nothing at the end."""
        with _errors(httpcore.ReadTimeout, httpcore.ReadError):
            async with asyncio.timeout(timeout):
                if self._unsent:
                    await self._send()
                return await self._reader.read(max_bytes)

    async def _send(self) -> None:
        self._writer.write(self._unsent)
        self._unsent = b""
        # Who refuses a request may close before having read it all, and its answer counts.
        with suppress(OSError):
            await self._writer.drain()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> NetworkStream:
        """Return this connection, encrypted from now on; it is closed if that fails."""
        try:
            with _errors(httpcore.ConnectTimeout, httpcore.ConnectError):
                async with asyncio.timeout(timeout):
                    await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except BaseException:
            self.hang_up()
            raise
        return self

    def hang_up(self) -> None:
        """Close at once; who reads or writes sees a broken connection."""
        self._writer.transport.abort()

    async def aclose(self) -> None:
        """Close."""
        self.hang_up()

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore asks, such as whether a connection not in use was closed."""
        if info == "is_readable":
            return self._is_readable()
        return self._writer.get_extra_info(info)

    def _is_readable(self) -> bool:
        if self._reader.at_eof() or self._writer.is_closing():
            return True
        of: socket.socket = self._writer.get_extra_info("socket")
        poll = select.poll()
        poll.register(of, select.POLLIN)
        return bool(poll.poll(0))


async def _connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # uvloop's open_connection tries one address after the other, asyncio's does not have to.
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    try:
        connected = await start_connection(found, happy_eyeballs_delay=_HAPPY_EYEBALLS_S)
    except RuntimeError as exc:  # How uvloop says that a socket was closed meanwhile.
        raise ConnectionError(str(exc)) from exc
    return await asyncio.open_connection(sock=connected)


@contextmanager
def _errors(late: type[Exception], broken: type[Exception]) -> Iterator[None]:
    """Raise httpcore's errors in place of asyncio's."""
    try:
        yield
    except TimeoutError as exc:
        raise late(str(exc)) from exc
    except OSError as exc:
        raise broken(str(exc)) from exc
