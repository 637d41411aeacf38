from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tileserver.contract.formats import EARTH_ENGINE_FORMATS, ImageFileFormat
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid
from tileserver.contract.pixels import Geometry, PixelRequest, Range, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import (
    request_from_json,
    request_from_params,
    request_to_json,
)
from tileserver.errors import InvalidRequest

ASSET = "projects/localhost/assets/scene"
NUMBER = st.floats(-1e9, 1e9, allow_nan=False)
SCALE = st.floats(1e-6, 1e6)
TRANSFORM = st.builds(AffineTransform, SCALE, st.just(0.0), NUMBER, st.just(0.0), SCALE, NUMBER)
SIDE = st.integers(1, 32768)
CRS_CODE = st.sampled_from(["EPSG:4326", "EPSG:32612", "SR-ORG:6974", 'PROJCS["mine",GEOGCS[]]'])
WHOLE_GRID = st.builds(PixelGrid, SIDE, SIDE, TRANSFORM, CRS_CODE)


@st.composite
def partial_grids(draw: st.DrawFn) -> PixelGrid | PartialGrid:
    grid = draw(WHOLE_GRID)
    kept = draw(st.sets(st.sampled_from(["dimensions", "transform", "crs"]), max_size=2))
    return PartialGrid(
        width=grid.width if "dimensions" in kept else None,
        height=grid.height if "dimensions" in kept else None,
        transform=grid.transform if "transform" in kept else None,
        crs_code=grid.crs_code if "crs" in kept else None,
    )


OPTIONS = st.builds(
    VisualizationOptions,
    ranges=st.lists(st.builds(Range, NUMBER, NUMBER), max_size=3).map(tuple),
    palette_colors=st.lists(st.sampled_from(["000000", "#ff0000", "teal"]), max_size=4).map(tuple),
    gamma=st.none() | st.floats(0.1, 10),
    opacity=st.none() | st.floats(0, 1),
).filter(lambda options: options != VisualizationOptions())
REQUESTS = st.builds(
    PixelRequest,
    asset_id=st.just(ASSET),
    file_format=st.sampled_from(EARTH_ENGINE_FORMATS),
    grid=st.none() | WHOLE_GRID | partial_grids(),
    region=st.none() | st.builds(Geometry, st.just("Point"), st.tuples(NUMBER, NUMBER)),
    band_ids=st.lists(st.text(min_size=1, max_size=5), max_size=4).map(tuple),
    visualization_options=st.none() | OPTIONS,
    workload_tag=st.none() | st.sampled_from(["a", "run-1", "0_z"]),
)


@given(REQUESTS)
def test_every_request_comes_back_as_it_was_written(request: PixelRequest) -> None:
    body = json.loads(json.dumps(request_to_json(request)))
    read = request_from_json(ASSET, body)
    assert read == request
    assert read.workload_tag == request.workload_tag
    assert hash(read) == hash(request)


def test_a_tile_is_written_as_the_rest_api_documents_it() -> None:
    options = VisualizationOptions((Range(0, 3000),), gamma=1.2)
    request = PixelRequest(
        ASSET,
        ImageFileFormat.PNG,
        grid=tile_grid(Tile(1, 1, 1)),
        band_ids=("B4", "B3", "B2"),
        visualization_options=options,
    )
    side = 20037508.342789244 / 256
    assert request_to_json(request) == {
        "fileFormat": "PNG",
        "grid": {
            "dimensions": {"width": 256, "height": 256},
            "affineTransform": {"scaleX": side, "scaleY": -side},
            "crsCode": "EPSG:3857",
        },
        "bandIds": ["B4", "B3", "B2"],
        "visualizationOptions": {"ranges": [{"max": 3000}], "gamma": 1.2},
    }


def test_an_empty_body_asks_for_everything_in_the_default_format() -> None:
    assert request_from_json(ASSET, {}) == PixelRequest(ASSET, ImageFileFormat.AUTO_JPEG_PNG)
    unspecified = {"fileFormat": "IMAGE_FILE_FORMAT_UNSPECIFIED", "visualizationOptions": {}}
    assert request_from_json(ASSET, unspecified) == PixelRequest(ASSET)


def test_null_is_a_missing_member_and_numbers_may_be_strings() -> None:
    body = {
        "region": None,
        "grid": {
            "dimensions": {"width": "4", "height": 2.0},
            "affineTransform": {"scaleX": "1e1", "scaleY": "-10.0", "shearX": None},
            "crsWkt": None,
        },
    }
    grid = request_from_json(ASSET, body).grid
    assert grid == PartialGrid(4, 2, AffineTransform(scale_x=10.0, scale_y=-10.0), None)


def test_a_crs_code_is_read_in_any_case() -> None:
    grid = request_from_json(ASSET, {"grid": {"crsCode": "epsg:3857"}}).grid
    assert grid == PartialGrid(crs_code="EPSG:3857")


def test_a_missing_end_of_a_range_is_zero() -> None:
    body = {"visualizationOptions": {"ranges": [{"max": 5}, {"min": -5}, {}]}}
    options = request_from_json(ASSET, body).visualization_options
    assert options == VisualizationOptions((Range(0, 5), Range(-5, 0), Range(0, 0)))


def test_gamma_may_be_wrapped_as_the_client_sends_it() -> None:
    body = {"visualizationOptions": {"gamma": {"value": 1.5}}}
    assert request_from_json(ASSET, body).visualization_options == VisualizationOptions(gamma=1.5)


