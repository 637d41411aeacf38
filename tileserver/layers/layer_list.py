"""The list of layers, in pages, by text and by place.

A short list waits for its layers to be read. In a long one (`LONG`) the layers of local files come
from an index, which is filled in the background; a layer that is not in it yet is listed without
its place, and is read next.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol
from weakref import WeakSet

import anyio

from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.errors import AssetNotFound, InvalidRequest, Overloaded, TileserverError
from tileserver.geo.asset_extents import known_extent
from tileserver.layers.boxes import touches
from tileserver.layers.layer_index import IndexEntry, LayerIndex
from tileserver.layers.layers import Layer, LayerDefinition, Layers
from tileserver.layers.listed import Failure, LayerPage, ListedLayer, PassingFailure, Search
from tileserver.rendering.render import check_options

log = logging.getLogger(__name__)

LONG = 100
"""Layers of a server, above which its list does not wait for files."""
_PATIENCE_S = 2.0
_FILLING_S = 10.0
"""Patience of the background, for which no request waits."""
_BATCH = 20
_FAILED_S = 60.0
"""A file that cannot be drawn is read again after this time."""


class Files(Protocol):
    """The part of a catalogue of local files that a list uses."""

    def is_local(self, name: str) -> bool:
        """Tell whether an asset is a local file, without a look at the disk."""
        ...

    def local_versions(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return the versions of the local files among assets, by their names; blocks."""
        ...


class NoFiles:
    """A catalogue without files."""

    def is_local(self, name: str) -> bool:
        """Return False."""
        return False

    def local_versions(self, names: Iterable[str]) -> Mapping[str, str]:
        """Return nothing."""
        return {}


_NO_FILES = NoFiles()


