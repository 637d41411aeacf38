"""Areas clipped, summed up and cut out, against rasterio and NumPy."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio import Affine
from rasterio.features import geometry_mask
from rasterio.warp import transform, transform_geom
from rasterio.windows import from_bounds

from tests.processing.conftest import Client
from tests.support.rasterfiles import noise, write_raster
from tileserver.caching.memory import key_bytes
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.geometries import Geometry
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.processing import Processing
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.http import bodies
from tileserver.layers.areas import Areas, parse_areas

UTM = "EPSG:32633", Affine(30.0, 0.0, 500_000.0, 0.0, -30.0, 5_000_000.0)
Area = dict[str, Any]


def polygon(*corners: tuple[float, float]) -> Area:
    return {"type": "Polygon", "coordinates": [[*map(list, corners), list(corners[0])]]}


TRIANGLE = polygon((15.02, 45.10), (15.10, 45.11), (15.05, 45.14))
SQUARE = polygon((15.01, 45.08), (15.03, 45.08), (15.03, 45.09), (15.01, 45.09))
FAR = polygon((50, 10), (51, 10), (51, 11))
HOLE = -7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    values = noise(2, 500, 600, "int16")
    values[:, ::5, ::3] = HOLE
    write_raster(folder / "scene.tif", values, *UTM, nodata=HOLE, overviews=())
    mask = np.random.default_rng(1).random((500, 600)) < 0.9
    write_raster(folder / "masked.tif", noise(1, 500, 600, "uint8"), *UTM, mask=mask, overviews=())
    classes = np.random.default_rng(2).integers(0, 4, (1, 500, 600)).astype("uint8")
    write_raster(folder / "land.tif", classes, *UTM, photometric="palette", overviews=())
    with rasterio.open(folder / "land.tif", "r+") as dataset:
        dataset.write_colormap(1, {i: (10 * i, 20, 30, 255) for i in range(4)})
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, serving: Callable[..., Client]) -> Client:
    return serving(folder)


def in_crs(area: Area, crs: Any) -> Area:
    """An area in another CRS, its edges straight in degrees, as GeoJSON has them."""
    (ring,) = area["coordinates"]
    pairs = pairwise(ring)
    dense = [point for one, other in pairs for point in np.linspace(one, other, 200).tolist()]
    found: Area = transform_geom("EPSG:4326", crs, {"type": "Polygon", "coordinates": [dense]})
    return found


def inside(dataset: Any, area: Area) -> NDArray[np.bool_]:
    """Which pixels of a dataset have their centres in an area in degrees."""
    shape = in_crs(area, dataset.crs)
    covered: NDArray[np.bool_] = geometry_mask(
        [shape], dataset.shape, dataset.transform, invert=True
    )
    return covered


def values_within(folder: Path, area: Area, band: int = 1) -> NDArray[Any]:
    with rasterio.open(folder / "scene.tif") as dataset:
        values = dataset.read(band)
        found: NDArray[Any] = values[inside(dataset, area) & (values != HOLE)]
    return found


# Statistics


def test_zonal_statistics_are_those_of_the_pixels_within(client: Client, folder: Path) -> None:
    answer = client.post("/statistics/scene", params={"bands": "b2"}, json=TRIANGLE)
    found = answer.json()["b2"]
    expected = values_within(folder, TRIANGLE, 2)
    assert expected.size > 5000
    assert found["count"] == expected.size
    assert found["mean"] == pytest.approx(expected.mean())
    assert (found["min"], found["max"]) == (expected.min(), expected.max())
    assert found["percentile_2"] == pytest.approx(np.percentile(expected, 2))
    with rasterio.open(folder / "scene.tif") as dataset:
        covered = inside(dataset, TRIANGLE).sum()
    assert found["valid_percent"] == pytest.approx(100 * expected.size / covered, abs=1e-3)


def test_each_feature_of_a_collection_gets_its_own(client: Client, folder: Path) -> None:
    features = [
        {"type": "Feature", "id": 1, "properties": {"name": "a"}, "geometry": TRIANGLE},
        {"type": "Feature", "properties": None, "geometry": SQUARE},
    ]
    collection = {"type": "FeatureCollection", "name": "zones", "features": features}
    found = client.post("/statistics/scene", json=collection).json()
    assert (found["type"], found["name"]) == ("FeatureCollection", "zones")
    for feature, area in zip(found["features"], (TRIANGLE, SQUARE), strict=True):
        expected = values_within(folder, area)
        assert feature["geometry"] == area
        assert feature["properties"]["statistics"]["b1"]["count"] == expected.size
    assert found["features"][0]["properties"]["name"] == "a"
    alone = client.post("/statistics/scene", json=features[0]).json()
    assert alone == found["features"][0]


def test_statistics_of_an_expression_within_an_area(client: Client, folder: Path) -> None:
    params = {"expression": "b1 * 2"}
    answer = client.post("/statistics/scene", params=params, json=SQUARE)
    found = answer.json()["expression"]
    expected = values_within(folder, SQUARE).astype(float) * 2
    assert found["count"] == expected.size
    assert found["mean"] == pytest.approx(expected.mean(), rel=1e-6)


def test_an_area_without_pixels_has_no_values(client: Client) -> None:
    assert client.post("/statistics/scene", json=FAR).json()["b1"]["count"] == 0


def test_an_area_may_be_in_the_query_too(client: Client) -> None:
    by_query = client.get("/statistics/scene", params={"clip": json.dumps(SQUARE)}).json()
    assert by_query == client.post("/statistics/scene", json=SQUARE).json()


# Previews


def test_a_preview_shows_the_area_alone(client: Client) -> None:
    style: dict[str, Any] = {"bands": "b1", "min": -32768, "max": 32767, "width": 300}
    whole = client.post("/preview/scene.png", params=style, json=TRIANGLE)
    assert whole.status_code == 200
    pixels = np.asarray(Image.open(io.BytesIO(whole.content)).convert("RGBA"))
    assert pixels.shape[1] == 300
    lons = [x for x, _ in TRIANGLE["coordinates"][0]]
    lats = [y for _, y in TRIANGLE["coordinates"][0]]
    box = [min(lons), min(lats), max(lons), max(lats)]
    plain = client.get("/preview/scene.png", params={**style, "bbox": ",".join(map(str, box))})
    unclipped = np.asarray(Image.open(io.BytesIO(plain.content)).convert("RGBA"))
    shown = pixels[..., 3] > 0
    assert 0.3 < shown.mean() < 0.6
    np.testing.assert_array_equal(pixels[shown], unclipped[shown])
    x, y = transform("EPSG:4326", "EPSG:3857", box[::2], box[1::2])
    height = pixels.shape[0]
    place = Affine((x[1] - x[0]) / 300, 0, x[0], 0, (y[0] - y[1]) / height, y[1])
    expected = geometry_mask([in_crs(TRIANGLE, "EPSG:3857")], (height, 300), place, invert=True)
    np.testing.assert_array_equal(shown, expected & (unclipped[..., 3] > 0))
    query = {**style, "clip": json.dumps(TRIANGLE)}
    assert client.get("/preview/scene.png", params=query).content == whole.content


# Crops


def opened(body: bytes) -> Any:
    return rasterio.MemoryFile(body).open()


def test_a_crop_by_box_is_the_native_window(client: Client, folder: Path) -> None:
    box = (15.02, 45.08, 15.06, 45.11)
    answer = client.get("/crop/scene.tif", params={"bbox": ",".join(map(str, box))})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/tiff"
    with opened(answer.content) as found, rasterio.open(folder / "scene.tif") as dataset:
        assert (found.crs, found.nodata, found.dtypes) == (
            dataset.crs,
            dataset.nodata,
            dataset.dtypes,
        )
        window = from_bounds(*found.bounds, dataset.transform).round_lengths().round_offsets()
        np.testing.assert_array_equal(found.read(), dataset.read(window=window))
        corner = 500_000 + 30 * window.col_off, 5_000_000 - 30 * window.row_off
        assert (found.transform.c, found.transform.f) == corner
        assert found.width == pytest.approx(0.04 * 111_320 * np.cos(np.radians(45.1)) / 30, abs=5)


def test_a_crop_by_geojson_masks_the_rest(client: Client, folder: Path) -> None:
    answer = client.post("/crop/scene.tif", params={"bands": "b2"}, json=TRIANGLE)
    with opened(answer.content) as found:
        values = found.read(1, masked=True)
        covered = inside(found, TRIANGLE)
        assert found.count == 1
        assert found.nodata == HOLE
    np.testing.assert_array_equal(
        np.sort(values.compressed()), np.sort(values_within(folder, TRIANGLE, 2))
    )
    assert not (~np.ma.getmaskarray(values) & ~covered).any()


def test_a_crop_keeps_a_mask_and_a_colour_table(client: Client, folder: Path) -> None:
    masked = client.get("/crop/masked.tif").content
    with opened(masked) as found, rasterio.open(folder / "masked.tif") as dataset:
        np.testing.assert_array_equal(found.dataset_mask(), dataset.dataset_mask())
    with opened(client.get("/crop/land.tif").content) as found:
        table = found.colormap(1)
        assert [table[i] for i in range(4)] == [(10 * i, 20, 30, 255) for i in range(4)]


def test_a_crop_of_floats_has_nan_where_it_is_masked(client: Client) -> None:
    params = {"expression": "(b1 - b2) * 0.5"}
    answer = client.post("/crop/scene.tif", params=params, json=SQUARE)
    with opened(answer.content) as found:
        assert np.isnan(found.nodata)
        values = found.read(1)
        assert np.isnan(values).any()
        assert np.isfinite(values).any()
        assert found.descriptions == ("expression",)


def test_a_crop_may_have_other_sides(client: Client) -> None:
    with opened(client.get("/crop/scene.tif", params={"width": 60}).content) as found:
        assert (found.width, found.height) == (60, 50)
        assert found.transform.a == pytest.approx(300)
        nearest = found.read(1)
    params: dict[str, Any] = {"width": 60, "height": 50, "resampling": "average"}
    with opened(client.get("/crop/scene.tif", params=params).content) as found:
        assert not np.array_equal(found.read(1), nearest)


def test_a_crop_outside_and_one_too_large_are_refused(client: Client) -> None:
    assert "does not meet" in client.refused("/crop/scene.tif", bbox="50,10,51,11")
    assert "Total request size" in client.refused("/crop/scene.tif", width=32768, height=32768)


# Refusals


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "5",
        "[1,2]",
        '{"type":"Feature"}',
        '{"type":"Feature","properties":5,"geometry":null}',
        '{"type":"FeatureCollection","features":[]}',
        '{"type":"FeatureCollection","features":5}',
        '{"type":"Polygon","coordinates":[[[1,2],[3,NaN]]]}',
        '{"type":"Polygon","coordinates":[[[1,200],[3,4],[5,6],[1,200]]]}',
        '{"type":"Circle","coordinates":[1,2]}',
        "[" * 5000,
        '{"type":"GeometryCollection","geometries":' * 20 + "[]" + "}" * 20,
    ],
)
@pytest.mark.parametrize("path", ["/statistics/scene", "/preview/scene.png", "/crop/scene.tif"])
def test_what_is_no_geojson_is_refused(client: Client, path: str, text: str) -> None:
    answer = client.post(path, content=text)
    assert answer.status_code == 400, answer.text
    assert "body" in answer.text


def test_areas_are_bounded(client: Client) -> None:
    ring = [[15 + i * 1e-6, 45] for i in range(100_001)]
    answer = client.post("/crop/scene.tif", json={"type": "LineString", "coordinates": ring})
    assert answer.status_code == 400
    assert "100000" in answer.text
    features = [{"type": "Feature", "geometry": SQUARE}] * 201
    collection = {"type": "FeatureCollection", "features": features}
    assert client.post("/statistics/scene", json=collection).status_code == 400
    long = b'{"type": "Polygon", "x": "' + b"x" * 5_000_000
    assert client.post("/statistics/scene", content=long).status_code in (400, 413)
    twice = client.post("/preview/scene.png", params={"clip": "{}"}, json=SQUARE)
    assert twice.status_code == 400


def test_tiles_and_points_take_no_body(client: Client) -> None:
    assert client.post("/tiles/scene/0/0/0.png", json=SQUARE).status_code == 405
    assert client.post("/point/scene", json=SQUARE).status_code == 405


def test_what_is_posted_is_not_kept_and_a_long_key_counts(client: Client) -> None:
    one = client.post("/preview/scene.png", json=SQUARE)
    other = client.post("/preview/scene.png", json=SQUARE)
    assert one.content == other.content
    assert "fwd=bypass" in other.headers["cache-status"]
    ring = ((tuple((float(i), 1.0) for i in range(10_000))),)
    clip = Geometry("Polygon", ring)
    grid = tile_grid(Tile(0, 0, 0))
    plain = PixelRequest("projects/a/assets/b", ImageFileFormat.PNG, grid)
    assert key_bytes(replace(plain, processing=Processing(clip=clip))) > 1_000_000
    assert key_bytes(plain) < 2_000


def test_bodies_are_parsed_one_by_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(2)
    met: list[bool] = []

    def parsed(text: str | bytes, name: str) -> Areas:
        try:
            meeting.wait(0.2)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return parse_areas(text, name)

    monkeypatch.setattr(bodies, "parse_areas", parsed)
    with ThreadPoolExecutor(4) as threads:
        posts = [threads.submit(client.post, "/statistics/scene", json=SQUARE) for _ in range(4)]
        assert [each.result().status_code for each in posts] == [200] * 4
    assert met == [False] * 4
