from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.errors import InvalidRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.rest.filters import parse_filter, region_filter, time_filter, with_prefixes

FACTS = {
    "startTime": "2020-06-01T18:49:19Z",
    "endTime": "2020-06-01T18:49:20Z",
    "properties": {
        "CLOUD": 9.5,
        "ROWS": 7,
        "SENSOR": "MSI",
        "TAGS": ["a", "b"],
        "DAY": True,
        "AND": 1,
        "CODE": "7",
    },
}


def asset_of(folder: Path, facts: dict[str, Any] | None) -> ImageAsset:
    write_raster(folder / "scene.tif", noise(1, 50, 50), overviews=())
    if facts is not None:
        (folder / "scene.json").write_text(json.dumps(facts))
    return Catalogue([Root(str(folder))]).find("projects/localhost/assets/scene").asset


@pytest.fixture(scope="module")
def asset(tmp_path_factory: pytest.TempPathFactory) -> ImageAsset:
    return asset_of(tmp_path_factory.mktemp("scene"), FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "properties.CLOUD = 9.5",
        "CLOUD=9.5",
        "CLOUD<9.6 AND CLOUD>9.4 AND CLOUD<=9.5 AND CLOUD>=9.5",
        'CLOUD = "9.5"',
        "CLOUD > -1e3",
        "CODE = 7",
        "CODE != 8",
        'SENSOR = "MSI"',
        "SENSOR = 'MSI'",
        "SENSOR = MSI",
        'SENSOR < "N"',
        "DAY = true",
        "NOT DAY = false",
        "NOT NOT DAY = true",
        "NOT NONE = 1",
        "NOT NONE != 1",
        "SENSOR:*",
        "TAGS:b",
        "NOT TAGS:c",
        "NOT NONE:*",
        "(CLOUD < 1 OR SENSOR = MSI) AND ROWS = 7",
        # OR binds closer than AND.
        "CLOUD > 1 AND CLOUD < 1 OR CLOUD < 10",
        "ROWS = 7 OR ROWS = 8 AND CLOUD > 9",
        'startTime >= "2020-06-01T18:49:19Z"',
        'startTime < "2020-06-02"',
        'endTime < "2020-06-01T18:49:21Z"',
        "startTime > 2020-06-01T00:00:00Z",
        'startTime >= "2020-06-01T20:49:19+02:00"',
        "properties.system:index = scene",
        "system:time_start = 1591037359000",
        'id = "projects/localhost/assets/scene"',
        "sizeBytes > 10",
        "intersects(\"{'type': 'Point', 'coordinates': [-112.18, 40.64]}\")",
        'intersects("{\\"type\\": \\"Point\\", \\"coordinates\\": [-112.18, 40.64]}")',
        "NOT intersects(\"{'type': 'Point', 'coordinates': [112.18, 40.64]}\")",
        # Unclosed, and with a member of the official client's own.
        "intersects(\"{'type': 'Polygon', 'evenOdd': true, "
        "'coordinates': [[[-113, 40], [-112, 40], [-112, 41], [-113, 41]]]}\")",
        # The same place, once around the Earth.
        "intersects(\"{'type': 'Point', 'coordinates': [247.82, 40.64]}\")",
        '"CLOUD" = 9.5',
    ],
)
def test_a_filter_lets_through_what_it_describes(asset: ImageAsset, text: str) -> None:
    assert parse_filter(text)(asset)
    if text:
        assert not parse_filter(f"NOT ({text})")(asset)


@pytest.mark.parametrize(
    "text",
    [
        "CLOUD",
        "CLOUD <",
        "CLOUD < 1 AND",
        "CLOUD < 1 CLOUD > 0",
        "(CLOUD < 1",
        "CLOUD < 1)",
        "CLOUD ~ 1",
        "< 1",
        "AND",
        '"open',
        "startTime > yesterday",
        "intersects(1)",
        'intersects("nowhere")',
        "intersects(\"{'type': 'Circle'}\")",
        "(" * 60 + "A = 1" + ")" * 60,
        "(" * 100_000,
        "x" * 1_000_001,
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_filter(text)


def test_times_are_of_an_image_alone_that_has_them(asset: ImageAsset, tmp_path: Path) -> None:
    timeless = asset_of(tmp_path, None)
    assert not parse_filter('startTime > "1970-01-01"')(timeless)
    assert not time_filter("1970-01-01", None)(timeless)
    assert time_filter("2020-06-01", "2020-06-02")(asset)
    assert not time_filter("2020-06-02", None)(asset)
    # The end is exclusive.
    assert not time_filter(None, "2020-06-01T18:49:20Z")(asset)
    with pytest.raises(InvalidRequest, match="endTime"):
        time_filter(None, "tomorrow")


def test_an_image_without_an_end_ends_when_it_starts(tmp_path: Path) -> None:
    asset = asset_of(tmp_path, {"startTime": "2020-06-01T00:00:00Z"})
    assert parse_filter('endTime < "2020-06-01T00:00:01Z"')(asset)
    assert not parse_filter('endTime < "2020-06-01T00:00:00Z"')(asset)


@pytest.mark.parametrize("text", ["", "[]", "{'type': 'Point'}", "[" * 100_000])
def test_a_region_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="region"):
        region_filter(text)


def test_bare_properties_are_written_as_earth_engine_s_v1_has_them() -> None:
    text = "(CLOUD < 9.5 AND properties.B = \"x AND y < 2\") OR NOT system:index = 'C'"
    assert with_prefixes(text) == (
        '( properties.CLOUD < 9.5 AND properties.B = "x AND y < 2" ) OR NOT '
        "properties.system:index = 'C'"
    )
