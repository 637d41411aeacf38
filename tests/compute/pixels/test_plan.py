"""Plans: each node once, in pieces that fit, and never at any price."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import GRID, SCENE, Evaluator, scene_values
from tileserver.compute.budget import Budget
from tileserver.compute.nodes import Apply, Node, Pixels
from tileserver.compute.pixels import plan
from tileserver.compute.pixels.plan import compute
from tileserver.compute.values.image import stored_image
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest


class Reads:
    """A reader that counts."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.world = evaluator.computing.world
        self.seen: list[tuple[str, ...]] = []

    def __call__(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        self.seen.append(band_ids)
        return self.world.read(asset, band_ids, grid)


def budget() -> Budget:
    return Budget(time.monotonic() + 30)


def test_the_bands_of_an_image_are_read_at_once_and_only_those_needed(
    evaluator: Evaluator,
) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    read = Reads(evaluator)
    nodes: list[Node] = [image.bands[2].node, image.bands[0].node, image.bands[2].node]
    values, _ = compute(nodes, [np.dtype("uint16")] * 3, GRID, read, budget())
    assert read.seen == [("B3", "B1")]
    assert (values[1] == scene_values()[0]).all()


def test_what_is_used_twice_is_computed_once(evaluator: Evaluator) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    calls = []

    def double(pixels: Pixels) -> Pixels:
        calls.append(1)
        return Pixels(pixels.values * 2, pixels.mask)

    def add(a: Pixels, b: Pixels) -> Pixels:
        return Pixels(a.values + b.values, a.mask)

    node: Node = Apply(double, (image.bands[0].node,))
    for _ in range(60):  # Two to the sixty, if it were walked like a tree.
        node = Apply(add, (node, node))
    compute([node], [np.dtype("uint16")], GRID, Reads(evaluator), budget())
    assert calls == [1]


def test_a_long_chain_is_no_deep_recursion(ee: ModuleType, evaluator: Evaluator) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    node: Node = image.bands[0].node
    for _ in range(5000):
        node = Apply(lambda pixels: pixels, (node,))
    (values,), _ = compute([node], [np.dtype("uint16")], GRID, Reads(evaluator), budget())
    assert (values == scene_values()[0]).all()


def test_pieces_make_up_the_whole(evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    for piece_px in (15, 100, 1000, 4096):
        monkeypatch.setattr(plan, "PIECE_PX", piece_px)
        read = Reads(evaluator)
        (values,), (mask,) = compute(
            [image.bands[1].node], [np.dtype("uint16")], GRID, read, budget()
        )
        assert (values == scene_values()[1]).all()
        assert (mask == 1).all()
        assert len(read.seen) >= 4096 // piece_px


def test_many_inputs_at_once_are_computed_in_smaller_pieces(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    sizes = []

    def last(*pixels: Pixels) -> Pixels:
        sizes.append(pixels[0].values.size)
        return pixels[-1]

    inputs = tuple(
        Apply(lambda pixels: Pixels(pixels.values + 0, pixels.mask), (image.bands[0].node,))
        for _ in range(100)
    )
    monkeypatch.setattr(plan, "MAX_LIVE_BYTES", 30_000_000)
    monkeypatch.setattr(plan, "_LEAST_PX", 64)
    large = PixelGrid(256, 256, GRID.transform, GRID.crs_code)
    compute([Apply(last, inputs)], [np.dtype("uint16")], large, Reads(evaluator), budget())
    assert max(sizes) * 100 * 6 < 30_000_000
    assert sum(sizes) == 256 * 256


def endless(count: int) -> Any:
    node: Any = Apply(lambda pixels: pixels, ())
    for _ in range(count):
        node = Apply(lambda pixels: pixels, (node,))
    return node


@pytest.mark.parametrize(
    ("made", "left_s", "told"),
    [
        (lambda: endless(1001), 30, "User memory limit exceeded."),
        (lambda: endless(10), -1, "Computation timed out."),
    ],
)
def test_what_costs_too_much_is_refused(
    evaluator: Evaluator, made: Any, left_s: float, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MAX_STEPS", 1000)
    budget_ = Budget(time.monotonic() + left_s)
    with pytest.raises(InvalidRequest, match=told):
        compute([made()], [np.dtype("uint8")], GRID, Reads(evaluator), budget_)


def test_work_is_counted_over_all_pieces(evaluator: Evaluator) -> None:
    image = stored_image(evaluator.computing.world.find_image(SCENE))
    spent = Budget(time.monotonic() + 30, work_px=64 * 64 - 1)
    with pytest.raises(InvalidRequest, match=r"Computation timed out\."):
        compute([image.bands[0].node], [np.dtype("uint16")], GRID, Reads(evaluator), spent)
