"""The assets there are: names on one side, GeoTIFFs in folders and in object storage on the other.

A client gives names only. A file is served if it lies below a configured root once links are
resolved, so no name leads outside.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tileserver.assets import ImageAsset, describe_asset, read_sidecar
from tileserver.datasets import (
    directories_of,
    gdal_environment,
    gdal_errors,
    is_remote,
    open_raster,
)
from tileserver.errors import AssetNotFound, ConfigError, UnreadableRaster

LOCAL_PREFIX = "projects/localhost/assets"
"""Where assets go that have no prefix of their own; the ee client wants 6 characters or more."""
SUFFIXES = (".tif", ".tiff")
_RECHECK_S = 2.0
_LARGE_PX = 4_000_000
_MAX_STATES = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Root:
    """A file, a folder or a URL, and the prefix its assets get."""

    path: str = field(repr=False)
    prefix: str = LOCAL_PREFIX


@dataclass
class _Entry:
    location: str
    sidecar: str
    asset: ImageAsset | None = None
    checked_s: float = field(default=-_RECHECK_S)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Catalogue:
    """Image assets by name. Its methods read the disk: call them from a thread."""

    def __init__(self, roots: Iterable[Root]) -> None:
        self.roots = tuple(roots)
        self._entries: dict[str, _Entry] = {}
        self._scanned_s = -_RECHECK_S
        self._states: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What the names of all assets begin with, one or the other; each ends in a slash."""
        return tuple({f"{root.prefix.rstrip('/')}/" for root in self.roots})

    def known(self, name: str, max_age_s: float | None = None) -> ImageAsset | None:
        """Return an asset that was looked at a moment ago, or None; never touches the disk."""
        entry = self._entries.get(name)
        if max_age_s is None:
            max_age_s = _RECHECK_S
        if entry and entry.asset and time.monotonic() - entry.checked_s < max_age_s:
            return entry.asset
        return None

    def find(self, name: str, max_age_s: float | None = None) -> ImageAsset:
        """Return an asset as its file is now, or was less than `max_age_s` ago.

        Raises:
            AssetNotFound: there is none of that name.
            UnreadableRaster: its file or sidecar is broken.
        """
        entry = self._entries.get(name) or self._rescan().get(name)
        if entry is None:
            raise AssetNotFound(name)
        # Of many who ask at once one reads the file, and all get the same asset.
        with entry.lock:
            if known := self.known(name, max_age_s):
                return known
            version = _version(entry)
            if version is None:
                self._entries.pop(name, None)
                raise AssetNotFound(name)
            if entry.asset is None or entry.asset.version != version:
                entry.asset = _read(name, entry, version)
            entry.checked_s = time.monotonic()
            return entry.asset

    def state(self, name: str) -> str:
        """Return a token that changes when an image does, or any image below a folder."""
        below = name.rstrip("/") + "/"
        held = self._states.get(name)
        if held is not None and time.monotonic() - held[0] < _RECHECK_S:
            return held[1]
        entries = self._rescan()
        found = [name] if name in entries else [n for n in entries if n.startswith(below)]
        versions = (f"{each} {_version(entries[each])}" for each in sorted(found))
        token = hashlib.blake2b(" ".join(versions).encode(), digest_size=8).hexdigest()
        if len(self._states) >= _MAX_STATES:
            self._states.clear()
        self._states[name] = (time.monotonic(), token)
        return token

    def names(self, parent: str = "") -> list[str]:
        """Return the names of all assets, or of those below a parent, in order."""
        below = parent.rstrip("/") + "/" if parent else ""
        return sorted(name for name in self._rescan() if name.startswith(below))

    def _rescan(self) -> dict[str, _Entry]:
        with self._lock:
            if time.monotonic() - self._scanned_s >= _RECHECK_S:
                self._entries = self._merged(dict(scan(self.roots)))
                self._scanned_s = time.monotonic()
            return self._entries

    def _merged(self, found: dict[str, str]) -> dict[str, _Entry]:
        entries = {}
        for name, location in found.items():
            held = self._entries.get(name)
            is_same = held is not None and held.location == location
            entries[name] = held if held and is_same else _Entry(location, _sidecar(location))
        return entries


def scan(roots: Iterable[Root]) -> Iterator[tuple[str, str]]:
    """Yield (asset name, location) of every GeoTIFF below the roots; of two, the first is kept."""
    seen: set[str] = set()
    for root in roots:
        for path, location in _files(root.path):
            name = _name(root.prefix, path)
            if name in seen or not _is_name(name):
                log.debug("left out %s: its name is taken or cannot be one", name)
                continue
            seen.add(name)
            yield name, location


