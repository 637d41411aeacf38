"""What is shared: under which key, and in which envelope, so that nothing wrong is ever believed.

magic (4 bytes) | when it was put, a clock's seconds (8) | SHA-256 of key and body (32) | body
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import fields
from typing import NamedTuple

from tileserver.contract.pixels import PixelRequest

SCHEMA = "tileserver-1"
"""To be changed with anything that changes what a key or a value means."""
_MAGIC = b"TSV1"
_HEAD = struct.Struct("<4sd32s")


class Body(NamedTuple):
    """A body, and when it was put, in seconds of the clock of whoever put it."""

    pixels: bytes
    put_s: float


def key_of(namespace: str, request: PixelRequest) -> str:
    """Return the key of a request: a digest, which holds nothing of a name.

    Args:
        namespace: who may see the same pixels under the same names.
        request: its asset_version is part of the key, what changes no pixel is not.
    """
    said = [(each.name, getattr(request, each.name)) for each in fields(request) if each.compare]
    return hashlib.sha256(f"{SCHEMA}\n{namespace}\n{said!r}".encode()).hexdigest()


def wrap(key: str, pixels: bytes, put_s: float = 0.0) -> bytes:
    """Return a body in its envelope."""
    return _HEAD.pack(_MAGIC, put_s, _digest(key, pixels, put_s)) + pixels


def unwrap(key: str, value: bytes) -> Body | None:
    """Return the body of an envelope, or None if it is not what was put under that key."""
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
