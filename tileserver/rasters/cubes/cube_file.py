"""A file of NetCDF or a Zarr store that is served: opened when used, and again when it changes."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import AssetChanged, AssetNotFound, TileserverError, UnreadableRaster
from tileserver.rasters.cubes import conventions
from tileserver.rasters.cubes.classic import MAGIC, ClassicStore
from tileserver.rasters.cubes.hdf5 import Hdf5Store
from tileserver.rasters.cubes.stored import MAX_VARIABLES, Store, Stored, check_chunks
from tileserver.rasters.cubes.zarr_folders import ZarrStore, folder_state
from tileserver.rasters.files import Place, file_errors, find_file, open_beneath
from tileserver.rasters.raster_locks import hold

_CHECK_S = 1.0
_IDLE_SHARE = 10
"""A look at the files of a Zarr store is repeated after so many times as long as it took."""
_HDF5 = threading.Lock()
"""The library of HDF5 does one thing at a time in a process."""


@dataclass(frozen=True, eq=False)
class Cube:
    """A variable of a file in one state."""

    stored: Stored
    grid: PixelGrid
    packing: conventions.Packing
    steps: Mapping[int, int] | None
    """Indexes of its steps by their times, in microseconds since 1970; None without times."""
    version: str


@dataclass(eq=False)
class CubeFile:
    """A file or a store; its methods block, and one thread at a time is in it."""

    place: Place
    is_zarr: bool
    name: str
    """For errors: how the file is called."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _store: Store | None = field(default=None, repr=False)
    _opened: str = field(default="", repr=False)
    """The version that is open."""
    _cubes: dict[str, Cube] = field(default_factory=dict, repr=False)
    _version: str = field(default="", repr=False)
    _due_s: float = field(default=0.0, repr=False)

    def __post_init__(self) -> None:
        if not self.is_zarr:
            self._lock = _HDF5

    def version(self) -> str | None:
        """Return a token of the file's state; None if there is none, or a link leads elsewhere."""
        if time.monotonic() < self._due_s:
            return self._version
        started_s = time.monotonic()
        with file_errors(self.name):
            state = self._folder_state() if self.is_zarr else find_file(self.place)
        if state is None:
            return None
        text = str(state) if self.is_zarr else str(state.state)
        self._version = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        took_s = time.monotonic() - started_s
        if self.is_zarr:
            self._due_s = time.monotonic() + max(_CHECK_S, _IDLE_SHARE * took_s)
        return self._version

    def _folder_state(self) -> Any:
        try:
            return folder_state(self.place.path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def variables(self) -> dict[str, bool | str]:
        """Return, for each variable of pixels, whether it has a time; or why it is not served.

        Raises:
            UnreadableRaster: the file cannot be read.
        """
        with hold(self._lock, self.name):
            found = self._current().variables
            seen: dict[str, bool | str] = {}
            for name, stored in list(found.items())[:MAX_VARIABLES]:
                if not _has_pixels(name, stored, found):
                    continue
                try:
                    seen[name] = conventions.check_dimensions(name, found)
                    self._described(name)
                except TileserverError as exc:
                    seen[name] = str(exc)
            return seen

    def cube(self, variable: str) -> Cube:
        """Return a variable as it is now.

        Raises:
            AssetNotFound: there is no such variable, or no file.
            UnreadableRaster: it is no regular grid, or the file is damaged.
        """
        with hold(self._lock, self.name):
            self._current()
            return self._described(variable)

    def read(self, cube: Cube, selection: tuple[slice | int, ...]) -> NDArray[Any]:
        """Return stored values of a variable.

        Raises:
            AssetChanged: the file is no longer in the state of the variable.
            UnreadableRaster: the file is damaged.
        """
        with hold(self._lock, self.name):
            check_time()
            self._current()
            if self._opened != cube.version:
                raise AssetChanged(self.name)
            found = self._values(cube.stored, selection)
            # It may have been written to meanwhile.
            if self.version() != cube.version:
                raise AssetChanged(self.name)
            return found

    def _values(self, stored: Stored, selection: tuple[slice | int, ...]) -> NDArray[Any]:
        try:
            return stored.read(selection)
        except TileserverError:
            raise
        except Exception as exc:  # of any kind: chunks go to many decoders
            raise UnreadableRaster(f"{self.name}: its values cannot be read.") from exc

    def _current(self) -> Store:
        """Return the open file, which is opened again if it has changed."""
        version = self.version()
        if version is None:
            self._close()
            raise AssetNotFound(self.name)
        if self._store is None or version != self._opened:
            self._close()
            self._store = self._open()
            self._opened = version
        return self._store

    def _open(self) -> Store:
        if self.is_zarr:
            return ZarrStore(self.place, self.name)
        seen = find_file(self.place)
        with file_errors(self.name):
            file = open_beneath(seen.place) if seen else None
        if file is None:
            raise AssetNotFound(self.name)
        if os.pread(file.descriptor, len(MAGIC), 0) == MAGIC:
            return ClassicStore(file, self.name)
        # The library opens the file of the descriptor once more.
        with file:
            return Hdf5Store(file.location, self.name)

    def _close(self) -> None:
        self._cubes.clear()
        if self._store is not None:
            self._store.close()
        self._store = None

    def _described(self, variable: str) -> Cube:
        found = self._cubes.get(variable)
        if found is None:
            assert self._store is not None
            found = self._cubes[variable] = self._read_cube(variable, self._store)
        return found

    def _read_cube(self, name: str, store: Store) -> Cube:
        variables = store.variables
        if name not in variables:
            raise AssetNotFound(f"{self.name}/{name}")
        has_time = conventions.check_dimensions(name, variables)
        stored = variables[name]
        check_chunks(stored, name)
        read = partial(conventions.times_us, name, variables)
        try:
            steps = {time: step for step, time in enumerate(read())} if has_time else None
            grid = conventions.grid_of(name, variables)
        except TileserverError:
            raise
        except Exception as exc:  # of any kind: what the file says goes to many parsers
            raise UnreadableRaster(f"{self.name}: its coordinates cannot be read.") from exc
        return Cube(stored, grid, conventions.packing_of(stored), steps, self._opened)


def _has_pixels(name: str, stored: Stored, variables: conventions.Variables) -> bool:
    """Tell whether a variable may have pixels: numbers, and no coordinates or bounds of others."""
    if len(stored.shape) < 2 or stored.dtype.kind not in "iuf" or 0 in stored.shape:
        return False
    if name.endswith(("_bnds", "_bounds")):
        return False
    named = {n for each in variables.values() for n in each.text("coordinates").split()}
    return name not in named and np.dtype(stored.dtype).itemsize <= 8
