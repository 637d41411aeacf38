"""Layers that follow their folders: files that come, go or change, without a restart."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from tileserver.errors import TileserverError
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import LayerDefinition
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.watching import FolderWatch

_CLOCK_S = 2.0
"""Between looks into folders whose changes are not all noticed."""
_WRITING_S = 0.5
"""Between looks while a file is being written: that it is done changes nothing of it."""
_SAFETY_S = 60.0
"""Between looks all the same, should a notice be lost."""
_PAUSE_S = 0.1
_SHARE = 4.0
"""A look of one second is followed by so many seconds without one."""

log = logging.getLogger(__name__)


class HotFolders:
    """Has a list of layers follow the folders of catalogues."""

    def __init__(
        self,
        catalogues: Sequence[Catalogue],
        definitions: Callable[[], Sequence[LayerDefinition]],
        listed: LayerList,
    ) -> None:
        """Follow folders.

        Args:
            catalogues: have the folders.
            definitions: returns the layers as the folders are now; blocks.
            listed: shows them.
        """
        self._catalogues = catalogues
        self._definitions = definitions
        self._listed = listed
        self._stop = threading.Event()

    def look(self) -> Sequence[LayerDefinition] | None:
        """Return the layers as the folders are now; None if they cannot be told."""
        try:
            for each in self._catalogues:
                each.scan_again()
            return self._definitions()
        except (OSError, TileserverError) as exc:
            log.warning("the folders of rasters cannot be looked into: %s", exc)
        except Exception:
            log.exception("looking for changes in the folders failed")
        return None

    def run(self, show: Callable[[Sequence[LayerDefinition]], None]) -> None:
        """Look whenever folders change, until stopped; call `show` with the layers."""
        watch, shown = FolderWatch(), list(self._listed.layers.definitions.values())
        try:
            watch.follow(self._paths())
            while not self._stop.is_set():
                began_s = time.monotonic()
                found = self.look()
                if found is not None and list(found) != shown:
                    shown = list(found)
                    show(shown)
                took_s = time.monotonic() - began_s
                # What changed in a new folder before it was followed is noticed by nobody.
                is_new = watch.follow(self._paths())
                self._stop.wait(max(_PAUSE_S, _SHARE * took_s))
                if not is_new:
                    watch.wait(self._patience_s(watch), self._stop)
        finally:
            watch.close()

    def _paths(self) -> list[str]:
        return [path for each in self._catalogues for path in each.scanned().paths]

    def _patience_s(self, watch: FolderWatch) -> float:
        if any(each.pending for each in self._catalogues):
            return _WRITING_S
        return _SAFETY_S if watch.is_noticed else _CLOCK_S

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follow the folders while inside."""
        loop = asyncio.get_running_loop()

        def show(definitions: Sequence[LayerDefinition]) -> None:
            # A loop that has ended meanwhile needs no layers.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._listed.replace, definitions)

        thread = threading.Thread(
            target=self.run, args=(show,), name="changes of folders", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, 1.0)
