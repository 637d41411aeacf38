"""Scenes on disk: a GeoTIFF and the sidecar beside it, read as one version.

The version, the metadata and the pixels are those of the same open files. A file that changes
while it is read is read again, so nothing is put together from two states of it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tileserver.concurrency.retry_changed import read_again
from tileserver.contract.raster_formats import GEOTIFF, driver_of
from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.rasters.datasets import (
    Location,
    content_errors,
    directories_of,
    gdal_environment,
    open_raster,
)
from tileserver.rasters.files import (
    FileState,
    OpenFile,
    Place,
    SeenFile,
    file_errors,
    file_state,
    find_file,
    open_beneath,
)
from tileserver.rasters.geotiffs import GeoTiff, describe_raster, read_sidecar
from tileserver.rasters.other_formats import open_file
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.sidecars.beside import MSK, OVR, read_metadata, states_of_raster
from tileserver.rasters.sidecars.levels import with_mask, with_overviews
from tileserver.rasters.sidecars.overlay import Metadata, WithMetadata, class_properties
from tileserver.rasters.stac.items import members_of

MAX_JSON_BYTES = 4_000_000
"""Of a sidecar or a collection.json."""
_SETTLED_S = 0.05
"""A write shows in the file's times when it begins, and older systems give writes that follow
each other within a few milliseconds one and the same time."""


def version_of(place: Place, name: str) -> str | None:
    """Return a token of the state of a scene's files, or None if there is none.

    Raises:
        UnreadableRaster: the system refuses access.
    """
    with file_errors(name):
        raster = find_file(place)
        if raster is None:
            return None
        sidecar = file_state(_sidecar(raster.place))
        return _version(raster.state, sidecar, states_of_raster(raster.place))


def read_scene(place: Place, name: str, members: Mapping[str, Any]) -> GeoTiff | None:
    """Return the raster that a scene's files describe, or None if there is none.

    Args:
        place: of the GeoTIFF.
        name: of the asset.
        members: those that hold where its sidecar has none of that name.

    Raises:
        AssetChanged: a file changed each time that it was read.
        UnreadableRaster: the GeoTIFF or the sidecar is broken.
    """
    return read_again(lambda: _read_once(place, name, members))


def describe_remote(file: RemoteFile, name: str, members: Mapping[str, Any]) -> GeoTiff:
    """Return the raster that a remote GeoTIFF describes.

    Raises:
        AssetChanged: the server has another version by now.
        UnreadableRaster: it is broken, or its server fails.
    """
    return _describe(file, name, file.version, dict(members))


def read_json(place: Place, name: str, kind: str) -> tuple[str, FileState] | None:
    """Return the text of a JSON file and its state, or None if there is no regular file.

    Raises as `read_file`, and UnreadableRaster if it is not UTF-8.
    """
    found = read_file(place, name, kind, MAX_JSON_BYTES)
    if found is None:
        return None
    try:
        return found[0].decode("utf-8"), found[1]
    except UnicodeDecodeError as exc:
        raise UnreadableRaster(f"{name}: {kind} cannot be read as UTF-8.") from exc


def read_file(place: Place, name: str, kind: str, max_bytes: int) -> tuple[bytes, FileState] | None:
    """Return the content of a file and its state, or None if there is no regular file.

    Args:
        place: where it is; a link in its path is not followed.
        name: of the asset that it describes.
        kind: of the file, for errors, such as "its .json sidecar".
        max_bytes: of a file that is read.

    Raises:
        AssetChanged: it changed each time that it was read.
        UnreadableRaster: it is too long, or cannot be opened.
    """

    def read() -> tuple[bytes, FileState] | None:
        with file_errors(name):
            file = open_beneath(place)
        if file is None:
            return None
        with file:
            state = _settled(file)
            content = _content(file, state, name, kind, max_bytes)
            _check_still(file, state, name)
        return content, state

    return read_again(read)


def update_time(*states: FileState | None) -> str:
    """Return when one of these files last changed, in the form of Earth Engine.

    That is by the inode's time too: the other one may be set back, as by `cp --preserve`.
    """
    last_ns = max(max(each.mtime_ns, each.ctime_ns) for each in states if each)
    changed = datetime.fromtimestamp(last_ns // 1000 / 1e6, UTC)
    return changed.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_once(place: Place, name: str, members: Mapping[str, Any]) -> GeoTiff | None:
    with file_errors(name):
        found = find_file(place)
        file = open_beneath(found.place) if found else None
    if found is None or file is None:
        return None
    with file:
        if driver_of(found.place.below) != driver_of(place.below):
            raise UnreadableRaster(f"{name}: it is a link to a file of another format.")
        state = _settled(file)
        sidecar = read_json(_sidecar(found.place), name, "its .json sidecar")
        own = members_of(read_sidecar(sidecar[0], name)) if sidecar else {}
        sidecar_state = sidecar[1] if sidecar else None
        with file_errors(name):
            others = states_of_raster(found.place)
        beside = read_metadata(found.place, others, name) if others else None
        version = _version(state, sidecar_state, others)
        raster = _described(file, state, name, version, {**members, **own}, beside)
    updated = update_time(state, sidecar_state, *others.values())
    asset = replace(raster.asset, size_bytes=state.size_bytes, update_time=updated)
    if beside is not None:
        ids = zip(raster.band_indexes, asset.band_ids, strict=True)
        classes = class_properties(beside.pam, dict(ids))
        asset = replace(asset, properties={**classes, **asset.properties})
    raster = replace(
        raster,
        asset=asset,
        location=found.place.path,
        file=SeenFile(found.place, state),
    )
    return _with_files(raster, found.place, others)


def _with_files(raster: GeoTiff, place: Place, others: Mapping[str, FileState]) -> GeoTiff:
    """Return a raster with the mask and the levels of the GeoTIFFs beside it."""
    file = place.below.rpartition("/")[2]
    for name, joined in ((f"{file}{MSK}", with_mask), (f"{file}{OVR}", with_overviews)):
        if name in others:
            raster = joined(raster, SeenFile(place.beside(name), others[name]))
    return raster


def _described(
    file: OpenFile,
    state: FileState,
    name: str,
    version: str,
    members: dict[str, Any],
    beside: Metadata | None,
) -> GeoTiff:
    try:
        if driver_of(file.place.below) == GEOTIFF:
            raster = _describe(file.location, name, version, members, beside)
        else:
            raster = _describe_other(file, name, version, members, beside)
    except UnreadableRaster:
        # A file that is written just now is broken for a moment.
        _check_still(file, state, name)
        raise
    _check_still(file, state, name)
    return raster


def _describe(
    location: Location,
    name: str,
    version: str,
    members: dict[str, Any],
    beside: Metadata | None = None,
) -> GeoTiff:
    with content_errors(name, str(location)), gdal_environment():
        directories = directories_of(location, name)
        with open_raster(location, name, directories=directories) as dataset:
            shown: Any = WithMetadata(dataset, beside, name) if beside else dataset
            return describe_raster(shown, name, location, version, members, directories)


def _describe_other(
    file: OpenFile, name: str, version: str, members: dict[str, Any], beside: Metadata | None
) -> GeoTiff:
    """Return the raster that a file of another format than GeoTIFF describes."""
    with content_errors(name, file.location), gdal_environment(), open_file(file, name) as dataset:
        shown: Any = WithMetadata(dataset, beside, name) if beside else dataset
        return describe_raster(shown, name, file.location, version, members)


def _check_still(file: OpenFile, state: FileState, name: str) -> None:
    if not file.is_still(state):
        raise AssetChanged(name)


def _settled(file: OpenFile) -> FileState:
    """Return the state of a file once any further change would give it another one."""
    age_s = time.time() - file.state().ctime_ns / 1e9
    if 0 <= age_s < _SETTLED_S:
        time.sleep(_SETTLED_S - age_s)
    return file.state()


def _sidecar(raster: Place) -> Place:
    name = raster.below.rpartition("/")[2]
    return raster.beside(f"{os.path.splitext(name)[0]}.json")


def _content(file: OpenFile, state: FileState, name: str, kind: str, max_bytes: int) -> bytes:
    content = b"" if state.size_bytes > max_bytes else file.read(max_bytes)
    if max(state.size_bytes, len(content)) > max_bytes:
        raise UnreadableRaster(
            f"{name}: {kind} is longer than {max_bytes / 1e6:.0f} MB, the most that is read."
        )
    return content


def _version(raster: FileState, sidecar: FileState | None, others: Mapping[str, FileState]) -> str:
    text = f"{raster} {sidecar} {others}" if others else f"{raster} {sidecar}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
