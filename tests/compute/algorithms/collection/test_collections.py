"""Collections are filtered, sorted, mapped and counted by what their images say of themselves."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import pytest

from tests.compute.conftest import (
    COUNT,
    GRID,
    SCENE,
    SERIES,
    Evaluator,
    LocalWorld,
    series_values,
    start_of,
)
from tileserver.compute.algorithms.collection.collections import StoredImages
from tileserver.compute.budget import Budget
from tileserver.compute.context import MAX_ELEMENTS, Context
from tileserver.contract.assets import ImageAsset
from tileserver.errors import InvalidRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.rasters.roots import Root

INSIDE = [-112.175, 40.643]
"""A point on the images of SERIES."""


def names(evaluator: Evaluator, collection: Any) -> list[str]:
    """Return the indexes of a collection's images."""
    found: list[str] = evaluator.value(collection.aggregate_array("system:index"))
    return found


def test_a_collection_has_its_images_in_the_order_of_their_names(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    series = ee.ImageCollection(SERIES)
    assert evaluator.value(series.size()) == COUNT
    told = evaluator.value(series)
    assert told["type"] == "ImageCollection"
    assert told["id"] == SERIES
    assert [each["id"] for each in told["features"]] == [f"{SERIES}/t{i}" for i in range(COUNT)]


def test_a_collection_that_is_not_there_is_named(ee: ModuleType, evaluator: Evaluator) -> None:
    sentence = (
        "ImageCollection.load: ImageCollection asset 'projects/localhost/assets/none' not found "
        r"\(does not exist or caller does not have access\)."
    )
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(ee.ImageCollection("projects/localhost/assets/none").size())


def test_the_seed_page_finds_the_least_cloudy_image_of_a_season(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    found = (
        ee.ImageCollection(SERIES)
        .filterBounds(ee.Geometry.Point(INSIDE))
        .filterDate("2020-04-01", "2020-05-01")
        .sort("CLOUD")
        .first()
    )
    # April has t0, t1 and t2; clouds grow fewer with each.
    assert evaluator.value(found)["id"] == f"{SERIES}/t2"


def test_what_lies_elsewhere_or_at_another_time_is_left_out(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    series = ee.ImageCollection(SERIES)
    assert evaluator.value(series.filterBounds(ee.Geometry.Point([0, 0])).size()) == 0
    assert evaluator.value(series.filterBounds(ee.Geometry.Point([0, 0])).first()) is None
    start = start_of(2).isoformat()
    assert names(evaluator, series.filterDate(start, start_of(4).isoformat())) == ["t2", "t3"]


@pytest.mark.parametrize(
    ("ascending", "order"), [(True, [5, 4, 3, 2, 1, 0]), (False, [0, 1, 2, 3, 4, 5])]
)
def test_a_collection_is_sorted_either_way(
    ee: ModuleType, evaluator: Evaluator, ascending: bool, order: list[int]
) -> None:
    found = ee.ImageCollection(SERIES).sort("CLOUD", ascending)
    assert names(evaluator, found) == [f"t{i}" for i in order]
    limited = ee.ImageCollection(SERIES).limit(2, "CLOUD", ascending)
    assert names(evaluator, limited) == [f"t{i}" for i in order[:2]]


def test_the_first_image_of_many_is_the_only_one_looked_at(evaluator: Evaluator) -> None:
    asked: list[str] = []

    class World(LocalWorld):
        def find_image(self, asset_id: str) -> ImageAsset:
            asked.append(asset_id)
            return evaluator.computing.world.find_image(f"{SERIES}/t0")

    catalogue = Catalogue([Root("nowhere")])
    world = World(LocalRasters(catalogue), Tree(catalogue))
    context = Context(world, Budget(time.monotonic() + 9))
    stored = StoredImages(context, [str(i) for i in range(100_000)])
    assert len(stored) == 100_000
    assert stored[7:][0].id == f"{SERIES}/t0"
    assert asked == ["7"]


def test_a_function_is_mapped_over_images_which_keep_their_index(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    series = ee.ImageCollection(SERIES).limit(2)
    told = evaluator.value(series.map(lambda image: ee.Image.constant(1)))
    assert [each["properties"]["system:index"] for each in told["features"]] == ["t0", "t1"]
    assert told["features"][0]["bands"][0]["id"] == "constant"
    chosen = evaluator.value(series.select(["B2"]))
    assert [band["id"] for band in chosen["features"][1]["bands"]] == ["B2"]


def test_images_can_become_features_and_back(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.ImageCollection(SERIES).map(lambda image: ee.Feature(None, {"x": 1}))
    told = evaluator.value(features)
    assert told["type"] == "FeatureCollection"
    assert [each["properties"] for each in told["features"]] == [{"x": 1}] * COUNT


def test_a_function_that_gives_no_element_is_refused(ee: ModuleType, evaluator: Evaluator) -> None:
    mapped = ee.ImageCollection(SERIES).map(lambda image: image.id())
    with pytest.raises(InvalidRequest, match="must return a Feature or Image"):
        evaluator.value(mapped)


def test_elements_for_which_a_function_gives_null_can_be_dropped(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    def cloudy(image: Any) -> Any:
        return ee.Algorithms.If(ee.Number(image.get("CLOUD")).gt(25), image, None)

    series = ee.ImageCollection(SERIES)
    assert names(evaluator, series.map(cloudy, True)) == ["t0", "t1", "t2"]
    with pytest.raises(InvalidRequest, match="must return a Feature or Image"):
        evaluator.value(series.map(cloudy))
    with pytest.raises(InvalidRequest, match="must return a Feature or Image"):
        evaluator.value(series.map(lambda image: image.id(), True))


def test_a_state_goes_through_all_elements(ee: ModuleType, evaluator: Evaluator) -> None:
    first = ee.Image.constant(0)
    total = ee.ImageCollection(SERIES).iterate(
        lambda image, state: ee.Image(state).add(1).rename(["n"]), first
    )
    assert (evaluator.pixels(ee.Image(total))["n"] == COUNT).all()


def test_elements_become_a_list(ee: ModuleType, evaluator: Evaluator) -> None:
    told = evaluator.value(ee.ImageCollection(SERIES).toList(2, 3))
    assert [each["properties"]["NAME"] for each in told] == ["t3", "t4"]


def test_merged_collections_mark_where_each_comes_from(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    one = ee.ImageCollection(SERIES).limit(1)
    assert names(evaluator, one.merge(one)) == ["1_t0", "2_t0"]


def test_images_of_a_list_are_numbered(ee: ModuleType, evaluator: Evaluator) -> None:
    listed = ee.ImageCollection([ee.Image(1), ee.Image(2)])
    assert names(evaluator, listed) == ["0", "1"]
    named = ee.ImageCollection([ee.Image(1).set("system:index", "a"), ee.Image(SCENE), ee.Image(2)])
    assert names(evaluator, named) == ["a", "scene", "2"]


def test_elements_alike_are_dropped(ee: ModuleType, evaluator: Evaluator) -> None:
    features = ee.FeatureCollection(
        [ee.Feature(None, {"k": k, "n": n}) for n, k in enumerate("aba")]
    )
    assert evaluator.value(features.distinct("k").aggregate_array("n")) == [0, 1]
    assert evaluator.value(features.remap(["a"], [7], "k").aggregate_array("k")) == [7, 7]


def test_too_many_elements_are_refused_in_earth_engines_words(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    features = ee.FeatureCollection([ee.Feature(None)] * (MAX_ELEMENTS + 1))
    sentence = f"Collection query aborted after accumulating over {MAX_ELEMENTS} elements."
    with pytest.raises(InvalidRequest, match=sentence):
        evaluator.value(features.size())


def test_random_numbers_are_the_same_again(ee: ModuleType, evaluator: Evaluator) -> None:
    series = ee.ImageCollection(SERIES)
    found = evaluator.value(series.randomColumn().aggregate_array("random"))
    assert found == evaluator.value(series.randomColumn().aggregate_array("random"))
    assert found != evaluator.value(series.randomColumn(seed=1).aggregate_array("random"))
    assert len(set(found)) == COUNT
    assert all(0 <= each < 1 for each in found)
    many = ee.FeatureCollection([ee.Feature(None, {"i": i}) for i in range(1000)])
    normal = many.randomColumn("r", 5, "normal", ["i"])
    assert evaluator.value(normal.aggregate_mean("r")) == pytest.approx(0, abs=0.15)
    assert evaluator.value(normal.aggregate_total_sd("r")) == pytest.approx(1, abs=0.15)


def test_collections_in_a_collection_become_one(ee: ModuleType, evaluator: Evaluator) -> None:
    def points(count: int) -> Any:
        made = [ee.Feature(ee.Geometry.Point(i, i), {"n": 10 * count + i}) for i in range(count)]
        return ee.FeatureCollection(made)

    nested = ee.FeatureCollection([points(2), points(3)])
    flat = nested.flatten()
    assert evaluator.value(flat.aggregate_array("n")) == [20, 21, 30, 31, 32]
    wanted = ["0_0", "0_1", "1_0", "1_1", "1_2"]
    assert evaluator.value(flat.aggregate_array("system:index")) == wanted


def test_what_a_map_samples_of_images_is_made_one_table(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    point = ee.FeatureCollection(
        [ee.Feature(ee.Geometry.Point(list(GRID.transform.apply(7.5, 5.5)), GRID.crs_code))]
    )

    def samples(image: Any) -> Any:
        return image.select("B1").unmask(0).sampleRegions(point, scale=30)

    table = ee.ImageCollection(SERIES).map(samples).flatten()
    found = evaluator.value(table.aggregate_array("B1"))
    values = series_values()[:, 0].filled(0)
    assert found == [int(values[i, 5, 7]) for i in range(COUNT)]


def test_only_collections_are_flattened(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match=r"Collection\.flatten: Expected collections, got"):
        evaluator.value(ee.ImageCollection(SERIES).flatten())


@pytest.mark.parametrize(
    ("build", "said"),
    [
        # Recorded of the service with public assets.
        (lambda ee: ee.Image(SERIES), f"Image.load: Asset '{SERIES}' is not an Image."),
        (
            lambda ee: ee.ImageCollection(SCENE),
            f"ImageCollection.load: Asset '{SCENE}' is not an ImageCollection.",
        ),
        (
            lambda ee: ee.FeatureCollection(SCENE),
            f"Collection.loadTable: Expected asset '{SCENE}' to be a Collection, found 'Image'.",
        ),
        (
            lambda ee: ee.FeatureCollection(f"{SCENE}/none"),
            f"Collection.loadTable: Collection asset '{SCENE}/none' not found (does not exist or "
            "caller does not have access).",
        ),
    ],
)
def test_an_asset_of_another_kind_is_told_from_a_missing_one(
    ee: ModuleType, evaluator: Evaluator, build: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        evaluator.value(build(ee))
    assert str(refused.value) == said
