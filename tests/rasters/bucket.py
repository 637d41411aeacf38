"""A folder behind HTTP with ranges, as object storage has it, on loopback.

In a process of its own, as a real one is: while rasterio holds the interpreter, a server in the
same process could not answer it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass(frozen=True)
class Bucket:
    """What is served, and where."""

    folder: Path
    address: str
    """Host and port."""
    log: Path

    def answers(self) -> list[tuple[str, str, int, int]]:
        """Return method, path, status and bytes sent of each answer so far."""
        lines = (line.split(" ") for line in self.log.read_text().splitlines())
        return [(method, path, int(status), int(size)) for method, path, status, size in lines]


@contextmanager
def serve_folder(folder: Path) -> Iterator[Bucket]:
    """Serve a folder's files at http://{address}/{name}.

    What is below /stuck/ is never answered, what is below /broken/ is a 500, and /late/ stands
    for the folder with half a second before each answer.
    """
    log = folder / "log"
    log.touch()
    command = [sys.executable, __file__, str(folder), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Bucket(folder, f"127.0.0.1:{int(process.stdout.readline())}", log)
        finally:
            process.kill()


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD, with one range or none."""

    protocol_version = "HTTP/1.1"
    folder: Path
    log: Path

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self, with_body: bool) -> None:
        name = self.path.split("?")[0].removeprefix("/")
        if name.startswith("late/"):
            time.sleep(0.5)
        if name.startswith("stuck/"):
            time.sleep(600)
        path = self.folder / name.removeprefix("late/")
        if name.startswith("broken/"):
            self._send(500, b"", {}, with_body)
        elif not path.is_file():
            self._send(404, b"", {}, with_body)
        else:
            self._send_range(path.read_bytes(), with_body)

    def _send_range(self, body: bytes, with_body: bool) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            self._send(200, body, {}, with_body)
            return
        first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
        if first > last:
            self._send(416, b"", {"Content-Range": f"bytes */{len(body)}"}, with_body)
            return
        place = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        self._send(206, body[first : last + 1], place, with_body)

    def _send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        size = len(body) if with_body else 0
        with self.log.open("a") as log:
            log.write(f"{self.command} {self.path} {status} {size}\n")
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


if __name__ == "__main__":
    Handler.folder, Handler.log = Path(sys.argv[1]), Path(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
