"""A listening socket, and uvicorn on it; the only user of uvicorn."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.supervisors import Multiprocess

from tileserver import metrics
from tileserver.errors import ConfigError
from tileserver.logs import log_config

_GRACE_S = 8
"""Seconds that requests under way get to end; Cloud Run kills after ten."""
_BACKLOG = 2048
_PATIENCE_S = 20

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
    """Make a folder for what workers share, and take it away at the end.

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
    """Serve until SIGINT or SIGTERM.

    Args:
        app: makes the application; called once in each worker, so it must pickle. With several,
            `folder` is what they share.
        listening: where.
        workers: processes.
    """
    if workers == 1:
        # Uvicorn raises it again once all is answered; Ctrl-C is how a server is meant to end.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(_config(app, workers)).run(sockets=[listening])
        return
    with shared_folder() as folder, suppress(KeyboardInterrupt):
        Multiprocess(_config(partial(app, folder=folder), workers), sockets=[listening]).run()


def _config(app: Callable[..., object], workers: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=True,
        workers=workers,
        lifespan="on",
        access_log=False,
        log_config=log_config(),
        log_level=logging.WARNING,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


@contextmanager
def served(app: Any, grace_s: int = 1) -> Iterator[str]:
    """Serve an application from a thread, on a free port of this machine, while inside.

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
            server_header=False,
            # Else a client that holds its connection open holds up the end.
            timeout_graceful_shutdown=grace_s,
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