class LayerList:
    """Lists the configured layers of `layers`."""

    def __init__(
        self,
        layers: Layers,
        index: LayerIndex | None = None,
        files: Files = _NO_FILES,
        patience_s: float = _PATIENCE_S,
        check_sound: Callable[[str], None] | None = None,
    ) -> None:
        """List layers.

        Args:
            layers: the layers.
            index: entries of layers over local files; used if the list is long.
            files: the local ones.
            patience_s: how long a list waits for a layer that the index is not for.
            check_sound: raises a TileserverError if the pixels of a local file cannot be read;
                blocks.
        """
        self.layers = layers
        self.index = index or LayerIndex()
        self.files = files
        self.patience_s = patience_s
        self._check_sound = check_sound
        self._sound: WeakSet[ImageAsset] = WeakSet()
        self._lookups: SingleFlight[str, Layer] = SingleFlight()
        self._logged: dict[str, str] = {}
        self._failed: dict[str, tuple[str, float, Failure]] = {}
        self._unread: deque[str] = deque(layers.definitions)
        self._next: dict[str, None] = {}
        self._wanted = asyncio.Event()

    @property
    def is_long(self) -> bool:
        """Whether the index is used."""
        return len(self.layers.definitions) > LONG

    def replace(self, definitions: Iterable[LayerDefinition]) -> None:
        """List these layers in place of those before; called on the event loop."""
        before = self.layers.definitions
        self.layers.replace(definitions)
        now = self.layers.definitions
        self._failed = {name: each for name, each in self._failed.items() if name in now}
        self._logged = {name: each for name, each in self._logged.items() if name in now}
        self._unread.extend(name for name in now if now[name] != before.get(name))
        self._wanted.set()

    async def page(self, after: str | None, limit: int, search: Search | None = None) -> LayerPage:
        """Return at most `limit` configured layers, those after the one named `after`.

        A layer that fails does not fail the page. A layer that is not ready in time is listed
        without its place, and its preparation goes on for later requests.

        Raises:
            InvalidRequest: there is no layer named `after`.
        """
        search = search or Search()
        names, unread = await anyio.to_thread.run_sync(self._matching, after, search)
        if search.bbox is not None and not self.is_long:
            inside = [each for each in await self._found(names) if _is_in(each, search.bbox)]
            names = [each.name for each in inside]
        chosen = names[:limit]
        found = await self._found(chosen)
        if search.bbox is not None:
            found = [each for each in found if _is_in(each, search.bbox)]
        return LayerPage(
            [each for each in found if not isinstance(each, Failure)],
            [each for each in found if isinstance(each, Failure)],
            chosen[-1] if limit < len(names) else None,
            unread,
        )

    def _matching(self, after: str | None, search: Search) -> tuple[list[str], int]:
        """Return the names that may fit a search, and the number of those not known yet."""
        definitions = self.layers.definitions
        names = [name for name in _after(definitions, after) if search.fits(definitions[name])]
        if search.bbox is None or not self.is_long:
            return names, 0
        bbox, places = search.bbox, self.index.places()
        is_local = self.files.is_local
        unread = {
            name for name in names if name not in places and is_local(definitions[name].asset_name)
        }
        outside = {name for name, box in places.items() if not touches(box, bbox)}
        hidden = unread | outside
        count = len(unread - self._failed.keys())
        return [name for name in names if name not in hidden], count

    async def _found(self, names: Sequence[str]) -> list[Layer | ListedLayer | Failure]:
        """Return layers in order: from the index where it is for them, else as they are now."""
        listed = await anyio.to_thread.run_sync(self._listed, names) if self.is_long else {}
        missing = [name for name in names if name not in listed]
        found = await asyncio.gather(*map(self._layer_or_failure, missing))
        self._read_next([name for name, each in listed.items() if _is_unread(each)])
        every = {**listed, **dict(zip(missing, found, strict=True))}
        return [every[name] for name in names]

    def _listed(self, names: Sequence[str]) -> dict[str, Layer | ListedLayer | Failure]:
        """Return the layers over local files, as the index has them."""
        held = self.index.get(names)
        listed: dict[str, Layer | ListedLayer | Failure] = {}
        now_s = time.monotonic()
        for name, state in self._states(names).items():
            entry, failed = held.get(name), self._failed.get(name)
            if failed and failed[0] == state and now_s - failed[1] < _FAILED_S:
                listed[name] = failed[2]
            else:
                is_current = entry is not None and entry.state == state
                listed[name] = ListedLayer(self._definition(name), entry if is_current else None)
        return listed

    def _states(self, names: Sequence[str]) -> dict[str, str]:
        definitions = [self._definition(name) for name in names]
        versions = self.files.local_versions([each.asset_name for each in definitions])
        return {
            each.name: _state(each, versions[each.asset_name])
            for each in definitions
            if each.asset_name in versions
        }

    def _definition(self, name: str) -> LayerDefinition:
        """Return a layer's definition, also of one that has vanished meanwhile."""
        return self.layers.definitions.get(name) or LayerDefinition(name, name)

    # Filling the index

    def _read_next(self, names: Sequence[str]) -> None:
        self._next.update(dict.fromkeys(names))
        if names:
            self._wanted.set()

    async def fill(self) -> None:
        """Read the files of layers that the index does not have, until cancelled."""
        resets = self.index.resets
        is_first = True
        while True:
            if resets != self.index.resets:
                resets = self.index.resets
                self._unread = deque(self.layers.definitions)
            batch = self._batch() if self.is_long else []
            if batch:
                await self._fill(batch)
            else:
                if is_first and self._failed:
                    count = len(self.layers.definitions)
                    log.warning("%s of %s layers cannot be shown", len(self._failed), count)
                is_first = False
                self._wanted.clear()
                await self._wanted.wait()

    def _batch(self) -> list[str]:
        wanted = list(self._next)[:_BATCH]
        for name in wanted:
            del self._next[name]
        return wanted or [self._unread.popleft() for _ in range(min(_BATCH, len(self._unread)))]

    async def _fill(self, names: Sequence[str]) -> None:
        states = await anyio.to_thread.run_sync(self._states, names)
        listed = await anyio.to_thread.run_sync(self._listed, list(states))
        entries = []
        for name, each in listed.items():
            if not _is_unread(each):
                continue
            layer = await self._layer_or_failure(name, max(self.patience_s, _FILLING_S))
            if isinstance(layer, PassingFailure | ListedLayer):
                continue
            if isinstance(layer, Failure):
                self._failed[name] = (states[name], time.monotonic(), layer)
            else:
                self._failed.pop(name, None)
                entries.append(_entry_of(layer))
        if entries:
            await anyio.to_thread.run_sync(self.index.put, entries)

    async def _layer_or_failure(
        self, name: str, patience_s: float | None = None
    ) -> Layer | ListedLayer | Failure:
        """Return a layer, as unread if it takes too long; or why it cannot be drawn, logged too."""
        self._lookups.keep(name, lambda: self.look_at(name))
        kind = Failure
        try:
            async with asyncio.timeout(self.patience_s if patience_s is None else patience_s):
                layer = await self._lookups.join(name, lambda: self.look_at(name))
        except TileserverError as exc:
            definition = self._definition(name)
            # A list has the name before the reason.
            is_named = definition.asset_name.endswith(f"/{definition.display_title}")
            prefix = f"{definition.asset_name}: " if is_named else ""
            reason = " ".join(str(exc).split()).removeprefix(prefix)
            kind = PassingFailure if isinstance(exc, Overloaded) else Failure
        except TimeoutError:
            return ListedLayer(self._definition(name), None)
        except Exception:
            # A bug, which must not hide the other layers.
            reason = "An internal error has occurred; the log of the server tells more."
            log.exception("layer %s failed", name)
        else:
            self._logged.pop(name, None)
            return layer
        self._log_failure(name, reason)
        return kind(name, self._definition(name).display_title, reason)

    async def look_at(self, name: str) -> Layer:
        """Return a layer that can be drawn.

        Raises:
            TileserverError: as `Layers.find`; or its style does not fit its bands, or its file is
                cut off or damaged.
        """
        await self._check(self._definition(name).asset_name)
        layer = await self.layers.find(name)
        check_options(layer.style.options(), len(layer.style.bands))
        return layer

    async def _check(self, asset_name: str) -> None:
        """Have the file of an asset checked, once for each of its versions."""
        if self._check_sound is None or not self.files.is_local(asset_name):
            return
        try:
            # Files whose headers take long are read in threads of their own.
            asset = await self.layers.source.get_asset(asset_name)
        except AssetNotFound:
            return
        # So is PROJ asked, which pixels may need and which may take minutes.
        if known_extent(asset) is None:
            await self.layers.extents.find(asset)
        if asset not in self._sound:
            await anyio.to_thread.run_sync(self._check_sound, asset_name)
            self._sound.add(asset)

    def _log_failure(self, name: str, reason: str) -> None:
        """Log why a layer fails: once, until the reason changes or the layer works again."""
        if self._logged.get(name) != reason:
            self._logged[name] = reason
            log.warning("layer %s is left out: %s", name, reason)


