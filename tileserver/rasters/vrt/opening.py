"""The image of a VRT as its file and the files that it draws are now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from tileserver.rasters.band_sets import BandFile
from tileserver.rasters.files import FileState, Place, file_errors, file_state
from tileserver.rasters.geotiffs import GeoTiff, read_sidecar
from tileserver.rasters.scenes import read_json, update_time
from tileserver.rasters.stac.items import members_of
from tileserver.rasters.vrt.files import VrtFile, read_vrt
from tileserver.rasters.vrt.image import VrtImage, compose


class Entry(Protocol):
    """What a catalogue knows of an asset."""

    @property
    def members(self) -> Mapping[str, Any]:
        """Those that hold where the sidecar has none of that name."""

    @property
    def raster(self) -> object:
        """What was returned before; the same is returned if nothing has changed."""


def version_of_vrt(
    place: Place, name: str, version_of: Callable[[str, Place], str | None]
) -> str | None:
    """Return a token of the state of a VRT and all its files, or None if it is gone.

    Args:
        place: of the VRT.
        name: of the asset.
        version_of: returns that of a file, by its name and place.

    Raises:
        UnreadableRaster: it is no VRT that can be read, or the system refuses access.
    """
    found = read_vrt(place, name)
    if found is None:
        return None
    with file_errors(name):
        sidecar = file_state(found.sidecar)
    return _version(found, sidecar, [version_of(f"{name}/{path}", at) for path, at in found.files])


def open_vrt(
    place: Place,
    name: str,
    entry: Entry,
    read_part: Callable[[BandFile], GeoTiff],
) -> VrtImage | None:
    """Return the image of a VRT, or None if it is gone.

    Args:
        place: of the VRT.
        name: of the asset.
        entry: what is known of the asset.
        read_part: returns one of its files.

    Raises:
        UnreadableRaster: it is no VRT that can be read, or one of its files cannot be read.
        TileserverError: as `read_part`.
    """
    found = read_vrt(place, name)
    if found is None:
        return None
    sidecar = read_json(found.sidecar, name, "its .json sidecar")
    own = members_of(read_sidecar(sidecar[0], name)) if sidecar else {}
    files = [read_part(BandFile(path, at)) for path, at in found.files]
    state = sidecar[1] if sidecar else None
    version = _version(found, state, [file.asset.version for file in files])
    held = entry.raster
    if isinstance(held, VrtImage) and held.asset.version == version:
        return held
    image = compose(name, version, found.document, files, {**entry.members, **own})
    updated = max(update_time(found.file.state, state), image.asset.update_time or "")
    return replace(image, asset=replace(image.asset, update_time=updated))


def _version(found: VrtFile, sidecar: FileState | None, files: Sequence[str | None]) -> str:
    text = f"{found.file.state} {sidecar} {files}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
