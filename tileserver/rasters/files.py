"""Opens files beneath a root, one folder after the other, so that no link leads out of it.

A user with write access below a root can replace a folder or a file by a link at any moment. So a
path is never checked first and opened later: each folder is opened within the one before it,
links are not followed, and a file's kind, size and state are those of the descriptor that is read.
A link to a place below the same root is resolved first, and that place is opened in the same way.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple, Self

from tileserver.errors import UnreadableRaster

# A folder on the way need not be readable, where the system can open it for no more than that.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Non-blocking: opening a FIFO would wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO})
_REFUSED = frozenset({errno.EACCES, errno.EPERM})
_DESCRIPTORS = "/proc/self/fd"
"""Where the system lets a file be opened again by a descriptor of it."""
_CHUNK_BYTES = 1 << 20
_MAX_BELOW = 1000
"""Characters of the path of a scanned folder; no asset has a longer name."""

log = logging.getLogger(__name__)


class FileState(NamedTuple):
    """Identity and times of a file; at least one of them differs once the content does.

    A writer can restore the size and the modification time, but not the time of the last change
    of the inode (ctime).
    """

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file lies: a root, and the path below it."""

    root: str = field(repr=False)
    """An absolute path of a folder; links in its parents are followed."""
    below: str
    """Names separated by slashes, none of them `..`."""
    is_root_link: bool = True
    """Whether the root itself may be a link."""
    links: Literal["below", "nowhere", "anywhere"] = "below"
    """Where a link in place of the file may lead: "anywhere" is for links in the configuration."""

    @property
    def path(self) -> str:
        """The path by which other programs would open it."""
        return os.path.join(self.root, self.below)

    def beside(self, name: str) -> Place:
        """Return the place of another file in the same folder."""
        folder, slash, _ = self.below.rpartition("/")
        return Place(self.root, f"{folder}{slash}{name}", self.is_root_link)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file in the state in which it was read."""

    place: Place
    state: FileState


class OpenFile:
    """A regular file held open for reading. Close it, or let go of the last reference."""

    def __init__(self, descriptor: int, place: Place) -> None:
        self.descriptor = descriptor
        self.place = place

    @property
    def location(self) -> str:
        """A path that opens this very file, even if it was moved or deleted since."""
        if has_descriptor_paths():
            return f"{_DESCRIPTORS}/{self.descriptor}"
        return self.place.path

    def state(self) -> FileState:
        """Return the state of the open file, even if its name leads elsewhere by now."""
        return _state_of(os.fstat(self.descriptor))

    def is_still(self, state: FileState) -> bool:
        """Tell whether the file that `location` opens is in a state."""
        if self.state() != state:
            return False
        return has_descriptor_paths() or file_state(self.place) == state

    def read(self, max_bytes: int) -> bytes:
        """Return the content, of a longer file its first `max_bytes` + 1 bytes."""
        chunks, size = [], 0
        while size <= max_bytes:
            wanted = min(max_bytes + 1 - size, _CHUNK_BYTES)
            chunk = os.pread(self.descriptor, wanted, size)
            if not chunk:
                break
            chunks.append(chunk)
            size += len(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        """Close the descriptor, once."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close it."""
        self.close()

    def __del__(self) -> None:
        """Close it with the last reference."""
        self.close()


@contextmanager
def file_errors(name: str) -> Iterator[None]:
    """Raise UnreadableRaster in place of OSError, naming the asset."""
    try:
        yield
    except PermissionError as exc:
        raise UnreadableRaster(
            f"{name}: permission denied; the server must be allowed to read its files and to "
            "enter their folders."
        ) from exc
    except OSError as exc:
        raise UnreadableRaster(f"{name}: its files cannot be opened: {exc.strerror}.") from exc


@cache
def has_descriptor_paths() -> bool:
    """Tell whether the system can open a file again by its descriptor, as Linux can."""
    return os.path.isdir(_DESCRIPTORS)


