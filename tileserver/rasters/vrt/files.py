"""The file of a VRT, read as one state; GDAL never sees it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

from tileserver.contract.raster_formats import is_vrt
from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.rasters.files import FileState, Place, SeenFile, file_errors, find_file
from tileserver.rasters.scenes import read_file
from tileserver.rasters.sidecars.bounded_xml import MAX_BYTES
from tileserver.rasters.vrt.document import VrtDocument, read_document


@dataclass(frozen=True)
class VrtFile:
    """A VRT in the state in which it was read."""

    document: VrtDocument
    file: SeenFile

    @property
    def files(self) -> tuple[tuple[str, Place], ...]:
        """The paths below its folder of the GeoTIFFs that it draws, and where they lie."""
        folder, _, _ = self.file.place.path.rpartition("/")
        return tuple((path, Place(folder or "/", path)) for path in self.document.files)

    @property
    def sidecar(self) -> Place:
        """Where its JSON would lie."""
        name = self.file.place.below.rpartition("/")[2]
        return self.file.place.beside(f"{os.path.splitext(name)[0]}.json")


def read_vrt(place: Place, name: str) -> VrtFile | None:
    """Return a VRT as it is now, or None if there is none; it is read once for each state.

    Raises:
        AssetChanged: it changed each time that it was read.
        UnreadableRaster: it is no VRT, or says what is not allowed.
    """
    with file_errors(name):
        found = find_file(place)
    if found is None:
        return None
    return _read(found.place, found.state, name)


@lru_cache(maxsize=32)
def _read(place: Place, state: FileState, name: str) -> VrtFile:
    if not is_vrt(place.below):
        raise UnreadableRaster(f"{name}: it is a link to a file that is no .vrt.")
    found = read_file(place, name, "the VRT", MAX_BYTES)
    if found is None:
        raise AssetChanged(name)
    content, read_state = found
    try:
        document = read_document(content, os.path.dirname(place.path))
    except ValueError as exc:
        raise UnreadableRaster(f"{name}: the VRT cannot be served: {exc}.") from exc
    return VrtFile(document, SeenFile(place, read_state))
