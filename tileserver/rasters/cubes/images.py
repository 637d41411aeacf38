"""Steps of time of a variable, and variables without time, as images that are read as any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.band_notes import BandNotes
from tileserver.contract.grids import PixelGrid
from tileserver.errors import AssetNotFound, UnreadableRaster
from tileserver.geo.positions import Level
from tileserver.rasters.cubes.cube_file import Cube, CubeFile
from tileserver.rasters.geotiffs import MAX_SAMPLES
from tileserver.rasters.windows import Picks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NOTE = 200


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a file."""

    file: CubeFile
    id: str
    has_time: bool

    @property
    def path(self) -> str:
        """Where it is, for people."""
        return f"{self.file.name}/{self.id}"


@dataclass(frozen=True, slots=True)
class Slice:
    """Where an image lies: a variable of a file, at one of its times if it has such."""

    variable: Variable
    time_us: int | None = None
    """Microseconds since 1970."""

    @property
    def path(self) -> str:
        """A text that differs from that of any other image."""
        return f"{self.variable.file.place.path}#{self.variable.id}#{self.time_us}"

    def version(self) -> str | None:
        """Return a token of the file's state, or None if it is gone; blocks."""
        return self.variable.file.version()


def slices(variable: Variable) -> Iterator[tuple[str, Slice]]:
    """Yield the names of a variable's steps of time, such as 20250601T120000, and the steps.

    Raises:
        TileserverError: as `CubeFile.cube`.
    """
    for time_us in variable.file.cube(variable.id).steps or ():
        yield step_name(time_us), Slice(variable, time_us)


def step_name(time_us: int) -> str:
    """Return the name of a step of time.

    >>> step_name(1_000_000), step_name(500_000)
    ('19700101T000001', '19700101T000000_500000')
    """
    whole, rest = divmod(time_us, 1_000_000)
    try:
        text = f"{_EPOCH + timedelta(seconds=whole):%Y%m%dT%H%M%S}"
    except OverflowError:
        text = f"{whole}s"
    return f"{text}_{rest:06}" if rest else text


@dataclass(frozen=True, eq=False)
class CubeImage:
    """An image of one band in a cube, with what `LocalRasters` needs of a raster to read it."""

    asset: ImageAsset
    grid: PixelGrid
    dtype: np.dtype[Any]
    cube: Cube = field(repr=False)
    where: Slice = field(repr=False)
    step: int | None
    """Index of its time."""
    decode_bytes: int
    levels: tuple[Level, ...] = (Level(None, 1),)
    band_indexes: tuple[int, ...] = (1,)
    alpha_index: int | None = None
    file: None = None
    source: None = None
    layouts: tuple[()] = ()
    warp: None = None


def describe(where: Slice, name: str) -> CubeImage:
    """Return an image as its file is now.

    Raises:
        AssetNotFound: the file, the variable or the time is gone.
        UnreadableRaster: the file is damaged, or its grid is not regular.
    """
    variable = where.variable
    cube = variable.file.cube(variable.id)
    if variable.has_time != (cube.steps is not None):
        raise UnreadableRaster(f"{name}: its dimensions have changed since the start.")
    step = None
    if where.time_us is not None:
        step = (cube.steps or {}).get(where.time_us)
        if step is None:
            raise AssetNotFound(name)
    asset = ImageAsset(
        name=name,
        version=cube.version,
        bands=(_band(variable.id, cube),),
        start_time=_time_text(where.time_us),
        max_samples=MAX_SAMPLES,
    )
    size = 2 * cube.stored.chunk_bytes
    return CubeImage(asset, cube.grid, cube.packing.dtype, cube, where, step, size)


def _band(band_id: str, cube: Cube) -> Band:
    packing, said = cube.packing, cube.stored
    is_packed = packing.scale is not None or packing.offset is not None
    nodata = packing.missing[0] if packing.missing and not is_packed else None
    notes = BandNotes(
        description=said.text("long_name")[:_MAX_NOTE] or None,
        unit=said.text("units")[:_MAX_NOTE] or None,
    )
    return Band(band_id, packing.dtype, cube.grid, nodata=nodata, notes=notes)


def _time_text(time_us: int | None) -> str | None:
    if time_us is None:
        return None
    try:
        return f"{_EPOCH + timedelta(microseconds=time_us):%Y-%m-%dT%H:%M:%S.%fZ}"
    except OverflowError:
        return None


class CubeLevel:
    """A `LevelReader` over one image of a cube."""

    def __init__(self, image: CubeImage) -> None:
        stored = image.cube.stored
        self.width, self.height = image.grid.width, image.grid.height
        chunks = stored.chunks
        rows, columns = chunks[-2:] if chunks else (1, self.width)
        self.block_shape = (min(rows, self.height), min(columns, self.width))
        # Of a chunk all its times are decoded; then there are the values in their own type.
        depth = chunks[0] if chunks and len(chunks) == 3 else 1
        self.itemsize = depth * stored.dtype.itemsize + 2 * image.dtype.itemsize
        self._image = image

    def read(
        self,
        indexes: Sequence[int],
        wanted: Picks,
        values: NDArray[Any],
        valid: NDArray[np.bool_],
        alpha: NDArray[np.uint8] | None = None,
    ) -> None:
        """Read picks, some of which are inside, all at once."""
        image = self._image
        left, top, right, bottom = wanted.span
        window = (slice(top, bottom), slice(left, right))
        selection = window if image.step is None else (image.step, *window)
        stored = image.where.variable.file.read(image.cube, selection)
        found, is_data = image.cube.packing.unpacked(stored)
        index = (wanted.rows - top) * (right - left) + (wanted.columns - left)
        picked = found.reshape(-1).take(index, mode="clip")
        seen = wanted.inside & is_data.reshape(-1).take(index, mode="clip")
        np.copyto(values, picked, where=wanted.inside)
        np.logical_or(valid, seen, out=valid)