def _state_of(found: os.stat_result) -> FileState:
    return FileState(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def file_state(place: Place) -> FileState | None:
    """Return the state of a regular file; None if there is none, or a link in its path.

    Raises:
        OSError: the system refuses access.
    """
    try:
        with _folder_of(place) as (folder, name):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as exc:
        if exc.errno in _NOT_THERE:
            return None
        raise
    return _state_of(found) if stat.S_ISREG(found.st_mode) else None


def states_beside(place: Place, names: Sequence[str]) -> dict[str, FileState]:
    """Return the states of those of some names that are regular files beside a place.

    Args:
        place: of a file; a link in its path is not followed, nor one of a name.
        names: of other files in its folder.

    Raises:
        OSError: the system refuses access.
    """
    found = {}
    try:
        with _folder_of(place) as (folder, _):
            for name in names:
                with suppress(FileNotFoundError):
                    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(state.st_mode):
                        found[name] = _state_of(state)
    except OSError as exc:
        if exc.errno not in _NOT_THERE:
            raise
    return found


def open_beneath(place: Place) -> OpenFile | None:
    """Open a regular file; None if there is none, or a link in its path.

    Raises:
        OSError: the system refuses to open it.
    """
    try:
        with _folder_of(place) as (folder, name):
            # Opening a device may already have an effect on it.
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode):
                return None
            file = OpenFile(os.open(name, _FILE, dir_fd=folder), place)
    except OSError as exc:
        if exc.errno in _NOT_THERE:
            return None
        raise
    if not stat.S_ISREG(os.fstat(file.descriptor).st_mode):
        file.close()
        return None
    return file


def resolved(place: Place) -> Place | None:
    """Return the place that links lead to, if it is below the root; None if it is not."""
    target = os.path.realpath(place.path)
    if place.links == "anywhere":
        return Place(os.path.dirname(target), os.path.basename(target))
    top = os.path.realpath(place.root)
    below = os.path.relpath(target, top).replace(os.sep, "/")
    if below.split("/")[0] in (".", ".."):
        return None
    return Place(place.root, below, place.is_root_link)


def find_file(place: Place) -> SeenFile | None:
    """Return a regular file as it is now, links to places below the root resolved.

    Raises:
        OSError: the system refuses access.
    """
    state = None if place.links == "anywhere" else file_state(place)
    if state is not None:
        return SeenFile(place, state)
    target = None if place.links == "nowhere" else resolved(place)
    if target is None or target == place:
        return None
    state = file_state(target)
    return None if state is None else SeenFile(target, state)


@dataclass(frozen=True, slots=True)
class Listing:
    """The files and links in a folder, without hidden ones."""

    below: str
    """The folder's path below the root; "" is the root."""
    files: list[str]
    """Names of regular files, in order."""
    links: list[str]
    """Names of links, wherever they lead."""

    def path(self, name: str) -> str:
        """Return the path below the root of a name in the folder."""
        return f"{self.below}/{name}" if self.below else name


def walk(root: str, is_root_link: bool, refused: list[str] | None = None) -> Iterator[Listing]:
    """Yield each folder below a root, the root first; links to folders are not entered.

    Folders that cannot be read are left out. The paths below the root of those that the system
    refuses to show are added to `refused`.

    Raises:
        OSError: a failure that is not of one folder, such as too many open files.
    """
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with folder_beneath(root, below, is_root_link) as descriptor:
                listing, folders = _listed(descriptor, below)
        except OSError as exc:
            if exc.errno in _NOT_THERE or exc.errno in _REFUSED:
                log.debug("left out a folder: %s", exc.strerror)
                if exc.errno in _REFUSED and refused is not None:
                    refused.append(below)
                continue
            raise
        yield listing
        inner = (listing.path(name) for name in sorted(folders, reverse=True))
        pending += [each for each in inner if len(each) <= _MAX_BELOW]


def _listed(descriptor: int, below: str) -> tuple[Listing, list[str]]:
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    found: dict[str, list[str]] = {"folder": [], "file": [], "link": []}
    try:
        with os.scandir(readable) as entries:
            for entry in entries:
                kind = _kind(entry)
                if kind and not entry.name.startswith("."):
                    found[kind].append(entry.name)
    finally:
        os.close(readable)
    return Listing(below, sorted(found["file"]), sorted(found["link"])), found["folder"]


def _kind(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else None


@contextmanager
def folder_beneath(root: str, below: str, is_root_link: bool) -> Iterator[int]:
    """Open a folder below a root ("" is the root itself) and yield its descriptor.

    Raises:
        OSError: there is none, or a link in its path.
    """
    no_link = 0 if is_root_link else os.O_NOFOLLOW
    folder = os.open(root, _FOLDER | no_link)
    try:
        for name in below.split("/") if below else ():
            if name in ("", ".", ".."):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


@contextmanager
def _folder_of(place: Place) -> Iterator[tuple[int, str]]:
    folder, _, name = place.below.rpartition("/")
    if name in ("", ".", ".."):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with folder_beneath(place.root, folder, place.is_root_link) as descriptor:
        yield descriptor, name
