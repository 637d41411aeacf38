"""Operations on the lengths and the order of arrays, on batches of arrays of equal lengths.

A batch has shape (count, *lengths): one array of each pixel, or a batch of one for a value. Axes
are those of the arrays, without the batch's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.array import MAX_DIMENSIONS, check_size
from tileserver.errors import InvalidRequest

Batch = NDArray[Any]


def axis_in(axis: int, dimensions: int) -> int:
    """Return an axis; raise InvalidRequest unless arrays of so many dimensions have it."""
    if not 0 <= axis < dimensions:
        raise InvalidRequest(
            f"Axis {axis} is out of range for arrays of {dimensions} dimensions; "
            f"expected 0 to {dimensions - 1}."
        )
    return axis


def deepened(batch: Batch, dimensions: int) -> Batch:
    """Return arrays with axes of length 1 added at the end, up to a number of dimensions."""
    missing = dimensions + 1 - batch.ndim
    return batch.reshape(batch.shape + (1,) * missing) if missing > 0 else batch


def cat(batches: Sequence[Batch], axis: int) -> Batch:
    """Return arrays joined along an axis, which may be one past the last of them.

    Raises:
        InvalidRequest: their dimensions or their other lengths differ, or the axis is out of range.
    """
    dimensions = {each.ndim - 1 for each in batches}
    if len(dimensions) != 1:
        raise InvalidRequest("Arrays to concatenate must have the same number of dimensions.")
    (deep,) = dimensions
    if not 0 <= axis <= deep or axis >= MAX_DIMENSIONS:
        raise InvalidRequest(f"The axis must be 0 to {deep}, got {axis}.")
    found = [deepened(each, axis + 1) for each in batches]
    for each in found[1:]:
        others = (each.shape[: axis + 1] + each.shape[axis + 2 :], found[0].shape)
        if others[0] != others[1][: axis + 1] + others[1][axis + 2 :]:
            raise InvalidRequest(
                f"Arrays to concatenate along axis {axis} must have the same lengths on all "
                f"other axes; got {list(found[0].shape[1:])} and {list(each.shape[1:])}."
            )
    lengths = list(found[0].shape[1:])
    lengths[axis] = sum(each.shape[axis + 1] for each in found)
    check_size(lengths, len(found[0]))
    return np.concatenate(found, axis=axis + 1)


def slice_axis(batch: Batch, axis: int, start: int, end: int | None, step: int) -> Batch:
    """Return the positions from start to before end along an axis; negative ones from its end."""
    axis_in(axis, batch.ndim - 1)
    if step < 1:
        raise InvalidRequest(f"The step must be 1 or more, got {step}.")
    places: list[Any] = [slice(None)] * batch.ndim
    places[axis + 1] = slice(start, end, step)
    found: Batch = batch[tuple(places)]
    return found


def pad(batch: Batch, lengths: Sequence[int], value: float) -> Batch:
    """Return arrays with a value appended along each axis up to a length; longer axes stay."""
    if len(lengths) != batch.ndim - 1:
        raise InvalidRequest(
            f"Expected a length for each of {batch.ndim - 1} axes, got {len(lengths)}."
        )
    target = [max(a, b) for a, b in zip(batch.shape[1:], lengths, strict=True)]
    check_size(target, len(batch))
    grown = [(0, 0), *((0, t - a) for t, a in zip(target, batch.shape[1:], strict=True))]
    return np.pad(batch, grown, constant_values=value)


def project(batch: Batch, axes: Sequence[int]) -> Batch:
    """Return arrays of some of the axes, in their order; others must have length 1 or less."""
    dimensions = batch.ndim - 1
    kept = [axis_in(axis, dimensions) for axis in axes]
    if len(set(kept)) < len(kept) or not kept:
        raise InvalidRequest(f"Expected different axes to retain, got {list(axes)}.")
    dropped = [axis for axis in range(dimensions) if axis not in kept]
    for axis in dropped:
        if batch.shape[axis + 1] > 1:
            raise InvalidRequest(
                f"Axis {axis} has length {batch.shape[axis + 1]}; "
                "axes that are dropped must be at most 1 long."
            )
    moved = batch.transpose([0, *(a + 1 for a in kept), *(a + 1 for a in dropped)])
    if any(moved.shape[1 + len(kept) + i] == 0 for i in range(len(dropped))):
        return np.zeros((len(batch), *(0 for _ in kept)), batch.dtype)
    return moved.reshape(moved.shape[: len(kept) + 1])


def repeat(batch: Batch, axis: int, copies: int) -> Batch:
    """Return arrays repeated along an axis, which may be one past the last."""
    if not 0 <= axis <= batch.ndim - 1 or axis >= MAX_DIMENSIONS:
        raise InvalidRequest(f"The axis must be 0 to {batch.ndim - 1}, got {axis}.")
    if copies < 0:
        raise InvalidRequest(f"copies must be 0 or more, got {copies}.")
    found = deepened(batch, axis + 1)
    lengths = list(found.shape[1:])
    lengths[axis] *= copies
    check_size(lengths, len(batch))
    times = [1] * found.ndim
    times[axis + 1] = copies
    return np.tile(found, times)


def reshape(batch: Batch, lengths: Sequence[int]) -> Batch:
    """Return arrays of other lengths with as many elements; one length may be -1, the rest."""
    size = math.prod(batch.shape[1:])
    wanted = [int(each) for each in lengths]
    unknown = [i for i, each in enumerate(wanted) if each == -1]
    known = math.prod(each for each in wanted if each != -1)
    if len(unknown) == 1 and known > 0 and size % known == 0:
        wanted[unknown[0]] = size // known
    if any(each < 0 for each in wanted) or math.prod(wanted) != size:
        raise InvalidRequest(
            f"Cannot reshape arrays of lengths {list(batch.shape[1:])} to {list(lengths)}."
        )
    check_size(wanted, len(batch))
    return batch.reshape((len(batch), *wanted))


def transpose(batch: Batch, first: int, second: int) -> Batch:
    """Return arrays with two axes swapped; axes past the last are added with length 1."""
    if min(first, second) < 0 or max(first, second) >= MAX_DIMENSIONS:
        raise InvalidRequest(f"Expected axes of 0 or more, got {first} and {second}.")
    found = deepened(batch, max(first, second) + 1)
    return np.swapaxes(found, first + 1, second + 1)


def sort(batch: Batch, keys: Batch | None) -> Batch:
    """Return arrays sorted by their values or by keys, along the one axis longer than 1.

    Keys have length 1 on all axes but one, and on that the arrays' length.
    """
    by = batch if keys is None else keys
    if keys is not None and keys.ndim != batch.ndim:
        raise InvalidRequest("The keys must have as many dimensions as the arrays.")
    axis = long_axis(by, "keys to sort by")
    if by.shape[axis + 1] != batch.shape[axis + 1]:
        raise InvalidRequest(
            f"There are {by.shape[axis + 1]} keys for {batch.shape[axis + 1]} positions "
            f"along axis {axis}."
        )
    order = np.argsort(by.reshape(len(by), -1), axis=1, kind="stable")
    shape = [len(batch)] + [1] * (batch.ndim - 1)
    shape[axis + 1] = -1
    return np.take_along_axis(batch, order.reshape(shape), axis=axis + 1)


def long_axis(batch: Batch, what: str) -> int:
    """Return the axis that alone is not 1 long; 0 if all are.

    Raises:
        InvalidRequest: several are; `what` names the arrays.
    """
    long = [axis for axis, length in enumerate(batch.shape[1:]) if length != 1]
    if len(long) > 1 or batch.ndim == 1:
        raise InvalidRequest(
            f"Arrays of {what} must be longer than 1 along one axis alone, "
            f"got lengths {list(batch.shape[1:])}."
        )
    return long[0] if long else 0


def kept_positions(batch: Batch, mask: Batch) -> tuple[int, NDArray[np.bool_]]:
    """Return the axis that masks run along, and which positions they keep, (count, length).

    Raises:
        InvalidRequest: their lengths do not fit the arrays.
    """
    if mask.ndim != batch.ndim:
        raise InvalidRequest("The mask must have as many dimensions as the arrays.")
    axis = long_axis(mask, "masks")
    if mask.shape[axis + 1] != batch.shape[axis + 1]:
        raise InvalidRequest(
            f"The mask has length {mask.shape[axis + 1]} along axis {axis}, "
            f"the arrays {batch.shape[axis + 1]}."
        )
    return axis, mask.reshape(len(mask), -1) != 0


def kept(batch: Batch, axis: int, keeps: NDArray[np.bool_]) -> Batch:
    """Return the kept positions along an axis, the same number in each array of a batch."""
    moved = np.moveaxis(batch, axis + 1, 1)
    found = (
        moved[keeps].reshape(len(batch), -1 if len(batch) else 0, *moved.shape[2:])
        if (keeps.any())
        else moved[:, :0]
    )
    return np.moveaxis(found, 1, axis + 1)


def argmax(batch: Batch) -> NDArray[np.int64]:
    """Return the position of the first greatest element of each array, (count, dimensions)."""
    if batch.ndim == 1:
        return np.zeros((len(batch), 0), np.int64)
    flat = batch.reshape(len(batch), -1).argmax(axis=1)
    return np.stack(np.unravel_index(flat, batch.shape[1:]), axis=-1).astype(np.int64)


def bits(value: int) -> list[int]:
    """Return the bits of a 64-bit integer, lowest first, up to the highest that is 1."""
    text = format(value % (1 << 64), "b")
    return [int(each) for each in reversed(text)]
