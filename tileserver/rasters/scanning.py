"""The images and folders below roots at one moment: GeoTIFFs, scenes of several, items of STAC.

The name of an asset is its path below its root, without the suffix, whatever lies beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tileserver.contract.table_formats import suffix_of
from tileserver.errors import TileserverError, UnreadableRaster
from tileserver.rasters.band_sets import BandSet, band_sets
from tileserver.rasters.cubes.images import Slice, Variable, slices
from tileserver.rasters.files import Place
from tileserver.rasters.roots import Top, Walked, asset_name, geotiffs, is_stac, shown
from tileserver.rasters.stac.beside import with_items
from tileserver.rasters.stac.sources import StacSources

Location = Place | str | BandSet | Slice
"""Where an image lies: in a file, behind a URL, in several of them, or in a file of arrays."""
_ITEM_NAMES = ("item", "stac", "stac_item", "stac-item")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """The files and folders below the roots at one moment."""

    images: Mapping[str, Location]
    """Places or URLs of GeoTIFFs, by the names of their assets."""
    members: Mapping[str, Mapping[str, Any]]
    """Those that an image's root has for it, by the same names."""
    folders: Sequence[tuple[str, Place | str | None]]
    """As `Walked.folders`."""
    clashes: Mapping[str, Sequence[str]]
    """Files that would have one name, by that name: which of them it is cannot be told."""
    paths: Sequence[str] = ()
    """Absolute paths of the folders that were looked into."""
    bands: frozenset[str] = frozenset()
    """Names of images that are bands of others, too."""
    tables: Mapping[str, Place] = field(default_factory=dict)
    """Files of tables, by the names of their assets."""
    refused: Sequence[str] = ()
    """Folders that the system does not show to the server, for people."""


def check_clash(found: Scan, name: str) -> None:
    """Raise UnreadableRaster if several files would have a name."""
    if clash := found.clashes.get(name):
        raise UnreadableRaster(
            f"{name}: {' and '.join(clash)} would both have this name; rename one of them, or "
            "give their folders prefixes of their own ([[rasters]] prefix)."
        )


def is_local(location: Location) -> bool:
    """Tell whether all files of an image are local."""
    if isinstance(location, BandSet):
        return all(isinstance(file.location, Place) for file in location.files)
    return isinstance(location, Place | Slice)


def scan(tops: Iterable[Top], stac: StacSources) -> Scan:
    """Return the GeoTIFFs, scenes, items and folders below roots.

    Raises OSError for failures that are not of one file or folder, such as too many open files.
    """
    return _Scanning(stac).of(tops)


