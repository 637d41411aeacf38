"""What small expressions multiply is counted while it is made, and refused in time."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.compute.conftest import GRID, HOLES, Evaluator, LocalWorld
from tests.rest import memory
from tests.support.limits import cpu_limit
from tileserver.compute.algorithms.value.texts import decode_json, encode_json, text_of
from tileserver.compute.budget import Budget
from tileserver.compute.context import Context
from tileserver.compute.values.to_json import parsed_bytes, to_json
from tileserver.contract.grids import Window
from tileserver.errors import InvalidRequest

MOST_MB = 450
Multiplier = Callable[[ModuleType], Any]


def long_text(ee: ModuleType, part: str, doublings: int) -> Any:
    text = ee.String(part)
    for _ in range(doublings):
        text = text.cat(text)
    return text


def each_of(ee: ModuleType, count: int, make: Callable[[Any], Any]) -> Any:
    """Return a list of values, each made anew."""
    return ee.List.sequence(1, count).map(make).length()


MULTIPLIERS: dict[str, Multiplier] = {
    "lists in JSON": lambda ee: each_of(
        ee, 400, lambda n: again(ee, f"[[{'[],' * 100_000}0]]", n).decodeJSON()
    ),
    "dictionaries in JSON": lambda ee: each_of(
        ee, 400, lambda n: again(ee, f"[[{'{},' * 100_000}0]]", n).decodeJSON()
    ),
    "numbers in JSON": lambda ee: each_of(
        ee, 400, lambda n: again(ee, f"[[{'1.5,' * 100_000}0]]", n).decodeJSON()
    ),
    "letters of four bytes": lambda ee: each_of(
        ee, 400, lambda n: long_text(ee, "𝔘" * 30, 14).cat(ee.Number(n).format("%.0f"))
    ),
    "pairs": lambda ee: each_of(
        ee,
        400,
        lambda n: ee.List.sequence(1, 100_000).zip(ee.List.sequence(1, 100_000)).add(n),
    ),
    "pairs made anew": lambda ee: each_of(
        ee,
        400,
        lambda n: ee.List.repeat(n, 100_000).zip(ee.List.repeat(n, 100_000)),
    ),
    "columns": lambda ee: each_of(
        ee,
        400,
        lambda n: ee.List.repeat(ee.List([n, n, n]), 100_000).unzip(),
    ),
    "coordinates": lambda ee: each_of(
        ee,
        2000,
        lambda n: ee.Geometry.MultiPoint(ee.List.repeat(ee.List([n, 1]), 50_000)).coordinates(),
    ),
    "descriptions": lambda ee: each_of(
        ee,
        400,
        lambda n: ee.Algorithms.Describe(ee.List.repeat(ee.List.repeat(n, 700), 700)),
    ),
}


def again(ee: ModuleType, text: str, number: Any) -> Any:
    """Return a text that is not the same for any two numbers, as far as can be told before."""
    return ee.String(text).cat(ee.String(" ").cat(ee.Number(number).format("%.0f")).slice(0, 1))


@pytest.mark.slow
@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
@pytest.mark.parametrize("name", MULTIPLIERS)
def test_what_is_made_again_and_again_is_refused_before_it_fills_the_memory(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    text = evaluator.text(MULTIPLIERS[name](ee))
    memory.forget()
    before_mb = memory.now_mb()
    with pytest.raises(InvalidRequest, match=r"User memory limit exceeded|timed out|at most"):
        evaluator.computing._value(text)
    assert memory.most_mb() - before_mb < MOST_MB


LARGE: dict[str, Callable[[ModuleType, Any], Any]] = {
    "places": lambda ee, image: (
        ee.FeatureCollection.randomPoints(ee.Geometry.Point(-112, 40.5).buffer(1e5), 5000)
        .randomColumn("v")
        .kriging("v", "gaussian", 1e6, 1, 0)
    ),
    "sums": lambda ee, image: image.convolve(ee.Kernel.circle(512)),
    "extremes": lambda ee, image: image.focalMax(100, "octagon"),
    "stacks": lambda ee, image: image.focalMedian(60),
    "margins of margins": lambda ee, image: image.focalMin(2, iterations=1000),
    "kernels of kernels": lambda ee, image: image.convolve(
        functools.reduce(lambda kernel, _: kernel.add(kernel), range(5), ee.Kernel.circle(500))
    ),
    "texture": lambda ee, image: image.glcmTexture(20),
    "edges": lambda ee, image: ee.Algorithms.CannyEdgeDetector(image, 1, 50),
    "lines": lambda ee, image: ee.Algorithms.HoughTransform(image, 512, 0, 1),
    "hollows": lambda ee, image: ee.Terrain.fillMinima(image, None, 256),
    "spectra": lambda ee, image: image.spectralGradient("sid", ee.Kernel.square(90), True),
    "objects": lambda ee, image: image.mod(3).connectedComponents(ee.Kernel.square(6), 600),
    "counts of objects": lambda ee, image: image.mod(2).connectedPixelCount(700),
    "discs": lambda ee, image: image.gt(990).medialAxis(150),
    "parabolas": lambda ee, image: image.multiply(1e6).rsedTransform(300),
    "least costs": lambda ee, image: image.abs().cumulativeCost(image.gt(900), 30 * 200),
    "superpixels": lambda ee, image: ee.Algorithms.Image.Segmentation.SNIC(
        image, 1, neighborhoodSize=100
    ),
    "clusters": lambda ee, image: ee.Algorithms.Image.Segmentation.KMeans(
        image, 500, 1000, gridSize=1000
    ),
    "correlations": lambda ee, image: ee.Algorithms.CrossCorrelation(image, image, 9, 65, 1),
    "arrays padded": lambda ee, image: (
        image.toArray().toArray(1).arrayPad([5000, 5000]).arrayGet(ee.Image([0, 0]))
    ),
    "arrays repeated": lambda ee, image: (
        image.toArray().arrayRepeat(0, image.abs().pow(3)).arrayGet(0)
    ),
    "outer products": lambda ee, image: (
        image.toArray()
        .toArray(1)
        .arrayRepeat(0, 4000)
        .matrixMultiply(ee.Image(ee.Array([[1]]).repeat(1, 4000)))
        .arrayGet(ee.Image([0, 0]))
    ),
}


@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
@pytest.mark.parametrize("name", LARGE)
def test_large_neighbourhoods_are_computed_or_refused_in_little_memory(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    built = LARGE[name](ee, ee.Image(HOLES))
    request = evaluator.request(built, GRID.window(Window(20, 20, 8, 8)))
    memory.forget()
    before_mb = memory.now_mb()
    with cpu_limit(20), contextlib.suppress(InvalidRequest):
        assert evaluator.computing.pixels(request)
    assert memory.most_mb() - before_mb < MOST_MB


@pytest.mark.skipif(not memory.is_told(), reason="needs Linux to tell memory")
@pytest.mark.parametrize("tell", [encode_json, text_of])
@pytest.mark.parametrize(
    "value",
    [
        ["x" * 1_000_000] * 19,
        ["\x01" * 1_000_000] * 19,
        [[0.1] * 900] * 1000,
        {"\x01" * 100_000 + str(i): 1 for i in range(100)},
        [[["é" * 10_000] * 10] * 10] * 10,
    ],
)
def test_json_that_is_too_long_for_a_string_is_never_built(
    tell: Callable[[Any], str], value: Any
) -> None:
    memory.forget()
    before_mb = memory.now_mb()
    with cpu_limit(5), pytest.raises(InvalidRequest, match="at most"):
        tell(value)
    assert memory.most_mb() - before_mb < 60


def test_control_characters_count_as_long_as_json_makes_them() -> None:
    assert to_json(["\x01" * 3_000_000]) == ["\x01" * 3_000_000]
    with pytest.raises(InvalidRequest, match="characters in a string, at most 20000000"):
        to_json(["\x01" * 4_000_000])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text("a\x01é"),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\x01", max_size=3), inner),
    max_leaves=60,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, database=None)
@given(value=JSON)
def test_any_json_is_counted_for_at_least_what_it_takes_and_told_as_it_was(
    world: LocalWorld, value: Any
) -> None:
    text = encode_json(value)
    context = Context(world, Budget(time.monotonic() + 10))
    found = decode_json(context, text)
    assert encode_json(found) == text
    assert context.made_bytes == parsed_bytes(text)


def test_to_part_a_long_string_into_letters_is_refused_before_it_is_done(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    with pytest.raises(InvalidRequest, match="parts of a string, at most 100000"):
        evaluator.value(ee.String("€" * 200_000).split(""))
    assert evaluator.value(ee.String("€" * 3).split("")) == ["€"] * 3
