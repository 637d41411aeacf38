"""The client: bare sockets under one epoll, in a process of its own.

HTTP connections stay open. FastCGI has a new connection for each request, because one process of
MapServer serves one connection at a time.
"""

from __future__ import annotations

import base64
import json
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = re.compile(rb"\r\n\r\n|\n\n")
"""Of CGI, whose lines end with either."""
_READ_BYTES = 1 << 18


@dataclass(frozen=True)
class Target:
    """Where a server listens."""

    host: str = "127.0.0.1"
    port: int = 0
    socket_path: str = ""
    """Of FastCGI's socket; else HTTP on host and port."""
    parameters: dict[str, str] = field(default_factory=dict, hash=False)
    """Of FastCGI, beside those of CGI."""


@dataclass(frozen=True)
class Load:
    """What a client did."""

    seconds: float
    cpu_s: float
    """CPU time of the client."""
    body_bytes: int
    """Of all bodies."""
    statuses: dict[str, int]
    bodies: list[bytes]
    """Of the requests, in order, if they were to be kept."""

    @property
    def per_s(self) -> float:
        """Answers a second."""
        return sum(self.statuses.values()) / self.seconds


class _Protocol(Protocol):
    keeps_open: bool

    def connect(self) -> socket.socket: ...

    def request(self, path: str) -> bytes: ...

    def answer(self, received: bytes, is_closed: bool) -> tuple[int, bytes] | None: ...


class _Http:
    keeps_open = True

    def __init__(self, target: Target, headers: dict[str, str]) -> None:
        self.target = target
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        self.tail = f" HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n"

    def connect(self) -> socket.socket:
        sock = socket.create_connection((self.target.host, self.target.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def request(self, path: str) -> bytes:
        return f"GET {path}{self.tail}".encode()

    def answer(self, received: bytes, is_closed: bool) -> tuple[int, bytes] | None:
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return None
        status = int(received[9:12])
        found = _LENGTH.search(received, 0, end)
        if found is None and status not in (204, 304):
            raise ValueError(f"no content-length: {received[:end]!r}")
        length = int(found[1]) if found is not None and status != 304 else 0
        body = end + 4
        return (status, received[body : body + length]) if len(received) >= body + length else None


class _FastCgi:
    keeps_open = False

    def __init__(self, target: Target) -> None:
        self.target = target

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.target.socket_path)
        return sock

    def request(self, path: str) -> bytes:
        names = {
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": path.partition("?")[2],
            "SCRIPT_NAME": path.partition("?")[0],
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "GATEWAY_INTERFACE": "CGI/1.1",
            **self.target.parameters,
        }
        pairs = b"".join(
            struct.pack(">BI", len(name), len(text) | 0x80000000) + name.encode() + text.encode()
            for name, text in names.items()
        )
        return b"".join(
            _record(kind, content)
            for kind, content in (
                (1, struct.pack(">HB5x", 1, 0)),
                (4, pairs),
                (4, b""),
                (5, b""),
            )
        )

    def answer(self, received: bytes, is_closed: bool) -> tuple[int, bytes] | None:
        if not is_closed:
            return None
        output, at = [], 0
        while at + 8 <= len(received):
            kind, length, padding = struct.unpack_from(">xBxxHBx", received, at)
            if kind == 6:
                output.append(received[at + 8 : at + 8 + length])
            at += 8 + length + padding
        head, body = _END_OF_HEAD.split(b"".join(output), 1)
        status = re.search(rb"^Status: *(\d+)", head, re.MULTILINE)
        is_picture = b"image/" in head
        return (int(status[1]) if status else (200 if is_picture else 500)), body


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


class _Run:
    """Requests over so many connections, each with one request at a time."""

    def __init__(self, protocol: _Protocol, paths: Sequence[str], keep: bool) -> None:
        self.protocol, self.paths, self.keep = protocol, paths, keep
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.buffers: dict[int, bytearray] = {}
        self.of: dict[int, int] = {}
        self.next = self.bytes = self.done = 0
        self.statuses: dict[str, int] = {}
        self.bodies: list[bytes] = [b""] * len(paths) if keep else []

    def connect(self) -> int:
        """Open a connection; return its number."""
        sock = self.protocol.connect()
        self.sockets[sock.fileno()] = sock
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        return sock.fileno()

    def begin(self, number: int) -> None:
        """Send the next request."""
        self.of[number], self.buffers[number] = self.next, bytearray()
        self.next += 1
        self.sockets[number].sendall(self.protocol.request(self.paths[self.of[number]]))

    def close(self, number: int) -> None:
        """Close a connection."""
        self.epoll.unregister(number)
        self.sockets.pop(number).close()

    def receive(self, number: int) -> None:
        """Read; when the answer is whole, count it and send the next request."""
        received = self.sockets[number].recv(_READ_BYTES)
        buffer = self.buffers[number]
        buffer += received
        answer = self.protocol.answer(bytes(buffer), not received)
        if answer is None:
            if not received:
                raise ConnectionError("the server hung up")
            return
        status, body = answer
        self.done += 1
        self.bytes += len(body)
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        if self.keep:
            self.bodies[self.of[number]] = body
        if not self.protocol.keeps_open:
            self.close(number)
        if self.next < len(self.paths):
            self.begin(number if self.protocol.keeps_open else self.connect())

    def to_the_end(self, connections: int) -> Load:
        """Send all requests; return when the last answer is there."""
        numbers = [self.connect() for _ in range(min(connections, len(self.paths)))]
        started, cpu = time.perf_counter(), time.process_time()
        for number in numbers:
            self.begin(number)
        while self.done < len(self.paths):
            for number, _ in self.epoll.poll():
                self.receive(number)
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        for number in list(self.sockets):
            self.close(number)
        return Load(seconds, cpu_s, self.bytes, self.statuses, self.bodies)


def run(
    target: Target,
    paths: Sequence[str],
    connections: int,
    keep: bool = False,
    headers: dict[str, str] | None = None,
) -> Load:
    """Request paths in this process; see `Client.run`."""
    protocol: _Protocol = _FastCgi(target) if target.socket_path else _Http(target, headers or {})
    return _Run(protocol, paths, keep).to_the_end(connections)


class Client:
    """The client in its process."""

    def __enter__(self) -> Self:
        """Start it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def run(
        self,
        target: Target,
        paths: Sequence[str],
        connections: int,
        keep: bool = False,
        headers: dict[str, str] | None = None,
    ) -> Load:
        """Request each path once over so many connections, open before the clock starts.

        Args:
            target: the server.
            paths: with queries.
            connections: each has one request at a time.
            keep: whether to return the bodies.
            headers: of each request.

        Raises:
            RuntimeError: a connection failed.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        job = [asdict(target), list(paths), connections, keep, headers]
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        answer["bodies"] = [base64.b64decode(each) for each in answer["bodies"]]
        return Load(**answer)


def main() -> None:
    """Do a job for each line of stdin."""
    for line in sys.stdin:
        target, paths, connections, keep, headers = json.loads(line)
        try:
            load = run(Target(**target), paths, connections, keep, headers)
        except (OSError, ValueError) as exc:
            print(json.dumps({"error": str(exc)}), flush=True)
            continue
        answer = asdict(load)
        answer["bodies"] = [base64.b64encode(each).decode() for each in load.bodies]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
