"""The identity of a client, for limits and counters."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

KEY_NAME = "key_name"
"""Key of `scope["state"]` for the name of the API key."""


def client_of(scope: MutableMapping[str, Any]) -> str:
    """Return the name of a request's API key, else the address of its peer, else ""."""
    name: str = scope.get("state", {}).get(KEY_NAME, "")
    peer = scope.get("client")
    return name or (str(peer[0]) if peer else "")
