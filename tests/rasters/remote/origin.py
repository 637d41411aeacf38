"""An HTTP server on loopback: it has one object, or answers as a test tells it to."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Origin:
    """What is served, where, and what was asked for."""

    answer: Answer
    port: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each request so far."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Answers that take for ever end once this is set."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/scenes/utah.tif"


@contextmanager
def serve(answer: Answer) -> Iterator[Origin]:
    """Serve until the end of the context."""
    origin = Origin(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            origin.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
            with suppress(OSError):
                origin.answer(self)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        origin.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield origin
        finally:
            origin.stopped.set()
            server.shutdown()
            thread.join()


@dataclass
class Stored:
    """An object as object storage has it: ranges, validators, conditions."""

    body: bytes
    etag: str | None = '"1"'
    last_modified: str | None = "Fri, 27 Nov 2026 08:00:00 GMT"
    status: int = 0
    """Answered instead of the object, if it is not 0."""

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        body, etag = self.body, self.etag
        if self.status:
            send(handler, self.status, {})
            return
        validators = {"ETag": etag, "Last-Modified": self.last_modified}
        headers = {name: value for name, value in validators.items() if value is not None}
        if etag is not None and handler.headers.get("If-None-Match") == etag:
            send(handler, 304, headers)
            return
        first, last = asked(handler)
        if first >= len(body):
            send(handler, 416, {"Content-Range": f"bytes */{len(body)}"})
            return
        last = min(last, len(body) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        send(handler, 206, headers, body[first : last + 1])


def asked(handler: BaseHTTPRequestHandler) -> tuple[int, int]:
    """Return the first and the last byte that a request asks for."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    return (int(match[1]), int(match[2])) if match else (0, 2**62)


def send(
    handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes = b""
) -> None:
    """Answer; the length is that of the body unless the headers say another."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(body)
