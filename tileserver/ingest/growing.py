"""Makes the pyramid of a raster that has none, step by step, in a process of its own.

`python -m tileserver.ingest.growing` reads one `Job` as JSON from its input, and ends when that is
closed. Each step reads some tiles of a level and writes those of the next; steps are made while
no request is under way, or seldom if requests never end. What was written is there after a kill.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.errors import AssetChanged, TileserverError
from tileserver.ingest.classes import has_classes
from tileserver.ingest.pyramids import PyramidingPolicy, off_nodata, reduce_2x2
from tileserver.rasters.datasets import GDAL_OPTIONS, content_errors, open_raster
from tileserver.rasters.files import Place, file_errors, open_beneath
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.masking import is_nodata
from tileserver.rasters.other_formats import open_file
from tileserver.rasters.pyramids.activity import Activity
from tileserver.rasters.pyramids.store import DONE, PART, REFUSED, PyramidStore, plan_of
from tileserver.rasters.pyramids.tiffs import TILE, Plan, PyramidFile
from tileserver.rasters.scenes import read_scene, version_of

_STEP_BYTES = 16_000_000
"""Of samples that are read of the raster at once, unless two rows of tiles hold more."""
_SYNC_EVERY = 64
_GDAL_CACHE_BYTES = 256_000_000
_ROOM_BYTES = 64_000_000
"""Asked for ahead while a pyramid is made."""
_MOST_BUSY_S = 5.0
"""A server that is never idle waits for no more than one step in this time."""
_QUIET_S = 0.3
"""The last request ended so long ago."""

Samples = NDArray[Any]
Valid = NDArray[np.bool_]


class NoRoom(TileserverError):
    """The folder of pyramids is full."""


@dataclass(frozen=True)
class Job:
    """A pyramid to be made."""

    folder: str
    """Of the pyramids."""
    max_bytes: int
    version: str
    """Of the raster's own files."""
    name: str
    """Of the asset."""
    root: str
    below: str
    is_root_link: bool
    links: Any

    @property
    def place(self) -> Place:
        """Where the raster lies."""
        return Place(self.root, self.below, self.is_root_link, self.links)


def grow(job: Job, rest: Callable[[], None] = lambda: None) -> None:
    """Make a pyramid, or go on with it.

    Args:
        job: what to make.
        rest: called between steps; may wait, or raise to end.

    Raises:
        AssetChanged: the raster is another one by now.
        NoRoom: the pyramid does not fit into the folder.
        UnreadableRaster: the raster is damaged.
        OSError: the folder cannot be written.
    """
    store = PyramidStore(Path(job.folder), job.max_bytes)
    raster = read_scene(job.place, job.name, {})
    if raster is None or raster.asset.version != job.version:
        raise AssetChanged(job.name)
    part = store.place(job.version, PART).path
    file = PyramidFile(part, plan_of(raster))
    try:
        for number, _ in enumerate(_steps(job, raster, file), start=1):
            rest()
            if number % _SYNC_EVERY == 0:
                file.sync()
                _check(job, store)
        file.sync()
        _check(job, store)
    finally:
        file.close()
    os.replace(part, store.place(job.version, DONE).path)


def _check(job: Job, store: PyramidStore) -> None:
    if version_of(job.place, job.name) != job.version:
        raise AssetChanged(job.name)
    if not store.make_room(_ROOM_BYTES, keep=job.version):
        raise NoRoom(
            f"{job.max_bytes / 1e9:g} GB or the disk are full; [pyramids] size allows for more"
        )


def _steps(job: Job, raster: GeoTiff, file: PyramidFile) -> Iterator[None]:
    """Write tiles that are missing, level by level; yield after each that took time."""
    with file_errors(job.name), rasterio.Env(**GDAL_OPTIONS, GDAL_CACHEMAX=_GDAL_CACHE_BYTES):
        opened = open_beneath(raster.file.place) if raster.file else None
        if opened is None or raster.file is None or not opened.is_still(raster.file.state):
            raise AssetChanged(job.name)
        with opened, content_errors(job.name, opened.location):
            with (
                open_file(opened, job.name) as dataset,
                _mask_dataset(raster, job) as mask,
            ):
                halving = Halving(file.plan, _policies(raster, dataset, job))
                yield from _first_level(dataset, mask, file, halving)
            if not opened.is_still(raster.file.state):
                raise AssetChanged(job.name)
    for level in range(1, len(file.plan.sizes)):
        yield from _next_level(file, level, halving)


