"""A client as light as can be, so that on few processors the server is what is measured."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_HEAD = re.compile(rb"HTTP/1\.1 (\d+).*?content-length: (\d+)", re.DOTALL | re.IGNORECASE)
_BUFFER_BYTES = 1 << 20


class Connection:
    """One connection that stays open, with one request at a time, as browsers have six of."""

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)

    async def __aenter__(self) -> Self:
        """Connect."""
        host, port = self._address.hostname, self._address.port
        self._reader, self._writer = await asyncio.open_connection(host, port, limit=_BUFFER_BYTES)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

    async def get(self, path: str) -> bytes:
        """Return the body of a 200."""
        self._writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = _HEAD.match(head)
        assert found is not None, head
        body = await self._reader.readexactly(int(found[2]))
        assert found[1] == b"200", body
        return body


def load(address: str, screens: Sequence[Sequence[str]], connections: int) -> float:
    """Return the seconds until all tiles of all screens are there.

    Args:
        address: of the server.
        screens: paths of tiles, each screen a client's.
        connections: how many each client asks over at once; open before the clock starts.
    """
    return asyncio.run(_load(address, screens, connections))


async def _load(address: str, screens: Sequence[Sequence[str]], connections: int) -> float:
    async with AsyncExitStack() as stack:
        asking = []
        for screen in screens:
            left = deque(screen)
            for _ in range(connections):
                connection = await stack.enter_async_context(Connection(address))
                asking.append(_ask_in_turn(connection, left))
        started = time.perf_counter()
        await asyncio.gather(*asking)
        return time.perf_counter() - started


async def _ask_in_turn(connection: Connection, left: deque[str]) -> None:
    while left:
        await connection.get(left.popleft())
