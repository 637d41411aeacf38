"""A real redis-server of our own on loopback, and a wire to it that can be cut or stalled."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_PATIENCE_S = 60


class RedisServer:
    """A process of its own; `with` it starts, and it can be ended and started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        """`options` are redis-server's, such as "--maxmemory", "1mb"."""
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Any:
        """What tests look into it with."""
        return redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.folder), *self.options], stdout=subprocess.DEVNULL
        )
        ends_s = time.monotonic() + _PATIENCE_S
        while True:
            with suppress(redis.ConnectionError), self.client as client:
                with suppress(redis.AuthenticationError):
                    client.ping()
                return
            assert time.monotonic() < ends_s, "redis-server did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(_PATIENCE_S)
            self.process = None

    def keys(self) -> list[bytes]:
        """Return the keys of bodies."""
        with self.client as client:
            return [each for each in client.keys("tileserver:*") if not each.endswith(b":claim")]

    def claims(self) -> list[bytes]:
        """Return the keys of claims."""
        with self.client as client:
            return list(client.keys("tileserver:*:claim"))


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """Start a redis-server; skip the test where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class Wire:
    """A TCP proxy before a port, from `with` to the end of its block."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self.stalls = False
        """While true nothing passes, and nothing is hung up either."""
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    @property
    def url(self) -> str:
        """Where Redis is through it."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """Ends of connections through it that are open."""
        return len(self._writers)

    def cut(self) -> None:
        """Hang up on everybody."""

        def hang_up() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(hang_up)

    def __enter__(self) -> Wire:
        """Start."""
        self._thread.start()
        assert self._started.wait(_PATIENCE_S)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """End."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_PATIENCE_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            self._writers -= ends
            for each in ends:
                each.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(1 << 16):
                while self.stalls:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                writer.write(chunk)
                await writer.drain()
        writer.close()
