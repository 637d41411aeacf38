"""The tables of a catalogue, kept in memory while they are used.

A table is read at its first use and again when its file has changed. Its methods read the disk:
call them from a thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import AssetNotFound, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.scanning import check_clash
from tileserver.rasters.table_files import version_of_table

if TYPE_CHECKING:
    from tileserver.geo.tables import Table

MAX_HELD_BYTES = 500_000_000
_MAX_BROKEN = 1000
_LOCK_S = 0.2


class Tables:
    """Tables by the full names of their assets."""

    def __init__(self, catalogue: Catalogue, max_bytes: int = MAX_HELD_BYTES) -> None:
        """Offer the tables of a catalogue.

        Args:
            catalogue: has the places of their files.
            max_bytes: of tables that are kept; one that is larger is kept alone.
        """
        self.catalogue = catalogue
        self.max_bytes = max_bytes
        self._held: OrderedDict[str, Table] = OrderedDict()
        self._broken: dict[str, tuple[str, str]] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Table:
        """Return a table as its file is now.

        Raises:
            AssetNotFound: there is none of that name.
            UnreadableRaster: its file is damaged, or too large.
        """
        # Late, as it imports shapely, which tiles of rasters do without.
        from tileserver.tables.reading import read_table

        found = self.catalogue.scanned()
        place = found.tables.get(name)
        version = None if place is None else version_of_table(place, name)
        if place is None or version is None:
            raise AssetNotFound(name)
        check_clash(found, name)
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        # One thread reads a file; the others wait for it, each with its own limit of time.
        while not lock.acquire(timeout=_LOCK_S):
            check_time()
        try:
            held = self._known(name, version)
            if held is not None:
                return held
            try:
                table = read_table(place, name)
            except UnreadableRaster as exc:
                self._note(name, version, str(exc))
                raise
            if table is None:
                raise AssetNotFound(name)
            self._keep(table)
            return table
        finally:
            lock.release()

    def features_at(self, name: str, lon: float, lat: float, radius_m: float) -> dict[str, Any]:
        """Return the features of a table within metres of a place; raises as `find`."""
        from tileserver.tables.features_at import features_at

        return features_at(self.find(name), lon, lat, radius_m)

    def _known(self, name: str, version: str) -> Table | None:
        """Return a table of a version that was read, or raise what reading it raised."""
        with self._lock:
            broken = self._broken.get(name)
            held = self._held.get(name)
            if held is not None and held.version == version:
                self._held.move_to_end(name)
                return held
        if broken is not None and broken[0] == version:
            raise UnreadableRaster(broken[1])
        return None

    def _note(self, name: str, version: str, problem: str) -> None:
        with self._lock:
            if len(self._broken) >= _MAX_BROKEN:
                self._broken.clear()
            self._broken[name] = version, problem

    def _keep(self, table: Table) -> None:
        with self._lock:
            self._held[table.name] = table
            self._held.move_to_end(table.name)
            total = sum(each.held_bytes for each in self._held.values())
            while total > self.max_bytes and len(self._held) > 1:
                _, dropped = self._held.popitem(last=False)
                total -= dropped.held_bytes
