"""The catalogue: finds the GeoTIFF on disk or in object storage for the name of an asset.

A client gives names only. A file is served if it lies below a configured root once links are
resolved, so no name leads outside; `files` opens it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from tileserver.contract.raster_formats import is_vrt
from tileserver.errors import AssetNotFound, TileserverError, UnreadableRaster
from tileserver.rasters.band_files import BandFiles, join, look_up
from tileserver.rasters.band_sets import BandFile, BandSet
from tileserver.rasters.cubes.images import CubeImage, Slice, describe
from tileserver.rasters.files import Place, file_errors, file_state
from tileserver.rasters.geotiffs import GeoTiff, read_sidecar
from tileserver.rasters.overview_advice import warn_without_overviews
from tileserver.rasters.pyramids.store import PyramidStore
from tileserver.rasters.raster_locks import hold
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rasters.remote.objects import file_name, is_remote
from tileserver.rasters.roots import Root, asset_name, is_stac, top_of
from tileserver.rasters.scanning import Location, Scan, check_clash, is_local, scan
from tileserver.rasters.scenes import describe_remote, read_json, read_scene, version_of
from tileserver.rasters.settling import Settling
from tileserver.rasters.stac.sources import StacSources
from tileserver.rasters.table_files import version_of_table
from tileserver.rasters.vrt.image import VrtImage
from tileserver.rasters.vrt.opening import open_vrt, version_of_vrt

_RECHECK_S = 2.0
_MAX_STATES = 10_000

Raster = GeoTiff | BandFiles | CubeImage | VrtImage
"""An image in one file, in several, or in a file of arrays."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Entry:
    location: Location
    """Where it lies, or its URL."""
    members: Mapping[str, Any]
    raster: Raster | None = None
    checked_s: float = field(default=-_RECHECK_S)
    lock: threading.Lock = field(default_factory=threading.Lock)
    parts: dict[str, _Entry] = field(default_factory=dict)
    """Of an image in several files, by the ids of their bands."""


