"""The files of a table: its own and, of a shapefile, those of its name beside it."""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from tileserver.contract.table_formats import suffix_of
from tileserver.errors import UnreadableRaster
from tileserver.rasters.files import FileState, Place, file_errors, find_file, states_beside

SHAPEFILE = ".shp"
_BESIDE = (".dbf", ".prj", ".cpg")


class TableFiles(NamedTuple):
    """The files of a table at one moment."""

    place: Place
    """Links resolved."""
    state: FileState
    others: dict[str, FileState]
    """Of a shapefile, those beside it by name."""

    @property
    def version(self) -> str:
        """A token that changes when a file does."""
        text = f"{self.state} {sorted(self.others.items())}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def find_table_files(place: Place, name: str) -> TableFiles | None:
    """Return the files of a table as they are now, or None if there is none.

    Raises:
        UnreadableRaster: the system refuses access, or a link leads to another format.
    """
    with file_errors(name):
        found = find_file(place)
        if found is None:
            return None
        if suffix_of(found.place.below) != suffix_of(place.below):
            raise UnreadableRaster(f"{name}: it is a link to a file of another format.")
        others = {}
        if suffix_of(place.below) == SHAPEFILE:
            others = states_beside(found.place, _names_beside(found.place))
    return TableFiles(found.place, found.state, others)


def _names_beside(place: Place) -> list[str]:
    stem = os.path.splitext(os.path.basename(place.below))[0]
    return [f"{stem}{each}" for part in _BESIDE for each in (part, part.upper())]


def version_of_table(place: Place, name: str) -> str | None:
    """Return a token of the state of a table's files, or None if there is none.

    Raises:
        UnreadableRaster: as `find_table_files`.
    """
    files = find_table_files(place, name)
    return None if files is None else files.version
