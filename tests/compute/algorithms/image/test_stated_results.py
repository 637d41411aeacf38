"""Types, names and values of results that Google's reference pages and guides state."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.compute.conftest import HOLES, SCENE, Evaluator, hole_values, scene_values
from tileserver.errors import InvalidRequest

Built = Callable[[ModuleType], Any]
A, B, C = scene_values().astype(float)


def _type(precision: str, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    ends = {name: end for name, end in (("min", low), ("max", high)) if end is not None}
    return {"type": "PixelType", "precision": precision} | ends


TYPES: list[tuple[Built, dict[str, Any]]] = [
    # apidocs/ee-image: an array of whole numbers takes the smallest type that holds them.
    (lambda ee: ee.Image(ee.Array([0, 0, 255])), _type("int", 0, 255) | {"dimensions": 1}),
    (
        lambda ee: ee.Image(ee.Array([[-300]])),
        _type("int", -(2**15), 2**15 - 1) | {"dimensions": 2},
    ),
    (lambda ee: ee.Image(ee.Array([0.5])), _type("double") | {"dimensions": 1}),
    # apidocs/ee-image-bitwisenot: the smallest signed integer type that can hold the input.
    (lambda ee: ee.Image(5).bitwiseNot(), _type("int", -128, 127)),
    (lambda ee: ee.Image(5).toByte().bitwiseNot(), _type("int", -(2**15), 2**15 - 1)),
    (lambda ee: ee.Image(5).toUint16().bitwiseNot(), _type("int", -(2**31), 2**31 - 1)),
    # The normalized difference of what is not negative lies in -1..1.
    (lambda ee: ee.Image(SCENE).normalizedDifference(), _type("float", -1, 1)),
    # Quotients have the range of those of the ends, in the precision of the type.
    (
        lambda ee: ee.Image(SCENE).select(0).divide(10000),
        _type("float", 0, float(np.float32(6.5535))),
    ),
    (lambda ee: ee.Image(SCENE).select(0).divide(-2.0), _type("double", -32767.5, 0)),
    (lambda ee: ee.Image(SCENE).select(0).divide(ee.Image(SCENE).select(1)), _type("float")),
    # A guide's scale and offset of Landsat's surface reflectance.
    (
        lambda ee: ee.Image(SCENE).select(0).multiply(0.0000275).add(-0.2),
        _type("double", -0.2, 1.6022125),
    ),
]


@pytest.mark.parametrize(("built", "expected"), TYPES)
def test_types_are_those_stated(
    ee: ModuleType, evaluator: Evaluator, built: Built, expected: dict[str, Any]
) -> None:
    (band,) = evaluator.value(built(ee))["bands"]
    assert band["data_type"] == expected


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "cbrt": np.cbrt,
    "exp": math.exp,
    "log": math.log,
    "log10": math.log10,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "atan": math.atan,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("cast", ["toByte", "toInt16", "toUint32", "toDouble"])
def test_functions_of_small_integers_are_not_of_half_precision(
    ee: ModuleType, evaluator: Evaluator, name: str, cast: str
) -> None:
    image = getattr(getattr(ee.Image(3), cast)(), name)()
    found = evaluator.pixels(image)["constant"][0, 0]
    assert found == pytest.approx(FUNCTIONS[name](3), rel=1e-7)


def test_inverse_functions_of_bytes_are_not_of_half_precision(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    byte = ee.Image(1).toByte()
    image = ee.Image.cat(byte.asin(), byte.acos(), byte.multiply(2).toByte().atan2(3))
    found = evaluator.pixels(image)[0, 0].tolist()
    np.testing.assert_allclose(found, [math.pi / 2, 0, math.atan2(3, 2)], rtol=1e-7)


def test_rounding_leaves_whole_numbers_alone(ee: ModuleType, evaluator: Evaluator) -> None:
    large = 2**60 + 1
    for name in ("floor", "ceil", "round"):
        assert evaluator.pixels(getattr(ee.Image(large), name)())["constant"][0, 0] == large


DIVISIONS = [
    ("float(10) / 20", 0.5),
    ("int(7.5) / 2", 3),
    ("10 / 20", 0),
    ("10 * 1.0 / 20", 0.5),
    ("7 / 2", 3),
    ("-7 / 2", -4),
    ("7 / 0", 0),
]


@pytest.mark.parametrize(("text", "expected"), DIVISIONS)
def test_a_formula_divides_whole_numbers_to_whole_ones(
    ee: ModuleType, evaluator: Evaluator, text: str, expected: float
) -> None:
    # guides/image_math: "floor division"; 10 / 20 = 0.
    found = evaluator.pixels(ee.Image(0).expression(text))
    assert found[0, 0].tolist() == (expected,)


def test_bands_of_whole_numbers_are_divided_alike(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    whole = evaluator.pixels(image.expression("b('B1') / (b('B2') + 1)"))["B1"]
    assert (whole == A // (B + 1)).all()
    real = evaluator.pixels(image.expression("float(b('B1')) / (b('B2') + 1)"))["B1"]
    np.testing.assert_allclose(real, A / (B + 1), rtol=1e-6)
    plain = evaluator.pixels(image.select("B1").divide(image.select("B2").add(1)))["B1"]
    np.testing.assert_allclose(plain, A / (B + 1), rtol=1e-6)


def test_a_cast_orders_bands(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE)
    found = evaluator.value(image.cast({"B1": "float"}, ["B3", "B1", "B2"]))["bands"]
    assert [band["id"] for band in found] == ["B3", "B1", "B2"]
    assert [band["data_type"]["precision"] for band in found] == ["int", "float", "int"]
    with pytest.raises(InvalidRequest, match="bandOrder must name each band once"):
        evaluator.value(image.cast({"B1": "float"}, ["B3", "B1"]))


TOA = {"B1": 0.4, "B2": 0.4, "B3": 0.4, "B4": 0.4, "B5": 0.4, "B6": 285.0, "B7": 0.4}


@pytest.mark.parametrize(
    ("sensor", "thermal"), [("TM", "B6"), ("ETM", "B6_VCID_1"), ("OLI_TIRS", "B10")]
)
def test_a_mosaic_is_scored_by_its_sensor(
    ee: ModuleType, evaluator: Evaluator, sensor: str, thermal: str
) -> None:
    # guides/landsat sets SENSOR_ID on a mosaic, which has lost its metadata.
    names = ["B1", "B2", "B3", "B4", "B5", "B6", "B7", thermal]
    bands = dict.fromkeys(names, 0.4) | {thermal: 285.0}
    image = ee.Image.constant(list(bands.values())).rename(list(bands))
    score = ee.Algorithms.Landsat.simpleCloudScore
    found = evaluator.value(score(image.set("SENSOR_ID", sensor)))["bands"]
    assert [band["id"] for band in found] == [*bands, "cloud"]
    with pytest.raises(InvalidRequest, match="SENSOR_ID one of TM, ETM, OLI_TIRS; got 'None'"):
        evaluator.value(score(image))
    with pytest.raises(InvalidRequest, match="got 'SENSOR_ID MSS'"):
        evaluator.value(score(image.set("SENSOR_ID", "MSS")))


def test_displacements_have_a_confidence(ee: ModuleType, evaluator: Evaluator) -> None:
    # guides/register: dx, dy, and confidence from 0 to 1; an image lies on itself for certain.
    image = ee.Image(SCENE).select("B1")
    found = evaluator.masked(image.displacement(image, 60, None, 210))
    assert list(found) == ["dx", "dy", "confidence"]
    inner = found["confidence"][20:40, 20:40]
    np.testing.assert_allclose(inner.compressed(), 1, atol=1e-5)
    assert inner.count() == 400
    other = evaluator.masked(image.displacement(ee.Image(SCENE).select("B2"), 60, None, 210))
    unlike = other["confidence"].compressed()
    assert 0 <= unlike.min() <= unlike.max() < 0.6


def test_a_rectangle_keeps_a_default_that_its_band_cannot_hold(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    image = ee.Image(HOLES).gte(500)
    for default in (-99, 0.5):
        found = evaluator.value(image.sampleRectangle(None, [], default))["properties"]["b1"]
        valid = hole_values() != -9999
        assert (np.array(found) == np.where(valid, hole_values() >= 500, default)).all()


def test_a_rectangle_takes_bands_of_arrays(ee: ModuleType, evaluator: Evaluator) -> None:
    # apidocs/ee-image-samplerectangle: (2 + N) dimensions, a default for masked arrays.
    arrays = ee.Image(SCENE).toArray()
    found = evaluator.value(arrays.sampleRectangle())["properties"]["array"]
    assert (np.array(found) == np.moveaxis(scene_values(), 0, -1)).all()
    holes = ee.Image(HOLES).toArray().arrayRepeat(0, 2)
    valid = (hole_values() != -9999)[..., np.newaxis]
    filled = evaluator.value(holes.sampleRectangle(None, [], None, ee.Array([7, -8])))
    expected = np.where(valid, hole_values()[..., np.newaxis], [7, -8])
    assert (np.array(filled["properties"]["array"]) == expected).all()
    for built, message in (
        (holes.sampleRectangle(), "specify a defaultArrayValue"),
        (holes.sampleRectangle(None, [], None, ee.Array([7])), "must all have the same lengths"),
    ):
        with pytest.raises(InvalidRequest, match=message):
            evaluator.value(built)