def _policies(raster: GeoTiff, dataset: DatasetReader, job: Job) -> list[PyramidingPolicy]:
    """Return how pixels of each band are made: MODE for classes, else MEAN, or as it is told."""
    found = [PyramidingPolicy.MEAN] * dataset.count
    stem = os.path.splitext(os.path.basename(job.below))[0]
    for band, index in zip(raster.asset.bands, raster.band_indexes, strict=True):
        told = (band.pyramiding_policy or "").upper()
        if told in set(PyramidingPolicy):
            found[index - 1] = PyramidingPolicy(told)
        elif raster.asset.color_table or has_classes(dataset, index, band.id, stem):
            found[index - 1] = PyramidingPolicy.MODE
    return found


@dataclass(frozen=True)
class Halving:
    """How levels of a pyramid are made from one another."""

    plan: Plan
    policies: list[PyramidingPolicy]

    def valid(self, samples: Samples, mask: Valid | None) -> Valid:
        """Return where samples are valid; both have the shape (samples, rows, columns)."""
        plan, valid = self.plan, np.ones(samples.shape, np.bool_)
        if plan.alpha_index is not None:
            valid &= samples[plan.alpha_index - 1] != 0
        elif mask is not None:
            valid &= mask
        if plan.nodata is not None and not plan.has_mask:
            valid &= ~is_nodata(samples, plan.nodata)
        if samples.dtype.kind == "f":
            # Shown as it is at full size, but it would spread.
            valid &= ~np.isnan(samples)
        if plan.alpha_index is not None:
            valid[plan.alpha_index - 1] = True
        return valid

    def half(self, samples: Samples, mask: Valid | None) -> tuple[Samples, Valid | None]:
        """Return the samples of the next level and their mask, of (samples, rows, columns)."""
        plan, valid = self.plan, self.valid(samples, mask)
        halves = [reduce_2x2(*each) for each in zip(samples, valid, self.policies, strict=True)]
        values, kept = (np.stack(each) for each in zip(*halves, strict=True))
        if plan.nodata is not None and not plan.has_mask:
            values = off_nodata(values, values.dtype.type(plan.nodata))
        values = np.where(kept, values, self._fill)
        if plan.alpha_index is not None:
            place = plan.alpha_index - 1
            values[place] = _alpha(samples[place])
        shared: Valid = np.logical_and.reduce(kept)
        return values, shared if plan.has_mask else None

    @property
    def _fill(self) -> Any:
        plan = self.plan
        if plan.nodata is not None and not plan.has_mask:
            return plan.dtype.type(plan.nodata)
        return plan.dtype.type(np.nan if plan.dtype.kind == "f" else 0)


def _alpha(samples: Samples) -> Samples:
    """Return the opacity of the next level: the mean, at least 1 where something shows."""
    everywhere = np.ones(samples.shape, np.bool_)
    most, _ = reduce_2x2(samples, everywhere, PyramidingPolicy.MAX)
    if samples.dtype != np.uint8:
        # All but 0 is opaque.
        return most
    mean, _ = reduce_2x2(samples, everywhere, PyramidingPolicy.MEAN)
    # Some files write 1 for opaque.
    return np.where(most <= 1, most, np.maximum(mean, 1 * (most > 0)).astype(np.uint8))


@contextmanager
def _mask_dataset(raster: GeoTiff, job: Job) -> Iterator[DatasetReader | None]:
    """Lend the file that has the mask of a raster, if another one has it."""
    seen = raster.mask.file if raster.mask else None
    if seen is None:
        yield None
        return
    opened = open_beneath(seen.place)
    if opened is None or not opened.is_still(seen.state):
        raise AssetChanged(job.name)
    with opened, open_raster(opened.location, job.name) as dataset:
        yield dataset


