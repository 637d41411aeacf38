import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tileserver.contract.pixels import BandArrays, Range, VisualizationOptions
from tileserver.errors import InvalidRequest
from tileserver.rendering.colors import parse_palette
from tileserver.rendering.render import (
    VISUALIZED_IDS,
    check_options,
    check_rising,
    draw,
    draws,
    ramp,
    visualized,
)

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES = [*INTEGERS, "float32", "float64"]
PALETTES = [
    (),
    ("ff0000",),
    ("blue", "ffff00"),
    ("000", "0f0", "white"),
    tuple("ffffff" if stop % 2 else "000000" for stop in range(256)),
]


def bands_of(values: Any, valid: Any = None) -> BandArrays:
    array = np.asarray(values)
    if valid is None:
        valid = np.ones(array.shape, bool)
    return BandArrays(tuple("ABC"[: len(array)]), array, np.asarray(valid))


def extremes(dtype: str, count: int) -> NDArray[Any]:
    """Return bands of shape (count, 16, 16) with a type's extremes, 0..255 and more besides."""
    rng = np.random.default_rng(7)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        info: Any = np.finfo(kind)
        wide = rng.normal(scale=300, size=(count, 16, 16)).astype(kind)
        special = [info.min, info.max, info.tiny, -info.tiny, 0, np.nan, np.inf, -np.inf]
    else:
        info = np.iinfo(kind)
        wide = rng.integers(info.min, info.max, (count, 16, 16), kind, endpoint=True)
        wide[:, 8:] = rng.integers(0, min(256, info.max), (count, 8, 16)).astype(kind)
        special = [info.min, info.max, info.min + 1, info.max - 1, 0, 1, 2, 3]
    wide[:, 0, :8] = np.array(special, dtype=kind)
    return wide


def formula(band: NDArray[Any], between: Range, gamma: float, palette: tuple[str, ...]) -> Any:
    """Return what the documentation says, pixel by pixel in Python's own floats."""
    result = []
    for pixel in band.reshape(-1).tolist():
        v = (float(pixel) - between.min) / (between.max - between.min)
        v = min(max(v, 0.0), 1.0) ** (1 / gamma)
        result.append(in_palette(v, palette) if palette else (v * 255,))
    return np.array(result).reshape(*band.shape, -1)


