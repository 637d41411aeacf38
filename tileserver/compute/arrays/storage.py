"""Bands whose pixels are arrays: how their values are held, and functions of them applied.

The arrays of a band may differ in their lengths from pixel to pixel. Those of equal lengths are
one NumPy array, a batch, so that a function works on all of them at once. Most bands have one
batch; a constant is a view of one array. A masked pixel has no array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.nodes import Mask, Pixels, Step, full_mask
from tileserver.compute.values.array import Array, array, check_size
from tileserver.compute.values.pixel_type import PixelType, of_dtype
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.grids import PixelGrid
from tileserver.errors import InvalidRequest

Batch = NDArray[Any]
Rows = NDArray[np.intp]
"""Places of pixels in the flattened grid, in ascending order."""
Result = Batch | tuple[Batch, NDArray[np.bool_]]
"""A batch, or one and which of its arrays there are, the others are masked."""
Work = Callable[..., Result]


@dataclass(frozen=True, eq=False, slots=True)
class ArrayValues:
    """The arrays of a band's pixels; stands where other bands have an array of numbers."""

    group_of: NDArray[np.int32]
    """Shape (height, width): the place of the batch that has the pixel's array, -1 for none."""
    batches: tuple[Batch, ...]
    """Each of shape (count, *lengths), in the order of rows and columns."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (height, width)."""
        return self.group_of.shape

    @property
    def nbytes(self) -> int:
        """Return the memory of the batches; views of one array take none."""
        return sum(each.nbytes for each in self.batches if each.strides[0])

    @property
    def element_bytes(self) -> int:
        """Return the memory of all elements, of views too."""
        return sum(each.nbytes for each in self.batches)

    @property
    def strides(self) -> tuple[int, ...]:
        """Return those of the pixels' groups, all zero where no memory is taken."""
        return self.group_of.strides if self.nbytes else ()

    @property
    def is_there(self) -> NDArray[np.bool_]:
        """Return which pixels have an array, shape (height, width)."""
        return self.group_of >= 0

    def rows_of(self, group: int) -> Rows:
        """Return the pixels of a batch."""
        return np.flatnonzero(self.group_of.ravel() == group)

    def places(self) -> NDArray[np.intp]:
        """Return each pixel's place in its batch, shape (height * width,)."""
        flat = self.group_of.ravel()
        if len(self.batches) == 1 and len(self.batches[0]) == len(flat):
            return np.arange(len(flat))
        order = np.argsort(flat, kind="stable")
        groups = flat[order]
        starts = np.searchsorted(groups, np.arange(len(self.batches)))
        found = np.zeros(len(flat), np.intp)
        first = starts[np.maximum(groups, 0)] if len(self.batches) else np.zeros(len(flat), int)
        found[order] = np.where(groups >= 0, np.arange(len(flat)) - first, 0)
        return found

    def __getitem__(self, at: Any) -> ArrayValues:
        """Return the arrays of some pixels, indexed in rows and columns as NumPy does."""
        groups = self.group_of[at]
        places = self.places().reshape(self.shape)[at]
        batches = [
            batch[places[groups == i]] if batch.strides[0] else batch[: int((groups == i).sum())]
            for i, batch in enumerate(self.batches)
        ]
        return ArrayValues(groups, tuple(batches))

    def to_objects(self) -> NDArray[Any]:
        """Return an `Array` a pixel as objects, shape (height, width); None where there is none."""
        found = np.full(self.group_of.size, None)
        for group, batch in enumerate(self.batches):
            check_time()
            type_ = of_dtype(batch.dtype).with_dimensions(batch.ndim - 1)
            rows = self.rows_of(group)
            for row, each in zip(rows, np.ascontiguousarray(batch), strict=True):
                found[row] = Array(np.asarray(each), type_)
        return found.reshape(self.shape)

    def _refuse(self) -> NoReturn:
        raise InvalidRequest(
            "The operation is not defined for bands of arrays; expected bands of numbers, such as "
            "arrayGet and arrayFlatten make of them."
        )

    def __array__(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refuse to be taken for numbers; raises InvalidRequest."""
        self._refuse()

    def __array_ufunc__(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refuse NumPy's functions; raises InvalidRequest."""
        self._refuse()

    def __array_function__(self, *arguments: Any, **options: Any) -> NoReturn:
        """Refuse NumPy's functions; raises InvalidRequest."""
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        """Refuse what arrays of numbers have; raises InvalidRequest."""
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def _compared(self, other: object) -> NoReturn:
        self._refuse()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _compared
    __lt__ = __le__ = __gt__ = __ge__ = _compared
    __eq__ = __ne__ = _compared


def arrays_of(pixels: Pixels) -> ArrayValues | None:
    """Return the arrays of a band's pixels; None if they are numbers."""
    return pixels.values if isinstance(pixels.values, ArrayValues) else None


def array_pixels(values: ArrayValues, mask: Mask) -> Pixels:
    """Return the pixels of a band of arrays."""
    return Pixels(cast("NDArray[Any]", values), mask)


def dense_pixels(values: NDArray[Any], mask: Mask) -> Pixels:
    """Return the pixels of arrays of the same lengths, shape (height, width, *lengths)."""
    batch = values.reshape(mask.size, *values.shape[2:])
    return array_pixels(ArrayValues(np.zeros(mask.shape, np.int32), (batch,)), mask)


@dataclass(frozen=True, eq=False, slots=True)
class ConstantArray:
    """A node: the same array everywhere, as a view."""

    array: Array

    def step(self, grid: PixelGrid) -> Step:
        """Need nothing."""
        return Step((), lambda inputs: self._pixels(grid))

    def _pixels(self, grid: PixelGrid) -> Pixels:
        values = self.array.values
        batch = np.broadcast_to(values, (grid.height * grid.width, *values.shape))
        group_of = np.broadcast_to(np.int32(0), (grid.height, grid.width))
        return array_pixels(ArrayValues(group_of, (batch,)), full_mask(grid))


def applied(inputs: Sequence[Pixels], work: Work, type_: PixelType) -> Pixels:
    """Return pixels made by a function of batches.

    Args:
        inputs: bands of arrays or of numbers, on the same grid.
        work: gets a batch of each input, of the same pixels; numbers have shape (count,). Returns
            a batch of arrays, or of numbers if the type has no dimensions.
        type_: of the result.

    Returns:
        Pixels masked where an input is, and where `work` says so.

    Raises:
        OutOfMemory: there are too many elements for so many pixels.
    """
    mask = np.minimum.reduce([each.mask for each in inputs])
    pieces = ((rows, work(*batches)) for rows, batches in _batched(inputs, mask > 0))
    return assembled(pieces, mask, type_)


def applied_by(
    inputs: Sequence[Pixels], keys_of: Callable[..., Batch], work: Work, type_: PixelType
) -> Pixels:
    """Return pixels made by a function that needs some whole numbers to be the same in a batch.

    Args:
        inputs: bands of arrays or of numbers, on the same grid.
        keys_of: returns such numbers for batches of the inputs, shape (count, numbers).
        work: gets the tuple of these numbers, then as in `applied`.
        type_: of the result.
    """
    mask = np.minimum.reduce([each.mask for each in inputs])

    def pieces() -> Iterator[tuple[Rows, Result]]:
        for rows, batches in _batched(inputs, mask > 0):
            keys = keys_of(*batches)
            for key, chosen in _same_keys(keys):
                check_time()
                some = batches if chosen is None else [each[chosen] for each in batches]
                yield rows if chosen is None else rows[chosen], work(key, *some)

    return assembled(pieces(), mask, type_)


def _same_keys(keys: Batch) -> Iterator[tuple[tuple[int, ...], NDArray[np.intp] | None]]:
    """Yield each row of keys that there is, and its places; None for all of them."""
    if len(keys) and (keys == keys[0]).all():
        yield tuple(keys[0].tolist()), None
        return
    found, inverse = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(inverse.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(inverse.ravel(), minlength=len(found)))
    for key, end, start in zip(found.tolist(), ends, [0, *ends[:-1]], strict=True):
        yield tuple(key), order[start:end]


def _batched(
    inputs: Sequence[Pixels], valid: NDArray[np.bool_]
) -> Iterator[tuple[Rows, list[Batch]]]:
    """Yield the valid pixels whose arrays have the same lengths in each input, and batches."""
    arrays = [arrays_of(each) for each in inputs]
    for each in arrays:
        if each is not None:
            valid = valid & each.is_there
    flat = np.flatnonzero(valid.ravel())
    if not len(flat):
        return
    key = np.zeros(len(flat), np.int64)
    for each in arrays:
        if each is not None and len(each.batches) > 1:
            _, key = np.unique(
                key * len(each.batches) + each.group_of.ravel()[flat], return_inverse=True
            )
    places = [None if each is None else each.places() for each in arrays]
    for _, chosen in _same_keys(key[:, np.newaxis]):
        check_time()
        rows = flat if chosen is None else flat[chosen]
        _check_batches(arrays, rows)
        yield (
            rows,
            [
                _rows_of(pixels, each, at, rows)
                for pixels, each, at in zip(inputs, arrays, places, strict=True)
            ],
        )


def _check_batches(arrays: Sequence[ArrayValues | None], rows: Rows) -> None:
    """Raise OutOfMemory if a function of the arrays of some pixels would make too large ones.

    The same array everywhere takes no memory, what is made of it does.
    """
    for each in arrays:
        if each is not None:
            check_size(each.batches[int(each.group_of.flat[rows[0]])].shape[1:], len(rows))


def _rows_of(
    pixels: Pixels, arrays: ArrayValues | None, places: NDArray[np.intp] | None, rows: Rows
) -> Batch:
    """Return the batch of some pixels, which are in the same batch of their band."""
    if arrays is None or places is None:
        return pixels.values.ravel()[rows]
    batch = arrays.batches[int(arrays.group_of.flat[rows[0]])]
    if not batch.strides[0]:
        return batch[: len(rows)]
    return batch if len(rows) == len(batch) else batch[places[rows]]


def assembled(pieces: Iterator[tuple[Rows, Result]], mask: Mask, type_: PixelType) -> Pixels:
    """Return the pixels of batches, in the type of a band; those in none are masked."""
    parts: dict[tuple[int, ...], list[tuple[Rows, Batch]]] = {}
    count = 0
    for rows, result in pieces:
        batch, sound = result if isinstance(result, tuple) else (result, None)
        if sound is not None and not sound.all():
            rows, batch = rows[sound], batch[sound]
        if batch.ndim - 1 != type_.dimensions:
            raise InvalidRequest(
                f"Expected arrays of {type_.dimensions} dimensions, got {batch.ndim - 1}."
            )
        count += batch.size
        check_size((count,))
        held = batch if batch.dtype == type_.dtype else array_values(batch, type_)
        parts.setdefault(batch.shape[1:], []).append((rows, held))
    if type_.dimensions:
        return _array_pixels(parts, mask)
    return _number_pixels(parts.get((), []), mask, type_)


def array_values(batch: Batch, type_: PixelType) -> Batch:
    """Return a batch in the NumPy type of a band."""
    return batch.astype(type_.dtype) if type_.dtype.kind == "f" else array(batch, type_).values


def _number_pixels(parts: Sequence[tuple[Rows, Batch]], mask: Mask, type_: PixelType) -> Pixels:
    values = np.zeros(mask.size, type_.dtype)
    is_there = np.zeros(mask.size, bool)
    for rows, batch in parts:
        values[rows], is_there[rows] = batch, True
    return Pixels(values.reshape(mask.shape), mask * is_there.reshape(mask.shape))


def _array_pixels(parts: dict[tuple[int, ...], list[tuple[Rows, Batch]]], mask: Mask) -> Pixels:
    group_of = np.full(mask.size, -1, np.int32)
    batches = []
    for group, pairs in enumerate(parts.values()):
        if len(pairs) == 1:
            rows, batch = pairs[0]
            if len(rows) > 1 and (np.diff(rows) < 0).any():
                order = np.argsort(rows)
                rows, batch = rows[order], batch[order]
        else:
            rows = np.concatenate([each for each, _ in pairs])
            order = np.argsort(rows)
            batch = np.concatenate([each for _, each in pairs])[order]
        group_of[rows] = group
        batches.append(batch)
    values = ArrayValues(group_of.reshape(mask.shape), tuple(batches))
    return array_pixels(values, mask * values.is_there)


def chosen(takes_first: NDArray[np.bool_], first: Pixels, second: Pixels) -> Any:
    """Return the values of one band where a condition is true, of another elsewhere.

    Numbers beside arrays are refused.
    """
    a, b = arrays_of(first), arrays_of(second)
    if a is None or b is None:
        return np.where(takes_first, first.values, second.values)
    group_of = np.where(takes_first, a.group_of, b.group_of + len(a.batches))
    group_of[np.where(takes_first, a.group_of, b.group_of) < 0] = -1
    flat, flags = group_of.ravel(), takes_first.ravel()
    batches = []
    for values, is_first, begin in ((a, True, 0), (b, False, len(a.batches))):
        places = values.places()
        for group in range(len(values.batches)):
            check_time()
            rows = np.flatnonzero((flat == begin + group) & (flags == is_first))
            batches.append(values.batches[group][places[rows]])
    return ArrayValues(group_of.astype(np.int32), tuple(batches))


def in_type(pixels: Pixels, type_: PixelType) -> Pixels:
    """Return the arrays of a band in a type; numbers as they are."""
    return pixels if arrays_of(pixels) is None else applied([pixels], lambda x: x, type_)


def elementwise(
    operation: Callable[[Batch, Batch], Any], x: NDArray[Any], y: NDArray[Any]
) -> NDArray[Any]:
    """Return arrays joined element by element, a number with each element of an array.

    Args:
        operation: on values of the same shape.
        x: a batch of arrays or of numbers, shape (count, *lengths) or (count,).
        y: another.

    Raises:
        InvalidRequest: their lengths differ.
    """
    if x.ndim > 1 and y.ndim > 1 and x.shape != y.shape:
        raise InvalidRequest(
            f"Arrays must have the same lengths, got {list(x.shape[1:])} and {list(y.shape[1:])}."
        )
    deep = max(x.ndim, y.ndim)
    x, y = (each.reshape(each.shape + (1,) * (deep - each.ndim)) for each in (x, y))
    return np.asarray(operation(x, y))
