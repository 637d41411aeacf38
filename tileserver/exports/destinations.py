"""Where the files of exports go: below one folder, each written aside and then given its name.

A name comes from a client. It is checked part by part, and the folders on the way are opened one
within the other, so that no link leads out. A file that is there is kept: the next one gets a
number, as Drive keeps two files of one name, unless an asset is to be overwritten.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tileserver.errors import InvalidRequest, StoreFull, shown

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_PARTS = 10
_MAX_PART = 150
"""Bytes; a number, a row and a column, and a suffix come behind the last one."""
_MAX_NUMBER = 10_000
_PART = ".part"
_UNFINISHED = re.compile(r"\.([0-9a-f]{16})\.[0-9a-f]{8}\.part")
_FORBIDDEN = frozenset('\\:*?"<>|')


@dataclass(frozen=True)
class Destination:
    """A file below the folder, without its suffix."""

    parts: tuple[str, ...]
    overwrites: bool = False
    asset: str | None = None
    """Name of the asset that it becomes."""


def parts_of(text: str, name: str) -> tuple[str, ...]:
    """Return the parts of a path from a client.

    Raises:
        InvalidRequest: one of them is no name of a file; `name` says whose.
    """
    parts = tuple(text.split("/"))
    if len(parts) > _MAX_PARTS or not all(map(_is_name, parts)):
        raise InvalidRequest(
            f"{name}: expected names without dots at the beginning, at most {_MAX_PARTS} of up to "
            f"{_MAX_PART} bytes in UTF-8, separated by slashes, got {shown(text)}."
        )
    return parts


def _is_name(part: str) -> bool:
    is_plain = part.isprintable() and part == part.strip() and not _FORBIDDEN & set(part)
    # What cannot be printed, such as half a surrogate, has no bytes.
    return is_plain and part[:1] not in ("", ".") and len(part.encode()) <= _MAX_PART


class Folder:
    """The folder of exports."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Write below a folder.

        Args:
            path: of the folder; its parents may be links.
            max_bytes: of all files in it.
        """
        self.path = path
        self.max_bytes = max_bytes

    def check_room(self, more_bytes: int = 0) -> None:
        """Raise StoreFull if the files take more room than they may."""
        total = more_bytes
        for folder, _, names in os.walk(self.path):
            for each in names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(folder, each)).st_size
        if total > self.max_bytes:
            raise StoreFull(
                f"The folder of exports holds {self.max_bytes / 1e9:g} GB, the most that "
                "[exports] size allows; delete some of its files."
            )

    def sweep(self, is_alive: Callable[[str], bool]) -> None:
        """Delete the unfinished files of writers that have ended."""
        for _, _, names, folder in os.fwalk(self.path):
            for each in names:
                found = _UNFINISHED.match(each)
                if found and not is_alive(found[1]):
                    with suppress(OSError):
                        os.unlink(each, dir_fd=folder)

    @contextmanager
    def open(self, destination: Destination, writer: str = "other") -> Iterator[Opened]:
        """Open the folder of a destination, which is made if it is not there.

        Args:
            destination: of a file.
            writer: what the names of unfinished files say of who writes them.

        Raises:
            InvalidRequest: there is a file or a link in place of a folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in destination.parts[:-1]:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
                try:
                    inner = os.open(part, _FOLDER, dir_fd=folder)
                except OSError as exc:
                    raise InvalidRequest(f"{part[:60]!r} is no folder to write to.") from exc
                os.close(folder)
                folder = inner
            yield Opened(self.path, folder, destination, writer)
        finally:
            os.close(folder)


class Opened:
    """The open folder of a destination."""

    def __init__(
        self, root: Path, folder: int, destination: Destination, writer: str = "other"
    ) -> None:
        self.root = root
        self.writer = writer
        self.folder = folder
        self.destination = destination

    @contextmanager
    def part(self, suffix: str) -> Iterator[tuple[str, str]]:
        """Yield the name and a path of a file to write, which is gone afterwards."""
        name = f".{self.writer}.{secrets.token_hex(4)}{_PART}{suffix}"
        inside = f"/proc/self/fd/{self.folder}"
        where = inside if os.path.isdir(inside) else str(self._plain_path())
        try:
            yield name, os.path.join(where, name)
        finally:
            for each in (name, f"{name}.ovr", f"{name}.aux.xml", f"{name}.msk"):
                with suppress(FileNotFoundError):
                    os.unlink(each, dir_fd=self.folder)

    def _plain_path(self) -> Path:
        return self.root.joinpath(*self.destination.parts[:-1])

    def is_free(self, suffixes: tuple[str, ...]) -> bool:
        """Tell whether no file of the destination's name with one of the suffixes is there."""
        stem = self.destination.parts[-1]
        return not any(self._exists(f"{stem}{suffix}") for suffix in suffixes)

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def publish(self, part: str, ending: str) -> str:
        """Give a finished file its name, and return that, below the folder of exports.

        Args:
            part: the name that `part` has yielded.
            ending: of the name: what tells it from others of its export, and the suffix.
        """
        *folders, stem = self.destination.parts
        if self.destination.overwrites:
            os.replace(part, f"{stem}{ending}", src_dir_fd=self.folder, dst_dir_fd=self.folder)
            return "/".join([*folders, f"{stem}{ending}"])
        for number in range(_MAX_NUMBER):
            name = f"{stem}_{number}{ending}" if number else f"{stem}{ending}"
            try:
                # Unlike a rename, a link never takes the place of another file.
                os.link(part, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            except FileExistsError:
                continue
            os.unlink(part, dir_fd=self.folder)
            return "/".join([*folders, name])
        raise StoreFull(f"There are {_MAX_NUMBER} files named {stem[:60]!r}; delete some.")
