"""Remote files, each of one version: all bytes read from one are of the same object.

The version is made of the ETag, Last-Modified and length of the object. It is checked again after
`RECHECK_S`, and each fetched range must come with it.

Headers are read in large blocks, which are kept; the blocks of an image in ranges of their own,
which are not, for what is decoded from them is. Ranges near one another are fetched by one request.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tileserver.errors import (
    AssetChanged,
    DeadlineExceeded,
    RasterUnreachable,
    TileserverError,
    UnreadableRaster,
)
from tileserver.rasters.remote.addresses import Resolve, resolve
from tileserver.rasters.remote.answers import Validators
from tileserver.rasters.remote.blocks import BLOCK_BYTES, Blocks
from tileserver.rasters.remote.objects import RemoteObject, file_name, find_object
from tileserver.rasters.remote.stretches import Fetched, Stretch, joined

if TYPE_CHECKING:
    from tileserver.rasters.remote.ranges import Part, Ranges

RECHECK_S = 3600.0
_CHECK_S = 5.0
"""Timeout of the single attempt to check a file whose version is known."""
_FAILED_S = 5.0
"""Time without requests for a file after its server failed."""
_REQUEST_BYTES = 4_194_304
"""In one request, so that a slow connection can keep the deadline."""
_GAP_BYTES = 2048
"""Between two ranges that are fetched by one request: some files have a few bytes around blocks."""
_AT_ONCE = 8
_MAX_READ_BYTES = 256_000_000
"""Largest read; the sizes that a file declares are not trusted."""

log = logging.getLogger(__name__)


class RemoteFile:
    """One version of a remote file. Equal only to itself; any thread may read."""

    def __init__(
        self, name: str, remote: RemoteObject, validators: Validators, head: bytes, source: _Source
    ) -> None:
        """Describe a file.

        Args:
            name: of the asset, for errors.
            remote: where it is.
            validators: of this version; every range must come with them.
            head: its first block.
            source: fetches and keeps its blocks.
        """
        self.name = name
        self.remote = remote
        self.validators = validators
        self.version = validators.token(head)
        self.is_outdated = False
        """True once the server has answered with another version."""
        self._source = source
        source.headers.put(self, 0, head)

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.validators.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return `size` bytes of a header from an offset on, fewer at the end of the file.

        Raises:
            AssetChanged: the server has another version by now.
            UnreadableRaster: the file is gone, or the server fails.
            DeadlineExceeded: there was no answer in time.
        """
        return self._read([(offset, size)], math.inf, self._source.headers)[0]

    def hold(self, wanted: Sequence[tuple[int, int]], end_s: float) -> None:
        """Fetch what `read_at` will be called for, at once; raises as `read_at`.

        Args:
            wanted: (offset, size) of each.
            end_s: when all must be there, on time.monotonic().
        """
        self._read(wanted, end_s, self._source.headers)

    def read_ranges(
        self, wanted: Sequence[tuple[int, int]], end_s: float = math.inf
    ) -> list[bytes]:
        """Return the bytes of several (offset, size), fetched at once; raises as `read_at`.

        They are fetched with their surroundings, and kept.

        Args:
            wanted: the ranges.
            end_s: when all must be there, on time.monotonic().
        """
        return self._read(wanted, end_s, self._source.blocks)

    def fetch_ranges(self, wanted: Sequence[tuple[int, int]], end_s: float) -> list[bytes]:
        """Return the bytes of several (offset, size), fetched at once; raises as `read_at`.

        Nothing else is fetched but gaps between near ranges, and nothing is kept.

        Args:
            wanted: the ranges.
            end_s: when all must be there, on time.monotonic().
        """
        spans = self._spans(wanted)
        heads = [self._held_from(start, stop) for start, stop in spans]
        missing = [(at + len(head), end) for (at, end), head in zip(spans, heads, strict=True)]
        fetched = self._fetched(missing, _GAP_BYTES, end_s)
        return [head + fetched.cut(*rest) for head, rest in zip(heads, missing, strict=True)]

    def _spans(self, wanted: Sequence[tuple[int, int]]) -> list[Stretch]:
        spans = [(min(start, self.size), min(start + size, self.size)) for start, size in wanted]
        if sum(stop - start for start, stop in spans) > _MAX_READ_BYTES:
            raise UnreadableRaster(
                f"{self.name}: a part of more than {_MAX_READ_BYTES // 10**6} MB would be read at "
                "once; `tileserver ingest` makes a copy with smaller blocks."
            )
        return spans

    def _read(self, wanted: Sequence[tuple[int, int]], end_s: float, blocks: Blocks) -> list[bytes]:
        """Return the bytes of several (offset, size), out of blocks; the missing ones are kept."""
        spans = self._spans(wanted)
        needed = sorted({i for start, stop in spans for i in _indexes(start, stop)})
        held = self._held(needed)
        missing = [i for i in needed if i not in held]
        held |= blocks.get(self, missing, partial(self._fetch_blocks, end_s), end_s)
        return [_cut(held, start, stop) for start, stop in spans]

    def _held(self, indexes: Sequence[int]) -> dict[int, bytes]:
        source = self._source
        return source.blocks.held(self, indexes) | source.headers.held(self, indexes)

    def _held_from(self, start: int, stop: int) -> bytes:
        """Return the bytes of a range that are held already, as far as they go."""
        held: dict[int, bytes] = {}
        for i in _indexes(start, stop):
            found = self._held([i])
            if not found:
                return _cut(held, start, i * BLOCK_BYTES)
            held |= found
        return _cut(held, start, stop)

    def _fetch_blocks(self, end_s: float, indexes: list[int]) -> Iterable[tuple[int, bytes]]:
        spans = [(i * BLOCK_BYTES, min((i + 1) * BLOCK_BYTES, self.size)) for i in indexes]
        fetched = self._fetched(spans, 0, end_s)
        return [(i, fetched.cut(*span)) for i, span in zip(indexes, spans, strict=True)]

    def _fetched(self, spans: Iterable[Stretch], gap: int, end_s: float) -> Fetched:
        """Return the bytes of spans, those near one another fetched by one request."""
        fetch_all = partial(self._source.each, partial(self._fetch, end_s))
        return Fetched(joined(spans, gap, _REQUEST_BYTES), fetch_all, _REQUEST_BYTES)

    def _fetch(self, end_s: float, stretch: Stretch) -> bytes:
        start, stop = stretch
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded(f"{self.name}: the server sends too slowly.")
        with _prefixed_errors(self.name):
            part = self._source.ranges.fetch(self.remote, start, stop - 1, {}, left_s)
        if part is None or part.validators != self.validators:
            self.is_outdated = True
            raise AssetChanged(self.name)
        return part.body


