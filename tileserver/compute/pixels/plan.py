"""Computes nodes on a grid, in pieces that fit the memory, within a budget.

The steps of a piece are laid out first, each node once a grid, without recursion, so that too
costly an expression is refused before a pixel is read. Then they run one after the other, and
arrays that no later step needs are dropped. The pieces meet without a seam: a pixel does not
depend on the piece it is in, and the pyramid level to read is chosen at the middle of an image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.arrays.storage import arrays_of
from tileserver.compute.budget import MAX_LIVE_BYTES, Budget, OutOfMemory, out_of_memory
from tileserver.compute.nodes import Mask, Node, Pixels, Read, Step
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.pixels import BandArrays

PIECE_PX = 512 * 512
"""Pixels computed at once."""
MAX_STEPS = 100_000
"""Steps of one piece: a node on a grid is one."""
_LIKELY_LIVE_BYTES = 100_000_000
"""Estimated memory that a piece may take; larger ones are cut."""
_LIKELY_BYTES = 12
"""Of a pixel between two steps: its value and its mask."""
_LEAST_PX = 1024
_OBJECT_BYTES = 250
"""Of a pixel that is an array, besides its numbers."""
_MAX_OBJECT_BYTES = 60_000_000
"""Of all pixels that are arrays, in one call."""

Reader = Callable[[ImageAsset, tuple[str, ...], PixelGrid], BandArrays]
"""Reads bands of a stored image on a grid; blocks."""
Key = tuple[int, PixelGrid]


def compute(
    nodes: Sequence[Node],
    dtypes: Sequence[np.dtype[Any]],
    grid: PixelGrid,
    read: Reader,
    budget: Budget,
) -> tuple[list[NDArray[Any]], list[Mask]]:
    """Return values and masks of nodes on a grid; blocks.

    Args:
        nodes: the bands to compute.
        dtypes: NumPy type of each band's values.
        grid: the pixels to compute.
        read: reads stored bands.
        budget: of the request; is spent.

    Returns:
        Values in the type of each band, and masks from 0 to 1, all of shape (height, width). Those
        of a band of arrays are objects: an `Array` a pixel, None where there is none.

    Raises:
        InvalidRequest: it takes too much time or memory, in Earth Engine's words.
        TileserverError: reading failed; raised by `read`.
    """
    shape = (grid.height, grid.width)
    values = [np.zeros(shape, dtype) for dtype in dtypes]
    masks = [np.zeros(shape, np.float32) for _ in nodes]
    object_bytes = 0
    for piece, place in pieces(grid, PIECE_PX):
        for steps, inner in _fitting(nodes, piece, place, budget):
            for found, at in _run(steps, nodes, inner, read, budget):
                object_bytes += sum(map(_object_bytes, found))
                if object_bytes > _MAX_OBJECT_BYTES:
                    raise out_of_memory()
                _write(found, at, values, masks)
    return values, masks


def _object_bytes(pixels: Pixels) -> int:
    """Return the memory of a band of arrays as objects; 0 for one of numbers."""
    arrays = arrays_of(pixels)
    return 0 if arrays is None else arrays.element_bytes + _OBJECT_BYTES * pixels.mask.size


def _write(
    found: Sequence[Pixels],
    place: tuple[slice, slice],
    values: list[NDArray[Any]],
    masks: Sequence[Mask],
) -> None:
    """Put the pixels of a piece in their place; those of a band of arrays as objects."""
    for i, pixels in enumerate(found):
        arrays = arrays_of(pixels)
        if arrays is None:
            np.copyto(values[i][place], pixels.values, casting="unsafe")
            masks[i][place] = pixels.mask
        else:
            if values[i].dtype != object:
                values[i] = np.full(values[i].shape, None)
            values[i][place] = arrays.to_objects()
            masks[i][place] = pixels.mask * arrays.is_there


def _run(
    steps: _Steps, nodes: Sequence[Node], place: tuple[slice, slice], read: Reader, budget: Budget
) -> Iterator[tuple[list[Pixels], tuple[slice, slice]]]:
    """Yield the pixels of a piece and their place, in quarters where its arrays are too large."""
    # Before it is done: one step may cost as much as thousands.
    budget.spend(steps.work_px)
    pixels = steps.grid.width * steps.grid.height
    found = None
    try:
        found = steps.run(read, budget)
    except OutOfMemory:
        if pixels == 1:
            raise
    if found is not None:
        yield found, place
        return
    # Not in the handler, which would keep the arrays of the attempt alive.
    rows, columns = place
    for part, (down, across) in pieces(steps.grid, max(1, pixels // 4)):
        at = (_shifted(down, rows.start), _shifted(across, columns.start))
        yield from _run(_Steps(nodes, part, budget), nodes, at, read, budget)


def _fitting(
    nodes: Sequence[Node], grid: PixelGrid, place: tuple[slice, slice], budget: Budget
) -> Iterator[tuple[_Steps, tuple[slice, slice]]]:
    """Yield the steps of a piece, or of smaller ones where it would not fit the memory."""
    steps = _Steps(nodes, grid, budget)
    pixels = grid.width * grid.height
    fitting = _LIKELY_LIVE_BYTES // (steps.widest * _LIKELY_BYTES * 2)
    if pixels <= max(fitting, _LEAST_PX):
        yield steps, place
        return
    rows, columns = place
    for part, (down, across) in pieces(grid, max(fitting, _LEAST_PX)):
        at = (_shifted(down, rows.start), _shifted(across, columns.start))
        yield _Steps(nodes, part, budget), at


def _shifted(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def pieces(grid: PixelGrid, most_px: int) -> Iterator[tuple[PixelGrid, tuple[slice, slice]]]:
    """Yield rectangles that make up a grid, at most so large, and their (rows, columns) in it."""
    side = max(1, int(most_px**0.5))
    width = min(grid.width, max(side, most_px // grid.height))
    height = min(grid.height, max(1, most_px // width))
    for top in range(0, grid.height, height):
        for left in range(0, grid.width, width):
            right, bottom = min(left + width, grid.width), min(top + height, grid.height)
            window = Window(left, top, right - left, bottom - top)
            yield grid.window(window), window.slices


class _Steps:
    """The steps to nodes' pixels on a grid, each after those it needs."""

    def __init__(self, nodes: Sequence[Node], grid: PixelGrid, budget: Budget) -> None:
        """Lay the steps out.

        Raises:
            InvalidRequest: there are too many.
        """
        self.grid = grid
        self.wanted = [(id(node), grid) for node in nodes]
        self.nodes: dict[Key, Node] = {}
        self.steps: dict[Key, Step] = {}
        self.order: list[Key] = []
        self._lay_out([(node, grid) for node in nodes], budget)
        self._reads = self._grouped_reads()
        self.order = self._reads_first(budget)
        self.work_px = sum(grid.width * grid.height for _, grid in self.order)
        self.work_px += sum(step.work_px for step in self.steps.values())
        self.widest = max((len(step.needs) for step in self.steps.values()), default=0) + 4

    def _lay_out(self, wanted: Sequence[tuple[Node, PixelGrid]], budget: Budget) -> None:
        stack = [(node, grid, False) for node, grid in reversed(wanted)]
        while stack:
            node, grid, are_needs_met = stack.pop()
            key = (id(node), grid)
            if are_needs_met:
                self.order.append(key)
            elif key not in self.steps:
                budget.check_time()
                self.nodes[key] = node
                step = self.steps[key] = node.step(grid)
                stack.append((node, grid, True))
                stack += ((need, on, False) for need, on in reversed(step.needs))
                if len(self.steps) + len(stack) > MAX_STEPS:
                    raise out_of_memory()

    def _grouped_reads(self) -> dict[tuple[int, PixelGrid], list[Key]]:
        """Return the bands to be read, by image and grid."""
        groups: dict[tuple[int, PixelGrid], list[Key]] = {}
        for key in self.order:
            node = self.nodes[key]
            if isinstance(node, Read):
                groups.setdefault((id(node.asset), key[1]), []).append(key)
        return groups

    def _reads_first(self, budget: Budget) -> list[Key]:
        """Return the order, each step as soon as the reads before it make it possible.

        The bands of an image are read at once. None is held while other images are read, so the
        memory does not grow with the number of images.
        """
        waiting, missing = self._dependents(budget)
        found: dict[Key, None] = {}
        for key in self.order:
            ready = [key] if key not in found else []
            node = self.nodes[key]
            if ready and isinstance(node, Read):
                ready = self._reads[id(node.asset), key[1]][::-1]
            while ready:
                done = ready.pop()
                found[done] = None
                for each in waiting.get(done, ()):
                    missing[each] -= 1
                    if not missing[each]:
                        ready.append(each)
        return list(found)

    def _dependents(self, budget: Budget) -> tuple[dict[Key, list[Key]], Counter[Key]]:
        """Return the steps that need each step, and how many steps each one needs."""
        waiting: dict[Key, list[Key]] = {}
        missing: Counter[Key] = Counter()
        for key in self.order:
            budget.check_time()
            needs = {(id(node), grid) for node, grid in self.steps[key].needs}
            missing[key] = len(needs)
            for need in needs:
                waiting.setdefault(need, []).append(key)
        return waiting, missing

    def run(self, read: Reader, budget: Budget) -> list[Pixels]:
        """Return the pixels of the requested nodes, in order."""
        left = Counter((id(n), g) for step in self.steps.values() for n, g in step.needs)
        left.update(self.wanted)
        held: dict[Key, Pixels] = {}
        live_bytes = 0
        for key in self.order:
            budget.check_time()
            if key not in held:
                new = self._computed(key, held, read)
                held |= new
                live_bytes += sum(map(_held_bytes, new.values()))
            if live_bytes > MAX_LIVE_BYTES:
                raise out_of_memory()
            live_bytes -= sum(map(_held_bytes, self._unneeded(key, left, held)))
        return [held[key] for key in self.wanted]

    def _unneeded(self, key: Key, left: Counter[Key], held: dict[Key, Pixels]) -> Iterator[Pixels]:
        """Remove and yield the pixels that no step after this one needs."""
        for need in ((id(n), g) for n, g in self.steps[key].needs):
            left[need] -= 1
            if not left[need]:
                yield held.pop(need)

    def _computed(self, key: Key, held: Mapping[Key, Pixels], read: Reader) -> dict[Key, Pixels]:
        """Return the pixels of a step; of a read, those of all bands of the same image."""
        node, step = self.nodes[key], self.steps[key]
        if isinstance(node, Read):
            return self._read(node, key, read)
        return {key: step.compute([held[id(n), g] for n, g in step.needs])}

    def _read(self, node: Read, key: Key, read: Reader) -> dict[Key, Pixels]:
        """Return the pixels of a band, and of all others of its image on the same grid."""
        keys = self._reads[id(node.asset), key[1]]
        ids = {each: band.band_id for each in keys if isinstance(band := self.nodes[each], Read)}
        arrays = read(node.asset, tuple(dict.fromkeys(ids.values())), key[1])
        masks = arrays.valid.astype(np.float32)
        if arrays.alpha is not None:
            masks *= arrays.alpha / np.float32(255)
        found = {
            band_id: Pixels(arrays.values[i], masks[i]) for i, band_id in enumerate(arrays.ids)
        }
        return {each: found[band_id] for each, band_id in ids.items()}


def _held_bytes(pixels: Pixels) -> int:
    """Return the bytes that a step's own arrays take; broadcast views take none."""
    return sum(a.nbytes for a in (pixels.values, pixels.mask) if any(a.strides))
