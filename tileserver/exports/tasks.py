"""Tasks, kept as files in a folder that all workers share.

A task belongs to the worker that was asked for it. Each worker holds a lock on a file of its own
as long as it lives; a task that has not ended and whose worker holds none has failed.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tileserver.errors import NotFound, StoreFull

FOLDER = ".tasks"
"""Below the folder of exports; names that begin with a dot are no assets."""
MAX_TASKS = 3000
"""Kept on disk, as many as Earth Engine queues; the oldest that have ended make room."""
_ID_BYTES = 15
"""24 letters, as Earth Engine's ids have."""
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
_LOST = "The server that ran this task has ended."
_CODES = {"FAILED": 3, "CANCELLED": 1}


def now() -> str:
    """Return the time as operations have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Task:
    """One export, as it was when it was read."""

    id: str
    project: str
    kind: str
    """EXPORT_IMAGE or EXPORT_TABLE."""
    description: str
    worker: str
    created: str
    updated: str
    state: str = "PENDING"
    priority: int = 100
    started: str | None = None
    ended: str | None = None
    progress: float = 0.0
    files: tuple[str, ...] = ()
    """Names below the folder of exports, or of assets."""
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the operation, as Earth Engine has it."""
        metadata = {
            "@type": "type.googleapis.com/google.earthengine.v1.OperationMetadata",
            "state": self.state,
            "description": self.description,
            "priority": self.priority,
            "createTime": self.created,
            "updateTime": self.updated,
            "type": self.kind,
            "progress": round(self.progress, 4),
        }
        if self.started:
            metadata |= {"startTime": self.started, "attempt": 1}
        if self.ended:
            metadata["endTime"] = self.ended
        if self.files:
            metadata["destinationUris"] = list(self.files)
        found: dict[str, Any] = {"name": f"projects/{self.project}/operations/{self.id}"}
        found["metadata"] = metadata
        if self.state in ENDED:
            found["done"] = True
        if self.state == "SUCCEEDED":
            found["response"] = {"@type": "type.googleapis.com/google.protobuf.Empty"}
        elif self.state in _CODES:
            found["error"] = {"code": _CODES[self.state], "message": self.problem or "Cancelled."}
        return found


class TaskStore:
    """The tasks of all workers. Its methods use the disk: call them from a thread."""

    def __init__(self, folder: Path) -> None:
        """Keep tasks below the folder of exports."""
        self.folder = folder / FOLDER
        self.worker = secrets.token_hex(8)
        self._lock: int | None = None

    def create(self, project: str, kind: str, request_id: str, facts: Mapping[str, Any]) -> Task:
        """Return a new task; for a request id that was used before, the task of then.

        Raises:
            StoreFull: too many tasks have not ended.
        """
        self._live()
        task_id = _id_of(project, request_id)
        with suppress(NotFound):
            return self.find(project, task_id)
        self._make_room()
        moment = now()
        task = Task(
            task_id, project, kind, worker=self.worker, created=moment, updated=moment, **facts
        )
        self._write(task)
        return task

    def update(self, task: Task, **changes: Any) -> Task:
        """Return a task with other members, which are kept."""
        changed = replace(task, updated=now(), **changes)
        self._write(changed)
        return changed

    def find(self, project: str, task_id: str) -> Task:
        """Return a task as it is now.

        Raises:
            NotFound: the project has none of that id.
        """
        task = self._read(self.folder / f"{task_id}.json") if task_id.isalnum() else None
        if task is None or task.project != project:
            raise NotFound(
                f"Operation projects/{project[:60]}/operations/{task_id[:60]} not found."
            )
        return self._as_it_is(task)

    def list(self, project: str) -> list[Task]:
        """Return the tasks of a project, the newest first."""
        found = [each for each in self._all() if each.project == project]
        return sorted(map(self._as_it_is, found), key=lambda each: each.created, reverse=True)

    def cancel(self, project: str, task_id: str) -> Task:
        """Have a task stopped by the worker that it belongs to; one that has ended stays so."""
        task = self.find(project, task_id)
        if task.state not in ENDED:
            (self.folder / f"{task.id}.cancel").touch()
        return self.find(project, task_id)

    def is_cancelled(self, task: Task) -> bool:
        """Tell whether a task is to stop."""
        return (self.folder / f"{task.id}.cancel").exists()

    def close(self) -> None:
        """Let others see that this worker has ended."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)
            with suppress(OSError):
                self._lock_of(self.worker).unlink()

    def _as_it_is(self, task: Task) -> Task:
        """Return a task; one that its worker does not look after any more has failed."""
        if task.state in ENDED:
            return task
        if task.worker != self.worker and not self.is_alive(task.worker):
            # It may have ended between the two looks.
            again = self._read(self.folder / f"{task.id}.json") or task
            if again.state in ENDED:
                return again
            return self.update(again, state="FAILED", problem=_LOST, ended=now())
        return replace(task, state="CANCELLING") if self.is_cancelled(task) else task

    def _live(self) -> None:
        """Hold the lock of this worker."""
        if self._lock is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self._lock_of(self.worker), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def _lock_of(self, worker: str) -> Path:
        return self.folder / f"{worker}.lock"

    def is_alive(self, worker: str) -> bool:
        """Tell whether a worker, this one or another, has not ended."""
        try:
            lock = os.open(self._lock_of(worker), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _all(self) -> Iterator[Task]:
        for path in self.folder.glob("*.json") if self.folder.is_dir() else ():
            task = self._read(path)
            if task is not None:
                yield task

    def _make_room(self) -> None:
        tasks = sorted(self._all(), key=lambda each: each.updated)
        extra = len(tasks) + 1 - MAX_TASKS
        gone = [each for each in tasks if each.state in ENDED][: max(extra, 0)]
        if len(gone) < extra:
            raise StoreFull(f"There are {MAX_TASKS} tasks that have not ended; cancel some.")
        for each in gone:
            for suffix in ("json", "cancel"):
                (self.folder / f"{each.id}.{suffix}").unlink(missing_ok=True)

    def _read(self, path: Path) -> Task | None:
        try:
            members = json.loads(path.read_text("utf-8"))
            return Task(**members | {"files": tuple(members["files"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _write(self, task: Task) -> None:
        members = {name: getattr(task, name) for name in Task.__slots__}
        part = self.folder / f".{task.id}.{secrets.token_hex(4)}"
        part.write_text(json.dumps(members), "utf-8")
        os.replace(part, self.folder / f"{task.id}.json")


def _id_of(project: str, request_id: str) -> str:
    text = f"{project} {request_id}" if request_id else secrets.token_hex(16)
    digest = hashlib.sha256(text.encode()).digest()[:_ID_BYTES]
    return base64.b32encode(digest).decode()


Progress = Callable[[float], None]
"""Takes the share that is done; raises `Stopped` if the task is to stop."""


class Stopped(Exception):
    """The task was cancelled, or the server stops."""
