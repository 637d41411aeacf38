"""A file server that takes its time, as object storage does, in a process of its own.

It answers GET and HEAD with byte ranges over connections that stay open, each answer after a
delay, as many at once as come; it counts answers and bytes.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

_RANGE = re.compile(rb"\r\nrange: *bytes=(\d*)-(\d*)", re.IGNORECASE)


class _Files:
    def __init__(self, folder: Path, delay_s: float) -> None:
        self.folder, self.delay_s = folder, delay_s
        self.requests = self.bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of a connection, one after the other."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self.delay_s)
                writer.write(self.answer(head))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, head: bytes) -> bytes:
        """Return the answer to the head of a request."""
        self.requests += 1
        method, target, _ = head.split(b" ", 2)
        path = self.folder / target.decode().lstrip("/")
        if not path.is_file():
            return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
        size = path.stat().st_size
        first, last, status = _asked(head, size)
        lines = [
            f"HTTP/1.1 {status}",
            "accept-ranges: bytes",
            f"content-length: {last - first + 1}",
            f"last-modified: {formatdate(path.stat().st_mtime, usegmt=True)}",
            f'etag: "{size}"',
            *([f"content-range: bytes {first}-{last}/{size}"] if status.startswith("206") else []),
        ]
        body = b"" if method == b"HEAD" else _piece(path, first, last)
        self.bytes += len(body)
        return "\r\n".join([*lines, "\r\n"]).encode() + body


def _asked(head: bytes, size: int) -> tuple[int, int, str]:
    """Return the first and the last byte of the range of a request, and the status."""
    found = _RANGE.search(head)
    if found is None:
        return 0, size - 1, "200 OK"
    if not found[1]:
        return max(size - int(found[2]), 0), size - 1, "206 Partial Content"
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    return int(found[1]), last, "206 Partial Content"


def _piece(path: Path, first: int, last: int) -> bytes:
    with path.open("rb") as file:
        file.seek(first)
        return file.read(last - first + 1)


async def _main(folder: Path, delay_s: float) -> None:
    """Serve; say the port, and for each line that comes how much was sent since the last."""
    files = _Files(folder, delay_s)
    server = await asyncio.start_server(files.serve, "127.0.0.1", 0, limit=1 << 16)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps([files.requests, files.bytes]), flush=True)
        files.requests = files.bytes = 0


@dataclass
class SlowFiles:
    """The server in its process."""

    process: subprocess.Popen[str]
    url: str

    def sent(self) -> tuple[int, int]:
        """Return the answers and their bytes since the last call."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        requests, size = json.loads(self.process.stdout.readline())
        return requests, size


@contextmanager
def slow_files(folder: Path, delay_s: float) -> Iterator[SlowFiles]:
    """Serve the files below a folder, each answer after a delay."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), str(delay_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield SlowFiles(process, f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait(10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), float(sys.argv[2])))
