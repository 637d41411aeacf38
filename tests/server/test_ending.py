"""A server that ends: requests that it has not read yet are answered all the same."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from tests.support.waiting import until
from tileserver.server.protocol import LimitedProtocol

REQUEST = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def answer_ok(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def running() -> AsyncIterator[tuple[uvicorn.Server, Callable[[], Awaitable[Streams]]]]:
    """Serve; yield the server and a function that connects, and returns once it is accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(answer_ok, http=LimitedProtocol, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        port = listening.getsockname()[1]

        async def connect() -> Streams:
            known = len(server.server_state.connections)
            streams = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.to_thread(until, lambda: len(server.server_state.connections) > known)
            return streams

        await asyncio.to_thread(until, lambda: server.started)
        try:
            yield server, connect
        finally:
            server.should_exit = True
            await task


async def send_amid_the_end(server: uvicorn.Server, streams: Streams, data: bytes) -> bytes:
    """Send data that the server has not read when it ends; return all that it answers."""
    reader, writer = streams
    # The task runs before the event loop looks at any socket again.
    ending = asyncio.create_task(server.shutdown())
    writer.write(data)
    try:
        return await reader.read()
    finally:
        writer.close()
        await ending


def test_the_first_request_of_a_connection_is_answered() -> None:
    async def scenario() -> bytes:
        async with running() as (server, connect):
            return await send_amid_the_end(server, await connect(), REQUEST)

    answered = asyncio.run(scenario())
    assert answered.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answered.lower()


@pytest.mark.parametrize("count", [1, 3])
def test_the_next_requests_of_a_kept_connection_are_answered(count: int) -> None:
    async def scenario() -> bytes:
        async with running() as (server, connect):
            reader, writer = await connect()
            writer.write(REQUEST)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
            return await send_amid_the_end(server, (reader, writer), REQUEST * count)

    answered = asyncio.run(scenario())
    assert answered.count(b"HTTP/1.1 200") == count
    assert answered.lower().count(b"connection: close") == 1


def test_a_request_whose_head_comes_in_two_parts_is_answered() -> None:
    async def scenario() -> bytes:
        async with running() as (server, connect):
            reader, writer = await connect()
            writer.write(REQUEST[:20])
            ending = asyncio.create_task(server.shutdown())
            # The connection would be closed as idle within this time.
            await asyncio.sleep(1.2)
            writer.write(REQUEST[20:])
            answered = await reader.read()
            writer.close()
            await ending
            return answered

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 200")


def test_idle_connections_are_closed_soon() -> None:
    async def scenario() -> list[bytes]:
        async with running() as (server, connect):
            silent, idle = await connect(), await connect()
            idle[1].write(REQUEST)
            await idle[0].readuntil(b"ok")
            await asyncio.wait_for(server.shutdown(), 5)
            found = [await reader.read() for reader, _ in (silent, idle)]
            for _, writer in (silent, idle):
                writer.close()
            return found

    assert asyncio.run(scenario()) == [b"", b""]
