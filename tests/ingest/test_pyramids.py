from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tileserver.ingest.pyramids import PyramidingPolicy, level_sizes, reduce_2x2

INTS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")


def one_pixel(quad: list[Any], policy: PyramidingPolicy, *, is_float: bool) -> Any:
    """What the policy makes of the valid values, in exact arithmetic."""
    exact = sorted(Fraction(value) for value in quad)
    if policy is PyramidingPolicy.MIN:
        return exact[0]
    if policy is PyramidingPolicy.MAX:
        return exact[-1]
    if policy is PyramidingPolicy.MODE:
        votes = Counter(exact)
        return min(value for value, n in votes.items() if n == max(votes.values()))
    if policy is PyramidingPolicy.MEDIAN:
        exact = [exact[(len(exact) - 1) // 2], exact[len(exact) // 2]]
    mean = sum(exact, Fraction(0)) / len(exact)
    return mean if is_float else floor(mean + Fraction(1, 2))


def oracle(values: Any, valid: Any, policy: PyramidingPolicy) -> tuple[list[Any], Any]:
    """Plain loops over Python numbers: flat values (None where masked) and validity."""
    height, width = (values.shape[0] + 1) // 2, (values.shape[1] + 1) // 2
    reduced: list[Any] = []
    for row in range(height):
        for column in range(width):
            part = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            quad, ok = values[part], valid[part]
            if policy is PyramidingPolicy.SAMPLE:
                reduced.append(Fraction(quad[0, 0].item()) if ok[0, 0] else None)
            elif ok.any():
                is_float = values.dtype.kind == "f"
                reduced.append(one_pixel(quad[ok].tolist(), policy, is_float=is_float))
            else:
                reduced.append(None)
    return reduced, np.array([value is not None for value in reduced]).reshape(height, width)


def assert_like_the_oracle(values: Any, valid: Any, policy: PyramidingPolicy) -> None:
    got, got_valid = reduce_2x2(values, valid, policy)
    expected, expected_valid = oracle(values, valid, policy)
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(got_valid, expected_valid)
    for ours, exact in zip(got.ravel().tolist(), expected, strict=True):
        if values.dtype.kind == "f":
            assert ours == pytest.approx(float(exact or 0), rel=1e-6, abs=1e-6)
        else:
            assert ours == (exact or 0)


@pytest.mark.parametrize("dtype", INTS + FLOATS)
@pytest.mark.parametrize("policy", PyramidingPolicy)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 2), (3, 4), (6, 7), (5, 5), (1, 4)])
def test_every_policy_equals_plain_loops(
    dtype: str, policy: PyramidingPolicy, height: int, width: int
) -> None:
    rng = np.random.default_rng(height * 10 + width)
    few = rng.integers(0, 6, size=(height, width))
    values = (few - 3 if dtype[0] != "u" else few).astype(dtype)
    if dtype in FLOATS:
        values = values + values.dtype.type(0.25)
    for chance in (0.0, 0.4, 1.0):
        assert_like_the_oracle(values, rng.random((height, width)) < chance, policy)
    assert_like_the_oracle(values, np.ones((height, width), bool), policy)


@pytest.mark.slow
@pytest.mark.parametrize("policy", PyramidingPolicy)
@pytest.mark.parametrize("dtype", INTS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_integers_of_any_size_are_exact(
    policy: PyramidingPolicy, dtype: str, data: st.DataObject
) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5))
    values = data.draw(hnp.arrays(dtype, shape))
    valid = data.draw(hnp.arrays(np.bool_, shape))
    assert_like_the_oracle(values, valid, policy)


@pytest.mark.parametrize("policy", [PyramidingPolicy.MEAN, PyramidingPolicy.MEDIAN])
@pytest.mark.parametrize("dtype", INTS)
def test_the_largest_and_smallest_integers_do_not_overflow(
    policy: PyramidingPolicy, dtype: str
) -> None:
    info = np.iinfo(dtype)
    for quad in ([info.max] * 4, [info.min] * 4, [info.max, info.min, info.max, info.max - 1]):
        assert_like_the_oracle(np.array(quad, dtype).reshape(2, 2), np.ones((2, 2), bool), policy)


def test_halves_round_towards_plus_infinity() -> None:
    values = np.array([[1, 2, -1, -2], [2, 1, -2, -1]], np.int16)
    mean, _ = reduce_2x2(values, np.ones((2, 4), bool), PyramidingPolicy.MEAN)
    assert mean.tolist() == [[2, -1]]


def test_the_mean_of_the_largest_floats_is_finite() -> None:
    for dtype in FLOATS:
        largest = np.full((2, 2), np.finfo(dtype).max, dtype)
        mean, _ = reduce_2x2(largest, np.ones((2, 2), bool), PyramidingPolicy.MEAN)
        assert mean[0, 0] == np.finfo(dtype).max


def test_a_tie_of_the_mode_goes_to_the_smallest() -> None:
    values = np.array([[7, 3], [3, 7]], np.uint8)
    assert reduce_2x2(values, np.ones((2, 2), bool), PyramidingPolicy.MODE)[0].item() == 3


def test_masked_nan_does_not_spread() -> None:
    values = np.array([[np.nan, 1.0], [3.0, np.nan]], np.float32)
    for policy, expected in [("MEAN", 2), ("MIN", 1), ("MAX", 3), ("MODE", 1), ("MEDIAN", 2)]:
        got, valid = reduce_2x2(values, ~np.isnan(values), PyramidingPolicy(policy))
        assert (got.item(), valid.item()) == (expected, True)
    got, valid = reduce_2x2(values, ~np.isnan(values), PyramidingPolicy.SAMPLE)
    assert (got.item(), valid.item()) == (0, False)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="expected two equal"):
        reduce_2x2(np.zeros((2, 2)), np.ones((2, 3), bool), PyramidingPolicy.MEAN)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (256, 256, [(256, 256)]),
        (257, 1, [(257, 1), (129, 1)]),
        (1025, 300, [(1025, 300), (513, 150), (257, 75), (129, 38)]),
    ],
)
def test_levels_end_when_the_image_fits(
    width: int, height: int, expected: list[tuple[int, int]]
) -> None:
    assert level_sizes(width, height) == expected
