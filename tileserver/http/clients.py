"""Who sends a request, for what is counted or limited per client."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

KEY_NAME = "key_name"
"""Where the gate leaves the name of the API key in `scope["state"]`."""


def client_of(scope: MutableMapping[str, Any]) -> str:
    """Return the name of the API key of a request, else the address of its peer, else ""."""
    name: str = scope.get("state", {}).get(KEY_NAME, "")
    peer = scope.get("client")
    return name or (str(peer[0]) if peer else "")
