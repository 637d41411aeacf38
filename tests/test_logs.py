"""A line of the log is one record, whatever it is about."""

from __future__ import annotations

import logging
import logging.config
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import ROOT, environment, run
from tileserver.logs import LineFormatter, UnblockedHandler, log_config, one_line

FORGERIES = [
    "x\nERROR tileserver: all is lost",
    "x\r\nERROR",
    "x\x0bERROR",
    "x\x0cERROR",
    "x\x1cERROR",
    "x\x85ERROR",
    "x\u2028ERROR",
    "x\u2029ERROR",
    "x\x1b[2J\x1b[31mERROR",
    "x\x9b31mERROR",
    "x\x08\x08ERROR",
    "x\x00ERROR",
    "x\x7fERROR",
    "x\u202egnol",
    "x\u2066y\u2069",
    "x\u200by",
    "x\ufeffy",
    "x\ud800y",
]


def record(message: str, *arguments: object, exc: BaseException | None = None) -> logging.LogRecord:
    trace = None if exc is None else (type(exc), exc, exc.__traceback__)
    return logging.LogRecord("tileserver.x", logging.WARNING, "x.py", 1, message, arguments, trace)


@pytest.mark.parametrize("text", FORGERIES)
def test_what_would_forge_a_line_or_move_a_terminal_is_escaped(text: str) -> None:
    line = LineFormatter().format(record("%s: %s", "name", text))
    assert line.isprintable()
    assert line.isprintable()
    assert line.startswith("WARNING tileserver.x: name: x\\")


def test_what_can_be_read_stays_as_it_is() -> None:
    assert one_line("Grünes Land: 東京 – 3.5 °C 🌍") == "Grünes Land: 東京 – 3.5 °C 🌍"


def test_a_traceback_has_no_line_that_looks_like_a_record() -> None:
    try:
        raise ValueError("x\nERROR tileserver: all is lost\x1b[31m")
    except ValueError as exc:
        lines = LineFormatter().format(record("failed", exc=exc)).split("\n")
    assert lines[0] == "WARNING tileserver.x: failed"
    assert all(line.startswith("    ") and line.isprintable() for line in lines[1:])
    assert any("ERROR tileserver: all is lost" in line for line in lines[1:])


def test_a_line_has_an_end() -> None:
    assert len(LineFormatter().format(record("x" * 10_000_000))) < 5000


@given(st.text())
def test_any_text_is_one_line(text: str) -> None:
    assert one_line(text).isprintable()


@pytest.mark.parametrize("logger", ["", "uvicorn"])
def test_the_loggers_of_the_server_write_such_lines(logger: str) -> None:
    code = f"""
import logging, logging.config
from tileserver.logs import log_config
logging.config.dictConfig(log_config({logger!r}))
logging.getLogger({logger!r} or "uvicorn").getChild("error").warning("a\\nERROR b")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.stderr == "WARNING uvicorn.error: a\\nERROR b\n"


def test_a_configuration_is_one_that_logging_takes() -> None:
    before = logging.getLogger("made.up").handlers
    logging.config.dictConfig(log_config("made.up"))
    (handler,) = logging.getLogger("made.up").handlers
    assert isinstance(handler.formatter, LineFormatter)
    logging.getLogger("made.up").handlers = before


def test_what_the_command_says_of_a_wrong_name_is_one_line(tmp_path: Path) -> None:
    done = run("pixels", "x\x1b[31m\nERROR y", "--bbox", "1,2,3,4", cwd=tmp_path)
    assert done.returncode != 0
    said = done.stderr.decode()
    assert "\x1b" not in said


def test_a_child_of_a_fork_logs_as_its_parent_does() -> None:
    code = """
import logging, logging.config, os
from tileserver.logs import log_config
logging.config.dictConfig(log_config())
logging.warning("parent")
logging.shutdown()
logging.config.dictConfig(log_config())
child = os.fork()
if child == 0:
    logging.warning("child")
    logging.shutdown()
    os._exit(0)
