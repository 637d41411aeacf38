"""API keys: how clients give them, and whose they are.

Only digests are kept, and a key is compared with all of them in the same time, whether it is
right, nearly right or wrong. A key may come as `Authorization: Bearer KEY`, as `X-API-Key: KEY`,
as the password or the user of `Authorization: Basic`, or as `?key=KEY`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from tileserver.errors import ConfigError

PARAMETER = "key"
"""Of the query."""
SHORT = 16
"""Characters below which a key can be guessed."""
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
"""What a header can carry; the rest arrives in as many encodings as there are clients."""

Headers = Iterable[tuple[bytes, bytes]]


class Holder(NamedTuple):
    """Whose key came with a request."""

    name: str
    is_ambient: bool
    """A browser sends it by itself with all that any page asks of the server: Basic."""
    in_query: str | None = None
    """The key, if it came in the query: then the URLs in the answer need it too."""


class Keys:
    """The keys of `[access] keys`, as digests by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """`secrets` are the keys by the name of who holds them.

        Raises:
            ConfigError: a key cannot be sent, or two have the same.
        """
        self._names: dict[bytes, str] = {}
        for name, secret in secrets.items():
            if not _VISIBLE.fullmatch(secret):
                raise ConfigError(
                    f"[access] keys.{name}: expected ASCII letters, digits and signs without "
                    "spaces, got a value that is not shown"
                )
            digest = _digest(secret.encode())
            if digest in self._names:
                raise ConfigError(
                    f"[access] keys.{name}: expected a key of its own, got that of "
                    f"{self._names[digest]!r}"
                )
            self._names[digest] = name

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._names)

    def name_of(self, key: bytes) -> str | None:
        """Return who holds a key, or None; takes the same time for every key."""
        given, found = _digest(key), None
        for digest, name in self._names.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def holder(self, headers: Headers, query_keys: Iterable[bytes]) -> Holder | None:
        """Return whose key a request carries; of several the first that is right counts."""
        found = None
        for key in query_keys:
            if name := self.name_of(key):
                found = found or Holder(name, is_ambient=False, in_query=key.decode())
        for key, is_ambient in header_keys(headers):
            if name := self.name_of(key):
                found = found or Holder(name, is_ambient)
        return found


def header_keys(headers: Headers) -> Iterator[tuple[bytes, bool]]:
    """Yield what may be keys in the headers, and whether a browser sends each by itself.

    >>> list(header_keys([(b"authorization", b"Basic Om9wZW4="), (b"x-api-key", b"sesame")]))
    [(b'', True), (b'open', True), (b'sesame', False)]
    """
    for name, value in headers:
        if name == b"x-api-key":
            yield value.strip(), False
        elif name == b"authorization":
            scheme, _, given = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                yield given.strip(), False
            elif scheme.lower() == b"basic":
                yield from ((part, True) for part in _user_and_password(given))


def _user_and_password(given: bytes) -> tuple[bytes, ...]:
    try:
        user, _, password = base64.b64decode(given.strip(), validate=True).partition(b":")
    except binascii.Error:
        return ()
    return user, password


def take_query_keys(query: bytes) -> tuple[bytes, list[bytes]]:
    """Return a query string without its `key` parameters, and their values.

    >>> take_query_keys(b"min=0&k%65y=a%2Bb&max=9")
    (b'min=0&max=9', [b'a+b'])
    """
    if b"key" not in query and b"%" not in query:
        return query, []
    kept, keys = [], []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if _decoded(name) == PARAMETER.encode():
            keys.append(_decoded(value))
        else:
            kept.append(part)
    return b"&".join(kept), keys


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32).digest()
