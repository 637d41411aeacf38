"""Lines of the log: one a record, whatever strangers, files or Earth Engine have put into it.

A name in a request may hold a line break and what looks like a record of its own, or codes that
make a terminal do things. Whatever is logged passes through `LineFormatter`. A server writes by
`UnblockedHandler`, for it must not wait until somebody reads its standard error.
"""

from __future__ import annotations

import logging
import os
import queue
import select
import threading
from contextlib import suppress
from typing import Any, TextIO
from weakref import WeakSet

_FORMAT = "%(levelname)s %(name)s: %(message)s"
_MAX_CHARACTERS = 4000
_MAX_TRACE = 40_000
_INDENT = "    "
_MOST_WAITING = 1000
_FLUSH_S = 1.0
"""How long the end of a process may be delayed for lines that nobody reads."""


def one_line(text: str, most: int = _MAX_CHARACTERS) -> str:
    r"""Return a text on one line, with what cannot be seen in Python's escapes; the end is cut.

    Those are control characters, line breaks of all kinds, and what turns the order of writing.

    >>> one_line("a\nb\x1b[31m\u202e")
    'a\\nb\\x1b[31m\\u202e'
    """
    cut = text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


class LineFormatter(logging.Formatter):
    """One line a record; of a traceback each line is indented, so that none looks like a record."""

    def __init__(self) -> None:
        super().__init__(_FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name.
        """Return the line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback, its last lines if it is too long."""
        return _indented(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        """Return where the record was made."""
        return _indented(super().formatStack(stack_info))


def _indented(text: str) -> str:
    lines = text[-_MAX_TRACE:].split("\n")
    return "\n".join(_INDENT + one_line(line) for line in lines)


class UnblockedHandler(logging.Handler):
    """Writes records to a file, terminal or pipe in a thread of its own: no caller ever waits.

    A process that reads the other end of a pipe may stop reading. A `StreamHandler` would then
    stop the thread that logs, and with it the event loop. Here a bounded number of records waits
    to be written, more are dropped, and a line says how many as soon as there is room again.
    """

    def __init__(self, stream: TextIO | None, most: int = _MOST_WAITING) -> None:
        """Start the thread.

        Args:
            stream: is written to by its file descriptor, past its buffer, or by itself if it has
                none, as that of a notebook; None drops everything, as Python has no `sys.stderr`
                in a process without one.
            most: records that wait to be written.
        """
        super().__init__()
        self.dropped = 0
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._most = most
        self._start()
        _handlers.add(self)

    def _start(self) -> None:
        """Start the thread; in a child of `os.fork`, which has no threads, once more.

        What waits there is the parent's to write.
        """
        self._waiting: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record among those that wait, or drop it; `handle` holds the handler's lock."""
        if self._waiting.qsize() >= self._most:
            self.dropped += 1
            return
        try:
            self._waiting.put(self.format(record))
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Say which logger's record cannot be written, instead of printing where that may block."""
        self._waiting.put(f"WARNING {__name__}: a record of {record.name} cannot be written")

    def flush(self) -> None:
        """Wait until what was logged so far is written, but no longer than a second."""
        written = threading.Event()
        self._waiting.put(written)
        written.wait(_FLUSH_S)

    def close(self) -> None:
        """End the thread, once it has written what waits."""
        _handlers.discard(self)
        self._waiting.put(None)
        super().close()

    def _write_all(self) -> None:
        reported = 0
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            self._write(item)
            lost = self.dropped - reported
            if lost >= self._most or (lost and self._waiting.empty()):
                reported += lost
                self._write(f"WARNING {__name__}: {lost} records dropped: nobody read this log")

    def _write(self, line: str) -> None:
        if self._descriptor is None:
            self._write_to_stream(line)
            return
        left = memoryview(f"{line}\n".encode(errors="backslashreplace"))
        with suppress(OSError):  # Nobody is left to read it.
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # Another process has set the pipe so.
                    select.select([], [self._descriptor], [])

    def _write_to_stream(self, line: str) -> None:
        # Whatever stands in place of standard error may fail in its own way, or be closed.
        with suppress(Exception):
            if self._stream is not None:
                self._stream.write(f"{line}\n")
                self._stream.flush()


_handlers: WeakSet[UnblockedHandler] = WeakSet()


def _descriptor_of(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError, AttributeError):  # io.UnsupportedOperation is an OSError.
        return None


def _start_again() -> None:
    for handler in list(_handlers):
        handler._start()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_again)


def log_config(logger: str = "") -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes: warnings of a logger go to standard error.

    Args:
        logger: its name, in a process that is not the server's own; without one it is the root,
            and so all, and nothing waits for the lines to be read.
    """
    to_stderr = {"handlers": ["stderr"], "level": "WARNING"}
    loggers = {"loggers": {logger: to_stderr | {"propagate": False}}} if logger else {}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "handlers": {
            "stderr": {
                "()": logging.StreamHandler if logger else UnblockedHandler,
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        **(loggers or {"root": to_stderr}),
    }