def in_palette(v: float, names: tuple[str, ...]) -> tuple[float, ...]:
    colors = parse_palette(names).tolist()
    t = v * (len(colors) - 1)
    lower = min(int(t), max(len(colors) - 2, 0))
    low, high = colors[lower], colors[min(lower + 1, len(colors) - 1)]
    return tuple(a + (t - lower) * (b - a) for a, b in zip(low, high, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("palette", PALETTES, ids=len)
@pytest.mark.parametrize(
    ("between", "gamma"),
    [
        (Range(0, 255), None),
        (Range(-50, 100), 2.2),
        (Range(20.25, 20.75), 0.5),
        (Range(0, 3e9), 1.0),
        (Range(-1e19, 1e19), None),
    ],
)
def test_one_band_of_every_type_follows_the_formula(
    dtype: str, palette: tuple[str, ...], between: Range, gamma: float | None
) -> None:
    values = extremes(dtype, 1)
    picture = draw(bands_of(values), VisualizationOptions((between,), palette, gamma))
    finite = np.isfinite(values[0])
    expected = formula(np.where(finite, values[0], 0), between, gamma or 1.0, palette)
    drawn = picture.color.reshape(expected.shape).astype(float)
    assert np.abs(drawn - expected)[finite].max() <= 1
    assert not drawn[~finite].any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ranges", [(Range(0, 100),), (Range(0, 9), Range(5, 6), Range(-100, 90))])
def test_three_bands_of_every_type_have_one_range_or_one_each(
    dtype: str, ranges: tuple[Range, ...]
) -> None:
    values = extremes(dtype, 3)
    picture = draw(bands_of(values), VisualizationOptions(ranges, gamma=1.5))
    finite = np.isfinite(values).all(axis=0)
    each = ranges if len(ranges) == 3 else ranges * 3
    for channel in range(3):
        expected = formula(np.where(finite, values[channel], 0), each[channel], 1.5, ())[..., 0]
        assert np.abs(picture.color[..., channel] - expected)[finite].max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [None, VisualizationOptions()])
def test_without_options_values_clip_to_0_to_255(
    dtype: str, options: VisualizationOptions | None
) -> None:
    values = np.array([[[0, 1, 99, 127]]]).astype(dtype)
    assert draw(bands_of(values), options).color.tolist() == [[0, 1, 99, 127]]
    info = np.finfo(dtype) if dtype.startswith("f") else np.iinfo(dtype)
    ends = np.array([[[info.min, info.max]]], dtype=dtype)
    assert draw(bands_of(ends), options).color.tolist() == [[0, min(255, int(info.max))]]
    assert not draws(options)


def test_halves_round_up() -> None:
    values = np.array([[[0.49, 0.5, 1.5, 2.5, 254.5]]])
    assert draw(bands_of(values), None).color.tolist() == [[0, 1, 2, 3, 255]]


def test_a_big_endian_array_is_drawn_like_a_native_one() -> None:
    values = np.array([[[-300, 0, 300]]])
    options = VisualizationOptions((Range(-300, 300),))
    assert draw(bands_of(values.astype(">i2")), options).color.tolist() == [[0, 128, 255]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_class_values_get_exactly_the_color_of_their_class(dtype: str) -> None:
    classes = np.arange(100).reshape(1, 10, 10)
    palette = tuple(f"{(class_ * 104729) % 2**24:06x}" for class_ in range(100))
    picture = draw(bands_of(classes.astype(dtype)), VisualizationOptions((Range(0, 99),), palette))
    assert np.array_equal(picture.color.reshape(-1, 3), parse_palette(palette))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_the_steepest_palette_still_hits_its_stops(dtype: str) -> None:
    picture = draw(
        bands_of(np.arange(256).reshape(1, 16, 16).astype(dtype)),
        VisualizationOptions((Range(0, 255),), PALETTES[-1]),
    )
    assert np.array_equal(picture.color.reshape(-1, 3), parse_palette(PALETTES[-1]))


def test_a_palette_without_ranges_spans_0_to_255() -> None:
    picture = draw(
        bands_of([[[0, 255, 9999]]]), VisualizationOptions(palette_colors=("red", "blue"))
    )
    assert picture.color.tolist() == [[[255, 0, 0], [0, 0, 255], [0, 0, 255]]]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_gamma_above_one_brightens(dtype: str) -> None:
    bands = bands_of(np.array([[[0, 50, 100]]], dtype=dtype))
    options = VisualizationOptions((Range(0, 100),), gamma=2)
    assert draw(bands, options).color.tolist() == [[0, 180, 255]]


def test_a_mask_in_any_band_hides_the_pixel() -> None:
    valid = [[[True, False, True]], [[True, True, True]], [[True, True, False]]]
    bands = bands_of(np.full((3, 1, 3), 7, np.uint8), valid)
    picture = draw(bands, VisualizationOptions((Range(0, 255),)))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 0]]
    assert picture.color.tolist() == [[[7, 7, 7], [0, 0, 0], [0, 0, 0]]]


def test_without_options_the_samples_of_the_other_bands_can_be_read_out() -> None:
    valid = [[[True, False, True]], [[True, True, True]], [[True, True, False]]]
    values = np.full((3, 1, 3), 7, np.float32)
    values[1, 0, 0] = np.nan
    picture = draw(bands_of(values, valid), None)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 0, 0]]
    assert picture.color.tolist() == [[[7, 0, 7], [0, 7, 7], [7, 7, 0]]]


def test_a_masked_grey_pixel_is_transparent_black() -> None:
    picture = draw(bands_of(np.array([[[7, 8]]], np.uint8), [[[False, True]]]), None)
    assert picture.alpha is not None
    assert (picture.color.tolist(), picture.alpha.tolist()) == ([[0, 8]], [[0, 255]])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("palette", [(), ("red", "blue")])
