"""API keys: where requests carry them, and the names of their holders.

Only digests are kept, and a key is compared with all of them in constant time. A key may come as
`Authorization: Bearer KEY`, as `X-API-Key: KEY`, as the password or the user of `Authorization:
Basic`, or as `?key=KEY`.
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
"""The query parameter of a key."""
SHORT = 16
"""Keys with fewer characters can be guessed."""
_VISIBLE = re.compile(r"[!-~]+", re.ASCII)
"""Clients encode other characters in headers in different ways."""

Headers = Iterable[tuple[bytes, bytes]]


class Holder(NamedTuple):
    """The holder of the key of a request."""

    name: str
    is_ambient: bool
    """Browsers add it to the requests of all pages by themselves: Basic authentication."""
    in_query: str | None = None
    """The key, if it came in the query: then the URLs in the response need it too."""


class Keys:
    """The keys of `[access] keys`, as digests by name."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """`secrets` are the keys by the names of their holders.

        Raises:
            ConfigError: a key has characters that headers cannot carry, or is given twice.
        """
        self._names: dict[bytes, str] = {}
        for name, secret in secrets.items():
            self._add(name, secret)

    def _add(self, name: str, secret: str) -> None:
        place = f"[access] keys.{name}"
        if not _VISIBLE.fullmatch(secret):
            raise ConfigError(
                f"{place}: expected ASCII letters, digits and signs without spaces, got a value "
                "that is not shown"
            )
        digest = _digest(secret.encode())
        if holder := self._names.get(digest):
            raise ConfigError(f"{place}: expected a key of its own, got that of {holder!r}")
        self._names[digest] = name

    def __bool__(self) -> bool:
        """Return whether there are keys."""
        return bool(self._names)

    def name_of(self, key: bytes) -> str | None:
        """Return the holder of a key, or None; in constant time."""
        given, found = _digest(key), None
        for digest, name in self._names.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found

    def holder(self, headers: Headers, query_keys: Iterable[bytes]) -> Holder | None:
        """Return the holder of the first valid key of a request, those of the query first."""
        found = None
        for key in query_keys:
            if name := self.name_of(key):
                found = found or Holder(name, is_ambient=False, in_query=key.decode())
        for key, is_ambient in header_keys(headers):
            if name := self.name_of(key):
                found = found or Holder(name, is_ambient)
        return found


def header_keys(headers: Headers) -> Iterator[tuple[bytes, bool]]:
    """Yield possible keys in the headers, and whether browsers send each by themselves.

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
    kept: list[bytes] = []
    keys: list[bytes] = []
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        is_key = _decoded(name) == PARAMETER.encode()
        (keys if is_key else kept).append(_decoded(value) if is_key else part)
    return b"&".join(kept), keys


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _digest(key: bytes) -> bytes:
    return hashlib.blake2b(key, digest_size=32).digest()
