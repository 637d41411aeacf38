"""Filters keep the elements they should, and no others."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import SERIES, Evaluator
from tileserver.errors import InvalidRequest


def kept(ee: ModuleType, evaluator: Evaluator, wanted: Any) -> str:
    """Return the numbers of the images of SERIES that a filter passes, such as "012"."""
    found = evaluator.value(ee.ImageCollection(SERIES).filter(wanted).aggregate_array("NAME"))
    return "".join(name[1:] for name in found)


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda f: f.eq("CLOUD", 30), "2"),
        (lambda f: f.neq("CLOUD", 30), "01345"),
        (lambda f: f.lt("CLOUD", 30), "345"),
        (lambda f: f.lte("CLOUD", 30), "2345"),
        (lambda f: f.gt("CLOUD", 30), "01"),
        (lambda f: f.gte("CLOUD", 30), "012"),
        (lambda f: f.eq("NAME", "t4"), "4"),
        (lambda f: f.eq("CLOUD", "30"), ""),
        (lambda f: f.lt("NAME", 3), ""),
        (lambda f: f.neq("MISSING", 1), "012345"),
        (lambda f: f.notEquals("MISSING", 1), ""),
        (lambda f: f.Not(f.eq("MISSING", 1)), "012345"),
        (lambda f: f.And(f.gt("CLOUD", 5), f.lt("CLOUD", 25)), "34"),
        (lambda f: f.Or(f.gt("CLOUD", 45), f.lt("CLOUD", 5)), "05"),
        (lambda f: f.inList("NAME", ["t1", "t3", "x"]), "13"),
        (lambda f: f.listContains(leftValue=["t1"], rightField="NAME"), "1"),
        (lambda f: f.rangeContains("CLOUD", 10, 30), "234"),
        (lambda f: f.stringContains("NAME", "3"), "3"),
        (lambda f: f.stringStartsWith("NAME", "t"), "012345"),
        (lambda f: f.stringEndsWith("NAME", "5"), "5"),
        (lambda f: f.notNull(["NAME", "CLOUD"]), "012345"),
        (lambda f: f.notNull(["NAME", "MISSING"]), ""),
        # Google's guide of grouped reductions keeps those that have a property so.
        (lambda f: f.neq("CLOUD", None), "012345"),
        (lambda f: f.neq("MISSING", None), ""),
        (lambda f: f.notEquals("MISSING", None), ""),
        (lambda f: f.And(f.neq("CLOUD", None), f.eq("MISSING", None)), "012345"),
        (lambda f: f.hasType("NAME", "String"), "012345"),
        (lambda f: f.hasType("CLOUD", "String"), ""),
        (lambda f: f.maxDifference(10, "CLOUD", 30), "123"),
        # t0 begins on 1 April 2020, day 92, a Wednesday; ten days lie between two.
        (lambda f: f.calendarRange(4, 4, "month"), "012"),
        (lambda f: f.calendarRange(5, 3, "month"), "345"),
        (lambda f: f.calendarRange(3, 3, "day_of_week"), "0"),
        (lambda f: f.calendarRange(1, 1, "day_of_month"), "03"),
        (lambda f: f.calendarRange(2020, field="year"), "012345"),
        (lambda f: f.dayOfYear(92, 102), "01"),
        (lambda f: f.date("2020-04-11", "2020-05-02"), "123"),
        (lambda f: f.date("2020-04-11"), ""),
    ],
)
def test_a_filter_keeps_what_it_should(
    ee: ModuleType, evaluator: Evaluator, build: Callable[[Any], Any], expected: str
) -> None:
    assert kept(ee, evaluator, build(ee.Filter)) == expected


def test_metadata_are_filtered_the_old_way_too(ee: ModuleType, evaluator: Evaluator) -> None:
    found = ee.ImageCollection(SERIES).filterMetadata("CLOUD", "less_than", 15)
    assert evaluator.value(found.aggregate_array("NAME")) == ["t4", "t5"]


def boxes(ee: ModuleType) -> Any:
    """Return squares of a degree, their west edges at 0, 1 and 10, and one at 179.5."""

    def box(x: float) -> Any:
        ring = [[x, 0], [x + 1, 0], [x + 1, 1], [x, 1]]
        return ee.Feature(ee.Geometry.Polygon([ring]), {"x": x})

    return ee.FeatureCollection([box(x) for x in (0, 1, 10, 179.5)])


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("intersects", [[0.5, 0.5]], [0]),
        ("intersects", [[1, 0.5]], [0, 1]),
        ("disjoint", [[0.5, 0.5]], [1, 10, 179.5]),
        ("contains", [[10.5, 0.5]], [10]),
        ("isContained", [[-1, -1], [3, -1], [3, 2], [-1, 2]], [0, 1]),
        ("intersects", [[-179.8, 0.5]], [179.5]),
    ],
)
def test_places_are_compared(
    ee: ModuleType, evaluator: Evaluator, name: str, shape: Any, expected: list[float]
) -> None:
    geometry = ee.Geometry.Point(shape[0]) if len(shape) == 1 else ee.Geometry.Polygon([shape])
    found = boxes(ee).filter(getattr(ee.Filter, name)(leftField=".geo", rightValue=geometry))
    assert evaluator.value(found.aggregate_array("x")) == expected


@pytest.mark.parametrize(("metres", "expected"), [(110_000, [0, 1]), (112_000, [0, 1, 10])])
def test_distances_are_on_the_ground(
    ee: ModuleType, evaluator: Evaluator, metres: float, expected: list[float]
) -> None:
    # A degree of the equator is 111.3 km: the third square begins a degree east of the point.
    near = ee.Filter.withinDistance(metres, ".geo", ee.Geometry.Point([9, 0]))
    far = ee.Filter.withinDistance(800_000, ".geo", ee.Geometry.Point([9, 0]))
    assert evaluator.value(boxes(ee).filter(far).aggregate_array("x")) == [1, 10]
    assert (10 in evaluator.value(boxes(ee).filter(near).aggregate_array("x"))) is (10 in expected)


def test_an_operand_must_be_there_once(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="Expected either rightField or rightValue"):
        kept(ee, evaluator, ee.Filter.lessThan(leftField="CLOUD"))


@pytest.mark.parametrize("copies", [1, 2])
def test_filters_within_filters_have_an_end(
    ee: ModuleType, evaluator: Evaluator, copies: int
) -> None:
    # Two of each make a trillion questions of forty lines.
    deep = ee.Filter.eq("CLOUD", 30)
    for _ in range(110 if copies == 1 else 40):
        deep = ee.Filter.Or(*[deep] * copies)
    with pytest.raises(InvalidRequest, match="Filters are nested too deeply"):
        kept(ee, evaluator, deep)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CLOUD < 30", "345"),
        ("30 <= CLOUD", "012"),
        ("CLOUD == 30 || NAME == 't5'", "25"),
        ('CLOUD > 5 && (NAME == "t1" || !(CLOUD >= 20))', "14"),
        ("CLOUD != 1e1", "01235"),
        ("system:time_start >= 1587551400000", "345"),
        ("MISSING == 1", ""),
    ],
)
def test_a_filter_may_be_a_text(
    ee: ModuleType, evaluator: Evaluator, text: str, expected: str
) -> None:
    assert kept(ee, evaluator, text) == expected
    assert kept(ee, evaluator, ee.Filter.expression(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "CLOUD", "CLOUD <", "(CLOUD < 3", "CLOUD < 3)", "a ~ 3", "1 <"]
)
def test_a_text_that_is_no_filter_is_refused(
    ee: ModuleType, evaluator: Evaluator, text: str
) -> None:
    with pytest.raises(InvalidRequest, match="Cannot parse the filter"):
        kept(ee, evaluator, ee.Filter.expression(text))


def test_a_text_of_many_parentheses_has_an_end(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="nested too deeply"):
        kept(ee, evaluator, ee.Filter.expression("(" * 3000 + "CLOUD < 3" + ")" * 3000))


@pytest.mark.parametrize(
    ("field", "name", "kept_ones"),
    [
        (".geo", "Point", "c"), (".geo", "Polygon", "ab"), (".geo", "Geometry", "abc"),
        (".all", "Polygon", "ab"), ("x", "Number", "a"), ("x", "String", "b"), ("x", "Float", ""),
        ("x", "Integer", "a"), ("missing", "String", ""), (".geo", "LineString", ""),
    ],
)  # fmt: skip
def test_a_type_is_that_of_a_value_or_of_a_geometry(
    ee: ModuleType, evaluator: Evaluator, field: str, name: str, kept_ones: str
) -> None:
    """https://developers.google.com/earth-engine/apidocs/ee-filter-hastype has the first six."""
    features = ee.FeatureCollection(
        [
            ee.Feature(ee.Geometry.Rectangle([0, 0, 1, 1]), {"n": "a", "x": 0}),
            ee.Feature(ee.Geometry.Rectangle(0, 0, 3, 3), {"n": "b", "x": "foo"}),
            ee.Feature(ee.Geometry.Point(0, 0), {"n": "c"}),
        ]
    )
    found = features.filter(ee.Filter.hasType(leftField=field, rightValue=name))
    assert "".join(evaluator.value(found.aggregate_array("n"))) == kept_ones