def _cut(held: dict[int, bytes], start: int, stop: int) -> bytes:
    """Return a range out of blocks that hold it."""
    pieces = []
    for i in _indexes(start, stop):
        block, begin = held[i], i * BLOCK_BYTES
        pieces.append(block[max(start - begin, 0) : stop - begin])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _indexes(start: int, stop: int) -> range:
    return range(start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)) if stop > start else range(0)


@contextmanager
def _prefixed_errors(name: str) -> Iterator[None]:
    """Prefix the messages of errors with the name of an asset."""
    try:
        yield
    except TileserverError as exc:
        raise type(exc)(f"{name}: {exc}.") from exc


@dataclass
class _Source:
    """Fetches ranges of all files, and keeps some."""

    make_ranges: Callable[[], Ranges]
    """Called once, in a thread that fetches."""
    headers: Blocks
    """Read again and again; pixels do not crowd them out."""
    blocks: Blocks
    """Of files that GDAL reads."""
    _ranges: Ranges | None = None
    _threads: ThreadPoolExecutor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ranges(self) -> Ranges:
        """What fetches; made with the first file."""
        with self._lock:
            if self._ranges is None:
                self._ranges = self.make_ranges()
            return self._ranges

    def each(self, fetch: Callable[[Stretch], bytes], wanted: Sequence[Stretch]) -> Sequence[bytes]:
        """Return the result of `fetch` for each item, several at once, one in this thread."""
        if len(wanted) < 2:
            return [fetch(each) for each in wanted]
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_AT_ONCE, "remote")
            others = [self._threads.submit(fetch, each) for each in wanted[1:]]
        try:
            return [fetch(wanted[0]), *(each.result() for each in others)]
        finally:
            for each in others:
                each.cancel()

    def close(self) -> None:
        with self._lock:
            ranges, self._ranges = self._ranges, None
            threads, self._threads = self._threads, None
        if ranges is not None:
            ranges.close()
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


