"""Folders and collections: the tree of names between a project and its images.

A folder on disk with a `collection.json` is an IMAGE_COLLECTION, any other a FOLDER; so is each
part of a root's prefix. The JSON has the form of an Earth Engine asset:
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import starmap
from typing import Any

from tileserver.contract.names import short_name
from tileserver.errors import AssetNotFound
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.files import Place
from tileserver.rasters.geotiffs import read_sidecar
from tileserver.rasters.roots import COLLECTION_FILE
from tileserver.rasters.scanning import Scan
from tileserver.rasters.scenes import read_json, update_time

_MEMBERS = ("startTime", "endTime", "properties", "geometry", "title", "description")


@dataclass(frozen=True)
class Folder:
    """A folder or a collection."""

    name: str
    """Full name, `projects/*/assets/**`."""
    file: Place | str | None = field(default=None, repr=False)
    """Its collection.json, if it has one, or what that would hold."""
    is_mosaic: bool = False
    """Whether its images are one image, too."""

    @property
    def is_collection(self) -> bool:
        """Whether it was an IMAGE_COLLECTION at the last scan."""
        return self.file is not None or self.is_mosaic

    def to_json(self) -> dict[str, Any]:
        """Return the EarthEngineAsset; reads the disk.

        Raises:
            UnreadableRaster: its collection.json is broken.
        """
        described = _described(self.file, self.name) if self.file else None
        members = {
            "type": "IMAGE_COLLECTION" if self.is_mosaic or described is not None else "FOLDER",
            "name": self.name,
            "id": short_name(self.name),
        }
        return members | (described or {})


def _described(file: Place | str, name: str) -> dict[str, Any] | None:
    """Return the members of a collection.json, or None if it has been removed."""
    if isinstance(file, str):
        return read_sidecar(file, name)
    found = read_json(file, name, f"its {COLLECTION_FILE}")
    if found is None:
        return None
    text, state = found
    given = read_sidecar(text, name) if text.strip() else {}
    kept = {member: given[member] for member in _MEMBERS if member in given}
    return {"updateTime": update_time(state), **kept}


@dataclass(frozen=True)
class _Index:
    folders: Mapping[str, Folder]
    children: Mapping[str, tuple[str, ...]]
    images: frozenset[str]
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of tables by folder."""


class Tree:
    """The names of a catalogue as a tree. Its methods read the disk: call them from a thread."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._index = _Index({}, {}, frozenset())
        self._indexed: Scan | None = None
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
        """Return the direct children of a folder, by name: names of images, and folders."""
        index = self._scanned()
        names = index.children.get(name, ())
        return [each if each in index.images else index.folders[each] for each in names]

    def is_table(self, name: str) -> bool:
        """Tell whether a name is that of a table."""
        return name in self._scanned().tables.get(name.rpartition("/")[0], ())

    def tables(self, name: str) -> Sequence[str]:
        """Return the names of the tables in a folder, in order."""
        return self._scanned().tables.get(name, ())

    def tables_below(self, name: str) -> Iterator[str]:
        """Yield the names of the tables in a folder and in the folders in it."""
        yield from self.tables(name)
        for child in self.children(name):
            if isinstance(child, Folder):
                yield from self.tables_below(child.name)

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
        # The catalogue's own scan, so that a list never has an image that the catalogue lacks.
        scan = self.catalogue.scanned()
        with self._lock:
            if scan is not self._indexed:
                self._index = _index(scan, self.catalogue.mosaics)
                self._indexed = scan
            return self._index


def _index(scan: Scan, mosaics: Sequence[str]) -> _Index:
    folders: dict[str, Folder] = {}
    for folder in starmap(_folder, scan.folders):
        held = folders.get(folder.name)
        if held is None or not held.is_collection:
            folders[folder.name] = folder
    for name in set(mosaics) & folders.keys():
        folders[name] = replace(folders[name], is_mosaic=True)
    for name in [*folders, *scan.images, *scan.tables]:
        for parent in _parents(name):
            folders.setdefault(parent, Folder(parent))
    children: dict[str, list[str]] = {}
    for name in sorted({*scan.images, *folders}):
        children.setdefault(name.rpartition("/")[0], []).append(name)
    listed = {parent: tuple(names) for parent, names in children.items()}
    tables: dict[str, list[str]] = {}
    for name in sorted(scan.tables):
        tables.setdefault(name.rpartition("/")[0], []).append(name)
    by_folder = {parent: tuple(names) for parent, names in tables.items()}
    return _Index(folders, listed, frozenset(scan.images), by_folder)


def _folder(name: str, file: Place | str | None) -> Folder:
    is_root = name.count("/") < 3
    return Folder(name, None if is_root else file)


def _parents(name: str) -> Iterator[str]:
    """Yield the names above one, up to `projects/P/assets`."""
    parts = name.split("/")
    yield from ("/".join(parts[:count]) for count in range(len(parts) - 1, 2, -1))