def _name(prefix: str, path: str) -> str:
    return f"{prefix.rstrip('/')}/{os.path.splitext(path)[0]}"


def _is_name(name: str) -> bool:
    return name.isprintable() and name == name.strip()


def check_root(path: str, shown: str = "") -> None:
    """Raise if a root leads nowhere; `shown` is how the user wrote it.

    Raises:
        ConfigError: there is no such file or folder, or the file is not named as a GeoTIFF.
    """
    shown = shown or path
    if is_remote(path):
        if not path.lower().endswith(SUFFIXES):
            raise ConfigError(f"{shown}: expected the URL of a GeoTIFF, ending in .tif or .tiff")
        return
    if not os.path.exists(path):
        raise ConfigError(f"{shown}: no such file or folder")
    if not os.path.isdir(path) and not _is_geotiff(path):
        raise ConfigError(f"{shown}: expected a GeoTIFF (.tif, .tiff) or a folder of them")


def _files(path: str) -> Iterator[tuple[str, str]]:
    """Yield (path below the root, location) of the GeoTIFFs of one root."""
    if is_remote(path):
        yield path.rsplit("/", 1)[-1], path
        return
    top = os.path.realpath(path)
    if not os.path.isdir(top):
        if _is_geotiff(top):
            yield os.path.basename(path), top
        return
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(names):
            location = os.path.realpath(os.path.join(folder, name))
            # A link may point anywhere; what it points to must lie below the root.
            if os.path.commonpath([top, location]) == top and _is_geotiff(location, name):
                yield (
                    os.path.relpath(os.path.join(folder, name), top).replace(os.sep, "/"),
                    location,
                )


def _is_geotiff(location: str, name: str = "") -> bool:
    name = name or os.path.basename(location)
    if name.startswith(".") or not name.lower().endswith(SUFFIXES):
        return False
    try:
        # A fifo or a device would block whoever opens it.
        return stat.S_ISREG(os.stat(location).st_mode)
    except OSError:
        return False


def _sidecar(location: str) -> str:
    return "" if is_remote(location) else os.path.splitext(location)[0] + ".json"


def _version(entry: _Entry) -> str | None:
    """Return a token of the file's and the sidecar's state, or None if the file is gone."""
    if is_remote(entry.location):
        return "remote"
    states = []
    for path in (entry.location, entry.sidecar):
        state = _plain_file(path)
        states.append(f"{state.st_mtime_ns}.{state.st_size}.{state.st_ino}" if state else "")
    if not states[0]:
        return None
    return hashlib.blake2b(" ".join(states).encode(), digest_size=6).hexdigest()


def _plain_file(path: str) -> os.stat_result | None:
    """Return the state of a file, or None if what is there now must not be opened.

    A fifo or a device would block whoever opens it, a link could lead out of the root; either
    may have come since the scan.
    """
    try:
        state = os.lstat(path)
    except OSError:
        return None
    return state if stat.S_ISREG(state.st_mode) and os.path.realpath(path) == path else None


def _read(name: str, entry: _Entry, version: str) -> ImageAsset:
    facts: dict[str, Any] = {}
    if not is_remote(entry.location):
        state = os.stat(entry.location)
        facts["size_bytes"] = state.st_size
        changed = datetime.fromtimestamp(state.st_mtime, UTC)
        facts["update_time"] = changed.strftime("%Y-%m-%dT%H:%M:%SZ")
    directories = directories_of(entry.location, name)
    with (
        gdal_environment(),
        gdal_errors(name),
        open_raster(entry.location, name, directories=directories) as dataset,
    ):
        members = _members(name, entry)
        asset = describe_asset(dataset, name, entry.location, version, members, directories)
    asset = replace(asset, **facts)
    _warn_without_overviews(asset)
    return asset


def _members(name: str, entry: _Entry) -> dict[str, Any]:
    if not entry.sidecar or _plain_file(entry.sidecar) is None:
        return {}
    try:
        return read_sidecar(Path(entry.sidecar).read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as exc:
        raise UnreadableRaster(f"{name}: its .json sidecar cannot be read as UTF-8.") from exc


def _warn_without_overviews(asset: ImageAsset) -> None:
    size_px = asset.grid.width * asset.grid.height
    if len(asset.levels) > 1 or size_px < _LARGE_PX:
        return
    size_mb = size_px * len(asset.band_ids) * asset.dtype.itemsize / 1e6
    log.warning(
        "%s has no overviews: a map tile of all of it decodes %.0f MB. "
        "`tileserver ingest %s OUT.tif` makes a copy with the pyramid it needs.",
        asset.name,
        size_mb,
        os.path.basename(asset.location),
    )