class Catalogue:
    """Image assets by name. Its methods read the disk: call them from a thread."""

    def __init__(
        self,
        roots: Iterable[Root],
        remote: RemoteFiles | None = None,
        reads_mosaics: bool = True,
        pyramids: PyramidStore | None = None,
    ) -> None:
        """Find assets below the roots.

        Args:
            roots: files, folders and URLs to serve.
            remote: opens the files behind URLs.
            reads_mosaics: whether the files of mosaics are assets, too.
            pyramids: has levels of rasters without overviews; None is nothing.
        """
        self.pyramids = pyramids
        self.roots = tuple(roots)
        self.remote = remote or RemoteFiles()
        paths = [root.path for root in self.roots]
        self.has_remote = any(is_remote(path) or is_stac(path) for path in paths)
        """Whether a root is a URL, or may lead to one."""
        self._stac = StacSources(self.remote, self.remote.document_hosts)
        self.reads_mosaics = reads_mosaics
        """Whether the files of mosaics are assets, too."""
        self._tops = tuple(
            top_of(root) for root in self.roots if reads_mosaics or root.mosaic is None
        )
        remote_tops = (top for top in self._tops if is_remote(top.path))
        self._remote_names = frozenset(asset_name(top, file_name(top.path)) for top in remote_tops)
        self._entries: dict[str, _Entry] = {}
        self._scan = Scan({}, {}, (), {})
        self._settling = Settling()
        self.pending: frozenset[str] = frozenset()
        """Names of assets whose files were still being written at the last scan."""
        self._scanned_s = -_RECHECK_S
        self._states: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of all asset names; each ends in a slash."""
        return tuple({f"{root.prefix.rstrip('/')}/" for root in self.roots})

    @property
    def has_folders(self) -> bool:
        """Whether a root is a folder, or leads to files; reads no more of the disk than that."""
        local = [top.path for top in self._tops if not is_remote(top.path)]
        return any(is_stac(path) or os.path.isdir(path) for path in local)

    @property
    def mosaics(self) -> tuple[str, ...]:
        """The full names of the images that are mosaics of all files of a root."""
        return tuple(root.mosaic.name for root in self.roots if root.mosaic)

    def known(self, name: str, max_age_s: float | None = None) -> Raster | None:
        """Return a raster whose file was checked recently, or None; never touches the disk."""
        entry = self._entries.get(name)
        if max_age_s is None:
            max_age_s = _RECHECK_S
        if entry and entry.raster and time.monotonic() - entry.checked_s < max_age_s:
            return entry.raster
        return None

    def find(self, name: str, max_age_s: float | None = None) -> Raster:
        """Return a raster as its file is now, or was less than `max_age_s` ago.

        Raises:
            AssetNotFound: there is none of that name.
            UnreadableRaster: its file or sidecar is broken.
        """
        entry = self._entries.get(name)
        if entry is None or name in self._scan.clashes:
            entry = self._rescan().get(name)
        if entry is None:
            raise AssetNotFound(name)
        check_clash(self._scan, name)
        # Of several concurrent callers one reads the file, and all get the same object.
        with hold(entry.lock, name):
            if known := self.known(name, max_age_s):
                return known
            checked_s = time.monotonic()
            raster = self._raster_now(name, entry)
            if raster is None:
                self._entries.pop(name, None)
                raise AssetNotFound(name)
            entry.raster, entry.checked_s = raster, checked_s
            return raster

    def expire(self, name: str) -> None:
        """Have an asset's file checked at its next use: it has changed."""
        entry = self._entries.get(name)
        if entry is not None:
            entry.checked_s = -_RECHECK_S
        self._states.clear()

    def state(self, name: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image does, or anything below a folder.

        It has the same versions as `find`; those of assets that were not found recently are not
        older than `max_age_s`.
        """
        held, checked_s = self._states.get(name), time.monotonic()
        if held and checked_s - held[0] < (_RECHECK_S if max_age_s is None else max_age_s):
            return held[1]
        token = hashlib.blake2b(" ".join(self._versions(name)).encode(), digest_size=8).hexdigest()
        if len(self._states) >= _MAX_STATES:
            self._states.clear()
        self._states[name] = (checked_s, token)
        return token

    def _versions(self, name: str) -> Iterator[str]:
        below = name.rstrip("/") + "/"
        entries = self._rescan()
        found = [name] if name in entries else [n for n in entries if n.startswith(below)]
        for each in sorted(found):
            known = self.known(each)
            version = known.asset.version if known else self._version_now(each, entries[each])
            yield f"{each} {version}"
        tables = self._scan.tables
        for each in sorted(n for n in tables if n == name or n.startswith(below)):
            yield f"{each} {version_of_table(tables[each], each)}"
        for folder, file in self._scan.folders:
            if isinstance(file, str) and f"{folder}/".startswith(below):
                yield f"{folder} {file}"
            elif isinstance(file, Place) and f"{folder}/".startswith(below):
                with file_errors(folder):
                    yield f"{folder} {file_state(file)}"

    def _version_now(self, name: str, entry: _Entry) -> str | None:
        """Return a token of the files' state, or None if they are gone or cannot be reached."""
        if isinstance(entry.location, BandSet):
            return self._set_version(name, entry.location)
        if isinstance(entry.location, Slice):
            return entry.location.version()
        if isinstance(entry.location, Place):
            return self._local_version(name, entry.location)
        try:
            return self.remote.current(entry.location, name).version
        except TileserverError:
            return None

    def _local_version(self, name: str, place: Place) -> str | None:
        if is_vrt(place.below):
            return version_of_vrt(place, name, self._local_version)
        version = version_of(place, name)
        return self.pyramids.token(version) if version and self.pyramids else version

    def _set_version(self, name: str, where: BandSet) -> str:
        """Return a token of the state of several files, those included that are gone."""
        versions = [
            self._version_now(f"{name}/{file.id}", _Entry(file.location, {}))
            for file in where.files
        ]
        text = f"{versions} {where.token} {_sidecar_state(where, name)}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _raster_now(self, name: str, entry: _Entry) -> Raster | None:
        """Return the raster as its files are now, or None if there are none any more."""
        if isinstance(entry.location, str):
            return self._remote_now(name, entry, entry.location)
        if isinstance(entry.location, BandSet):
            return self._set_now(name, entry, entry.location)
        if isinstance(entry.location, Slice):
            return self._image_now(name, entry, entry.location)
        if is_vrt(entry.location.below):
            return open_vrt(entry.location, name, entry, lambda f: self._part_now(name, entry, f))
        version = self._local_version(name, entry.location)
        if version is None or (entry.raster and entry.raster.asset.version == version):
            return entry.raster if version else None
        self._settling.check(entry.location, name, is_start=entry.raster is None)
        raster = read_scene(entry.location, name, entry.members)
        if raster is not None and self.pyramids:
            return self.pyramids.with_levels(raster, raster.asset.version)
        if raster is not None:
            warn_without_overviews(raster, entry.location.path)
        return raster

    def _image_now(self, name: str, entry: _Entry, where: Slice) -> Raster | None:
        """Return an image in a file of arrays, or None if the file is gone."""
        version = where.version()
        if version is None or (entry.raster and entry.raster.asset.version == version):
            return entry.raster if version else None
        return describe(where, name)

    def last_names(self) -> list[str]:
        """Return the names of the last scan; never touches the disk."""
        return list(self._entries)

    def described(self) -> list[tuple[GeoTiff, Place]]:
        """Return the local rasters that were read since the start, and where they lie."""
        found = []
        entries = list(self._entries.values())
        for each in [*entries, *(part for entry in entries for part in list(entry.parts.values()))]:
            if isinstance(each.raster, GeoTiff) and isinstance(each.location, Place):
                found.append((each.raster, each.location))
        return found

    def _set_now(self, name: str, entry: _Entry, where: BandSet) -> BandFiles:
        """Return the image of several files.

        Raises:
            UnreadableRaster: one of them is gone or broken, or their sidecar is.
        """
        if where.problem:
            raise UnreadableRaster(f"{name}: {where.problem}")
        found = read_json(where.sidecar, name, "its .json sidecar") if where.sidecar else None
        own = read_sidecar(found[0], name) if found else {}
        look_up(self.remote, name, where)
        rasters = [self._part_now(name, entry, file) for file in where.files]
        image = join(name, where, rasters, {**entry.members, **own}, found and found[1])
        held = entry.raster
        if isinstance(held, BandFiles) and held.asset.version == image.asset.version:
            return held
        return image

    def _part_now(self, name: str, entry: _Entry, file: BandFile) -> GeoTiff:
        """Return a file of an image; the entry holds it."""
        part = entry.parts.setdefault(file.id, _Entry(file.location, {}))
        part_name = f"{name}/{file.id}"
        raster = self._raster_now(part_name, part)
        if not isinstance(raster, GeoTiff):
            raise UnreadableRaster(f"{part_name}: the file of this band is gone.")
        part.raster = raster
        return raster

    def _remote_now(self, name: str, entry: _Entry, url: str) -> GeoTiff:
        file = self.remote.current(url, name)
        if isinstance(entry.raster, GeoTiff) and entry.raster.location is file:
            return entry.raster
        raster = describe_remote(file, name, entry.members)
        warn_without_overviews(raster)
        return raster

    def has_table(self, name: str) -> bool:
        """Tell whether the last scan has a table of a name."""
        return name in self._scan.tables

    def is_remote(self, name: str) -> bool:
        """Tell whether an asset is that of a URL; never touches the disk, nor needs a scan.

        So is an item of STAC at the last scan that has a file behind a URL.
        """
        entry = self._entries.get(name)
        is_set = entry is not None and isinstance(entry.location, BandSet)
        return name in self._remote_names or (is_set and not self.is_local(name))

    def is_local(self, name: str) -> bool:
        """Tell whether an asset of the last scan is a local file; never touches the disk."""
        entry = self._entries.get(name)
        return entry is not None and is_local(entry.location)

    def is_broken(self, name: str) -> bool:
        """Tell whether the last scan knows that an image cannot be read; never touches the disk."""
        entry = self._entries.get(name)
        where = entry.location if entry else None
        return isinstance(where, BandSet) and bool(where.problem)

    def local_versions(self, names: Iterable[str]) -> dict[str, str]:
        """Return the versions of local files as they are now; opens none of them.

        Names of remote files are left out, and those of files that are gone or cannot be reached.
        """
        versions = {}
        # Nothing was scanned yet if the names are from elsewhere.
        entries = self._entries or self._rescan()
        for name in names:
            entry = entries.get(name)
            if entry is None or not is_local(entry.location):
                continue
            with suppress(TileserverError):
                if version := self._version_now(name, entry):
                    versions[name] = version
        return versions

    def names(self, parent: str = "") -> list[str]:
        """Return the names of all assets, or of those below a parent, in order."""
        below = parent.rstrip("/") + "/" if parent else ""
        return sorted(name for name in self._rescan() if name.startswith(below))

    def scanned(self) -> Scan:
        """Return the files and folders of the last scan; the same object until the next scan."""
        self._rescan()
        return self._scan

    def scan_again(self) -> Scan:
        """Return the files and folders as they are now."""
        with self._lock:
            self._scanned_s = -_RECHECK_S
        return self.scanned()

    def _rescan(self) -> dict[str, _Entry]:
        with self._lock:
            if time.monotonic() - self._scanned_s >= _RECHECK_S:
                try:
                    self._scan = self._settled(scan(self._tops, self._stac))
                    self._entries = self._merged(self._scan)
                except OSError as exc:
                    # The last scan stays in use; each file is opened on its own anyway.
                    log.warning("the folders of rasters cannot be scanned: %s", exc.strerror)
                self._scanned_s = time.monotonic()
            return self._entries

    def _settled(self, found: Scan) -> Scan:
        """Return a scan without the files that have come and are still being written."""
        new = {
            name: place
            for name, place in found.images.items()
            if isinstance(place, Place) and place.links == "below" and not self._holds(name, place)
        }
        self.pending = frozenset(self._settling.pending(new, is_start=not self._scan.folders))
        unfinished = {new[name] for name in self.pending}
        images = {}
        for name, at in found.images.items():
            finished = at.without(unfinished) if isinstance(at, BandSet) else at
            if name not in self.pending and finished is not None:
                images[name] = finished
        return replace(found, images=images)

    def _holds(self, name: str, place: Place) -> bool:
        held = self._entries.get(name)
        return held is not None and held.location == place

    def _merged(self, found: Scan) -> dict[str, _Entry]:
        entries = {}
        for name, location in found.images.items():
            held = self._entries.get(name)
            is_same = held is not None and held.location == location
            entries[name] = held if held and is_same else _Entry(location, found.members[name])
        return entries


def _sidecar_state(where: BandSet, name: str) -> object:
    if where.sidecar is None:
        return None
    with file_errors(name):
        return file_state(where.sidecar)