def test_what_is_not_finite_cannot_be_colored(value: float, palette: tuple[str, ...]) -> None:
    options = VisualizationOptions((Range(0, 1),), palette)
    picture = draw(bands_of(np.array([[[value, 1.0]]], np.float32)), options)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert not picture.color[0, 0].any()


@pytest.mark.parametrize(
    ("opacity", "alpha"), [(0.0, [0, 0]), (0.25, [64, 0]), (0.8, [204, 0]), (1.0, [255, 0])]
)
def test_opacity_multiplies_alpha(opacity: float, alpha: list[int]) -> None:
    bands = bands_of(np.array([[[9, 9]]], np.uint8), [[[True, False]]])
    picture = draw(bands, VisualizationOptions(opacity=opacity))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [alpha]
    assert picture.color.tolist() == [[9 if alpha[0] else 0, 0]]


@pytest.mark.parametrize("opacity", [None, 1.0])
def test_an_opaque_picture_has_no_alpha(opacity: float | None) -> None:
    assert draw(bands_of([[[1, 2]]]), VisualizationOptions(opacity=opacity)).alpha is None


TINY, HUGE = math.ulp(0.0), 1.7e308


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "between",
    [Range(0, TINY), Range(-HUGE, HUGE), Range(-HUGE, -1e308), Range(1, math.nextafter(1, 2))],
)
@pytest.mark.parametrize("gamma", [None, 1e-300, 1e300, TINY])
@pytest.mark.parametrize("palette", [(), ("red", "blue", "000")])
def test_absurd_styles_draw_without_a_warning(
    dtype: str, between: Range, gamma: float | None, palette: tuple[str, ...]
) -> None:
    options = VisualizationOptions((between,), palette, gamma)
    picture = draw(bands_of(extremes(dtype, 1)), options)
    assert picture.color.shape[:2] == (16, 16)


def test_a_range_wider_than_a_float_is_still_linear() -> None:
    values = np.array([[[-HUGE, -HUGE / 2, 0, HUGE]]])
    picture = draw(bands_of(values), VisualizationOptions((Range(-HUGE, HUGE),)))
    assert picture.color.tolist() == [[0, 64, 128, 255]]


@settings(max_examples=60, deadline=None)
@given(
    values=arrays(np.uint16, (1, 4, 5)),
    low=st.floats(-1e5, 1e5),
    width=st.floats(1e-3, 1e5),
    gamma=st.floats(0.1, 10),
)
def test_tables_and_arithmetic_agree(
    values: NDArray[np.uint16], low: float, width: float, gamma: float
) -> None:
    options = VisualizationOptions((Range(low, low + width),), gamma=gamma)
    by_table = draw(bands_of(values), options).color
    by_arithmetic = draw(bands_of(values.astype(np.int64)), options).color
    assert np.array_equal(by_table, by_arithmetic)


