"""Waits for changes in folders: by the system's notices, or else by the clock."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence

_STEP_MS = 250
_DEBOUNCE_MS = 1000
_MAX_FOLDERS = 8192
"""Folders beyond which no notices are asked for; Linux keeps a kilobyte for each."""
_OF_NETWORKS: tuple[str, ...] = ("9p", "afs", "beegfs", "ceph", "cifs", "fuse", "gfs", "gluster")
_OF_NETWORKS += ("gpfs", "lustre", "nfs", "ocfs", "smb", "vboxsf", "virtiofs")
"""How the types of file systems begin of which other machines may change the files unnoticed."""
_MOUNTS = "/proc/self/mounts"

log = logging.getLogger(__name__)


class FolderWatch:
    """Folders whose changes can be waited for. Its methods block: call them from one thread."""

    def __init__(self) -> None:
        self._folders: tuple[str, ...] = ()
        self._notices: _Notices | None = None

    @property
    def is_noticed(self) -> bool:
        """Whether every change is noticed; if not, look into the folders by the clock."""
        return self._notices is not None

    def follow(self, folders: Sequence[str]) -> bool:
        """Wait for changes in these folders from now on, not in those inside them.

        Returns:
            Whether notices begin now: changes before were not noticed.
        """
        wanted = tuple(sorted(set(folders)))
        if wanted == self._folders:
            return False
        self.close()
        self._folders = wanted
        if wanted and len(wanted) <= _MAX_FOLDERS and not is_of_network(wanted):
            self._notices = _notices(wanted)
        return self.is_noticed

    def wait(self, timeout_s: float, stop: threading.Event) -> None:
        """Return after a change, a while after the first of many, or after a timeout or a stop."""
        if self._notices is None or not self._notices.wait(timeout_s, stop):
            stop.wait(timeout_s)

    def close(self) -> None:
        """Give up the system's notices."""
        if self._notices is not None:
            self._notices.close()
        self._notices, self._folders = None, ()


class _Notices:
    """Notices of changes, by watchfiles."""

    def __init__(self, folders: Sequence[str]) -> None:
        # In the thread that waits: it takes longer than 20 ms.
        from watchfiles._rust_notify import RustNotify

        # Links are not followed: each of the folders is named itself.
        self._notify = RustNotify(list(folders), False, False, 0, False, False)

    def wait(self, timeout_s: float, stop: threading.Event) -> bool:
        """Return whether waiting was possible."""
        try:
            self._notify.watch(_DEBOUNCE_MS, _STEP_MS, max(int(timeout_s * 1000), 1), stop)
        except (OSError, RuntimeError) as exc:
            log.debug("changes are not noticed any more: %s", exc)
            return False
        return True

    def close(self) -> None:
        self._notify.close()


def _notices(folders: Sequence[str]) -> _Notices | None:
    try:
        return _Notices(folders)
    except (OSError, ImportError) as exc:
        # Most often the limit of inotify's watches, which all programs of a user share.
        log.debug("folders are looked into by the clock: %s", exc)
        return None


def is_of_network(folders: Sequence[str], mounts: str = _MOUNTS) -> bool:
    """Tell whether one of the folders is on a file system that other machines may change.

    Args:
        folders: absolute paths.
        mounts: the file in which Linux lists what is mounted; without it none is.
    """
    remote: list[str] = []
    local: list[str] = []
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                _, point, kind = line.split(" ")[:3]
                point = point.replace("\\040", " ").rstrip("/") + "/"
                (remote if kind.startswith(_OF_NETWORKS) else local).append(point)
    except (OSError, ValueError):
        return False
    return any(_depth(folder, remote) > _depth(folder, local) for folder in folders if remote)


def _depth(folder: str, points: Sequence[str]) -> int:
    path = os.path.realpath(folder) + "/"
    return max((len(point) for point in points if path.startswith(point)), default=0)