@asynccontextmanager
async def filling(layers: LayerList) -> AsyncIterator[None]:
    """Fill the index of a list while inside."""
    task = asyncio.create_task(layers.fill())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _after(names: Iterable[str], after: str | None) -> list[str]:
    listed = list(names)
    if after is None:
        return listed
    if after not in listed:
        raise InvalidRequest(f"after: there is no layer named {after[:80]!r}")
    return listed[listed.index(after) + 1 :]


def _state(definition: LayerDefinition, version: str) -> str:
    text = f"{definition.asset_name} {version} {definition.style}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _entry_of(layer: Layer) -> IndexEntry:
    state = _state(layer.definition, layer.asset.version)
    return IndexEntry(
        name=layer.name,
        state=state,
        bounds=layer.bounds,
        full_zoom=layer.full_zoom,
        style=layer.style,
        version=layer.version,
        no_place=layer.no_place,
        has_times=layer.asset.has_times,
    )


def _is_in(each: Layer | ListedLayer | Failure, bbox: Box) -> bool:
    """Tell whether a layer is known to touch a box."""
    if isinstance(each, Failure) or _is_unread(each):
        return False
    return touches(each.bounds, bbox)


def _is_unread(each: Layer | ListedLayer | Failure) -> bool:
    return isinstance(each, ListedLayer) and each.entry is None
