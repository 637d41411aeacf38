"""Metrics for Prometheus.

Every label has a fixed set of values: no part of a request becomes one. With several workers each
writes its metrics into files of the folder PROMETHEUS_MULTIPROC_DIR, and the worker that is scraped
adds them up.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from tileserver.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    QuotaExhausted,
    RateLimited,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamDown,
)

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of the folder of several workers; read at import."""
_FILE_BYTES = 1 << 17
_FILES = ("counter", "histogram", "gauge_livesum", "gauge_livemax")
_LIVE = re.compile(r"gauge_live\w+?_(\d+)\.db")

log = logging.getLogger(__name__)


def _reserve(folder: Path) -> bool:
    """Allocate this worker's files, or return False.

    prometheus_client maps them into memory: a write to a page without space on the disk would
    kill the process.
    """
    try:
        for kind in _FILES:
            with (folder / f"{kind}_{os.getpid()}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
    except (OSError, AttributeError) as exc:
        log.warning("No room for the metrics of all workers, each counts for itself: %s", exc)
        return False
    return True


_folder = Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None
if _folder is not None and not _reserve(_folder):
    _folder = None
    values.ValueClass = values.MutexValue

REGISTRY = CollectorRegistry()
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)

REQUESTS = Counter(
    "tileserver_requests", "Requests answered.", ("route", "status"), registry=REGISTRY
)
CACHE = Counter(
    "tileserver_cache",
    "Pixels asked of the memory: hit, stale (answered, and fetched again) or miss.",
    ("result",),
    registry=REGISTRY,
)
SHARED = Counter(
    "tileserver_shared_cache",
    "Pixels asked of what workers share: hit, miss (asked upstream here) or corrupt.",
    ("store", "result"),
    registry=REGISTRY,
)
SHARED_FAILURES = Counter(
    "tileserver_shared_cache_failures",
    "Failures of what workers share: redis, or a folder on disk. Pixels are served all the same.",
    ("store", "operation"),
    registry=REGISTRY,
)
UPSTREAM = Counter(
    "tileserver_upstream_requests",
    "Requests to Earth Engine, each try for itself.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
UPSTREAM_SECONDS = Histogram(
    "tileserver_upstream_seconds",
    "How long Earth Engine took, failures included.",
    ("kind",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
RETRIES = Counter("tileserver_retries", "Second and third tries.", registry=REGISTRY)
TOKEN_FAILURES = Counter(
    "tileserver_token_failures", "Access tokens that could not be had.", registry=REGISTRY
)
LOOP_LAG = Histogram(
    "tileserver_event_loop_lag_seconds",
    "How much later than meant the event loop came around.",
    buckets=(0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5),
    registry=REGISTRY,
)
LOOP_LAG_LAST = Gauge(
    "tileserver_event_loop_lag_last_seconds",
    "The same, the last time; of several workers the worst.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
BREAKER_OPEN = Gauge(
    "tileserver_breaker_open",
    "1 while Earth Engine is not asked, for it failed too often; of several workers any.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
QUEUE = Gauge(
    "tileserver_queue_length",
    "Requests that wait for a slot to ask Earth Engine.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
IN_FLIGHT = Gauge(
    "tileserver_slots_in_flight",
    "Requests at Earth Engine now.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
SLOTS = Gauge(
    "tileserver_slots_limit",
    "Requests at once that are allowed now; 429s lower it.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
MEMORY = Gauge(
    "tileserver_memory_cache_bytes",
    "Bytes that the memory cache holds.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
RESPONSES = Gauge(
    "tileserver_response_cache_bytes",
    "Bytes of the responses that are kept to be repeated.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
BLOCKS = Gauge(
    "tileserver_block_cache_bytes",
    "Bytes of the decoded blocks of local rasters that are kept.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)

OUTCOMES: Mapping[type[BaseException], str] = {
    RateLimited: "rate_limited",
    QuotaExhausted: "quota_exhausted",
    UpstreamDown: "down",
    InvalidRequest: "invalid",
    NotFound: "not_found",
    DeadlineExceeded: "timeout",
    TooComplex: "too_complex",
    AuthenticationFailed: "unauthenticated",
    TransientError: "failed",
    TileserverError: "bad_answer",
    BaseException: "abandoned",
}
"""Outcome of a request upstream by its error, looked up along the class's MRO; else "ok"."""


class Tally:
    """How many requests for pixels were made to Earth Engine for a request of ours."""

    def __init__(self) -> None:
        self.requests = 0


_tally: ContextVar[Tally | None] = ContextVar("tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Count the requests to Earth Engine that begin in the block, and in tasks begun there."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


@contextmanager
def upstream(kind: str) -> Iterator[None]:
    """Count one request to Earth Engine.

    Args:
        kind: "pixels" or "metadata".
    """
    started_s = time.monotonic()
    outcome = "ok"
    if kind == "pixels" and (tally := _tally.get()) is not None:
        tally.requests += 1
    try:
        yield
    except BaseException as exc:
        outcome = next(OUTCOMES[each] for each in type(exc).__mro__ if each in OUTCOMES)
        raise
    finally:
        UPSTREAM.labels(kind, outcome).inc()
        UPSTREAM_SECONDS.labels(kind).observe(time.monotonic() - started_s)


def exposition() -> bytes:
    """Return the metrics of all workers in Prometheus's text format; may read files."""
    if _folder is not None:
        try:
            _remove_dead_gauges(_folder)
            together = CollectorRegistry()
            MultiProcessCollector(together, str(_folder))  # type: ignore[no-untyped-call]
            return generate_latest(together)
        except (OSError, ValueError, RuntimeError) as exc:
            log.warning("The metrics of the other workers cannot be read: %s", exc)
    return generate_latest(REGISTRY)


def _remove_dead_gauges(folder: Path) -> None:
    """Remove the gauges of dead workers; their counters stay."""
    found = (_LIVE.fullmatch(each.name) for each in folder.iterdir())
    for pid in {int(match[1]) for match in found if match}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with suppress(OSError):
                mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        except OSError:
            pass
