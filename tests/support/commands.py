"""The command itself, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 120
_COMMAND = (sys.executable, "-u", "-m", "tileserver")
_BUSY = re.compile(
    r" \(\d+ of them not looked at yet\)"
    r"|^.*(?:loop was held up for|takes longer than \d+ s to read).*\n",
    re.MULTILINE,
)
"""What a server says on a busy machine alone."""
_SETTINGS = ("HOST", "PORT", "TILESERVER_", "WEB_CONCURRENCY")


@dataclass
class Serving:
    """A server that said it serves."""

    process: subprocess.Popen[str]
    url: str
    """Without a final slash."""
    said: str
    """Until it serves, without what any server says on a busy machine."""


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without settings, and with some more."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_SETTINGS)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def run(
    *arguments: str | Path, cwd: Path, stdin: bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tileserver", *map(str, arguments)],
        cwd=cwd,
        env=environment(more),
        input=stdin,
        capture_output=True,
        timeout=_PATIENCE_S,
    )


@contextmanager
def serving(
    *arguments: str | Path,
    cwd: Path,
    patience_s: float = _PATIENCE_S,
    environ: Mapping[str, str] = MappingProxyType({}),
    command: Sequence[str | Path] = _COMMAND,
) -> Iterator[Serving]:
    """Start a server, wait until it says where it is, and end it after the block.

    Args:
        arguments: of the command.
        cwd: its current folder.
        patience_s: for the start; the server is killed if that takes longer.
        environ: is added to the environment.
    """
    process = subprocess.Popen(
        [*map(str, command), *map(str, arguments)],
        cwd=cwd,
        env=environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(patience_s, process.kill)
    watchdog.start()
    try:
        said = _said(process)
        watchdog.cancel()
        found = re.search(r"^Map +(http://\S+)/$", said, re.MULTILINE)
        assert found, said
        yield Serving(process, found[1], _BUSY.sub("", said))
    finally:
        watchdog.cancel()
        process.terminate()
        process.wait(_PATIENCE_S)
        if process.stdout is not None:
            process.stdout.close()


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith("Ctrl-C"):
            break
    return said


def log_of(server: Serving) -> str:
    """End a server; return its log, without what any server says on a busy machine."""
    server.process.terminate()
    assert server.process.stdout is not None
    return _BUSY.sub("", server.process.stdout.read())


def wait_until_ended(process: subprocess.Popen[str], patience_s: float = _PATIENCE_S) -> int:
    """Return the exit code of a process that is about to end."""
    return process.wait(patience_s)
