"""The folder of pyramids: which raster has one, how far it is, and how much room they take.

A pyramid's file is named after the version of its raster, which changes with each of the raster's
files, so no pyramid is ever shown for another state of a file.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tileserver.contract.grids import AffineTransform
from tileserver.errors import TileserverError
from tileserver.rasters.files import Place, SeenFile, file_state, open_beneath
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.pyramids.tiffs import Plan, share_done
from tileserver.rasters.tiff_directories import read_directories

DONE, PART, REFUSED, USED = ".tif", ".part", ".refused", ".used"
"""Ends of names of files: finished, being made, why there is none, and when it was used last."""
MIN_SAMPLES = 3_000_000
"""A raster of fewer is decoded quickly."""
_NO_PLACE = AffineTransform(2.0, 0.0, 0.0, 0.0, -2.0, 0.0)
_FORMAT = "1"
"""Changes with how pyramids are made."""
_KEEP_S = 86_400.0
"""One that was used within this time is not removed to make room."""
_TOUCH_S = 3600.0

log = logging.getLogger(__name__)


def plan_of(raster: GeoTiff) -> Plan:
    """Return the plan of a raster's pyramid."""
    alpha, nodata = raster.alpha_index, raster.asset.bands[0].nodata
    has_mask = raster.has_mask and alpha is None and raster.shares_mask
    samples = max(*raster.band_indexes, alpha or 0, raster.sample_count)
    grid, transform = raster.grid, raster.grid.transform
    if raster.warp is not None:
        # Levels are of the file's own pixels, which have no geotransform.
        grid, transform = raster.warp.source, _NO_PLACE
    return Plan(grid.width, grid.height, samples, raster.dtype, nodata, alpha, has_mask, transform)


def needs_pyramid(raster: GeoTiff) -> bool:
    """Tell whether a raster is slow to show from afar, and a pyramid can be made of it."""
    grid = raster.grid
    is_large = grid.width * grid.height * len(raster.band_indexes) >= MIN_SAMPLES
    is_local = raster.file is not None and raster.beside is None and not raster.is_complex
    # GDAL takes one nodata value for all bands; of other mixtures there is no such file.
    nodata = raster.asset.bands[0].nodata
    is_plain = raster.alpha_index or raster.shares_mask or nodata is not None or not raster.has_mask
    return bool(is_large and is_local and len(raster.levels) == 1 and is_plain)


