"""Images cut to geometries."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely

from tests.compute.conftest import GRID, HOLES, SCENE, SIDE, Evaluator, hole_values
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import transform_points


def ring_in_degrees(points: list[tuple[float, float]]) -> list[list[float]]:
    """Return pixel positions of the tests' grid as longitudes and latitudes."""
    x, y = GRID.transform.apply(*np.array(points, float).T)
    lon, lat = transform_points(GRID.crs_code, "EPSG:4326", x, y)
    found: list[list[float]] = np.column_stack([lon, lat]).tolist()
    return found


TRIANGLE = [(5.2, 5.3), (50.4, 10.7), (20.1, 55.6)]


def polygon(points: list[tuple[float, float]]) -> Any:
    """Return GeoJSON, which the client hands on without a call."""
    return {"type": "Polygon", "coordinates": [ring_in_degrees(points)]}


def clipped(ee: ModuleType, image: Any, points: list[tuple[float, float]]) -> Any:
    call = ee.ApiFunction.lookup("Image.clip")
    return ee.Image(call.call(image, polygon(points)))


def test_what_lies_outside_is_hidden(ee: ModuleType, evaluator: Evaluator) -> None:
    found = evaluator.masked(clipped(ee, ee.Image(HOLES), TRIANGLE))["b1"]
    columns, rows = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    inside = shapely.contains_xy(shapely.Polygon(TRIANGLE), columns, rows)
    expected = inside & (hole_values() != -9999)
    assert (np.ma.getmaskarray(found) != ~expected).sum() <= 2
    assert (found.compressed() == hole_values()[~np.ma.getmaskarray(found)]).all()


def test_a_clipped_image_is_as_large_as_what_is_left(ee: ModuleType, evaluator: Evaluator) -> None:
    (band, *_) = evaluator.value(clipped(ee, ee.Image(SCENE), TRIANGLE))["bands"]
    assert band["origin"] == [5, 5]
    assert band["dimensions"] == [46, 51]
    assert evaluator.pixels(clipped(ee, ee.Image(SCENE), TRIANGLE), None).shape == (51, 46)


def test_what_is_clipped_away_leaves_nothing(ee: ModuleType, evaluator: Evaluator) -> None:
    far = [(500.0, 500.0), (510.0, 500.0), (510.0, 510.0)]
    found = evaluator.masked(clipped(ee, ee.Image(SCENE), far))["B1"]
    assert np.ma.getmaskarray(found).all()


def bounded(ee: ModuleType, image: Any, **arguments: Any) -> Any:
    call = ee.ApiFunction.lookup("Image.clipToBoundsAndScale")
    return ee.Image(call.apply({"input": image, **arguments}))


def test_an_image_is_cut_to_a_size(ee: ModuleType, evaluator: Evaluator) -> None:
    image = bounded(ee, ee.Image(SCENE), width=32, height=16)
    assert evaluator.pixels(image, None).shape == (16, 32)
    most = bounded(
        ee, ee.Image(SCENE), maxDimension=16, geometry=polygon([(0, 0), (64, 0), (64, 32), (0, 32)])
    )
    assert evaluator.pixels(most, None).shape in ((8, 16), (9, 16))
    scaled = bounded(ee, ee.Image(SCENE), scale=60)
    assert evaluator.value(scaled)["bands"][0]["crs_transform"][0] == 60


def test_bounds_in_degrees_are_cut_from_what_has_no_end(
    ee: ModuleType, evaluator: Evaluator
) -> None:
    box = ee.Geometry.Rectangle([10, 20, 12, 21], None, False)
    image = bounded(ee, ee.Image.pixelLonLat(), geometry=box, scale=11131.949079327358)
    found = evaluator.pixels(image, None)
    assert found.shape == (10, 20)
    assert found["latitude"][0, 0] == pytest.approx(20.95)
    assert found["longitude"][0, 0] == pytest.approx(10.05)


def test_what_has_no_end_needs_a_geometry(ee: ModuleType, evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest, match="The image is unbounded"):
        evaluator.pixels(bounded(ee, ee.Image(1), width=10), None)
    with pytest.raises(InvalidRequest, match="width must be between 1 and 32768, got 40000"):
        evaluator.pixels(bounded(ee, ee.Image(SCENE), width=40000), None)
