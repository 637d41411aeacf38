"""How a front end reaches the server of its kernel: by the port, a proxy, or the kernel's comm.

Where that is cannot be known in the kernel for certain, so the map tries several ways in an order
that depends on what the environment shows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from tileserver.errors import ConfigError, shown

_HUB_PREFIX = "JUPYTERHUB_SERVICE_PREFIX"
_NOWHERE = "data:,"
"""Begins URLs that no front end asks anybody for."""


class Connection(StrEnum):
    """The argument `connection` of `show`."""

    AUTO = "auto"
    PORT = "port"
    """The browser runs on the machine of the kernel."""
    PROXY = "proxy"
    """jupyter-server-proxy, as on JupyterHub."""
    COMM = "comm"
    """Messages of the kernel, which reach every front end that has widgets."""


def connection_of(text: str) -> Connection:
    """Return the connection of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return Connection(text)
    except ValueError:
        raise ConfigError(
            f"connection: expected one of {', '.join(map(repr, map(str, Connection)))}, got "
            f"{shown(text)}"
        ) from None


def ways(
    connection: Connection, port: int, environ: Mapping[str, str] = os.environ
) -> list[dict[str, Any]]:
    """Return the ways to try, in order; each has a `kind` and a `url` if it is known here.

    A proxy without a URL is below the base URL that the page of Jupyter tells.
    """
    direct = {"kind": "port", "url": f"http://127.0.0.1:{port}/"}
    beside: dict[str, Any] = {"kind": "proxy", "port": port}
    comm: dict[str, Any] = {"kind": "comm"}
    if prefix := environ.get(_HUB_PREFIX):
        beside = {"kind": "proxy", "url": f"{prefix.rstrip('/')}/proxy/{port}/"}
    match connection:
        case Connection.PORT:
            return [direct]
        case Connection.PROXY:
            return [beside]
        case Connection.COMM:
            return [comm]
    if is_colab():
        return [{"kind": "colab", "port": port}, comm]
    return [beside, comm] if prefix else [direct, beside, comm]


def first_url(found: list[dict[str, Any]]) -> str:
    """Return what the URLs of tiles begin with before a map has tried the ways."""
    return str(found[0].get("url", _NOWHERE))


def is_colab() -> bool:
    """Tell whether the kernel is one of Google Colab."""
    return "google.colab" in sys.modules
