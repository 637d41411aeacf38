"""Keys and envelopes of shared bodies; a checksum detects damaged or misplaced ones.

magic (4 bytes) | time of storing in seconds (8) | SHA-256 of key and body (32) | body
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import fields
from typing import NamedTuple

from tileserver.contract.pixels import PixelRequest

SCHEMA = "tileserver-1"
"""To be changed whenever the meaning of a key or value changes."""
_MAGIC = b"TSV1"
_HEAD = struct.Struct("<4sd32s")


class Body(NamedTuple):
    """A body, and its time of storing in seconds of the writer's clock."""

    pixels: bytes
    put_s: float


def key_of(namespace: str, request: PixelRequest) -> str:
    """Return the key of a request: a digest, which reveals no name.

    Args:
        namespace: separates deployments that see different pixels under the same names.
        request: all fields that count in comparisons, such as asset_version, are in the key.
    """
    named = [(each.name, getattr(request, each.name)) for each in fields(request) if each.compare]
    return hashlib.sha256(f"{SCHEMA}\n{namespace}\n{named!r}".encode()).hexdigest()


def wrap(key: str, pixels: bytes, put_s: float = 0.0) -> bytes:
    """Return a body in its envelope."""
    return _HEAD.pack(_MAGIC, put_s, _digest(key, pixels, put_s)) + pixels


def unwrap(key: str, value: bytes) -> Body | None:
    """Return the body in an envelope, or None if it is damaged or belongs to another key."""
    if len(value) <= _HEAD.size:
        return None
    magic, put_s, digest = _HEAD.unpack_from(value)
    pixels = value[_HEAD.size :]
    if magic != _MAGIC or digest != _digest(key, pixels, put_s):
        return None
    return Body(pixels, put_s)


def _digest(key: str, pixels: bytes, put_s: float) -> bytes:
    digest = hashlib.sha256(key.encode() + struct.pack("<d", put_s))
    digest.update(pixels)
    return digest.digest()
