"""Lines of the log: one a record, whatever strangers, files or Earth Engine have put into it.

A name in a request may hold a line break and what looks like a record of its own, or codes that
make a terminal do things. Whatever is logged passes through `LineFormatter`.
"""

from __future__ import annotations

import logging
from typing import Any

_FORMAT = "%(levelname)s %(name)s: %(message)s"
_MAX_CHARACTERS = 4000
_MAX_TRACE = 40_000
_INDENT = "    "


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


def log_config(logger: str = "") -> dict[str, Any]:
    """Return what `logging.config.dictConfig` takes: warnings of a logger go to standard error.

    Args:
        logger: its name; without one it is the root, and so all.
    """
    to_stderr = {"handlers": ["stderr"], "level": "WARNING"}
    loggers = {"loggers": {logger: to_stderr | {"propagate": False}}} if logger else {}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": LineFormatter}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "stream": "ext://sys.stderr",
            }
        },
        **(loggers or {"root": to_stderr}),
    }
