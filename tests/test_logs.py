"""A line of the log is one record, whatever it is about."""

from __future__ import annotations

import logging
import logging.config
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import ROOT, run
from tileserver.logs import LineFormatter, log_config, one_line

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