@dataclass
class _Held:
    """The file at one location, or its last error."""

    remote: RemoteObject
    file: RemoteFile | None = None
    checked_s: float = 0.0
    failure: TileserverError | None = None
    failed_s: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class RemoteFiles:
    """Remote files by URL, as they are now or were a while ago. Its methods block."""

    def __init__(
        self,
        recheck_s: float = RECHECK_S,
        private_hosts: Collection[str] = (),
        resolve: Resolve = resolve,
        clock: Callable[[], float] = time.monotonic,
        total_s: float | None = None,
        document_hosts: Collection[str] = (),
    ) -> None:
        """Know no file yet.

        Args:
            recheck_s: seconds before a version is checked again.
            private_hosts: host names that may have private addresses.
            resolve: returns the addresses of a name.
            clock: seconds, never going back.
            total_s: seconds a range may take, all tries together; None is the usual.
            document_hosts: names of hosts that documents may lead to, beside their own.
        """
        self.document_hosts = tuple(document_hosts)
        self.recheck_s = recheck_s
        self.clock = clock
        self._source = _Source(
            partial(_ranges, private_hosts, resolve, total_s), headers=Blocks(), blocks=Blocks()
        )
        weakref.finalize(self, self._source.close)
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()

    def current(self, location: str, name: str) -> RemoteFile:
        """Return the file at a URL; the same object as long as its version is the same.

        While the server fails, a known version stays in use.

        Raises:
            UnreadableRaster: there is no such file, or the server does not hand it out.
            RasterUnreachable: the server fails, and no version is known.
            DeadlineExceeded: there was no answer in time, and no version is known.
        """
        with self._lock:
            held = self._held.get(location)
            if held is None:
                held = self._held[location] = _Held(find_object(location))
        with held.lock:
            self._check(held, name)
            if held.failure is not None:
                raise held.failure.with_traceback(None)
            assert held.file is not None
            return held.file

    def document(self, location: str, name: str, max_bytes: int) -> bytes:
        """Return a whole file as it is now; it is not kept.

        Args:
            location: URL.
            name: what to call it in an error.
            max_bytes: length of the longest one that is fetched.

        Raises:
            UnreadableRaster: there is no such file, it is too long, or the server does not hand
                it out.
            RasterUnreachable: the server fails.
            DeadlineExceeded: there was no answer in time.
        """
        with _prefixed_errors(name):
            part = self._source.ranges.fetch(find_object(location), 0, max_bytes - 1, {})
        assert part is not None, "an answer without condition has a body"
        if part.validators.size > max_bytes:
            raise UnreadableRaster(
                f"{name}: {file_name(location)} is longer than {max_bytes / 1e6:.0f} MB, the most "
                "that is read."
            )
        return part.body

    def close(self) -> None:
        """Close all connections."""
        self._source.close()

    def _check(self, held: _Held, name: str) -> None:
        """Request the version from the server, unless it was checked recently."""
        now_s = self.clock()
        is_known = held.file is not None and not held.file.is_outdated
        if held.failed_s is not None and now_s - held.failed_s < _FAILED_S:
            return
        if held.failed_s is None and is_known and now_s - held.checked_s < self.recheck_s:
            return
        try:
            held.file = self._fetched(held.file, held.remote, name)
        except (RasterUnreachable, DeadlineExceeded) as exc:
            held.failed_s = self.clock()
            held.failure = None if is_known else exc
            if is_known:
                log.warning("%s The version that is known is used on.", exc)
        except TileserverError as exc:
            held.failed_s, held.failure, held.file = self.clock(), exc, None
        else:
            held.checked_s, held.failed_s, held.failure = self.clock(), None, None

    def _fetched(self, file: RemoteFile | None, remote: RemoteObject, name: str) -> RemoteFile:
        """Return the file as the server has it now: the same one if that is its version."""
        fetch = partial(self._source.ranges.fetch, remote, 0, BLOCK_BYTES - 1)
        with _prefixed_errors(name):
            if file is None or file.is_outdated:
                part = fetch({})
            else:
                part = fetch(file.validators.condition(), total_s=_CHECK_S, tries=1)
        if part is None and file is not None:
            return file
        assert part is not None, "an answer without condition has a body"
        is_same = file is not None and not file.is_outdated and _token(part) == file.version
        return file if file and is_same else self._new(name, remote, part)

    def _new(self, name: str, remote: RemoteObject, part: Part) -> RemoteFile:
        return RemoteFile(name, remote, part.validators, part.body, self._source)


def _ranges(private_hosts: Collection[str], resolve: Resolve, total_s: float | None) -> Ranges:
    """Return what fetches; imports an HTTP client, which a server of local files does without."""
    from tileserver.rasters.remote.ranges import Ranges

    make = partial(Ranges, private_hosts, resolve)
    return make() if total_s is None else make(total_s)


def _token(part: Part) -> str:
    return part.validators.token(part.body)
