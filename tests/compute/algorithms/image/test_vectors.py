"""Images to features: segments are those that scikit-image labels, polygons hold their pixels."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry import shape
from skimage.measure import label

from tests.compute.conftest import SCENE, Evaluator, scene_values, world_of
from tests.support.rasterfiles import UTAH, noise, write_raster
from tileserver.errors import InvalidRequest


def classes(ee: ModuleType) -> Any:
    """Return the first band of SCENE in four classes, as one band `class`."""
    return ee.Image(SCENE).select("B1").divide(1001).toInt().rename("class")


def class_values() -> NDArray[np.int64]:
    found: NDArray[np.int64] = (scene_values()[0] / 1001).astype(np.int64)
    return found


def segments(values: NDArray[np.int64], connectivity: int = 2) -> NDArray[np.int64]:
    """Return the number of each pixel's segment, from 1."""
    found: NDArray[np.int64] = label(values + 1, connectivity=connectivity)  # type: ignore[no-untyped-call]
    return found


@pytest.mark.parametrize("is_eight_connected", [True, False])
def test_segments_are_those_of_scikit_image(
    ee: ModuleType, evaluator: Evaluator, is_eight_connected: bool
) -> None:
    side = 24
    corner = ee.Geometry.Rectangle([0, 0, side, side], ee.Image(SCENE).projection(), False)
    made = classes(ee).reduceToVectors(
        geometry=corner, eightConnected=is_eight_connected, geometryInNativeProjection=True
    )
    found = evaluator.value(made.toList(5000))
    values = class_values()[:side, :side]
    numbers = segments(values, 2 if is_eight_connected else 1)
    assert len(found) == numbers.max()
    counts, labels = [], []
    for feature in found:
        polygon = shape(feature["geometry"])
        inside = rasterize([polygon], (side, side), transform=UTAH).astype(bool)
        (number,) = set(numbers[inside].tolist())
        assert inside.sum() == (numbers == number).sum() == feature["properties"]["count"]
        assert {feature["properties"]["label"]} == set(values[inside].tolist())
        counts.append(inside.sum())
        labels.append(number)
    assert sum(counts) == side**2
    assert len(set(labels)) == len(labels)


def small(ee: ModuleType) -> Any:
    """Return a region in the pixels of SCENE: 10 columns and 8 rows."""
    return ee.Geometry.Rectangle([4, 5, 14, 13], ee.Image(SCENE).projection(), False)


def test_a_reducer_takes_the_pixels_of_each_segment(ee: ModuleType, evaluator: Evaluator) -> None:
    image = classes(ee).addBands(ee.Image(SCENE).select(["B2"]))
    made = image.reduceToVectors(ee.Reducer.mean(), small(ee), labelProperty="zone")
    found = evaluator.value(made)["features"]
    values, part = scene_values()[1, 5:13, 4:14], segments(class_values()[5:13, 4:14])
    expected = sorted(values[part == n].mean() for n in range(1, part.max() + 1))
    assert sorted(each["properties"]["mean"] for each in found) == pytest.approx(expected)
    assert set(found[0]["properties"]) == {"zone", "mean"}
    several = classes(ee).addBands(ee.Image(SCENE).select(["B2", "B3"]))
    first = evaluator.value(several.reduceToVectors(ee.Reducer.max(), small(ee)).first())
    assert set(first["properties"]) == {"label", "B2", "B3"}
    both = several.reduceToVectors(ee.Reducer.minMax(), small(ee), labelProperty=None)
    assert set(evaluator.value(both.first())["properties"]) >= {"B2_min", "B2_max", "B3_max"}


def test_boxes_and_centroids_are_those_of_the_pixels(ee: ModuleType, evaluator: Evaluator) -> None:
    part = segments(class_values()[5:13, 4:14])
    pixels = [np.argwhere(part == n) for n in range(1, part.max() + 1)]
    made = {
        kind: evaluator.value(
            classes(ee).reduceToVectors(
                geometry=small(ee), geometryType=kind, geometryInNativeProjection=True
            )
        )["features"]
        for kind in ("bb", "centroid")
    }
    boxes = sorted(shape(each["geometry"]).bounds for each in made["bb"])
    wanted = []
    for each in pixels:
        (top, left), (bottom, right) = each.min(axis=0), each.max(axis=0) + 1
        wanted.append((*(UTAH @ (4 + left, 5 + bottom)), *(UTAH @ (4 + right, 5 + top))))
    assert np.allclose(boxes, sorted(wanted))
    points = sorted(each["geometry"]["coordinates"] for each in made["centroid"])
    centres = [UTAH @ (4.5 + each[:, 1].mean(), 5.5 + each[:, 0].mean()) for each in pixels]
    assert np.allclose(points, sorted(map(list, centres)))


