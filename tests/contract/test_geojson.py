from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tileserver.contract.geojson import read_geometry, write_geometry
from tileserver.contract.pixels import Geometry
from tileserver.errors import InvalidRequest

NUMBER = st.floats(-180, 180, allow_nan=False)
POSITION = st.lists(NUMBER, min_size=2, max_size=3)
LINE = st.lists(POSITION, min_size=1, max_size=4)
LINES = st.lists(LINE, min_size=1, max_size=3)
COORDINATES = {
    "Point": POSITION,
    "MultiPoint": LINE,
    "LineString": LINE,
    "MultiLineString": LINES,
    "Polygon": LINES,
    "MultiPolygon": st.lists(LINES, min_size=1, max_size=2),
}
SIMPLE = st.one_of(
    *(
        st.fixed_dictionaries({"type": st.just(kind), "coordinates": coordinates})
        for kind, coordinates in COORDINATES.items()
    )
)
COLLECTION = st.fixed_dictionaries(
    {"type": st.just("GeometryCollection"), "geometries": st.lists(SIMPLE, min_size=1, max_size=3)}
)


@given(st.one_of(SIMPLE, COLLECTION))
def test_every_geometry_comes_back_as_it_was_written(value: dict[str, Any]) -> None:
    geometry = read_geometry(value)
    assert write_geometry(geometry) == value
    assert hash(geometry) == hash(read_geometry(write_geometry(geometry)))


def test_whole_numbers_become_floats_and_lists_tuples() -> None:
    geometry = read_geometry({"type": "Point", "coordinates": [-112, 41]})
    assert geometry == Geometry("Point", (-112.0, 41.0))
    assert [type(number) for number in geometry.coordinates] == [float, float]


def test_members_of_the_earth_engine_client_are_read_past() -> None:
    value = {
        "type": "Polygon",
        "coordinates": [[[0, 0], [1, 0], [1, 1]]],
        "geodesic": False,
        "evenOdd": True,
        "crs": {"type": "name"},
        "bbox": [0, 0, 1, 1],
    }
    assert list(read_geometry(value).positions()) == [(0, 0), (1, 0), (1, 1)]


def test_positions_of_a_collection_are_those_of_its_parts_without_height() -> None:
    parts = [
        {"type": "Point", "coordinates": [1, 2, 99]},
        {"type": "MultiPolygon", "coordinates": [[[[3, 4], [5, 6]]], [[[7, 8]]]]},
    ]
    geometry = read_geometry({"type": "GeometryCollection", "geometries": parts})
    assert list(geometry.positions()) == [(1, 2), (3, 4), (5, 6), (7, 8)]


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"type": "Point", "coordinates": [0, 0]}
    for _ in range(depth):
        value = {"type": "GeometryCollection", "geometries": [value]}
    return value


def test_collections_are_nested_no_deeper_than_eight() -> None:
    assert list(read_geometry(nested(8)).positions()) == [(0, 0)]
    with pytest.raises(InvalidRequest, match="GeometryCollection"):
        read_geometry(nested(9))
    with pytest.raises(InvalidRequest):
        read_geometry(nested(500))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Point", "expected a GeoJSON geometry"),
        ([], "expected a GeoJSON geometry"),
        ({}, "unknown geometry type 'None'"),
        ({"type": "Feature", "geometry": None}, "unknown geometry type 'Feature'"),
        ({"type": ["Point"], "coordinates": [0, 0]}, "unknown geometry type"),
        ({"type": "Point"}, "expected a list"),
        ({"type": "Point", "coordinates": []}, "a position is"),
        ({"type": "Point", "coordinates": [1]}, "a position is"),
        ({"type": "Point", "coordinates": [1, 2, 3, 4]}, "a position is"),
        ({"type": "Point", "coordinates": ["1", "2"]}, "a position is"),
        ({"type": "Point", "coordinates": [True, False]}, "a position is"),
        ({"type": "Point", "coordinates": [float("nan"), 0]}, "a position is"),
        ({"type": "Point", "coordinates": [0, float("inf")]}, "a position is"),
        ({"type": "Point", "coordinates": [10**400, 0]}, "a position is"),
        ({"type": "Point", "coordinates": [[0, 0]]}, "a position is"),
        ({"type": "Polygon", "coordinates": [[0, 0]]}, "expected a list in coordinates"),
        ({"type": "Polygon", "coordinates": []}, "expected 1 to 100000 positions"),
        ({"type": "MultiPoint", "coordinates": [[0, 0]] * 100_001}, "got 100001"),
        ({"type": "Point", "coordinates": [0, 0], "radius": 3}, 'Unknown name "radius"'),
        ({"type": "GeometryCollection", "geometries": []}, "needs a list"),
        ({"type": "GeometryCollection", "geometries": {}}, "needs a list"),
        ({"type": "GeometryCollection", "geometries": [None]}, "expected a GeoJSON geometry"),
        (
            {"type": "GeometryCollection", "geometries": [], "coordinates": []},
            'Unknown name "coordinates"',
        ),
    ],
)
def test_what_is_no_geometry_is_refused_with_what_would_be(value: object, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_geometry(value)
