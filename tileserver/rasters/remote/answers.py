"""Checks a server's response to a range request; nothing in it is trusted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(rb"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_MAX_VALIDATOR = 1000


class BadAnswer(Exception):
    """The answer is not one to a request for a range; says why, without URLs."""


@dataclass(frozen=True, slots=True)
class Validators:
    """Size and headers that identify one version of an object."""

    size: int
    """Bytes of the whole object."""
    etag: bytes = b""
    """As it came, `W/` included; empty if there is none."""
    last_modified: bytes = b""

    @property
    def is_strong(self) -> bool:
        """Whether equal validators promise equal bytes."""
        return self.etag.startswith(b'"')

    def token(self, head: bytes) -> str:
        """Return a version of the object, out of its first bytes too where the rest is weak."""
        parts = [str(self.size).encode(), self.etag, self.last_modified]
        if not self.is_strong:
            parts.append(hashlib.blake2b(head).digest())
        return hashlib.blake2b(b"\0".join(parts), digest_size=8).hexdigest()

    def condition(self) -> dict[str, str]:
        """Return the headers that ask for an answer only if the object has changed."""
        # With weak validators the first bytes must be compared.
        return {"If-None-Match": self.etag.decode("latin-1")} if self.is_strong else {}


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer, names of headers in small letters."""

    status: int
    headers: dict[bytes, bytes]

    @classmethod
    def of(cls, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Head:
        """Return the head of an answer as httpcore has it."""
        return cls(status, {name.lower(): value.strip() for name, value in headers})

    def placed(self, first: int, last: int) -> tuple[Validators, int]:
        """Return the object's validators and the length of the body, for a request's range.

        Raises:
            BadAnswer: the body is not those bytes of the object.
        """
        if self.headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise BadAnswer("the server compresses the file on the way")
        if self.status == 200:
            size = self._whole(first, last)
            return self._validators(size), size
        begin, end, size = self._content_range()
        if begin != first or end != min(last, size - 1):
            raise BadAnswer("the answer is another range of the file")
        return self._validators(size), end - begin + 1

    def _content_range(self) -> tuple[int, int, int]:
        """Return first byte, last byte and size of the whole object."""
        match = _CONTENT_RANGE.fullmatch(self.headers.get(b"content-range", b""))
        if match is None:
            raise BadAnswer("the answer does not say which range of the file it is")
        begin, end, size = map(int, match.groups())
        return begin, end, size

    def _whole(self, first: int, last: int) -> int:
        """Return the size of an object that came as a whole."""
        text = self.headers.get(b"content-length", b"")
        if first > 0 or not re.fullmatch(rb"\d{1,18}", text) or int(text) > last + 1:
            raise BadAnswer("the server does not answer requests for ranges")
        return int(text)

    def _validators(self, size: int) -> Validators:
        etag = self.headers.get(b"etag", b"")
        is_etag = re.fullmatch(rb'(W/)?"[^"\x00-\x20]+"', etag) and len(etag) <= _MAX_VALIDATOR
        modified = self.headers.get(b"last-modified", b"")[:_MAX_VALIDATOR]
        return Validators(size, etag if is_etag else b"", modified)
