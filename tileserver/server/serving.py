"""Runs the application by uvicorn on a listening socket, in worker processes or in a thread."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from tileserver import metrics
from tileserver.errors import ConfigError
from tileserver.logs import log_config
from tileserver.server.protocol import LimitedProtocol

_GRACE_S = 8
"""Seconds for requests in progress to finish; Cloud Run kills after ten."""
_CLOSING_S = 1.0
"""Further seconds for closing; then the process exits, even with threads that compute."""
_ACCEPTED_AT_ONCE = 32
_BACKLOG = 65_535
"""Connections that wait to be accepted. Linux takes as many as `net.core.somaxconn`, and lets
clients try again after 1, 3 and 7 s beyond it."""
_COLLECT_EVERY = 10_000
"""Objects made between collections of garbage; Python's own is 700."""
_PATIENCE_S = 20
_WORKER_PATIENCE_S = 30
"""Time for a worker to start, or to answer. Uvicorn's default of five seconds kills workers that
are still importing on a machine whose cores are busy, again and again."""

log = logging.getLogger(__name__)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: the port is taken, or the host is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {exc.strerror}; --port 0 takes any free port"
        ) from exc
    listening.set_inheritable(True)
    return listening


def page_url(listening: socket.socket) -> str:
    """Return the address to open in a browser."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}/"


@contextmanager
def shared_folder() -> Iterator[Path | None]:
    """Create the folder that workers share, and delete it at the end.

    Yields:
        The folder, which nobody else may look into; None where there is no room for one, and
        each worker is on its own.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="tileserver-", ignore_cleanup_errors=True)
        pixels, figures = (Path(made.name, name) for name in ("pixels", "metrics"))
        pixels.mkdir(mode=0o700)
        figures.mkdir(mode=0o700)
    except OSError as exc:
        log.warning("No temporary folder, the workers share nothing: %s", exc.strerror)
        yield None
        return
    with made:
        os.environ[metrics.FOLDER] = str(figures)
        yield pixels


def serve_app(app: Callable[..., object], listening: socket.socket, workers: int) -> None:
    """Serve until SIGINT or SIGTERM; then exit the process, within its grace time.

    Args:
        app: makes the application; called once in each worker, so it must pickle. With several,
            `folder` is what they share.
        listening: where.
        workers: processes.
    """
    if workers == 1:
        # Uvicorn raises it again once all is answered; Ctrl-C is how a server is meant to end.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(_config(app, workers)).run(sockets=_several(listening))
        _end_if_threads_remain()
        return
    with shared_folder() as folder, suppress(KeyboardInterrupt):
        _Workers(_config(partial(app, folder=folder), workers), sockets=_several(listening)).run()
    _end_if_threads_remain()


def _several(listening: socket.socket) -> list[socket.socket]:
    """Return a socket several times.

    libuv accepts one connection a socket each time its loop comes around.
    """
    return [listening, *(listening.dup() for _ in range(_ACCEPTED_AT_ONCE - 1))]


class _Signalled(BaseException):
    """A signal arrived while the workers were being checked."""


class _Workers(Multiprocess):
    """Uvicorn's workers, with a parent that listens to signals at any time.

    Uvicorn's own waits up to five seconds for each worker to say that it lives, while it starts
    or after it has ended by the same Ctrl-C, and looks at signals only after that.
    """

    _is_looking = False

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note_signal)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self.signal_queue.append(number)
        if self._is_looking:
            self._is_looking = False
            raise _Signalled

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died or hang, unless a signal came."""
        timeout_s = self.config.timeout_worker_healthcheck
        if self.should_exit.is_set():
            return
        try:
            self._is_looking = not self.signal_queue
            if not self._is_looking or all(each.is_alive(timeout_s) for each in self.processes):
                return
        except _Signalled:
            return
        finally:
            self._is_looking = False
        super().keep_subprocess_alive()

    def join_all(self) -> None:
        """Wait until all workers have ended; kill those that have not in their time."""
        patience_ends_s = time.monotonic() + _GRACE_S + 2 * _CLOSING_S
        for each in self.processes:
            each.process.join(max(0.0, patience_ends_s - time.monotonic()))
            if each.process.is_alive():
                each.kill()
        super().join_all()


def _end_if_threads_remain() -> None:
    """Exit the process without waiting long for threads whose results are not needed."""
    patience_ends_s = time.monotonic() + _CLOSING_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, patience_ends_s - time.monotonic()))
            if thread.is_alive():
                _end()


class _Config(uvicorn.Config):
    """The configuration of a worker that exits in time, even with threads that compute."""

    def load(self) -> None:
        """Create the application, in the worker, after uvicorn has set its signal handlers."""
        _end_in_time()
        super().load()
        _keep_from_collection()


def _keep_from_collection() -> None:
    """Exclude all present objects from garbage collection.

    Modules have a million objects, which stay; traversing them blocks the event loop.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


def _end_in_time() -> None:
    """Exit the process some time after the first signal, as a thread may compute for ever.

    Python waits for threads at exit, and cannot stop one.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        handle = signal.getsignal(number)

        def handle_and_count_down(
            number: int, frame: FrameType | None, handle: Any = handle
        ) -> None:
            # After a signal uvicorn cancels requests in progress and closes the application.
            timer = threading.Timer(_GRACE_S + _CLOSING_S, _end)
            timer.daemon = True
            timer.start()
            handle(number, frame)

        signal.signal(number, handle_and_count_down)


def _end() -> None:
    """Exit the process at once; its parent deletes the temporary folder."""
    log.warning("A thread did not end in time.")
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    logging.shutdown()
    os._exit(0)


def _config(app: Callable[..., object], workers: int) -> uvicorn.Config:
    return _Config(
        app,
        factory=True,
        workers=workers,
        lifespan="on",
        access_log=False,
        log_config=log_config(),
        log_level=logging.WARNING,
        # `TrustedProxies` has to see the address of the peer.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_worker_healthcheck=_WORKER_PATIENCE_S,
        backlog=_BACKLOG,
        http=LimitedProtocol,
    )


@contextmanager
def served(app: Any, grace_s: int = 1) -> Iterator[str]:
    """Serve an application from a thread, on a free port of the loopback interface.

    Yields:
        Its address, without a final slash.

    Raises:
        ConfigError: it does not start, or does not end.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        config = uvicorn.Config(
            app,
            lifespan="on",
            access_log=False,
            # The rest of the process has a log of its own.
            log_config=log_config("uvicorn"),
            log_level=logging.WARNING,
            proxy_headers=False,
            server_header=False,
            # Without a limit, a client that keeps its connection open would delay the shutdown.
            timeout_graceful_shutdown=grace_s,
            http=LimitedProtocol,
        )
        server = uvicorn.Server(config)
        arguments = {"sockets": [listening]}
        thread = threading.Thread(target=server.run, kwargs=arguments, name="uvicorn", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_S)
    if thread.is_alive():
        raise ConfigError("the server did not end")


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    patience_ends = time.monotonic() + _PATIENCE_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > patience_ends:
            raise ConfigError("the server did not start; its log says why")
        time.sleep(0.005)
