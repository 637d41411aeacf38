"""Runs exports: one at a time in each worker, in a thread that no tile waits for."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import anyio

from tileserver.errors import InvalidRequest, StoreFull, TileserverError
from tileserver.exports.destinations import Destination, Folder, Opened
from tileserver.exports.tasks import Stopped, Task, TaskStore, now

if TYPE_CHECKING:
    from tileserver.exports.images import ImageOptions, Planned
    from tileserver.exports.tables import PlannedTable, TableOptions

_MAX_WAITING = 1000
_NICE = 10
_REPORT_SHARE = 0.02
_CHECK_S = 1.0
"""Between two looks at the room on disk."""
_ENDED = "The server was stopped."

log = logging.getLogger(__name__)


class Planner(Protocol):
    """Evaluates expressions to what can be written; its methods block."""

    def planned_image(self, expression: str) -> Planned:
        """Return an image."""
        ...

    def planned_table(self, expression: str) -> PlannedTable:
        """Return a collection."""
        ...


@dataclass(frozen=True)
class Job:
    """What a task writes."""

    expression: str
    destination: Destination
    options: ImageOptions | TableOptions


class Started(NamedTuple):
    """A task, and whether it has just been made."""

    task: Task
    is_new: bool


class Exporter:
    """Makes tasks and runs them."""

    def __init__(
        self,
        folder: Folder,
        planner: Planner,
        prefix: str | None = None,
        notice: Callable[[], object] = lambda: None,
    ) -> None:
        """Export to a folder.

        Args:
            folder: of exports.
            planner: evaluates expressions.
            prefix: of the names of assets whose files are in the folder, if it is a root.
            notice: called when an asset has been written; blocks.
        """
        self.folder = folder
        self.planner = planner
        self.prefix = prefix
        self.notice = notice
        self.tasks = TaskStore(folder.path)
        self._waiting: list[tuple[Task, Job]] = []
        self._running: asyncio.Task[None] | None = None
        self._stops = threading.Event()
        self._known: set[str] = set()
        self._is_swept = False
        self._lock = threading.Lock()

    def start(self, project: str, kind: str, request_id: str, facts: Mapping[str, Any]) -> Started:
        """Return a new task, or the one that a request id has; reads the disk.

        Raises:
            StoreFull: there is no room for more files, or tasks.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise StoreFull(f"There are {_MAX_WAITING} tasks that have not ended; cancel some.")
        try:
            self.folder.path.mkdir(parents=True, exist_ok=True)
            self.folder.check_room()
            task = self.tasks.create(project, kind, request_id, facts)
            self._sweep()
        except OSError as exc:
            log.warning("the folder of exports cannot be written to: %s", exc)
            raise StoreFull("The folder of exports cannot be written to.") from exc
        with self._lock:
            is_new = task.state == "PENDING" and task.id not in self._known
            is_new = is_new and task.worker == self.tasks.worker
            self._known.add(task.id)
        return Started(task, is_new)

    def opened(self, destination: Destination) -> AbstractContextManager[Opened]:
        """Return the folder of a destination, open, for this worker."""
        return self.folder.open(destination, self.tasks.worker)

    def _sweep(self) -> None:
        """Delete, once, what workers that were killed had not finished."""
        with self._lock:
            is_swept, self._is_swept = self._is_swept, True
        if not is_swept:
            self.folder.sweep(self.tasks.is_alive)

    def add(self, task: Task, job: Job) -> None:
        """Have a task run after those before it; call it on the event loop."""
        self._waiting.append((task, job))
        # Those of a higher priority go first, in the order of their coming.
        self._waiting.sort(key=lambda each: -each[0].priority)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_all())

    async def _run_all(self) -> None:
        limiter = anyio.CapacityLimiter(1)
        while self._waiting:
            task, job = self._waiting.pop(0)
            await anyio.to_thread.run_sync(
                self._run, task, job, limiter=limiter, abandon_on_cancel=True
            )

    async def close(self) -> None:
        """Stop the task that runs; it and those that wait have failed."""
        self._stops.set()
        running, self._running = self._running, None
        if running is not None:
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(running), 2.0)
            running.cancel()
        await anyio.to_thread.run_sync(self.tasks.close)

    def _run(self, task: Task, job: Job) -> None:
        """Run a task to its end, whatever comes."""
        with suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        run = _Run(self, task)
        try:
            run.check()
            run.update(state="RUNNING", started=now())
            files = run.write(job)
            run.update(state="SUCCEEDED", files=tuple(files), progress=1.0, ended=now())
        except Stopped:
            is_ending = self._stops.is_set()
            problem = _ENDED if is_ending else None
            run.update(state="FAILED" if is_ending else "CANCELLED", problem=problem, ended=now())
        except TileserverError as exc:
            run.update(state="FAILED", problem=str(exc), ended=now())
        except OSError as exc:
            log.warning("task %s: %s", task.id, exc)
            run.update(state="FAILED", problem=f"Cannot write: {exc.strerror}.", ended=now())
        except Exception:
            log.exception("task %s failed", task.id)
            run.update(state="FAILED", problem="Internal error.", ended=now())


