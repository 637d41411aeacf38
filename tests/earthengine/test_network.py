from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpcore
import pytest

from tests.earthengine.loops import LOOPS, run
from tests.support.standin_tls import TlsFlaw, make_authority, tls_context
from tileserver.earthengine.network import Network, NetworkStream

HOST = "127.0.0.1"
LARGE = bytes(range(256)) * 40_000
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

pytestmark = pytest.mark.parametrize("loop", LOOPS)


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve each connection so; yield the port."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(closing, HOST, 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def connected(port: int, host: str = HOST) -> AsyncIterator[NetworkStream]:
    """Yield a connection that is closed in the end."""
    stream = await Network().connect_tcp(host, port, timeout=3)
    try:
        yield stream
    finally:
        await stream.aclose()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back one line."""
    writer.write(await reader.readline())
    await writer.drain()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say nothing until the other hangs up."""
    await reader.read()


async def read_all(stream: NetworkStream) -> bytes:
    """Read to the end."""
    found = b""
    while part := await stream.read(65_536):
        found += part
    return found


def test_what_is_written_goes_out_when_an_answer_is_read_and_in_one_piece(loop: str) -> None:
    pieces: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pieces.append(await reader.read(1000))
        writer.write(b"seen")

    async def work() -> None:
        async with listening(note) as port, connected(port) as stream:
            await stream.write(b"head ")
            await stream.write(b"body")
            assert await read_all(stream) == b"seen"
        assert pieces == [b"head body"]

    run(loop, work())


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_much_goes_out_and_much_comes_back_whole(
    loop: str, is_encrypted: bool, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    trust = ssl.create_default_context(cafile=authority.file)
    tls = tls_context(authority) if is_encrypted else None

    async def return_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(len(LARGE)))
        await writer.drain()

    async def work() -> None:
        async with listening(return_all, tls) as port, connected(port) as stream:
            if is_encrypted:
                stream = await stream.start_tls(trust, HOST, timeout=3)
            assert (stream.get_extra_info("ssl_object") is not None) == is_encrypted
            await stream.write(LARGE)
            first = await stream.read(1000)
            await asyncio.sleep(0.1)  # Meanwhile more comes than is taken in.
            assert first + await read_all(stream) == LARGE

    run(loop, work())


def test_who_cannot_be_trusted_is_hung_up_on(loop: str, tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    trust = ssl.create_default_context(cafile=authority.file)

    async def work() -> None:
        async with (
            listening(echo, tls_context(authority, TlsFlaw.EXPIRED)) as port,
            connected(port) as plain,
        ):
            with pytest.raises(httpcore.ConnectError) as raised:
                await plain.start_tls(trust, HOST, timeout=3)
            assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)

    run(loop, work())


def test_the_next_address_of_a_host_is_tried(loop: str) -> None:
    async def work() -> None:
        # On most machines localhost is ::1 too, where nobody listens.
        async with listening(echo) as port, connected(port, "localhost") as stream:
            await stream.write(b"here\n")
            assert await read_all(stream) == b"here\n"

    run(loop, work())


def test_what_is_not_there_cannot_be_connected_to(loop: str) -> None:
    async def work() -> None:
        async with listening(echo) as port:
            pass
        with pytest.raises(httpcore.ConnectError):
            await Network().connect_tcp(HOST, port, timeout=3)
        with pytest.raises(httpcore.ConnectError):
            await Network().connect_tcp("no-such-host.invalid", port, timeout=3)

    run(loop, work())


def test_silence_is_too_late_by_the_time_it_may_take(loop: str) -> None:
    async def work() -> None:
        async with listening(silence) as port, connected(port) as stream:
            await stream.write(b"hello?")
            began_s = time.monotonic()
            with pytest.raises(httpcore.ReadTimeout):
                await stream.read(100, timeout=0.1)
            assert time.monotonic() - began_s < 1

    run(loop, work())


def test_who_is_hung_up_on_hears_it_and_so_does_the_reader(loop: str) -> None:
    async def work() -> None:
        async with listening(silence) as port, connected(port) as stream:
            await stream.write(b"hello?")
            reading = asyncio.create_task(stream.read(100))
            await asyncio.sleep(0.05)
            stream.hang_up()
            async with asyncio.timeout(1):
                assert await reading == b""
                assert await stream.read(100) == b""

    run(loop, work())


def test_an_answer_counts_though_the_question_was_not_read(loop: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"too large")
        await writer.drain()
        writer.write_eof()
        await reader.read()

    async def work() -> None:
        async with listening(refuse) as port, connected(port) as stream:
            await stream.write(LARGE)
            assert await read_all(stream) == b"too large"

    run(loop, work())


def test_it_is_told_whether_one_not_in_use_was_closed(loop: str) -> None:
    let_go = asyncio.Event()

    async def close_when_told(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await let_go.wait()

    async def work() -> None:
        async with listening(close_when_told) as port, connected(port) as stream:
            await stream.write(b"first\n")
            assert await stream.read(100) == b"first\n"
            assert stream.get_extra_info("is_readable") is False
            let_go.set()
            async with asyncio.timeout(2):
                while not stream.get_extra_info("is_readable"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    run(loop, work())
