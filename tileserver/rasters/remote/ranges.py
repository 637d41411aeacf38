"""Fetches one range of a remote object over HTTP, bounded in bytes and in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import httpcore

from tileserver.errors import (
    ConfigError,
    DeadlineExceeded,
    RasterUnreachable,
    TileserverError,
    UnreadableRaster,
)
from tileserver.rasters.remote.addresses import Resolve, resolve
from tileserver.rasters.remote.answers import BadAnswer, Head, Validators
from tileserver.rasters.remote.network import Deadlines, Network, RefusedAddress
from tileserver.rasters.remote.objects import RemoteObject

_CONNECT_S = 5.0
_TOTAL_S = 20.0
"""For one range, all tries together."""
_TRIES = 3
_PAUSE_S = 0.5
_CONNECTIONS = 32
_KEEPALIVE_S = 30.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_WRONG_REGION = frozenset({301, 307, 400})
_HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "User-Agent": f"ee-tileserver/{version('ee-tileserver')}",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an object and the validators that came with them."""

    validators: Validators
    body: bytes


class Ranges:
    """Fetches ranges; redirects are never followed, proxies of the environment not used."""

    def __init__(
        self,
        private_hosts: Collection[str] = (),
        resolve: Resolve = resolve,
        total_s: float = _TOTAL_S,
    ) -> None:
        self.total_s = total_s
        self._deadlines = Deadlines()
        self._pool = httpcore.ConnectionPool(
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=Network(self._deadlines, private_hosts, resolve),
        )
        self._regions: dict[str, str] = {}

    def fetch(
        self,
        remote: RemoteObject,
        first: int,
        last: int,
        condition: Mapping[str, str],
        total_s: float | None = None,
        tries: int = _TRIES,
    ) -> Part | None:
        """Return the bytes from `first` to `last`, both included, or to the object's end.

        Args:
            remote: the object.
            first: of the range.
            last: of the range; no more than this many bytes are taken from the server.
            condition: headers such as If-None-Match.
            total_s: seconds for all tries together; None is the usual.
            tries: attempts in all; only transient failures are retried.

        Returns:
            The part, or None if the object has not changed.

        Raises:
            UnreadableRaster: there is no such object, or the server does not hand it out.
            RasterUnreachable: the server fails, or its answer is broken.
            DeadlineExceeded: there was no answer in time.
        """
        region = self._regions.get(remote.bucket)
        if region is not None:
            remote = remote.in_region(region) or remote
        fetch = partial(self._request, remote, first, last, condition)
        limit_s = self.total_s if total_s is None else min(self.total_s, total_s)
        with self._deadlines.within(limit_s):
            return _retried(fetch, tries, self._deadlines)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _request(
        self,
        remote: RemoteObject,
        first: int,
        last: int,
        condition: Mapping[str, str],
        may_move: bool = True,
    ) -> Part | None:
        headers = remote.sign(
            remote.url, {**_HEADERS, **condition, "Range": f"bytes={first}-{last}"}
        )
        with (
            _errors(),
            self._pool.stream(
                "GET",
                remote.url,
                headers=list(headers.items()),
                extensions={"timeout": {"connect": _CONNECT_S, "pool": self.total_s}},
            ) as answer,
        ):
            head = Head.of(answer.status, answer.headers)
            region = head.headers.get(b"x-amz-bucket-region", b"").decode("latin-1")
            is_elsewhere = may_move and head.status in _WRONG_REGION
            moved = remote.in_region(region) if is_elsewhere else None
            if moved is None:
                return _part(head, answer.iter_stream(), first, last, condition)
        self._regions[remote.bucket] = region
        return self._request(moved, first, last, condition, may_move=False)


def _part(
    head: Head, chunks: Iterator[bytes], first: int, last: int, condition: Mapping[str, str]
) -> Part | None:
    if head.status == 304 and condition:
        return None
    _check_status(head.status)
    validators, length = head.placed(first, last)
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > length:
            raise BadAnswer("the answer is longer than its range")
    if len(body) < length:
        raise BadAnswer("the answer is shorter than its range")
    return Part(validators, bytes(body))


def _check_status(status: int) -> None:
    """Raise unless an answer holds bytes.

    Raises:
        UnreadableRaster: it will not hold any the next time either.
        RasterUnreachable: it may.
    """
    if status in (200, 206):
        return
    if status in _PASSING:
        raise RasterUnreachable(f"the server fails, with status {status}")
    if status in (404, 410):
        raise UnreadableRaster(f"the server has no such file, and says so with status {status}")
    if status in (401, 403):
        raise UnreadableRaster(f"the server does not hand the file out: status {status}")
    if 300 <= status < 400:
        raise UnreadableRaster(
            f"the server redirects, with status {status}; redirects are not followed, "
            "so the configuration must give the URL they lead to"
        )
    if status == 416:
        raise UnreadableRaster("the file ends before the range that was asked for")
    raise UnreadableRaster(f"expected an answer with status 206, got {status}")


def _retried(fetch: Callable[[], Part | None], tries: int, deadlines: Deadlines) -> Part | None:
    """Call `fetch`, and retry transient failures until the deadline."""
    for tried in range(1, tries + 1):
        try:
            return fetch()
        except RasterUnreachable:
            if tried == tries or deadlines.has_passed(_PAUSE_S):
                raise
            time.sleep(_PAUSE_S)
    raise AssertionError("there is at least one try")


@contextmanager
def _errors() -> Iterator[None]:
    """Raise our errors in place of httpcore's; none of them shows a URL."""
    try:
        yield
    except TileserverError:
        raise
    except RefusedAddress as exc:
        raise UnreadableRaster(
            f"{exc}; the configuration must name the address itself, or the host in "
            "[remote] private_hosts"
        ) from None
    except httpcore.TimeoutException as exc:
        raise DeadlineExceeded("the server did not answer in time") from exc
    except (httpcore.NetworkError, httpcore.ProtocolError, BadAnswer) as exc:
        why = str(exc) if isinstance(exc, BadAnswer) else "the server cannot be reached or hung up"
        raise RasterUnreachable(why) from exc
    except (httpcore.UnsupportedProtocol, ConfigError) as exc:
        raise UnreadableRaster("its URL cannot be asked for") from exc
