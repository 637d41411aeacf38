"""STAC documents as they are now: read again when files of theirs change, or after a while."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from tileserver.errors import TileserverError
from tileserver.rasters.files import FileState, Place, file_errors, file_state
from tileserver.rasters.geotiffs import read_object
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rasters.remote.objects import file_name, is_remote
from tileserver.rasters.scenes import read_json
from tileserver.rasters.stac.beside import beside
from tileserver.rasters.stac.catalogs import StacTree, read_tree
from tileserver.rasters.stac.items import Item, Locate, is_item, read_item
from tileserver.rasters.stac.links import Base

_FAILED_S = 60.0
_MAX_BESIDE = 100_000

log = logging.getLogger(__name__)


@dataclass
class _Held:
    tree: StacTree | None
    """None while it could never be read."""
    read_s: float
    failure: TileserverError | None = None
    is_refreshing: bool = False


@dataclass
class StacSources:
    """STAC documents by where they lie. Its methods block."""

    remote: RemoteFiles
    hosts: Collection[str] = ()
    """That documents may lead to, beside their own."""
    _held: dict[str, _Held] = field(default_factory=dict)
    _beside: dict[tuple[Place, str], tuple[FileState, Item | None]] = field(default_factory=dict)

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
            held = self._held[path] = _Held(None, time.monotonic())
            self._refresh(path, is_link, held)
        elif held.tree is None and not is_remote(path):
            self._refresh(path, is_link, held)
        elif held.tree is None or (held.tree.has_remote and _is_current(held.tree)):
            # Nobody waits again for a server that may be down.
            patience_s = self.remote.recheck_s if held.tree else _FAILED_S
            if time.monotonic() - held.read_s > patience_s:
                self._refresh_beside(path, is_link, held)
        elif not _is_current(held.tree):
            self._refresh(path, is_link, held)
        if held.tree is None and held.failure is not None:
            raise held.failure.with_traceback(None)
        return held.tree or StacTree()

    def item_beside(self, place: Place, name: str) -> Item | None:
        """Return the item that a local file is, or None if it is another JSON file."""
        with file_errors(name):
            state = file_state(place)
        if state is None:
            return None
        held = self._beside.get((place, name))
        if held is None or held[0] != state:
            held = state, self._item_in(place, name)
            if len(self._beside) >= _MAX_BESIDE:
                self._beside.clear()
            self._beside[place, name] = held
        return held[1]

    def _item_in(self, place: Place, name: str) -> Item | None:
        try:
            found = read_json(place, name, "the STAC item")
            if found is None or "stac_version" not in found[0]:
                return None
            document = read_object(found[0], name, "the STAC item")
        except TileserverError as exc:
            log.debug("left out a JSON file: %s", exc)
            return None
        if not is_item(document):
            return None
        item = read_item(document, name, self._locate_beside(place))
        if item.where.problem:
            log.debug("left out an item: %s", item.where.problem)
            return None
        return item

    def _locate_beside(self, document: Place) -> Locate:
        """Return a function that finds the files of an item beside it, by their names."""
        base = Base(document, document, self.hosts)

        def locate(href: str) -> Place | str:
            if is_remote(href):
                fetched = beside(document, href)
                if fetched.below.rpartition("/")[2] and _state(fetched):
                    return fetched
            return base.locate(href)

        return locate

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
            held.tree, held.failure = self._read(path, is_link), None
            held.read_s = time.monotonic()
        except TileserverError as exc:
            held.failure, held.read_s = exc, time.monotonic()
            if held.tree is not None:
                log.warning("%s: what is known of it is used on.", exc)
                # Tried again soon, but not with each request.
                held.read_s += _FAILED_S - self.remote.recheck_s
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
