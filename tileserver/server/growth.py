"""Has pyramids made of the rasters that have none, by one process at a time over all workers."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tileserver.errors import TileserverError
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.files import Place
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.pyramids.activity import Activity
from tileserver.rasters.pyramids.store import REFUSED, PyramidStore, needs_pyramid
from tileserver.rasters.remote.objects import is_remote

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

_LOOK_S = 5.0
_QUIET_S = 3.0
"""Rasters are looked at, and a process is started, when no request came for this time."""
_MOST_LOOKED_AT = 200
"""Rasters that no request has read, at once."""
_MOST_KEPT = 2000
"""The same, in all: the description of a raster is kept in memory."""
_TRIES = 2
_REFUSED_S = 86_400.0
"""After this time it is tried again."""
_ENDING_S = 2.0
_LOCK = "lock"

log = logging.getLogger(__name__)


class Growth:
    """Makes pyramids in the background."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: PyramidStore,
        activity: Activity,
        look_s: float = _LOOK_S,
        quiet_s: float = _QUIET_S,
    ) -> None:
        """Make pyramids of a catalogue's rasters.

        Args:
            catalogue: shows them once they are made.
            store: where they are kept.
            activity: tells when the last request was.
            look_s: seconds between looks for something to do.
            quiet_s: seconds without a request before something is begun.
        """
        self.catalogue = catalogue
        self.store = store
        self.activity = activity
        self.look_s = look_s
        self.quiet_s = quiet_s
        self._looked_at: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._stop = threading.Event()

    def run(self) -> None:
        """Make one pyramid after the other until stopped."""
        while not self._stop.wait(self.look_s):
            try:
                if self.activity.idle_s() >= self.quiet_s:
                    self._look_at_more()
                    self._make_next()
            except OSError as exc:
                log.warning("no pyramids are made: %s", exc.strerror)
                return
            except Exception:
                log.exception("making pyramids failed")
                return

    def _look_at_more(self) -> None:
        """Read rasters that no request has read yet."""
        room = _MOST_KEPT - len(self._looked_at)
        new = [name for name in self.catalogue.last_names() if name not in self._looked_at]
        for name in new[: min(room, _MOST_LOOKED_AT)]:
            self._looked_at.add(name)
            with suppress(TileserverError):
                self.catalogue.find(name, max_age_s=float("inf"))
            if self._stop.wait(0.01):
                return

    def _make_next(self) -> None:
        found = next(filter(self._is_wanted, self.catalogue.described()), None)
        if found is None or fcntl is None:
            return
        descriptor = os.open(
            self.store.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._make(*found, descriptor)
        except BlockingIOError:
            pass  # another worker or server makes one
        finally:
            os.close(descriptor)

    def _is_wanted(self, found: tuple[GeoTiff, Place]) -> bool:
        raster, _ = found
        version = raster.asset.version
        if not needs_pyramid(raster) or self._tries[version] >= _TRIES:
            return False
        if self.store.token(version) != version:
            return False  # it is made already, and shown in a moment
        refused = Path(self.store.place(version, REFUSED).path)
        with suppress(OSError):
            if time.time() - refused.stat().st_mtime < _REFUSED_S:
                return False
            refused.unlink()
        return True

    def _make(self, raster: GeoTiff, place: Place, lock: int) -> None:
        """Have a pyramid made; the lock is the process's, too, for as long as it lives."""
        # Late, as few servers need it.
        from tileserver.ingest.growing import Job, job_json

        asset = raster.asset
        self._tries[asset.version] += 1
        job = Job(
            str(self.store.folder),
            self.store.max_bytes,
            asset.version,
            asset.name,
            place.root,
            place.below,
            place.is_root_link,
            place.links,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "tileserver.ingest.growing"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[lock],
        )
        assert process.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError):
            process.stdin.write(job_json(job).encode())
            process.stdin.flush()
        self._wait(process)
        if process.returncode == 0:
            self.catalogue.expire(asset.name)
        elif refusal := self.store.refusal(asset.version):
            log.warning("%s gets no pyramid: %s", asset.name, refusal)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None and not self._stop.is_set():
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
        with suppress(OSError):
            assert process.stdin is not None, "it was asked for"
            # It ends after the step it is at.
            process.stdin.close()
        try:
            process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def progress(self, asset_name: str) -> str:
        """Return in words how far the pyramid of an asset is; "" if it needs none.

        Raises:
            TileserverError: there is no such raster.
        """
        raster = self.catalogue.find(asset_name)
        if not isinstance(raster, GeoTiff):
            return ""
        return self.store.progress(raster, raster.asset.version.removesuffix("p"))

    @asynccontextmanager
    async def growing(self) -> AsyncIterator[None]:
        """Make pyramids while inside."""
        thread = threading.Thread(target=self.run, name="pyramids", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            await asyncio.to_thread(thread.join, 2 * _ENDING_S)


def growth_of(rasters: LocalRasters) -> Growth | None:
    """Return the maker of pyramids of local rasters; None if there is no room for them."""
    store = rasters.catalogue.pyramids
    if store is None or all(is_remote(root.path) for root in rasters.catalogue.roots):
        return None
    try:
        store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        activity = Activity(store.folder)
    except OSError as exc:
        log.debug("no pyramids are made: %s", exc.strerror)
        return None
    rasters.note_request = activity.note
    return Growth(rasters.catalogue, store, activity)