def test_a_tag_is_no_part_of_the_key() -> None:
    tagged = request_from_json(ASSET, {"workloadTag": "run-1"})
    assert tagged == request_from_json(ASSET, {})
    assert request_from_json(ASSET, {"workloadTag": ""}).workload_tag is None


@pytest.mark.parametrize(
    ("name", "file_format"),
    [
        ("png", ImageFileFormat.PNG),
        ("jpg", ImageFileFormat.JPEG),
        ("NUMPY_NDARRAY", ImageFileFormat.NPY),
        ("NPY", ImageFileFormat.NPY),
        ("numpy", ImageFileFormat.NPY),
        ("GEOTIFF", ImageFileFormat.GEO_TIFF),
        ("ZIPPED_GEO_TIFF", ImageFileFormat.ZIPPED_GEO_TIFF),
        ("TFRECORD", ImageFileFormat.TF_RECORD_IMAGE),
        ("auto", ImageFileFormat.AUTO_JPEG_PNG),
        (None, ImageFileFormat.AUTO_JPEG_PNG),
    ],
)
def test_the_dictionary_takes_the_clients_names_of_formats(
    name: str | None, file_format: ImageFileFormat
) -> None:
    params = {"assetId": ASSET, "fileFormat": name}
    assert request_from_params(params) == PixelRequest(ASSET, file_format)
    assert params == {"assetId": ASSET, "fileFormat": name}


@pytest.mark.parametrize("params", [{}, {"assetId": ""}, {"assetId": 7}, {"assetId": None}])
def test_a_dictionary_without_an_asset_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="assetId"):
        request_from_params(params)


def test_what_is_no_dictionary_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="dictionary, got list"):
        request_from_params([])  # type: ignore[arg-type]


ONE_PIXEL = {"width": 1, "height": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], "expected a JSON object"),
        (None, "expected a JSON object"),
        ({"assetId": ASSET}, 'Unknown name "assetId"'),
        ({"fileformat": "PNG"}, 'Unknown name "fileformat"'),
        ({"fileFormat": "WEBP"}, "file_format.*expected one of PNG"),
        ({"fileFormat": "JPG"}, "file_format"),
        ({"fileFormat": 5}, "file_format"),
        ({"bandIds": "B1"}, "band_ids.*expected a list"),
        ({"bandIds": [1]}, "band_ids.*expected a string"),
        ({"bandIds": [""]}, "band_ids.*expected a string"),
        ({"grid": []}, "'grid'"),
        ({"grid": {"scale": 30}}, "Unknown name \"scale\" at 'grid'"),
        ({"grid": {"dimensions": {"width": 5}}}, r"\(5x0\)"),
        ({"grid": {"dimensions": {"width": -1, "height": 1}}}, r"\(-1x1\)"),
        ({"grid": {"dimensions": {"width": 1.5, "height": 1}}}, "whole number"),
        ({"grid": {"dimensions": {"width": 2**40, "height": 1}}}, "whole number"),
        ({"grid": {"dimensions": {"width": True, "height": 1}}}, "finite number"),
        ({"grid": {"dimensions": {"width": "1_0", "height": 1}}}, "finite number"),
        ({"grid": {"dimensions": ONE_PIXEL | {"depth": 1}}}, 'Unknown name "depth"'),
        ({"grid": {"affineTransform": {}}}, "no area"),
        ({"grid": {"affineTransform": {"scaleX": 1}}}, "no area"),
        ({"grid": {"affineTransform": {"scaleX": 1e300, "scaleY": 1e300}}}, "no area"),
        ({"grid": {"affineTransform": {"scaleX": "NaN", "scaleY": 1}}}, "finite number"),
        ({"grid": {"affineTransform": {"scaleX": 10**400, "scaleY": 1}}}, "finite number"),
        ({"grid": {"crsCode": "4326"}}, "authority and code"),
        ({"grid": {"crsCode": 4326}}, "expected a string"),
        ({"grid": {"crsCode": "EPSG:1", "crsWkt": "x"}}, "both given"),
        ({"region": {"type": "Circle"}}, "region"),
        ({"visualizationOptions": 1}, "visualization_options"),
        ({"visualizationOptions": {"min": 0}}, 'Unknown name "min"'),
        ({"visualizationOptions": {"ranges": {}}}, "ranges.*expected a list"),
        ({"visualizationOptions": {"ranges": [[0, 1]]}}, "ranges"),
        ({"visualizationOptions": {"gamma": "high"}}, "gamma"),
        ({"visualizationOptions": {"opacity": []}}, "opacity"),
        ({"workloadTag": "UPPER"}, "workload_tag"),
        ({"workloadTag": "-"}, "workload_tag"),
        ({"workloadTag": "a" * 64}, "workload_tag"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_on_one_line(body: object, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as refused:
        request_from_json(ASSET, body)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_name_with_line_breaks_stays_on_one_line() -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_from_json(ASSET, {"a\nb" * 1000: 1})
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_an_asset_version_is_not_on_the_wire() -> None:
    request = replace(PixelRequest(ASSET), asset_version="abc")
    assert request_to_json(request) == request_to_json(PixelRequest(ASSET))


def test_a_palette_of_too_many_colors_is_refused_as_it_is_read() -> None:
    options = {"paletteColors": ["ff0000"] * 300_000}
    with pytest.raises(
        InvalidRequest, match=r"palette_colors': a palette has 1 to 256 colors, got"
    ):
        request_from_json("projects/p/assets/x", {"visualizationOptions": options})
