"""The server of a notebook: one for all maps of a process, in a thread, on loopback.

Each request needs the key that is in its URL, as other users of the machine reach the port too. It
ends with the process, or with `close()`.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from tileserver.config.config import AccessSettings
from tileserver.errors import DeadlineExceeded, InvalidRequest
from tileserver.notebook.calls import Answer, get
from tileserver.notebook.hosted import Hosted

T = TypeVar("T")

ENDED = "The server of this notebook has ended; run the cell again."

_PATIENCE_S = 90.0
"""For Earth Engine's description of an image."""


class Background:
    """The server, from its beginning to `close`."""

    def __init__(self) -> None:
        # Late, as it takes a second.
        from tileserver.server.serving import served

        self.key = secrets.token_urlsafe(24)
        self.process = os.getpid()
        self.folder = Path(tempfile.mkdtemp(prefix="tileserver-notebook-"))
        """For the files of arrays; no other user may look into it."""
        self._hosted = Hosted()
        self._numbers: dict[Hashable, int] = {}
        self._stack = ExitStack()
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self.url = self._stack.enter_context(served(self._hosted))
        except BaseException:
            self._stack.close()
            raise
        self.port = urlsplit(self.url).port or 0

    @property
    def access(self) -> AccessSettings:
        """The settings of an application, so that it answers requests with the key only."""
        return AccessSettings(keys=(("notebook", self.key),))

    def number_of(self, source: Hashable, make: Callable[[], Any]) -> int:
        """Return the number of a source's application, of one that was added before if it was.

        Args:
            source: the same for the same pixels.
            make: returns the application.
        """
        if source not in self._numbers:
            self._numbers[source] = self._hosted.add(make)
        return self._numbers[source]

    def keyed(self, target: str) -> str:
        """Return a path and query with the key."""
        return f"{target}{'&' if '?' in target else '?'}{urlencode({'key': self.key})}"

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the event loop of the server."""
        assert self._hosted.loop is not None, "it has started"
        return asyncio.run_coroutine_threadsafe(coroutine, self._hosted.loop)

    def fetch(self, target: str) -> Future[Answer]:
        """Return the response to a GET of a path that begins with an application's number."""
        return self.fetch_keyed(self.keyed(target))

    def fetch_keyed(self, target: str) -> Future[Answer]:
        """Return the response to a GET; `target` has the key already, or is refused."""
        return self.submit(get(self._hosted, f"/{target.lstrip('/')}"))

    def document(self, target: str) -> Any:
        """Return a JSON document; blocks.

        Raises:
            DeadlineExceeded: there is no answer in time.
            InvalidRequest: the server refuses, with its words.
        """
        try:
            answer = self.fetch(target).result(_PATIENCE_S)
        except TimeoutError as exc:
            raise DeadlineExceeded(f"no answer within {_PATIENCE_S:g} s") from exc
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = {"error": answer.body.decode(errors="replace")}
        if answer.status != 200:
            raise InvalidRequest(_reason(found))
        return found

    def close(self) -> None:
        """End the server, and delete the files of arrays."""
        if self.process == os.getpid():
            self._stack.close()


def _reason(found: Any) -> str:
    """Return the message of an error document."""
    said = found.get("error", found) if isinstance(found, dict) else found
    return str(said.get("message", said) if isinstance(said, dict) else said)


_lock = threading.Lock()
_running: list[Background] = []


def background() -> Background:
    """Return the server of this process, started if there is none.

    Raises:
        ConfigError: it does not start.
    """
    with _lock:
        # A forked process has the object of its parent, but not the thread.
        if _running and _running[0].process != os.getpid():
            _running.clear()
        if not _running:
            _running.append(Background())
        return _running[0]


def running() -> Background | None:
    """Return the server of this process if there is one."""
    with _lock:
        return _running[0] if _running and _running[0].process == os.getpid() else None


def close() -> None:
    """End the server of this process: its maps draw nothing new, until `show` is called again."""
    with _lock:
        ended = _running[:]
        _running.clear()
    for each in ended:
        each.close()


def _at_exit(call: Callable[[], None]) -> None:
    """Call a function when the process ends, before Python ends the threads that it needs.

    `atexit` calls after executors have ended, in which applications close. That of `threading`
    is what executors use themselves; it is not documented.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is not None:
        # Callbacks run in the reverse of their order: that of executors is there by now.
        from concurrent.futures import thread as thread

        register(call)
    atexit.register(call)


_at_exit(close)
