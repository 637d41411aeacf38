"""Responses that are repeated byte for byte, before the router and the handlers run.

A handler marks its response as `repeatable`, `KeepResponses` keeps it, and the HTTP protocol sends
it again; repeated responses differ in date and request id only. The key has all that the access
rules look at, so a request gets a kept response only where the rules would admit it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cachetools import LRUCache
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tileserver import metrics
from tileserver.http.hosts import Sender, sender_of
from tileserver.http.keys import Keys, take_query_keys
from tileserver.http.request_ids import request_id
from tileserver.http.responses import etag_matches

RESPONSES = "responses"
"""Key of the application's state, and of `scope["state"]`, for its `ResponseCache`."""
_MARK = "repeatable"
"""Key of `scope["state"]` for the mark of a response."""
_ENTRY_BYTES = 3000
"""Estimate of the memory of the headers and of the bookkeeping."""
_SHARE = 8
"""A body larger than this fraction of the cache is not kept."""
_OF_THE_BODY = (b"content-type", b"content-length")
_HIT = metrics.CACHE.labels("hit")

RawHeaders = list[tuple[bytes, bytes]]
Key = tuple[bytes, Sender, str, bool]


@dataclass(frozen=True, slots=True)
class Mark:
    """How long a response may be repeated."""

    is_current: Callable[[], bool]
    """Whether its handler would give the same response now; must not block."""
    ends_s: float
    """By `time.monotonic`."""
    is_cache_hit: bool
    """Whether it counts as pixels found in memory."""


def repeatable(
    request: Request,
    is_current: Callable[[], bool],
    ends_s: float = float("inf"),
    is_cache_hit: bool = False,
) -> None:
    """Mark the response to a request as one that may be repeated; the members are those of Mark."""
    request.scope["state"][_MARK] = Mark(is_current, ends_s, is_cache_hit)


@dataclass(frozen=True, slots=True)
class _Entry:
    mark: Mark
    etag: str
    ok: tuple[bytes, bytes]
    """Status line and headers, and body, of 200."""
    unchanged: tuple[bytes, bytes]
    """The same of 304."""
    counters: tuple[Any, Any]
    """Of responses with 200 and with 304."""
    size: int
    """Bytes of memory."""


class ResponseCache:
    """Responses to GET requests, kept in memory."""

    def __init__(self, keys: Keys, max_bytes: int) -> None:
        """Keep at most `max_bytes`; requests need one of `keys`, if there are any."""
        self.keys = keys
        self._entries: LRUCache[Key, _Entry] = LRUCache(
            max_bytes, getsizeof=lambda entry: entry.size
        )

    @property
    def held_bytes(self) -> int:
        """Bytes in use, bookkeeping included; at most `max_bytes`."""
        return int(self._entries.currsize)

    def find(self, url: bytes, headers: RawHeaders) -> tuple[bytes, bytes] | None:
        """Return the response to a GET request, or None.

        Args:
            url: path and query, as they are in the request line.
            headers: of the request, names in lower case.

        Returns:
            (status line and headers without the empty line, body), as bytes of HTTP/1.1.
        """
        key = self.key(url, headers)
        entry = None if key is None else self._entries.get(key)
        if entry is None or key is None:
            return None
        mark = entry.mark
        if time.monotonic() >= mark.ends_s or not mark.is_current():
            return None
        if mark.is_cache_hit:
            _HIT.inc()
        is_unchanged = etag_matches(headers, entry.etag)
        entry.counters[is_unchanged].inc()
        head, body = entry.unchanged if is_unchanged else entry.ok
        return b"%sx-request-id: %s\r\n" % (head, request_id(headers)), body

    def key(self, url: bytes, headers: RawHeaders) -> Key | None:
        """Return the key of a request, or None without an API key where one is needed."""
        if not self.keys:
            return url, sender_of(headers), "", False
        path, _, query = url.partition(b"?")
        query, in_query = take_query_keys(query)
        holder = self.keys.holder(headers, in_query)
        # Of API keys only digests are kept in memory, so none is a part of this key.
        url = b"%s?%s" % (path, query)
        return None if holder is None else (url, sender_of(headers), holder.name, holder.is_ambient)

    def put(self, key: Key, mark: Mark, route: str, headers: RawHeaders, body: bytes) -> None:
        """Keep a response with status 200, unless it is too large a part of the cache.

        Args:
            key: of the request.
            mark: how long to repeat it.
            route: under which it is counted.
            headers: of the response; one is its ETag.
            body: of the response.
        """
        if len(body) > self._entries.maxsize // _SHARE:
            return
        shared = [pair for pair in headers if pair[0] != b"x-request-id"]
        unchanged = [pair for pair in shared if pair[0] not in _OF_THE_BODY]
        entry = _Entry(
            mark,
            dict(shared)[b"etag"].decode(),
            (_head(b"200 OK", shared), body),
            (_head(b"304 Not Modified", unchanged), b""),
            (metrics.REQUESTS.labels(route, 200), metrics.REQUESTS.labels(route, 304)),
            len(body) + len(repr(key)) + _ENTRY_BYTES,
        )
        if entry.size <= self._entries.maxsize:
            self._entries[key] = entry

    def renew(self, key: Key, mark: Mark, etag: str) -> None:
        """Repeat a kept response for longer, if it is the one with this ETag."""
        entry = self._entries.get(key)
        if entry is not None and entry.etag == etag:
            self._entries[key] = replace(entry, mark=mark)


def _head(status: bytes, headers: RawHeaders) -> bytes:
    lines = [b"%s: %s\r\n" % pair for pair in headers]
    return b"".join((b"HTTP/1.1 %s\r\n" % status, *lines))


class KeepResponses:
    """ASGI middleware that keeps marked responses in the application's `ResponseCache`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        responses = scope.get("state", {}).get(RESPONSES)
        if responses is None or scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        url, query = scope["raw_path"], scope["query_string"]
        key = responses.key(b"%s?%s" % (url, query) if query else url, scope["headers"])
        started: Message = {}

        async def send_and_keep(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message
            elif key and (mark := scope["state"].get(_MARK)):
                headers = started["headers"]
                if started["status"] == 200:
                    responses.put(key, mark, scope["route"].path, headers, message["body"])
                elif started["status"] == 304:
                    responses.renew(key, mark, dict(headers)[b"etag"].decode())
            await send(message)

        await self.app(scope, receive, send_and_keep)
