"""Folders and collections: what lies between a project and its images.

A folder on disk with a `collection.json` is an IMAGE_COLLECTION, any other a FOLDER; so is each
part of a root's prefix. The JSON has the form of an Earth Engine asset:
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tileserver.assets import read_sidecar
from tileserver.catalogue import Catalogue, Root
from tileserver.errors import AssetNotFound, UnreadableRaster
from tileserver.remote.places import is_remote

COLLECTION_FILE = "collection.json"
_MEMBERS = ("startTime", "endTime", "properties", "geometry", "title", "description")
_RESCAN_S = 2.0


@dataclass(frozen=True)
class Folder:
    """A folder or a collection."""

    name: str
    """Full name, `projects/*/assets/**`."""
    location: str | None = field(default=None, repr=False)
    """Path of its collection.json, if it has one."""

    @property
    def is_collection(self) -> bool:
        """Whether it is an IMAGE_COLLECTION."""
        return self.location is not None

    def to_json(self) -> dict[str, Any]:
        """Return the EarthEngineAsset; reads the disk.

        Raises:
            UnreadableRaster: its collection.json is broken.
        """
        members: dict[str, Any] = {
            "type": "IMAGE_COLLECTION" if self.is_collection else "FOLDER",
            "name": self.name,
            "id": self.name.removeprefix("projects/earthengine-public/assets/"),
        }
        if self.location is not None:
            members |= _described(self.location, self.name)
        return members


def _described(location: str, name: str) -> dict[str, Any]:
    try:
        text = Path(location).read_text("utf-8")
        changed = datetime.fromtimestamp(os.stat(location).st_mtime, UTC)
    except (OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: its {COLLECTION_FILE} cannot be read as UTF-8.") from exc
    given = read_sidecar(text, name) if text.strip() else {}
    kept = {member: given[member] for member in _MEMBERS if member in given}
    return {"updateTime": changed.strftime("%Y-%m-%dT%H:%M:%SZ"), **kept}


@dataclass(frozen=True)
class _Index:
    folders: Mapping[str, Folder]
    children: Mapping[str, tuple[str, ...]]
    images: frozenset[str]


class Tree:
    """The names of a catalogue as a tree. Its methods read the disk: call them from a thread."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._index = _Index({}, {}, frozenset())
        self._scanned_s = -_RESCAN_S
        self._lock = threading.Lock()

    def folder(self, name: str) -> Folder:
        """Return a folder, a collection or a project's root, `projects/P/assets`.

        Raises:
            AssetNotFound: there is none of that name.
        """
        found = self._scanned().folders.get(name)
        if found is None:
            raise AssetNotFound(name)
        return found

    def children(self, name: str) -> list[str | Folder]:
        """Return what lies right in a folder, in order of names: names of images, and folders."""
        index = self._scanned()
        names = index.children.get(name, ())
        return [each if each in index.images else index.folders[each] for each in names]

    def is_image(self, name: str) -> bool:
        """Tell whether a name is that of an image."""
        return name in self._scanned().images

    def images_below(self, name: str) -> Iterator[str]:
        """Yield the names of the images in a folder and in the folders in it."""
        for child in self.children(name):
            if isinstance(child, str):
                yield child
            else:
                yield from self.images_below(child.name)

    def _scanned(self) -> _Index:
        with self._lock:
            if time.monotonic() - self._scanned_s >= _RESCAN_S:
                self._index = _index(self.catalogue.names(), scan_folders(self.catalogue.roots))
                self._scanned_s = time.monotonic()
            return self._index


def _index(images: list[str], found: Iterable[Folder]) -> _Index:
    folders: dict[str, Folder] = {}
    for folder in found:
        held = folders.get(folder.name)
        if held is None or not held.is_collection:
            folders[folder.name] = folder
    for name in [*folders, *images]:
        for parent in _parents(name):
            folders.setdefault(parent, Folder(parent))
    children: dict[str, list[str]] = {}
    for name in sorted({*images, *folders}):
        children.setdefault(name.rpartition("/")[0], []).append(name)
    listed = {parent: tuple(names) for parent, names in children.items()}
    return _Index(folders, listed, frozenset(images))


def _parents(name: str) -> Iterator[str]:
    """Yield the names above one, up to `projects/P/assets`."""
    parts = name.split("/")
    yield from ("/".join(parts[:count]) for count in range(len(parts) - 1, 2, -1))


def scan_folders(roots: Iterable[Root]) -> Iterator[Folder]:
    """Yield the folders of the roots, the roots included."""
    for root in roots:
        prefix = root.prefix.rstrip("/")
        if is_remote(root.path) or not os.path.isdir(root.path):
            yield Folder(prefix)
            continue
        top = os.path.realpath(root.path)
        for path, below, files in os.walk(top):
            below[:] = [f for f in below if not f.startswith(".") and f.isprintable()]
            inner = os.path.relpath(path, top).replace(os.sep, "/")
            name = prefix if inner == "." else f"{prefix}/{inner}"
            yield Folder(name, _collection_file(path, files, name))


def _collection_file(path: str, files: list[str], name: str) -> str | None:
    location = os.path.join(path, COLLECTION_FILE)
    is_root = name.count("/") < 3
    # A link could lead out of the root; what is not a plain file could block whoever opens it.
    is_plain = os.path.isfile(location) and not os.path.islink(location)
    return location if COLLECTION_FILE in files and not is_root and is_plain else None
