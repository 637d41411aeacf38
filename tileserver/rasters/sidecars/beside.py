"""Finds and reads the files beside a raster: in its folder, of its name, no links, bounded in size.

A file that cannot be understood is left out with a warning, as GDAL does: most are written by
programs in passing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TypeVar

from tileserver.rasters.files import FileState, Place, open_beneath, states_beside
from tileserver.rasters.settling import Settling
from tileserver.rasters.sidecars.bounded_xml import MAX_BYTES
from tileserver.rasters.sidecars.overlay import Metadata
from tileserver.rasters.sidecars.pam import Pam, read_pam
from tileserver.rasters.sidecars.world_files import MAX_BYTES as MAX_WORLD_BYTES
from tileserver.rasters.sidecars.world_files import names_of, read_world_file

log = logging.getLogger(__name__)

T = TypeVar("T")

AUX, OVR, MSK = ".aux.xml", ".ovr", ".msk"
_PRJ = ".prj"
_MAX_PRJ_BYTES = 20_000
_settling = Settling()


def names_beside(file: str) -> list[str]:
    """Return the names that files beside a raster of a name may have."""
    stem = os.path.splitext(file)[0]
    ends = (AUX, OVR, MSK, f"{MSK}{OVR}")
    prj = [f"{stem}{each}" for each in (_PRJ, _PRJ.upper())]
    return [*(f"{file}{end}" for end in ends), *prj, *names_of(file)]


def states_of_raster(place: Place) -> dict[str, FileState]:
    """Return the states of the files beside a raster, by their names.

    Levels and masks that a program is known to be writing are not there yet.

    Raises:
        OSError: the system refuses access.
    """
    found = states_beside(place, names_beside(place.below.rpartition("/")[2]))
    pixels = {name: place.beside(name) for name in found if name.endswith((OVR, MSK))}
    waiting = _settling.pending(pixels, is_start=True) if pixels else set()
    return {name: state for name, state in found.items() if name not in waiting}


def read_metadata(place: Place, states: Mapping[str, FileState], name: str) -> Metadata:
    """Return the metadata in the files beside a raster.

    Args:
        place: of the raster.
        states: of the files beside it.
        name: of the asset, for the log.
    """
    file = place.below.rpartition("/")[2]
    pam, world, crs_text = Pam(), None, ""
    for each in states:
        content = _content(place.beside(each), states[each], _limit(each), name)
        if content is None:
            continue
        try:
            if each == f"{file}{AUX}":
                pam = read_pam(content)
            elif each.lower().endswith(_PRJ):
                crs_text = content.decode("utf-8").strip()
            elif world is None and each in names_of(file):
                world = read_world_file(content.decode("ascii"))
        except ValueError as exc:
            log.warning("%s: %s is left out: %s", name, each, exc)
    return Metadata(pam, world, crs_text)


def _limit(name: str) -> int:
    if name.endswith(AUX):
        return MAX_BYTES
    return _MAX_PRJ_BYTES if name.lower().endswith(_PRJ) else MAX_WORLD_BYTES


def _content(place: Place, state: FileState, limit: int, name: str) -> bytes | None:
    """Return the content of a text beside a raster; None if it is another file, or too long."""
    if place.below.endswith((OVR, MSK)):
        return None
    try:
        file = open_beneath(place)
    except OSError as exc:
        log.warning("%s: %s cannot be read: %s", name, place.below, exc.strerror)
        return None
    if file is None:
        return None
    with file:
        if state.size_bytes > limit or not file.is_still(state):
            log.warning("%s: %s is left out: it is too long", name, place.below)
            return None
        return file.read(limit)
