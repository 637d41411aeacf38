"""STAC documents as they are now: read again when files of theirs change, or after a while."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tileserver.errors import TileserverError
from tileserver.rasters.files import FileState, Place, file_errors, file_state
from tileserver.rasters.geotiffs import read_object
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rasters.remote.objects import file_name, is_remote
from tileserver.rasters.scenes import read_json
from tileserver.rasters.stac.catalogs import StacTree, read_tree
from tileserver.rasters.stac.items import Item, is_item, read_item
from tileserver.rasters.stac.links import Base

_FAILED_S = 60.0
_MAX_BESIDE = 100_000

log = logging.getLogger(__name__)


@dataclass
class _Held:
    tree: StacTree
    read_s: float
    is_refreshing: bool = False


@dataclass
class StacSources:
    """STAC documents by where they lie. Its methods block."""

    remote: RemoteFiles
    hosts: Collection[str] = ()
    """That documents may lead to, beside their own."""
    _held: dict[str, _Held] = field(default_factory=dict)
    _beside: dict[Place, tuple[FileState, dict[str, Any] | None]] = field(default_factory=dict)

    def tree(self, path: str, is_link: bool = False) -> StacTree:
        """Return what a document leads to, as it is now, or of one behind a URL as it was.

        Args:
            path: absolute, or a URL.
            is_link: whether a local one may be a link.

        Raises:
            TileserverError: it cannot be read, and never could.
        """
        held = self._held.get(path)
        if held is None:
            held = self._held[path] = _Held(self._read(path, is_link), time.monotonic())
        elif not _is_current(held.tree):
            self._refresh(path, is_link, held)
        elif held.tree.has_remote and time.monotonic() - held.read_s > self.remote.recheck_s:
            self._refresh_beside(path, is_link, held)
        return held.tree

    def item_beside(self, place: Place, name: str) -> Item | None:
        """Return the item that a local file is, or None if it is another JSON file."""
        with file_errors(name):
            state = file_state(place)
        if state is None:
            return None
        held = self._beside.get(place)
        if held is None or held[0] != state:
            held = state, _item_in(place, name)
            if len(self._beside) >= _MAX_BESIDE:
                self._beside.clear()
            self._beside[place] = held
        if held[1] is None:
            return None
        return read_item(held[1], name, Base(place, place, self.hosts).locate)

    def _read(self, path: str, is_link: bool) -> StacTree:
        location: Place | str = path
        name = file_name(path) if is_remote(path) else os.path.basename(path)
        if not is_remote(path):
            # The folder of the real file, where its links lead from.
            real = os.path.realpath(path) if is_link else path
            location = Place(os.path.dirname(real), os.path.basename(real))
        base = Base(location, location, self.hosts)
        return read_tree(base, os.path.splitext(name)[0], self.remote)

    def _refresh_beside(self, path: str, is_link: bool, held: _Held) -> None:
        if not held.is_refreshing:
            held.is_refreshing = True
            threading.Thread(
                target=self._refresh, args=(path, is_link, held), name="stac", daemon=True
            ).start()

    def _refresh(self, path: str, is_link: bool, held: _Held) -> None:
        try:
            held.tree = self._read(path, is_link)
            held.read_s = time.monotonic()
        except TileserverError as exc:
            log.warning("%s: what is known of it is used on.", exc)
            # Tried again soon, but not with each request.
            held.read_s = time.monotonic() - self.remote.recheck_s + _FAILED_S
            held.tree.files = [(place, _state(place)) for place, _ in held.tree.files]
        finally:
            held.is_refreshing = False


def _is_current(tree: StacTree) -> bool:
    return all(_state(place) == state for place, state in tree.files)


def _state(place: Place) -> FileState | None:
    try:
        return file_state(place)
    except OSError:
        return None


def _item_in(place: Place, name: str) -> dict[str, Any] | None:
    try:
        found = read_json(place, name, "the STAC item")
        document = read_object(found[0], name, "the STAC item") if found else {}
    except TileserverError as exc:
        log.debug("left out a JSON file: %s", exc)
        return None
    return document if is_item(document) else None