@pytest.mark.parametrize(
    ("options", "band_count", "message"),
    [
        (
            VisualizationOptions(palette_colors=("red",)),
            3,
            "Image.visualize: Cannot provide a palette when visualizing more than one band.",
        ),
        (VisualizationOptions(palette_colors=("nope",)), 1, "'nope'"),
        (VisualizationOptions(palette_colors=("red",) * 257), 1, "1 to 256 colors, got 257"),
        (None, 0, "one or three bands, got 0"),
        (None, 2, "one or three bands, got 2"),
        (VisualizationOptions(), 4, "one or three bands, got 4"),
        (VisualizationOptions((Range(0, 1),) * 2), 3, "one for each of 3, got 2"),
        (VisualizationOptions((Range(0, 1),) * 3), 1, "got 3"),
        (VisualizationOptions((Range(math.nan, 1),)), 1, "got min nan"),
        (VisualizationOptions((Range(0, math.inf),)), 1, "max inf"),
        (VisualizationOptions(gamma=0), 1, "gamma must be a number greater than 0, got 0"),
        (VisualizationOptions(gamma=-1), 1, "got -1"),
        (VisualizationOptions(gamma=math.inf), 1, "got inf"),
        (VisualizationOptions(gamma=math.nan), 1, "got nan"),
        (VisualizationOptions(opacity=1.5), 1, "opacity must be a number from 0 to 1, got 1.5"),
        (VisualizationOptions(opacity=-0.1), 1, "got -0.1"),
        (VisualizationOptions(opacity=math.nan), 1, "got nan"),
    ],
)
def test_a_style_that_cannot_be_drawn_is_refused_before_and_while_drawing(
    options: VisualizationOptions | None, band_count: int, message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_options(options, band_count)
    assert message in str(caught.value)
    bands = BandArrays(
        ("X",) * band_count, np.zeros((band_count, 1, 1)), np.ones((band_count, 1, 1), bool)
    )
    for drawing in (draw, visualized):
        with pytest.raises(InvalidRequest):
            drawing(bands, options)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize(
    ("between", "options", "expected"),
    [
        # The formula (x - min) / (max - min) holds for a range that falls; one without width is
        # a step.
        (Range(10, 0), {}, [255, 128, 0, 0]),
        (Range(10, 0), {"palette_colors": ("000000", "ffffff")}, [255, 128, 0, 0]),
        (Range(10, 0), {"gamma": 0.5}, [255, 64, 0, 0]),
        (Range(5, 5), {}, [0, 0, 255, 255]),
    ],
)
def test_a_range_may_fall_or_be_a_step(
    dtype: str, between: Range, options: dict[str, Any], expected: list[int]
) -> None:
    values = np.array([[[0, 5, 10, 20]]], dtype)
    bands = BandArrays(("X",), values, np.ones((1, 1, 4), bool))
    found = draw(bands, VisualizationOptions((between,), **options)).color
    grey = found[..., 0] if found.ndim == 3 else found
    assert grey[0].tolist() == expected
    with pytest.raises(InvalidRequest, match="less than its max, got min"):
        check_rising([between])


@pytest.mark.parametrize("band_count", [1, 3])
def test_a_fine_style_passes(band_count: int) -> None:
    check_options(None, band_count)
    check_options(
        VisualizationOptions((Range(0, 1),) * band_count, gamma=1.2, opacity=0.5), band_count
    )


@pytest.mark.parametrize("palette", [(), ("black", "red")])
def test_visualized_is_the_picture_as_three_bands(palette: tuple[str, ...]) -> None:
    bands = bands_of(np.array([[[0, 5, 10]]], np.int16), [[[True, True, False]]])
    options = VisualizationOptions((Range(0, 10),), palette, opacity=0.5)
    result = visualized(bands, options)
    picture = draw(bands, replace(options, opacity=None))
    assert result.ids == VISUALIZED_IDS
    assert result.values.dtype == np.uint8
    assert result.values.shape == result.valid.shape == (3, 1, 3)
    for band in range(3):
        channel = picture.color[..., band] if palette else picture.color
        assert np.array_equal(result.values[band], channel)
        assert result.valid[band].tolist() == [[True, True, False]]


def test_visualized_keeps_the_order_of_three_bands() -> None:
    values = np.arange(3 * 2 * 4, dtype=np.uint8).reshape(3, 2, 4)
    result = visualized(bands_of(values), VisualizationOptions((Range(0, 255),)))
    assert np.array_equal(result.values, values)
    assert result.valid.all()


def test_a_ramp_has_the_colors_of_the_map() -> None:
    options = VisualizationOptions((Range(-5, 5),), ("000000", "ff0000", "ffffff"), gamma=2)
    values = np.linspace(-5, 5, 21).reshape(1, 1, 21)
    drawn = draw(bands_of(values), options).color[0].astype(int)
    assert np.abs(ramp(options, np.linspace(0, 1, 21)) - drawn).max() <= 1
    assert ramp(VisualizationOptions(), [0, 0.5, 1]).tolist() == [[0] * 3, [128] * 3, [255] * 3]