def _first_level(
    dataset: DatasetReader, mask_dataset: DatasetReader | None, file: PyramidFile, halving: Halving
) -> Iterator[None]:
    plan = file.plan
    tile_bytes = 4 * TILE * TILE * plan.samples * plan.dtype.itemsize
    across = max(_STEP_BYTES // tile_bytes, 1)
    columns, rows = (-(-side // TILE) for side in plan.sizes[0])
    for row in range(rows):
        for column in range(0, columns, across):
            wanted = range(column, min(column + across, columns))
            if all(file.has(0, row, each) for each in wanted):
                continue
            samples, mask = _window(dataset, mask_dataset, plan, row, wanted)
            _write_tiles(file, 0, row, wanted, *halving.half(samples, mask))
            yield


def _window(
    dataset: DatasetReader, mask_dataset: DatasetReader | None, plan: Plan, row: int, columns: range
) -> tuple[Samples, Valid | None]:
    side = 2 * TILE
    left, top = columns.start * side, row * side
    width = min(columns.stop * side, plan.width) - left
    window = Window(left, top, width, min(side, plan.height - top))
    samples: Samples = dataset.read(window=window)
    if not plan.has_mask:
        return samples, None
    if mask_dataset is not None:
        return samples, mask_dataset.read(1, window=window) != 0
    return samples, dataset.read_masks(1, window=window) != 0


def _next_level(file: PyramidFile, level: int, halving: Halving) -> Iterator[None]:
    columns, rows = (-(-side // TILE) for side in file.plan.sizes[level])
    for row in range(rows):
        for column in range(columns):
            if file.has(level, row, column):
                continue
            samples, mask = _quad(file, level - 1, row, column)
            _write_tiles(file, level, row, range(column, column + 1), *halving.half(samples, mask))
            yield


def _quad(file: PyramidFile, level: int, row: int, column: int) -> tuple[Samples, Valid | None]:
    """Return the pixels below a tile of the next level, of (samples, rows, columns)."""
    width, height = file.plan.sizes[level]
    right, bottom = min(width - 2 * column * TILE, 512), min(height - 2 * row * TILE, 512)
    samples = np.zeros((file.plan.samples, 2 * TILE, 2 * TILE), file.plan.dtype)
    mask = np.zeros((2 * TILE, 2 * TILE), np.bool_) if file.plan.has_mask else None
    for down in range(-(-bottom // TILE)):
        for across in range(-(-right // TILE)):
            tile, valid = file.read(level, 2 * row + down, 2 * column + across)
            place = (
                slice(down * TILE, (down + 1) * TILE),
                slice(across * TILE, (across + 1) * TILE),
            )
            samples[:, *place] = np.moveaxis(tile, 2, 0)
            if mask is not None and valid is not None:
                mask[place] = valid
    return samples[:, :bottom, :right], None if mask is None else mask[:bottom, :right]


def _write_tiles(
    file: PyramidFile, level: int, row: int, columns: range, samples: Samples, mask: Valid | None
) -> None:
    for number, column in enumerate(columns):
        place = slice(number * TILE, (number + 1) * TILE)
        tile = np.moveaxis(samples[:, :, place], 0, 2)
        file.write(level, row, column, tile, None if mask is None else mask[:, place])


# The process


class _Ended(Exception):
    """The server has ended, or wants this process to end."""


def main() -> int:
    """Make the pyramid that the input names; return the exit code."""
    job = Job(**json.loads(sys.stdin.readline()))
    _be_humble()
    activity = Activity(Path(job.folder))
    with suppress(_Ended, AssetChanged, BrokenPipeError):
        try:
            grow(job, lambda: _rest(activity))
        except (TileserverError, OSError) as exc:
            if isinstance(exc, AssetChanged):
                raise
            _refuse(job, exc)
            return 1
        return 0
    return 2


def _be_humble() -> None:
    """Give this process the lowest priority for processor and disk."""
    os.nice(19)
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _rest(activity: Activity) -> None:
    ends_s = time.monotonic() + _MOST_BUSY_S
    while True:
        # The server closes our input, or has ended.
        if select.select([sys.stdin], [], [], 0)[0]:
            raise _Ended
        if activity.idle_s() >= _QUIET_S or time.monotonic() >= ends_s:
            return
        time.sleep(0.05)


def _refuse(job: Job, exc: Exception) -> None:
    """Write down why there is no pyramid, so that it is not tried again and again."""
    store = PyramidStore(Path(job.folder), job.max_bytes)
    text = exc.strerror if isinstance(exc, OSError) else str(exc)
    with suppress(OSError):
        Path(store.place(job.version, REFUSED).path).write_text(str(text))
        Path(store.place(job.version, PART).path).unlink(missing_ok=True)


def job_json(job: Job) -> str:
    """Return the line that a process of `main` reads."""
    return json.dumps(asdict(job)) + "\n"


if __name__ == "__main__":
    sys.exit(main())