class _Run:
    """One task while it runs."""

    def __init__(self, exporter: Exporter, task: Task) -> None:
        self.exporter = exporter
        self.task = task
        self.reported = 0.0
        self.checked_s = time.monotonic()

    def update(self, **changes: object) -> None:
        """Keep what has changed; a full disk loses no more than that."""
        with suppress(OSError):
            self.task = self.exporter.tasks.update(self.task, **changes)

    def check(self) -> None:
        """Raise Stopped if the task is to stop."""
        if self.exporter._stops.is_set() or self.exporter.tasks.is_cancelled(self.task):
            raise Stopped

    def progress(self, share: float) -> None:
        """Take the share that is done."""
        self.check()
        if time.monotonic() - self.checked_s >= _CHECK_S:
            self.exporter.folder.check_room()
            self.checked_s = time.monotonic()
        if share - self.reported >= _REPORT_SHARE:
            self.reported = share
            self.update(progress=share)

    def write(self, job: Job) -> Sequence[str]:
        """Return the names of the files that were written."""
        # Late, as GDAL, shapely and expressions are.
        from tileserver.exports.images import ImageOptions

        self.exporter.folder.check_room()
        if isinstance(job.options, ImageOptions):
            files = self._image(job, job.options)
        else:
            files = self._table(job, job.options)
        asset = job.destination.asset
        if asset is None:
            return files
        self.exporter.notice()
        return [asset]

    def _image(self, job: Job, options: ImageOptions) -> list[str]:
        from tileserver.exports.images import (
            check_image,
            files_of,
            make_cloud_optimized,
            write_image,
        )

        image = self.exporter.planner.planned_image(job.expression)
        check_image(image, options)
        found = []
        with self.exporter.opened(job.destination) as opened:
            _check_free(opened, job.destination)
            for ending, grid in files_of(image.grid, options):
                self.reported = 0.0
                with opened.part(".tif") as (name, path), opened.part(".tif") as (other, target):
                    write_image(image, grid, options, path, self.progress)
                    if options.cloud_optimized:
                        make_cloud_optimized(path, target)
                        self.check()
                    done = other if options.cloud_optimized else name
                    found.append(opened.publish(done, f"{ending}.tif"))
        return found

    def _table(self, job: Job, options: TableOptions) -> list[str]:
        from tileserver.exports.tables import FORMATS, write_table

        table = self.exporter.planner.planned_table(job.expression)
        suffix = FORMATS[options.file_format][1]
        with self.exporter.opened(job.destination) as opened:
            _check_free(opened, job.destination)
            with opened.part(suffix) as (name, path):
                write_table(table, options, path, self.progress)
                return [opened.publish(name, suffix)]


_OF_ASSETS = (".tif", ".tiff", ".geojson", ".csv", ".gpkg", ".shp")


def _check_free(opened: Opened, destination: Destination) -> None:
    """Raise if an asset that is not to be overwritten is there."""
    if destination.asset is None or destination.overwrites:
        return
    if not opened.is_free(_OF_ASSETS):
        raise InvalidRequest(
            f"Asset '{destination.asset}' already exists; overwrite=True takes its place."
        )