class PyramidStore:
    """Pyramids in a folder. Its methods use the disk: call them from a thread."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Keep pyramids in a folder, which is made when it is needed.

        Args:
            folder: of this server, or of several of one user.
            max_bytes: that its files may take.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self._damaged: set[SeenFile] = set()

    def place(self, version: str, end: str = DONE) -> Place:
        """Return the place of a raster's pyramid, given the raster's version."""
        return Place(str(self.folder), f"{_FORMAT}-{version}{end}")

    def token(self, version: str) -> str:
        """Return a raster's version, another one if it has a pyramid."""
        return f"{version}p" if self._state(version) else version

    def _state(self, version: str) -> SeenFile | None:
        place = self.place(version)
        try:
            state = file_state(place)
        except OSError:
            return None
        seen = SeenFile(place, state) if state else None
        return None if seen in self._damaged else seen

    def discard(self, seen: SeenFile | None) -> bool:
        """Remove a pyramid whose pixels cannot be read; it is made again. Show it no more at least.

        Args:
            seen: the file of a raster's levels, of a pyramid or another one.

        Returns:
            Whether it is a pyramid.
        """
        if seen is None or seen.place.root != str(self.folder):
            return False
        log.warning("a pyramid is damaged, and made again: %s", seen.place.below)
        self._damaged.add(seen)
        with suppress(OSError):
            if file_state(seen.place) == seen.state:
                os.unlink(seen.place.path)
        return True

    def with_levels(self, raster: GeoTiff, version: str) -> GeoTiff:
        """Return a raster with the levels of its pyramid; as it is if there is none.

        Args:
            raster: as its own file describes it.
            version: of its own files.
        """
        seen = self._state(version) if needs_pyramid(raster) else None
        if seen is None:
            return raster
        plan = plan_of(raster)
        try:
            file = open_beneath(seen.place)
            if file is None:
                return raster
            with file:
                layouts = plan.layouts(
                    read_directories(lambda at, n: os.pread(file.descriptor, n, at), version)
                )
        except OSError as exc:
            log.warning("the pyramid of %s cannot be read: %s", raster.asset.name, exc)
            return raster
        except TileserverError:
            layouts = ()
        if not layouts:
            self.discard(seen)
            return raster
        self._note_use(version)
        levels = (*raster.levels, *plan.levels)
        factors = tuple(level.factor for level in levels[1:])
        asset = replace(raster.asset, version=self.token(version), overview_factors=factors)
        # What GDAL has to read of the raster itself, it reads of the pyramid, too.
        layouts = (*raster.layouts, *layouts) if raster.layouts else ()
        return replace(raster, asset=asset, levels=levels, layouts=layouts, beside=seen)

    def _note_use(self, version: str) -> None:
        # In a file of its own: the pyramid's times tell whether it is the one that was opened.
        path = Path(self.place(version, USED).path)
        with suppress(OSError):
            if not path.exists() or time.time() - path.stat().st_mtime > _TOUCH_S:
                path.touch(0o600)

    def progress(self, raster: GeoTiff, version: str) -> str:
        """Return in words how far a raster's pyramid is; "" if it needs none."""
        if self._state(version):
            return "its pyramid is ready"
        if not needs_pyramid(raster):
            return ""
        refused = self.refusal(version)
        if refused is not None:
            return f"no pyramid: {refused}"
        share = self._share(version)
        return "its pyramid waits to be made" if share is None else f"its pyramid: {share:.0%} made"

    def refusal(self, version: str) -> str | None:
        """Return why no pyramid is made, or None."""
        with suppress(OSError):
            file = open_beneath(self.place(version, REFUSED))
            if file is not None:
                with file:
                    return file.read(1000).decode("utf-8", "replace").strip()
        return None

    def _share(self, version: str) -> float | None:
        with suppress(OSError, TileserverError, ValueError):
            file = open_beneath(self.place(version, PART))
            if file is not None:
                with file:
                    return share_done(lambda at, size: os.pread(file.descriptor, size, at))
        return None

    def make_room(self, wanted_bytes: int, keep: str = "") -> bool:
        """Tell whether so many bytes more have room; remove unused pyramids first.

        Args:
            wanted_bytes: to be written.
            keep: the version whose files stay.
        """
        now_s, files = time.time(), sorted(self._files(), key=lambda each: _used_s(*each))
        held = sum(found.st_size for _, found in files)
        free = self._free_bytes()
        for path, found in files:
            if held + wanted_bytes <= self.max_bytes and wanted_bytes <= free:
                break
            if now_s - _used_s(path, found) > _KEEP_S and not (keep and keep in path.name):
                with suppress(OSError):
                    path.unlink()
                    held, free = held - found.st_size, free + found.st_size
        return held + wanted_bytes <= self.max_bytes and wanted_bytes <= free

    def _free_bytes(self) -> int:
        """Return how many bytes of the disk may be used; a tenth of it is left free."""
        found = os.statvfs(self.folder)
        return int((found.f_bavail - found.f_blocks / 10) * found.f_frsize)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.suffix in (DONE, PART, REFUSED, USED):
                    with suppress(OSError):
                        yield path, path.stat()


def _used_s(path: Path, found: os.stat_result) -> float:
    """Return when a file of the folder was used last."""
    with suppress(OSError):
        return max(found.st_mtime, path.with_suffix(USED).stat().st_mtime)
    return found.st_mtime