os.waitpid(child, 0)
logging.warning("parent again")
logging.shutdown()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.stderr.splitlines() == [
        "WARNING root: parent",
        "WARNING root: child",
        "WARNING root: parent again",
    ]


@pytest.mark.parametrize("kind", ["io.StringIO()", "Closed()", "Plain()", "None"])
def test_whatever_stands_for_standard_error_stops_nothing(kind: str) -> None:
    code = f"""
import io, logging, logging.config, sys
from tileserver.logs import log_config

class Closed(io.StringIO):
    def write(self, text):
        raise ValueError("I/O operation on closed file")

class Plain:
    def write(self, text): pass
    def flush(self): pass

real, sys.stderr = sys.stderr, {kind}
logging.config.dictConfig(log_config())
logging.warning("told")
logging.getLogger().handlers[0].flush()
found = sys.stderr.getvalue() if {kind!r} == "io.StringIO()" else "-"
logging.shutdown()
print(found)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ("WARNING root: told" if kind == "io.StringIO()" else "-")


@contextmanager
def full_pipe() -> Iterator[tuple[int, TextIO]]:
    """Yield the end to read of a pipe, and the other as a file: it has no room for one byte."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"." * 65536)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b".")
    os.set_blocking(writing, True)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "w") as file:
        yield reading, file


def test_a_pipe_that_nobody_reads_stops_nobody_who_logs() -> None:
    with full_pipe() as (reading, file):
        handler = UnblockedHandler(file, most=10)
        handler.setFormatter(LineFormatter())
        for number in range(1000):
            handler.handle(record("%d", number))
        said = b""
        while told(said) < 1000:
            said += os.read(reading, 1 << 20).lstrip(b".")
        handler.close()
    lines = said.decode().splitlines()
    kept = [int(line.rpartition(" ")[2]) for line in lines if "tileserver.x" in line]
    assert kept == sorted(set(kept))
    # The thread holds one record besides those that wait.
    assert 10 <= len(kept) <= 12
    assert handler.dropped == 1000 - len(kept)


def test_a_record_that_cannot_be_written_stops_nobody_and_is_told() -> None:
    with full_pipe() as (reading, file):
        handler = UnblockedHandler(file)
        handler.setFormatter(LineFormatter())
        handler.handle(record("%d", "no number"))
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(reading, 1 << 20).lstrip(b".")
        handler.close()
    assert said == b"WARNING tileserver.logs: a record of tileserver.x cannot be written\n"


def told(said: bytes) -> int:
    """Return how many records the whole lines of a log hold, or say are dropped."""
    lines = said.decode().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    reports = [re.search(r": (\d+) records dropped: nobody read this log", each) for each in whole]
    return sum(int(each[1]) if each else 1 for each in reports)


def test_what_waits_is_written_at_the_end_of_the_process() -> None:
    code = """
import logging, logging.config
from tileserver.logs import log_config
logging.config.dictConfig(log_config())
for number in range(900):
    logging.warning("%d", number)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.stderr.splitlines() == [f"WARNING root: {number}" for number in range(900)]


_LOGS_AND_ANSWERS = """
import logging, sys
from tileserver.server.serving import listen, page_url, serve_app

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    logging.getLogger("tileserver").warning("x" * 3000)
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})

def make(folder=None):
    return app

if __name__ == "__main__":
    listening = listen("127.0.0.1", 0)
    print(page_url(listening), flush=True)
    serve_app(make, listening, int(sys.argv[1]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_answers_and_ends_though_nobody_reads_its_log(
    tmp_path: Path, workers: int
) -> None:
    program = tmp_path / "logging_server.py"
    program.write_text(_LOGS_AND_ANSWERS)
    with full_pipe() as (_, file):
        command = [sys.executable, str(program), str(workers)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=file, text=True, env=environment({})
        ) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                with httpx.Client(timeout=60) as client:
                    statuses = {client.get(url).status_code for _ in range(50)}
                process.terminate()
                ended = process.wait(60)
            finally:
                process.kill()
    assert statuses == {204}
    assert ended in (0, -signal.SIGTERM)