class _Scanning:
    def __init__(self, stac: StacSources) -> None:
        self.stac = stac
        self.images: dict[str, Location] = {}
        self.members: dict[str, Mapping[str, Any]] = {}
        self.files: dict[str, list[tuple[Top, str]]] = {}
        self.walked = Walked()
        self.found_tables: list[tuple[Top, str, Place]] = []

    def of(self, tops: Iterable[Top]) -> Scan:
        scenes: list[tuple[str, Top, str, BandSet, Mapping[str, Any]]] = []
        for top in tops:
            if top.cube is not None:
                self._add_cube(top, top.cube)
            elif is_stac(top.path):
                self._add_document(top)
            else:
                scenes += self._add_files(top)
        # A file or a collection goes before a scene of its name.
        taken = {*self.images, *(name for name, file in self.walked.folders if file is not None)}
        for name, top, path, each, members in scenes:
            if name not in taken:
                self._add(name, top, path, each, members)
        tables = self._tables()
        return Scan(
            self.images,
            self.members,
            self.walked.folders,
            {name: [shown(*each) for each in n] for name, n in self.files.items() if len(n) > 1},
            self.walked.paths,
            _bands(self.images),
            tables,
            self.walked.refused,
        )

    def _tables(self) -> dict[str, Place]:
        """Return tables by name; one of an image's name has its suffix in its own.

        Two tables of one name are a clash, as two images are.
        """
        found: dict[str, Place] = {}
        for top, path, place in self.found_tables:
            suffix = path[-len(suffix_of(path)) :]
            name = f"{top.prefix.rstrip('/')}/{top.name or path.removesuffix(suffix)}"
            name = f"{name}{suffix}" if name in self.images else name
            if not _is_name(name):
                log.debug("left out %s: it cannot be a name", name)
            elif name not in found:
                found[name] = place
                self.files.setdefault(name, []).append((top, path))
            elif not _is_same(found[name], place):
                self.files[name].append((top, path))
        return found

    def _add(
        self, name: str, top: Top, path: str, location: Location, members: Mapping[str, Any]
    ) -> None:
        if not _is_name(name):
            log.debug("left out %s: it cannot be a name", name)
            return
        if name not in self.images or not _is_same(self.images[name], location):
            self.files.setdefault(name, []).append((top, path))
        self.images.setdefault(name, location)
        self.members.setdefault(name, {**top.members, **members} if members else top.members)

    def _add_document(self, top: Top) -> None:
        """Add the items of a STAC document; one that cannot be read is an image that tells why."""
        prefix = top.prefix.rstrip("/")
        self.walked.folders.append((prefix, None))
        try:
            tree = self.stac.tree(top.path, top.is_link)
        except TileserverError as exc:
            name = f"{prefix}/{os.path.splitext(os.path.basename(top.path))[0]}"
            self._add(name, top, name, BandSet((), problem=str(exc)), {})
            return
        for item in tree.items:
            self._add(f"{prefix}/{item.name}", top, item.name, item.where, item.members)
        self.walked.folders += [(f"{prefix}/{path}", text) for path, text in tree.folders]
        self.walked.paths += {os.path.dirname(place.path) for place, _ in tree.files}

    def _add_cube(self, top: Top, variable: Variable) -> None:
        """Add a variable of a file of arrays, or the steps of its time."""
        prefix = top.prefix.rstrip("/")
        if not variable.has_time:
            self._add(f"{prefix}/{top.name}", top, variable.path, Slice(variable), {})
            return
        self.walked.folders.append((prefix, None))
        try:
            for step, where in slices(variable):
                self._add(f"{prefix}/{step}", top, variable.path, where, {})
        except TileserverError as exc:
            # An image that tells why, as of a STAC document.
            problem = str(exc).removeprefix(f"{prefix}: ")
            self._add(f"{prefix}/times", top, variable.path, BandSet((), problem=problem), {})

    def _add_files(self, top: Top) -> Iterator[tuple[str, Top, str, BandSet, Mapping[str, Any]]]:
        """Add the GeoTIFFs of a root; yield the scenes that they are bands of."""
        before, tables = len(self.walked.documents), len(self.walked.tables)
        found = list(geotiffs(top, self.walked))
        self.found_tables += [(top, *each) for each in self.walked.tables[tables:]]
        for path, location in found:
            self._add(asset_name(top, path), top, path, location, {})
        prefix, own = top.prefix.rstrip("/"), os.path.basename(top.path)
        items = []
        for place in self.walked.documents[before:]:
            path = _item_path(place.below)
            item = self.stac.item_beside(place, f"{prefix}/{path or own}")
            if item is not None:
                items.append(item._replace(name=path))
        for path, (each, members) in with_items(_sets(found), items).items():
            yield f"{prefix}/{path or own}", top, path or own, each, members


def _item_path(path: str) -> str:
    """Return the path of an item's image: of its folder if the file is named so, or after none."""
    folder, _, name = path.rpartition("/")
    stem = os.path.splitext(name)[0]
    is_folders = stem.lower() in _ITEM_NAMES or stem == folder.rpartition("/")[2]
    return folder if is_folders else f"{folder}/{stem}".lstrip("/")


def _sets(found: Sequence[tuple[str, Place | str]]) -> dict[str, BandSet]:
    """Return the scenes among files, by their paths; that of the root is empty."""
    places = {path: each for path, each in found if isinstance(each, Place)}
    return band_sets(places) if len(places) > 1 else {}


def _bands(images: Mapping[str, Location]) -> frozenset[str]:
    """Return the names of the files that are bands of others."""
    sets = [each for each in images.values() if isinstance(each, BandSet)]
    parts = {_file(file.location) for each in sets for file in each.files}
    return frozenset(name for name, each in images.items() if parts and _file(each) in parts)


def _file(location: Location) -> object:
    if isinstance(location, BandSet):
        return tuple(_file(file.location) for file in location.files)
    return location if isinstance(location, str) else location.path


def _is_same(one: Location, other: Location) -> bool:
    """Tell whether two locations are of one file, also by way of links."""
    if isinstance(one, Place) and isinstance(other, Place) and one.path != other.path:
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return _file(one) == _file(other)


def _is_name(name: str) -> bool:
    return name.isprintable() and name == name.strip()
