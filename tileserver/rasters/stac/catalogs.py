"""The items of a STAC document: an item itself, an item collection, a catalogue or a collection.

Links to further documents are followed as far as `links` allows, to bounded numbers and depths.
A document that cannot be read is an image that tells why.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from tileserver.errors import TileserverError, UnreadableRaster
from tileserver.rasters.band_sets import BandSet
from tileserver.rasters.files import FileState, Place
from tileserver.rasters.geotiffs import read_object
from tileserver.rasters.remote.objects import file_name, is_remote
from tileserver.rasters.scenes import read_file
from tileserver.rasters.stac import geoparquet
from tileserver.rasters.stac.items import Item, is_item, name_of, read_item
from tileserver.rasters.stac.links import Base

MAX_BYTES = 32_000_000
"""Of a document."""
MAX_ITEMS = 10_000
MAX_DOCUMENTS = 12_000
_MAX_DEPTH = 10
"""Documents one below another."""
_REMOTE_S = 60.0
"""For all documents behind URLs."""
_AT_ONCE = 8
_LINKS = ("child", "item", "items")
_CONTAINERS = ("Catalog", "Collection")

log = logging.getLogger(__name__)


class Bodies(Protocol):
    """Fetches documents behind URLs."""

    def document(self, location: str, name: str, max_bytes: int) -> bytes:
        """Return a whole document, or raise a TileserverError."""
        ...


@dataclass
class StacTree:
    """The images that a document leads to."""

    items: list[Item] = field(default_factory=list)
    """Their names are paths of ids below the root's prefix."""
    folders: list[tuple[str, str]] = field(default_factory=list)
    """Paths of collections, each with its members as JSON, in the form of an Earth Engine asset."""
    files: list[tuple[Place, FileState | None]] = field(default_factory=list)
    """Local documents in the states in which they were read."""
    has_remote: bool = False
    """Whether a document behind a URL was read."""


class _Step(NamedTuple):
    """A document to be read."""

    location: Place | str
    path: str
    """The folder or scene that it is in, below the root's prefix."""
    renders: object
    """Of the collection that it is in."""
    name: str = ""
    """Of an item, instead of its id."""


def read_tree(base: Base, name: str, remote: Bodies) -> StacTree:
    """Return the items that a document leads to; blocks.

    Args:
        base: of the document.
        name: of an item, or of the collection that an item collection makes.
        remote: fetches documents behind URLs.

    Raises:
        TileserverError: the document itself cannot be read, or is none of STAC.
    """
    return _Walk(base, name, remote).run()


