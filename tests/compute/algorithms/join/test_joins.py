"""Joins: every pair tried one by one, in Python, is the oracle."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import shapely
from pyproj import Geod

from tests.compute.conftest import SERIES, Evaluator
from tileserver.errors import InvalidRequest

Row = dict[str, Any]


def rows(count: int, seed: int) -> list[Row]:
    chance = random.Random(seed)
    found: list[Row] = []
    for place in range(count):
        row: Row = {
            "n": chance.randrange(6),
            "x": chance.uniform(0, 10),
            "name": chance.choice("abc"),
            "many": [chance.randrange(6) for _ in range(3)],
            "lon": chance.choice([chance.uniform(-1, 1), 179.9, -179.9]),
            "lat": chance.uniform(-1, 1),
            "place": place,
        }
        if place % 7 == 3:
            del row["n"], row["x"]
        found.append(row)
    return found


PRIMARY, SECONDARY = rows(23, 1), rows(17, 2)


def collection(ee: ModuleType, chosen: list[Row]) -> Any:
    return ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point([row["lon"], row["lat"]]), row) for row in chosen]
    )


def distance_m(a: Row, b: Row) -> float:
    return float(Geod(ellps="sphere").inv(a["lon"], a["lat"], b["lon"], b["lat"])[2])


def known(a: Row, b: Row, name: str) -> bool:
    return name in a and name in b


def both(name: str) -> dict[str, str]:
    return {"leftField": name, "rightField": name}


Maker = Callable[[ModuleType], Any]
Pair = Callable[[Row, Row], bool]
CONDITIONS: list[tuple[str, Maker, Pair]] = [
    ("equals", lambda ee: ee.Filter.equals(**both("n")),
     lambda a, b: known(a, b, "n") and a["n"] == b["n"]),
    ("texts", lambda ee: ee.Filter.equals(**both("name")), lambda a, b: a["name"] == b["name"]),
    ("notEquals", lambda ee: ee.Filter.notEquals(**both("n")),
     lambda a, b: known(a, b, "n") and a["n"] != b["n"]),
    ("lessThan", lambda ee: ee.Filter.lessThan(**both("x")),
     lambda a, b: known(a, b, "x") and a["x"] < b["x"]),
    ("maxDifference", lambda ee: ee.Filter.maxDifference(difference=1, **both("x")),
     lambda a, b: known(a, b, "x") and abs(a["x"] - b["x"]) <= 1),
    ("listContains", lambda ee: ee.Filter.listContains(leftField="many", rightField="n"),
     lambda a, b: "n" in b and b["n"] in a["many"]),
    ("inList", lambda ee: ee.Filter(ee.ApiFunction.apply_(
        "Filter.inList", {"leftField": "n", "rightField": "many"})),
     lambda a, b: "n" in a and a["n"] in b["many"]),
    ("withinDistance", lambda ee: ee.Filter.withinDistance(60_000, ".geo", None, ".geo"),
     lambda a, b: distance_m(a, b) <= 60_000),
    ("and", lambda ee: ee.Filter.And(ee.Filter.equals(**both("name")),
                                     ee.Filter.maxDifference(3, "x", None, "x")),
     lambda a, b: a["name"] == b["name"] and known(a, b, "x") and abs(a["x"] - b["x"]) <= 3),
    ("or", lambda ee: ee.Filter.Or(ee.Filter.equals(**both("name")),
                                   ee.Filter.maxDifference(1, "x", None, "x")),
     lambda a, b: a["name"] == b["name"] or (known(a, b, "x") and abs(a["x"] - b["x"]) <= 1)),
    ("not", lambda ee: ee.Filter.equals(**both("name")).Not(), lambda a, b: a["name"] != b["name"]),
    ("one side", lambda ee: ee.Filter.And(ee.Filter.equals(**both("name")), ee.Filter.gt("n", 2)),
     lambda a, b: a["name"] == b["name"] and a.get("n", 0) > 2),
]  # fmt: skip


def pairs(matches: Pair) -> list[tuple[int, int]]:
    return [(i, j) for i, a in enumerate(PRIMARY) for j, b in enumerate(SECONDARY) if matches(a, b)]


@pytest.mark.parametrize(("make", "matches"), [each[1:] for each in CONDITIONS])
def test_joins_find_the_pairs_that_pass(
    ee: ModuleType, evaluator: Evaluator, make: Maker, matches: Pair
) -> None:
    one, two = collection(ee, PRIMARY), collection(ee, SECONDARY)
    expected = pairs(matches)
    assert 0 < len(expected) < len(PRIMARY) * len(SECONDARY)
    condition = make(ee)
    inner = ee.Join.inner().apply(one, two, condition)
    assert evaluator.value(inner.aggregate_array("system:index")) == [
        f"{i}_{j}" for i, j in expected
    ]
    kept = ee.Join.simple().apply(one, two, condition).aggregate_array("place")
    left_out = ee.Join.inverted().apply(one, two, condition).aggregate_array("system:index")
    saved = ee.Join.saveAll("found").apply(one, two, condition)
    counts = saved.map(lambda f: f.set("count", ee.List(f.get("found")).size()))
    found = evaluator.value(ee.List([kept, left_out, counts.aggregate_array("count")]))
    lists = {i: [j for k, j in expected if k == i] for i, _ in expected}
    assert found[0] == list(lists)
    assert found[1] == [str(i) for i in range(len(PRIMARY)) if i not in lists]
    assert found[2] == [len(each) for each in lists.values()]


def test_a_pair_has_both_elements_and_the_measure(ee: ModuleType, evaluator: Evaluator) -> None:
    one, two = collection(ee, PRIMARY), collection(ee, SECONDARY)
    near = ee.Filter.maxDifference(1, "x", None, "x")
    told = evaluator.value(ee.Join.inner("a", "b", "apart").apply(one, two, near))
    assert told["columns"] == {}
    for each in told["features"]:
        a, b = each["properties"]["a"], each["properties"]["b"]
        assert each["id"] == f"{a['id']}_{b['id']}"
        assert each["geometry"] is None
        apart = abs(a["properties"]["x"] - b["properties"]["x"])
        assert each["properties"]["apart"] == pytest.approx(apart)


@pytest.mark.parametrize(("ascending", "pick"), [(True, min), (False, max)])
def test_the_first_match_is_that_of_the_ordering(
    ee: ModuleType, evaluator: Evaluator, ascending: bool, pick: Any
) -> None:
    one, two = collection(ee, PRIMARY), collection(ee, SECONDARY)
    condition = ee.Filter.equals(**both("name"))
    first = ee.Join.saveFirst("match", "place", ascending).apply(one, two, condition)
    listed = ee.Join.saveAll("match", "place", ascending).apply(one, two, condition)
    found = first.map(lambda f: f.set("at", ee.Feature(f.get("match")).get("place")))
    heads = listed.map(
        lambda f: f.set("at", ee.Feature(ee.List(f.get("match")).get(0)).get("place"))
    )
    expected = [pick(j for j, b in enumerate(SECONDARY) if b["name"] == a["name"]) for a in PRIMARY]
    assert evaluator.value(found.aggregate_array("at")) == expected
    assert evaluator.value(heads.aggregate_array("at")) == expected


@pytest.mark.parametrize(
    ("make", "apart"),
    [
        (lambda ee: ee.Filter.maxDifference(2, "x", None, "x"),
         lambda a, b: abs(a["x"] - b["x"]) if known(a, b, "x") else math.inf),
        (lambda ee: ee.Filter.withinDistance(80_000, ".geo", None, ".geo"), distance_m),
    ],
)  # fmt: skip
def test_the_best_match_is_the_closest(
    ee: ModuleType, evaluator: Evaluator, make: Maker, apart: Callable[[Row, Row], float]
) -> None:
    one, two = collection(ee, PRIMARY), collection(ee, SECONDARY)
    limit = 2 if apart is not distance_m else 80_000
    told = evaluator.value(ee.Join.saveBest("best", "apart", outer=True).apply(one, two, make(ee)))
    assert [each["id"] for each in told["features"]] == [str(i) for i in range(len(PRIMARY))]
    for row, each in zip(PRIMARY, told["features"], strict=True):
        measures = [apart(row, other) for other in SECONDARY]
        if min(measures) > limit:
            assert "best" not in each["properties"]
            continue
        best = each["properties"]["best"]
        assert int(best["id"]) == measures.index(min(measures))
        assert best["properties"]["apart"] == pytest.approx(min(measures), rel=2e-3)


def test_an_outer_join_keeps_elements_without_matches(ee: ModuleType, evaluator: Evaluator) -> None:
    one = ee.FeatureCollection([ee.Feature(None, {"k": 1}), ee.Feature(None, {"k": 2})])
    two = ee.FeatureCollection([ee.Feature(None, {"k": 2})])
    same = ee.Filter.equals(**both("k"))
    joins: list[tuple[Any, Any]] = [
        (ee.Join.saveAll("m", outer=True), []),
        (ee.Join.saveFirst("m", outer=True), None),
    ]
    for join, empty in joins:
        told = evaluator.value(join.apply(one, two, same))["features"]
        assert told[0]["properties"].get("m") == empty
        assert "m" in told[1]["properties"]
    assert evaluator.value(ee.Join.saveAll("m").apply(one, two, same).size()) == 1


def test_images_are_joined_with_images(ee: ModuleType, evaluator: Evaluator) -> None:
    series = ee.ImageCollection(SERIES)
    days = ee.Filter.maxDifference(11 * 86_400_000, **both("system:time_start"))
    joined = ee.ImageCollection(
        ee.Join.saveAll("near", measureKey="ms").apply(series, series, days)
    )
    counts = joined.map(lambda i: i.set("count", ee.List(i.get("near")).size()))
    assert evaluator.value(counts.aggregate_array("count")) == [2, 3, 3, 3, 3, 2]
    bands = joined.map(lambda i: i.addBands(ee.Image(ee.List(i.get("near")).get(0))))
    assert evaluator.value(bands.first().bandNames()) == ["B1", "B2", "B1_1", "B2_1"]
    first = ee.Image(ee.List(joined.first().get("near")).get(1))
    assert evaluator.value(first.get("ms")) == 10 * 86_400_000


@pytest.mark.parametrize("name", ["intersects", "contains", "isContained", "disjoint"])
def test_geometries_are_joined_as_shapely_relates_them(
    ee: ModuleType, evaluator: Evaluator, name: str
) -> None:
    chance = random.Random(3)
    corners = [(chance.uniform(0, 4), chance.uniform(0, 4)) for _ in range(24)]
    sizes = [(chance.uniform(0.1, 3), chance.uniform(0.1, 3)) for _ in range(24)]
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]
    one, two = boxes[:12], boxes[12:]
    sides = [
        ee.FeatureCollection([ee.Feature(ee.Geometry.Rectangle(b, None, False)) for b in part])
        for part in (one, two)
    ]
    relation = {"isContained": "within"}.get(name, name)
    expected = [
        f"{i}_{j}"
        for i, a in enumerate(one)
        for j, b in enumerate(two)
        if getattr(shapely, relation)(shapely.box(*a), shapely.box(*b))
    ]
    assert expected
    condition = getattr(ee.Filter, name)(leftField=".geo", rightField=".geo")
    found = ee.Join.inner().apply(*sides, condition)
    assert evaluator.value(found.aggregate_array("system:index")) == expected


def test_an_equality_is_not_tried_pair_by_pair(ee: ModuleType, evaluator: Evaluator) -> None:
    numbers = ee.FeatureCollection(
        ee.List.sequence(1, 2000).map(lambda n: ee.Feature(None, {"n": n}))
    )
    joined = ee.Join.simple().apply(numbers, numbers, ee.Filter.equals(**both("n")))
    assert evaluator.value(joined.size()) == 2000


def test_what_is_no_join_and_too_many_matches_are_refused(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    one = ee.FeatureCollection([ee.Feature(None)])
    call = ee.ApiFunction.lookup("Join.apply")
    with pytest.raises(InvalidRequest, match="Parameter 'join': expected Join, got FeatureColl"):
        evaluator.value(call.call(one, one, one, ee.Filter.equals(**both("n"))))
    many = ee.FeatureCollection(ee.List.sequence(1, 320).map(lambda n: ee.Feature(None, {"n": 1})))
    with pytest.raises(InvalidRequest, match="The join has more than 100000 matches"):
        evaluator.value(ee.Join.inner().apply(many, many, ee.Filter.equals(**both("n"))).size())


def test_one_match_of_each_is_kept_however_many_there_are(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    many = ee.FeatureCollection(ee.List.sequence(0, 319).map(lambda n: ee.Feature(None, {"n": n})))
    near = ee.Filter.maxDifference(difference=1000, leftField="n", rightField="n")
    best = ee.Join.saveBest("match", "difference").apply(many, many, near)
    assert evaluator.value(best.aggregate_max("n")) == 319
    found = best.map(lambda each: ee.Feature(None, {"m": ee.Feature(each.get("match")).get("n")}))
    assert evaluator.value(found.aggregate_array("m")) == list(range(320))
    first = ee.Join.saveFirst("match", "n", False).apply(many, many, near)
    assert evaluator.value(ee.Feature(first.first().get("match")).get("n")) == 319
