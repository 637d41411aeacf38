"""Pixels of several files put together on one grid, by each rule of selection.

Masked pixels change nothing. Each band is composited by itself, as `rasterio.merge` does it.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.grids import Window
from tileserver.contract.pixels import BandArrays
from tileserver.errors import RequestTooLarge
from tileserver.mosaics.selection import Rule

_OPAQUE = 1 - 1 / 512
"""What lies below an opacity of this much changes no byte."""
_MAX_MEDIAN_BYTES = 256_000_000

Shape = tuple[int, int, int]
"""Bands, height, width."""


class Composite(Protocol):
    """Pixels of files, added one after the other in the order of a rule."""

    def wanted(self) -> Window | None:
        """Return the window that holds all pixels which another file may change; None if none."""
        ...

    def add(self, window: Window, pixels: BandArrays) -> None:
        """Add the pixels of a file, on a window of the grid."""
        ...

    def result(self, ids: tuple[str, ...]) -> BandArrays:
        """Return the pixels of all files that were added."""
        ...


def composite_of(rule: Rule, shape: Shape, dtype: np.dtype[Any]) -> Composite:
    """Return an empty composite; `dtype` holds the values of all files."""
    match rule.kind:
        case "mean":
            return Mean(shape, dtype)
        case "median":
            return Median(shape, dtype)
        case "min" | "max":
            return Extreme(shape, dtype, rule.kind == "min")
        case _:
            return Layered(shape, dtype)


class Layered:
    """Files below one another: the first valid pixel shows, through partial alpha the next too."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.values = np.zeros(shape, dtype)
        self.valid = np.zeros(shape, np.bool_)
        self._cover: NDArray[np.float32] | None = None
        """Opacity so far, 0 to 1, of the shape of `values`; None while all is opaque or empty."""
        self._weighted: NDArray[np.float64] = np.empty(0)
        """Values times their opacity, summed."""

    def wanted(self) -> Window | None:
        """Return the window around the pixels that are not opaque in every band."""
        full = self.valid if self._cover is None else self._cover >= _OPAQUE
        missing: NDArray[np.bool_] = np.logical_not(full.all(axis=0))
        rows = np.flatnonzero(missing.any(axis=1))
        if not rows.size:
            return None
        columns = np.flatnonzero(missing.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        return Window.between(left, top, int(columns[-1]) + 1, int(rows[-1]) + 1)

    def add(self, window: Window, pixels: BandArrays) -> None:
        """Put a file below those that were added before."""
        place = slice(None), *window.slices
        if pixels.alpha is None and self._cover is None:
            new = pixels.valid & ~self.valid[place]
            np.copyto(self.values[place], pixels.values, where=new, casting="unsafe")
            self.valid[place] |= new
            return
        if self._cover is None:
            self._cover = self.valid.astype(np.float32)
            self._weighted = self.values * self._cover.astype(np.float64)
        alpha = np.float32(1) if pixels.alpha is None else pixels.alpha / np.float32(255)
        share = np.where(pixels.valid, alpha * (1 - self._cover[place]), np.float32(0))
        self._weighted[place] += share * np.where(share > 0, pixels.values, 0)
        self._cover[place] += share

    def result(self, ids: tuple[str, ...]) -> BandArrays:
        """Return the pixels; with alpha where some are neither opaque nor transparent."""
        if self._cover is None:
            return BandArrays(ids, self.values, self.valid)
        valid = self._cover > 0
        values = self._weighted / np.where(valid, self._cover, 1)
        if self.values.dtype.kind in "iu":
            values = np.rint(values)
        alpha = np.rint(self._cover.max(axis=0) * 255).astype(np.uint8)
        return BandArrays(ids, values.astype(self.values.dtype), valid, alpha=alpha)


class _Whole:
    """The common part of rules that need each file."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    def wanted(self) -> Window | None:
        """Return the whole grid."""
        return Window(0, 0, self.shape[2], self.shape[1])


class Mean(_Whole):
    """The mean of the valid pixels."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype)
        self._sum = np.zeros(shape, np.float64)
        self._count = np.zeros(shape, np.int32)

    def add(self, window: Window, pixels: BandArrays) -> None:
        """Add a file."""
        place = slice(None), *window.slices
        np.add(self._sum[place], pixels.values, out=self._sum[place], where=pixels.valid)
        self._count[place] += pixels.valid

    def result(self, ids: tuple[str, ...]) -> BandArrays:
        """Return the means."""
        means = self._sum / np.maximum(self._count, 1)
        return BandArrays(ids, means.astype(self.dtype), self._count > 0)


class Extreme(_Whole):
    """The smallest or the largest of the valid pixels."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any], is_min: bool) -> None:
        super().__init__(shape, dtype)
        self._values = np.zeros(shape, dtype)
        self._valid = np.zeros(shape, np.bool_)
        self._further = np.fmin if is_min else np.fmax

    def add(self, window: Window, pixels: BandArrays) -> None:
        """Add a file."""
        place = slice(None), *window.slices
        held, valid = self._values[place], self._valid[place]
        values = pixels.values.astype(self.dtype, copy=False)
        self._further(held, values, out=held, where=pixels.valid & valid)
        np.copyto(held, values, where=pixels.valid & ~valid)
        valid |= pixels.valid

    def result(self, ids: tuple[str, ...]) -> BandArrays:
        """Return the extremes."""
        return BandArrays(ids, self._values, self._valid)


class Median(_Whole):
    """The median of the valid pixels; of an even number the mean of the two in the middle."""

    def __init__(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        super().__init__(shape, dtype)
        self._held: list[tuple[Window, BandArrays]] = []
        self._bytes = 0

    def add(self, window: Window, pixels: BandArrays) -> None:
        """Add a file.

        Raises:
            RequestTooLarge: the files together take too much memory.
        """
        self._bytes += pixels.values.nbytes + pixels.valid.nbytes
        if self._bytes > _MAX_MEDIAN_BYTES:
            raise RequestTooLarge(
                f"A median of these pixels takes more than {_MAX_MEDIAN_BYTES / 1e6:.0f} MB; "
                "expected fewer pixels, bands or images."
            )
        self._held.append((window, pixels))

    def result(self, ids: tuple[str, ...]) -> BandArrays:
        """Return the medians."""
        values = np.zeros(self.shape, self.dtype)
        valid = np.zeros(self.shape, np.bool_)
        for row in range(self.shape[1]):
            stack, counts = self._row(row)
            valid[:, row] = counts > 0
            middle = np.maximum(counts - 1, 0)
            low, high = (
                np.take_along_axis(stack, n[np.newaxis] // 2, 0)[0]
                for n in (middle, np.maximum(counts, 1))
            )
            values[:, row] = np.where(counts > 0, (low + high) / 2, 0)
        return BandArrays(ids, values, valid)

    def _row(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the values of a row, sorted, shape (files, bands, width), and how many are valid.

        Those that are not valid are infinite, and come last.
        """
        across = [(w, p) for w, p in self._held if w.row <= row < w.bottom]
        stack = np.full((len(across) + 1, self.shape[0], self.shape[2]), np.inf)
        counts = np.zeros((self.shape[0], self.shape[2]), np.int64)
        for number, (window, pixels) in enumerate(across):
            columns, valid = window.slices[1], pixels.valid[:, row - window.row]
            stack[number][:, columns][valid] = pixels.values[:, row - window.row][valid]
            counts[:, columns] += valid
        stack.sort(axis=0)
        return stack, counts