class _Walk:
    def __init__(self, base: Base, name: str, remote: Bodies) -> None:
        self.base = base
        self.name = name
        self.remote = remote
        self.tree = StacTree()
        self.seen: set[Place | str] = set()
        self.told: set[str] = set()
        self.end_s = time.monotonic() + _REMOTE_S

    def run(self) -> StacTree:
        steps = [_Step(self.base.location, "", None, self.name)]
        for depth in range(_MAX_DEPTH):
            steps = self._unseen(steps)
            found = self._read_all(steps)
            following: list[_Step] = []
            for step, document in zip(steps, found, strict=True):
                following += self._taken(step, document, is_root=depth == 0)
            steps = following
        if steps:
            self._limited("levels", _MAX_DEPTH)
        return self.tree

    def _unseen(self, steps: Sequence[_Step]) -> list[_Step]:
        new = list({step.location: step for step in reversed(steps)}.values())[::-1]
        new = [step for step in new if step.location not in self.seen]
        left = MAX_DOCUMENTS - len(self.seen)
        if len(new) > left:
            self._limited("documents", MAX_DOCUMENTS)
        self.seen.update(step.location for step in new[:left])
        return new[:left]

    def _read_all(self, steps: Sequence[_Step]) -> list[Mapping[str, Any] | TileserverError]:
        if sum(isinstance(step.location, str) for step in steps) < 2:
            return [self._read(step) for step in steps]
        with ThreadPoolExecutor(_AT_ONCE, "stac") as threads:
            return list(threads.map(self._read, steps))

    def _read(self, step: _Step) -> Mapping[str, Any] | TileserverError:
        try:
            if _last_name(step.location).lower().endswith(".parquet"):
                found = geoparquet.features(self._content(step.location), self.name, MAX_ITEMS)
                return {"type": "FeatureCollection", "features": list(found)}
            text = self._decoded(self._content(step.location))
            return read_object(text, self.name, "the STAC document")
        except TileserverError as exc:
            return exc

    def _content(self, location: Place | str) -> bytes:
        if isinstance(location, Place):
            found = read_file(location, self.name, "the STAC document", MAX_BYTES)
            self.tree.files.append((location, found[1] if found else None))
            if found is None:
                raise UnreadableRaster(f"{self.name}: there is no {location.below[:200]!r}.")
            return found[0]
        self.tree.has_remote = True
        if time.monotonic() > self.end_s:
            raise UnreadableRaster(f"{self.name}: the STAC documents take too long to fetch.")
        return self.remote.document(location, self.name, MAX_BYTES)

    def _decoded(self, body: bytes) -> str:
        try:
            return body.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise UnreadableRaster(f"{self.name}: the STAC document is not UTF-8.") from exc

    def _taken(
        self, step: _Step, document: Mapping[str, Any] | TileserverError, is_root: bool
    ) -> list[_Step]:
        """Add the items of a document to the tree, and return the documents that it leads to."""
        try:
            if isinstance(document, TileserverError):
                raise document
            return self._followed(step, document, is_root)
        except TileserverError as exc:
            if is_root:
                raise
            log.warning("%s", exc)
            self._add(_broken(_under(step.path, _stem(step.location)), exc))
            return []

    def _followed(self, step: _Step, document: Mapping[str, Any], is_root: bool) -> list[_Step]:
        base = self.base.at(step.location)
        if is_item(document):
            name = step.name or name_of(document) or _stem(step.location)
            self._add(read_item(document, _under(step.path, name), base.locate, step.renders))
            return []
        if document.get("type") == "FeatureCollection":
            return self._of_features(step, document, base)
        if document.get("type") in _CONTAINERS and isinstance(document.get("stac_version"), str):
            return self._of_container(step, document, base)
        raise UnreadableRaster(
            f"{self.name}: expected a STAC item, item collection, catalogue or collection, got "
            "another JSON object."
        )

    def _of_features(self, step: _Step, document: Mapping[str, Any], base: Base) -> list[_Step]:
        path = _under(step.path, step.name)
        if step.name:
            self.tree.folders.append((path, "{}"))
        features = document.get("features")
        for each in features if isinstance(features, list) else []:
            if self._is_full():
                break
            if isinstance(each, dict) and is_item(each) and (name := name_of(each)):
                self._add(read_item(each, _under(path, name), base.locate, step.renders))
        return [
            _Step(location, path, step.renders)
            for location in self._links(document, ("next",), base, path)
        ]

    def _of_container(self, step: _Step, document: Mapping[str, Any], base: Base) -> list[_Step]:
        path = _under(step.path, name_of(document) or _stem(step.location))
        if document["type"] == "Collection":
            self.tree.folders.append((path, json.dumps(_members(document))))
        renders = document.get("renders") or step.renders
        return [_Step(at, path, renders) for at in self._links(document, _LINKS, base, path)]

    def _links(
        self, document: Mapping[str, Any], kinds: Sequence[str], base: Base, path: str
    ) -> Iterator[Place | str]:
        links = document.get("links")
        for link in links if isinstance(links, list) else []:
            if not isinstance(link, dict) or link.get("rel") not in kinds:
                continue
            href, method = link.get("href"), link.get("method", "GET")
            if not isinstance(href, str) or method != "GET":
                continue
            try:
                yield base.locate(href)
            except UnreadableRaster as exc:
                if self._is_full():
                    return
                log.warning("%s: a link is not followed: %s", self.name, exc)
                self._add(_broken(_under(path, _stem(href) or "link"), exc))

    def _add(self, item: Item) -> None:
        if not self._is_full():
            self.tree.items.append(item)

    def _is_full(self) -> bool:
        """Tell whether there is no room for another item, and log it."""
        is_full = len(self.tree.items) >= MAX_ITEMS
        if is_full:
            self._limited("items", MAX_ITEMS)
        return is_full

    def _limited(self, what: Literal["items", "documents", "levels"], most: int) -> None:
        if what not in self.told:
            self.told.add(what)
            log.warning("%s: more than %d %s of STAC; the rest is left out", self.name, most, what)


def _broken(name: str, why: Exception) -> Item:
    """Return an image that tells why it cannot be drawn."""
    return Item(name, BandSet((), problem=str(why)), {})


def _under(path: str, name: str) -> str:
    return f"{path}/{name}" if path and name else path or name


def _stem(location: Place | str) -> str:
    return os.path.splitext(_last_name(location))[0]


def _last_name(location: Place | str) -> str:
    if isinstance(location, Place):
        path = location.below
    else:
        path = file_name(location) if is_remote(location) else location
    return path.rpartition("/")[2]


def _members(collection: Mapping[str, Any]) -> dict[str, Any]:
    """Return the title, the text and the times of a collection."""
    texts = {key: collection.get(key) for key in ("title", "description")}
    try:
        interval = collection["extent"]["temporal"]["interval"][0]
        texts |= {"startTime": interval[0], "endTime": interval[1]}
    except (LookupError, TypeError):
        pass
    return {key: text[:10_000] for key, text in texts.items() if isinstance(text, str)}