def test_geometries_are_in_degrees_by_default(ee: ModuleType, evaluator: Evaluator) -> None:
    made = classes(ee).reduceToVectors(geometry=small(ee))
    found = evaluator.value(made)["features"]
    assert all(each["geometry"]["geodesic"] is False for each in found)
    whole = shapely.union_all([shape(each["geometry"]).buffer(1e-12) for each in found])
    region = shape(evaluator.value(small(ee).transform("EPSG:4326", 0.1)))
    assert whole.symmetric_difference(region).area < 1e-3 * region.area
    assert len({each["id"] for each in found}) == len(found)


@pytest.mark.parametrize("by_scale", [False, True])
def test_an_id_is_the_place_of_a_segment_s_first_pixel(
    ee: ModuleType, evaluator: Evaluator, by_scale: bool
) -> None:
    # Of a scale alone the lattice begins at the origin of the CRS, its rows go south.
    column, row = (round(UTAH.c / 30), -round(UTAH.f / 30)) if by_scale else (0, 0)
    part = segments(class_values()[5:13, 4:14])
    firsts = [np.argwhere(part == n)[0] for n in range(1, part.max() + 1)]
    wanted = {f"{column + 4 + x:+d}{row + 5 + y:+d}" for y, x in firsts}
    options = {"scale": 30, "crs": "EPSG:32612"} if by_scale else {}
    found = evaluator.value(classes(ee).reduceToVectors(geometry=small(ee), **options))
    assert {each["id"] for each in found["features"]} == wanted


def test_masked_pixels_and_those_outside_belong_to_no_segment(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    # The right half is masked: of 64 pixels in the triangle's box.
    image = ee.Image(1).toByte().updateMask(ee.Image(SCENE).select("B1").gte(0))
    proj = ee.Image(SCENE).projection()
    triangle = ee.Geometry.Polygon([[[0, 0], [8, 0], [0, 8]]], proj, False)
    made = image.reduceToVectors(geometry=triangle, crs=proj)
    (found,) = evaluator.value(made)["features"]
    inside = rasterize([shapely.Polygon([(0, 0), (8, 0), (0, 8)])], (8, 8))
    assert found["properties"]["count"] == pytest.approx(inside.sum(), abs=8)
    nothing = image.updateMask(0).reduceToVectors(geometry=triangle, crs=proj)
    assert evaluator.value(nothing)["features"] == []


def test_pieces_make_no_difference(
    ee: ModuleType, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = classes(ee).reduceToVectors(geometry=small(ee))
    whole = evaluator.value(made)
    pieces = classes(ee).reduceToVectors(geometry=small(ee), tileScale=16)
    monkeypatch.setattr("tileserver.compute.pixels.regions._PIECE_PX", 256 * 16)
    assert evaluator.value(pieces) == whole


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda image, ee: image.reduceToVectors(geometryType="box"), "polygon, bb, centroid"),
        (
            lambda image, ee: image.reduceToVectors(ee.Reducer.mean()),
            "Need 1+1 bands for reducer mean, got 1.",
        ),
        (lambda image, ee: image.toFloat().reduceToVectors(), "must have an integer type"),
        (lambda image, ee: image.reduceToVectors(maxPixels=10), "maxPixels allows only 10"),
        (lambda image, ee: ee.Image(1).reduceToVectors(), "please specify a geometry"),
    ],
)
def test_what_makes_no_segments_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, said: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        evaluator.value(make(classes(ee), ee))


def test_at_best_effort_pixels_are_larger(ee: ModuleType, evaluator: Evaluator) -> None:
    made = classes(ee).reduceToVectors(maxPixels=200, bestEffort=True)
    counts = [each["properties"]["count"] for each in evaluator.value(made)["features"]]
    assert 50 < sum(counts) <= 300


def test_noise_is_refused_before_it_takes_memory(ee: ModuleType, tmp_path: Path) -> None:
    write_raster(tmp_path / "noise.tif", noise(1, 1300, 1300, "uint8", seed=1))
    evaluator = Evaluator(world_of(tmp_path))
    image = ee.Image("projects/localhost/assets/noise")
    with pytest.raises(InvalidRequest, match="User memory limit exceeded"):
        evaluator.value(image.reduceToVectors().size())
    wide = (
        ee.Image(1)
        .toByte()
        .reduceToVectors(geometry=ee.Geometry.BBox(0, 0, 10, 10), scale=100, maxPixels=1e9)
    )
    with pytest.raises(InvalidRequest, match="User memory limit exceeded"):
        evaluator.value(wide)
