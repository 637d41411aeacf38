"""Exports with the official client; rasterio, csv and NumPy read what was written."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import ee as official
import httpx
import numpy as np
import pytest
import rasterio
from google.auth.credentials import AnonymousCredentials

from tests.rest.conftest import LOCAL
from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import ApiSettings, Config, ExportSettings, RasterFolder
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import InvalidRequest, StoreFull
from tileserver.exports.destinations import Destination, Folder, parts_of
from tileserver.exports.exporter import Exporter, Job
from tileserver.exports.images import ImageOptions, check_image
from tileserver.exports.tasks import FOLDER, TaskStore
from tileserver.server.app import create_app

SIDE = 700
VALUES = noise(2, SIDE, SIDE, "uint16", seed=4)
ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")


class Place:
    """A server with exports, and its folders."""

    def __init__(self, top: Path) -> None:
        self.rasters = top / "rasters"
        self.out = top / "rasters/out"
        self.out.mkdir(parents=True)
        write_raster(self.rasters / "scene.tif", VALUES, descriptions=["a", "b"])
        hole = np.ones((SIDE, SIDE), bool)
        hole[:40] = False
        heights = VALUES[:1].astype("float32") / 7
        write_raster(self.rasters / "heights.tif", heights, mask=hole)
        self.config = Config(
            rasters=(
                RasterFolder(str(self.rasters), LOCAL),
                RasterFolder(str(self.out), "projects/localhost/assets/exports"),
            ),
            api=ApiSettings(graphs=str(top / "graphs")),
            exports=ExportSettings(folder=str(self.out)),
        )

    def pixels(self, name: str) -> Any:
        """Return the values of a file that was written, and its profile."""
        with rasterio.open(self.out / name) as dataset:
            return dataset.read(), dataset.profile, dataset.descriptions


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def url(place: Place) -> Iterator[str]:
    with serve(create_app(place.config)) as url:
        yield url


@pytest.fixture
def ee(url: str) -> Iterator[ModuleType]:
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    official.Initialize(credentials, url=url, project="localhost")
    yield official
    official.Reset()


def run(url: str, task: Any) -> dict[str, Any]:
    """Start a task, and return its operation once it has ended."""
    task.start()
    return ended(url, task.operation_name or f"projects/localhost/operations/{task.id}")


def ended(url: str, name: str) -> dict[str, Any]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for _ in range(20):
            found = client.post(f"/v1/{name}:wait", json={"timeout": "10s"}).json()
            if found.get("done"):
                return dict(found)
    raise AssertionError(found)


def scene(ee: ModuleType, name: str = "scene") -> Any:
    return ee.Image(f"{LOCAL}/{name}")


def test_an_image_is_written_as_it_is(ee: ModuleType, url: str, place: Place) -> None:
    task = ee.batch.Export.image.toDrive(
        scene(ee), "whole scene", folder="mine", fileNamePrefix="whole", maxPixels=1e9
    )
    found = run(url, task)
    assert found["metadata"]["state"] == "SUCCEEDED", found
    assert found["metadata"]["destinationUris"] == ["mine/whole.tif"]
    assert found["metadata"]["type"] == "EXPORT_IMAGE"
    values, profile, names = place.pixels("mine/whole.tif")
    np.testing.assert_array_equal(values, VALUES)
    assert names == ("a", "b")
    assert (profile["tiled"], profile["blockxsize"], profile["nodata"]) == (True, 256, None)
    with rasterio.open(place.rasters / "scene.tif") as dataset:
        assert (profile["transform"], profile["crs"]) == (dataset.transform, dataset.crs)
    assert task.status()["state"] == "COMPLETED"
    assert task.status()["description"] == "whole scene"
    assert not list(place.out.rglob("*.part*"))


def test_pieces_make_the_same_image_as_one_request(
    ee: ModuleType, url: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.exports.images._PIECE_BYTES", 1)
    image = scene(ee).select("a").multiply(2).toInt32()
    options = {"fileFormat": "GeoTIFF", "formatOptions": {"cloudOptimized": True}}
    found = run(url, ee.batch.Export.image.toCloudStorage(image, "c", "b", "x/cog", **options))
    assert found["metadata"]["destinationUris"] == ["b/x/cog.tif"], found
    values, _, _ = place.pixels("b/x/cog.tif")
    np.testing.assert_array_equal(values[0], VALUES[0].astype(int) * 2)
    with rasterio.open(place.out / "b/x/cog.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1)


def test_masked_pixels_have_the_nodata_value(ee: ModuleType, url: str, place: Place) -> None:
    image = scene(ee, "heights")
    run(url, ee.batch.Export.image.toDrive(image, "masked"))
    values, profile, _ = place.pixels("masked.tif")
    assert profile["nodata"] == -np.inf
    assert (values[0, :40] == -np.inf).all()
    options = {"formatOptions": {"noData": -9}}
    run(url, ee.batch.Export.image.toDrive(image, "nodata", **options))
    values, profile, _ = place.pixels("nodata.tif")
    assert profile["nodata"] == -9
    assert (values[0, :40] == -9).all()
    np.testing.assert_allclose(values[0, 40:], VALUES[0, 40:].astype("float32") / 7)


def test_a_large_image_is_written_as_several_files(ee: ModuleType, url: str, place: Place) -> None:
    task = ee.batch.Export.image.toDrive(
        scene(ee), "parts", fileDimensions=512, shardSize=128, folder="split"
    )
    found = run(url, task)
    names = [f"split/parts-{r:010d}-{c:010d}.tif" for r in (0, 512) for c in (0, 512)]
    assert found["metadata"]["destinationUris"] == names, found
    np.testing.assert_array_equal(place.pixels(names[3])[0], VALUES[:, 512:, 512:])


def test_a_second_file_of_a_name_gets_a_number(ee: ModuleType, url: str, place: Place) -> None:
    image = scene(ee).select("a")
    names = []
    for _ in range(2):
        found = run(url, ee.batch.Export.image.toDrive(image, "twice"))
        names += found["metadata"]["destinationUris"]
    assert names == ["twice.tif", "twice_1.tif"]


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "pixels": (lambda ee: scene(ee), {"maxPixels": 10}, r"specified 490000 pixels \(max: 10\)"),
    "types": (
        lambda ee: scene(ee).addBands(scene(ee, "heights")),
        {},
        "found inconsistent types: Float32 and Uint16",
    ),
    "bounds": (lambda ee: ee.Image(1), {}, "Unable to export unbounded image"),
    "asset": (lambda ee: ee.Image("missing/one"), {}, "not found"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_exported_fails_with_the_reason(
    ee: ModuleType, url: str, place: Place, case: str
) -> None:
    image, options, message = REFUSED[case]
    found = run(url, ee.batch.Export.image.toDrive(image(ee), f"bad {case}", **options))
    assert found["metadata"]["state"] == "FAILED"
    assert re.search(message, found["error"]["message"])
    assert not (place.out / f"bad {case}.tif").exists()


@pytest.mark.parametrize("name", ["../x", "..", ".hidden", "a\\b", "", "x" * 300, "a\nb"])
def test_names_that_lead_elsewhere_are_refused(ee: ModuleType, name: str, place: Place) -> None:
    export = ee.batch.Export.image.toCloudStorage
    with pytest.raises(ee.EEException, match="expected names"):
        export(scene(ee), "d", "bucket", f"{name}/x" if name != "" else "a//b").start()
    assert {each.name for each in place.out.parent.iterdir()} == {
        "out",
        "scene.tif",
        "heights.tif",
    }


def features(ee: ModuleType) -> Any:
    return ee.FeatureCollection(
        [
            ee.Feature(ee.Geometry.Point(i, 2 * i), {"n": i, "name": f"é,{i}", "list": [i]})
            for i in range(5)
        ]
    )


def test_a_table_is_written_as_csv(ee: ModuleType, url: str, place: Place) -> None:
    run(url, ee.batch.Export.table.toDrive(features(ee), "rows", fileFormat="CSV"))
    with (place.out / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["system:index", "list", "n", "name", ".geo"]
    assert [row["name"] for row in rows] == [f"é,{i}" for i in range(5)]
    assert json.loads(rows[3][".geo"])["coordinates"] == [3, 6]
    found = run(url, ee.batch.Export.table.toDrive(features(ee), "two", selectors=["name", "n"]))
    assert found["metadata"]["destinationUris"] == ["two.csv"]
    assert (place.out / "two.csv").read_text("utf-8").splitlines()[:2] == ["name,n", '"é,0",0']


def test_exported_assets_can_be_loaded(ee: ModuleType, url: str, place: Place) -> None:
    base = "projects/localhost/assets/exports"
    for task in (
        ee.batch.Export.table.toAsset(features(ee), "t", f"{base}/made/rows"),
        ee.batch.Export.image.toAsset(scene(ee).select("a"), "i", f"{base}/made/image"),
    ):
        found = run(url, task)
        assert found["metadata"]["state"] == "SUCCEEDED", found
    rows = ee.FeatureCollection(f"{base}/made/rows")
    assert rows.aggregate_sum("n").getInfo() == 10
    assert ee.Image(f"{base}/made/image").bandNames().getInfo() == ["a"]
    again = ee.batch.Export.table.toAsset(features(ee), "t", f"{base}/made/rows")
    assert "already exists" in run(url, again)["error"]["message"]
    over = ee.batch.Export.table.toAsset(
        features(ee).limit(2), "t", f"{base}/made/rows", overwrite=True
    )
    assert run(url, over)["metadata"]["state"] == "SUCCEEDED"
    assert rows.size().getInfo() == 2
    with pytest.raises(ee.EEException, match="assetId must begin with"):
        ee.batch.Export.table.toAsset(features(ee), "t", f"{LOCAL}/rows").start()


def test_operations_are_listed_and_a_request_is_made_once(ee: ModuleType, url: str) -> None:
    task = ee.batch.Export.table.toDrive(features(ee), "once")
    run(url, task)
    request = {**task.config, "requestId": "the same"}
    one, two = (ee.data.exportTable("the same", request)["name"] for _ in range(2))
    assert one == two
    ended(url, one)
    names = [each["name"] for each in ee.data.listOperations()]
    assert len(names) == len(set(names)) >= 2
    assert one in names
    assert ee.data.getOperation(one)["metadata"]["state"] == "SUCCEEDED"
    ee.data.cancelOperation(one)
    assert ee.data.getOperation(one)["metadata"]["state"] == "SUCCEEDED"
    with pytest.raises(ee.EEException, match="not found"):
        ee.data.getOperation("projects/localhost/operations/AAAABBBB")


@pytest.mark.parametrize(
    ("file_format", "suffix"),
    [("SHP", "shp.zip"), ("KML", "kml"), ("KMZ", "kmz"), ("TFRecord", "tfrecord.gz")],
)
def test_a_table_is_written_in_every_format(
    ee: ModuleType, url: str, place: Place, file_format: str, suffix: str
) -> None:
    task = ee.batch.Export.table.toDrive(features(ee), "all", fileFormat=file_format)
    assert run(url, task)["metadata"]["destinationUris"] == [f"all.{suffix}"]
    content = (place.out / f"all.{suffix}").read_bytes()
    link = features(ee).getDownloadURL(file_format)
    assert httpx.get(link, trust_env=False, timeout=60).content == content


def test_other_formats_of_tables_are_refused(ee: ModuleType) -> None:
    with pytest.raises(ee.EEException, match="exported as CSV or GEO_JSON or KML"):
        ee.batch.Export.table.toDrive(features(ee), "x", fileFormat="XLS").start()


def test_without_a_folder_the_setting_is_named(tmp_path: Path) -> None:
    with (
        serve(create_app(Config(api=ApiSettings(graphs=str(tmp_path))))) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=60) as client,
    ):
        for kind in ("image", "table"):
            answer = client.post(f"/v1/projects/p/{kind}:export", json={})
            assert answer.status_code == 400
            assert "[exports] folder" in answer.json()["error"]["message"]
        assert client.get("/v1/projects/p/operations").json() == {"operations": []}


@dataclass(frozen=True)
class Cancelling:
    """A planner of an image during whose second piece the task is cancelled."""

    exporter: list[Exporter]
    pieces: list[PixelGrid]
    grid = PixelGrid(600, 600, AffineTransform(1, 0, 0, 0, -1, 0), "EPSG:32612")
    ids = ("a",)
    dtypes = (np.dtype("uint8"),)

    def planned_image(self, expression: str) -> Cancelling:
        return self

    def planned_table(self, expression: str) -> Any:
        raise NotImplementedError

    def piece(self, grid: PixelGrid) -> BandArrays:
        self.pieces.append(grid)
        if len(self.pieces) == 2:
            tasks = self.exporter[0].tasks
            tasks.cancel("p", tasks.list("p")[0].id)
        shape = (1, grid.height, grid.width)
        return BandArrays(self.ids, np.zeros(shape, np.uint8), np.ones(shape, np.bool_))


def test_a_cancelled_task_stops_at_its_next_piece_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.exports.images._PIECE_BYTES", 1)
    planner = Cancelling([], [])
    exporter = Exporter(Folder(tmp_path, 10**9), planner)
    planner.exporter.append(exporter)
    task, is_new = exporter.start("p", "EXPORT_IMAGE", "", {"description": "d"})
    assert is_new
    exporter._run(task, Job("", Destination(("one",)), ImageOptions()))
    assert exporter.tasks.find("p", task.id).state == "CANCELLED"
    assert exporter.tasks.find("p", task.id).to_json()["error"]["code"] == 1
    assert len(planner.pieces) == 2
    assert [each.name for each in tmp_path.iterdir()] == [FOLDER]


def test_as_many_tasks_as_wait_are_taken_and_no_other_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.exports.exporter._MAX_WAITING", 0)
    exporter = Exporter(Folder(tmp_path, 500), Cancelling([], []))
    with pytest.raises(StoreFull, match="0 tasks that have not ended"):
        exporter.start("p", "EXPORT_IMAGE", "", {"description": "d"})
    assert exporter.tasks.list("p") == []


def test_what_a_killed_worker_left_is_deleted_and_what_another_writes_is_not(
    tmp_path: Path,
) -> None:
    gone, writing, exporter = (
        Exporter(Folder(tmp_path, 10**6), Cancelling([], [])) for _ in range(3)
    )
    for each in (gone, writing):
        each.tasks.create("p", "EXPORT_IMAGE", "", {"description": "d"})
    parts = []
    for each in (gone, writing):
        name = each.opened(Destination(("a", "b")))
        with name as opened, opened.part(".tif") as (part, path):
            parts.append(tmp_path / "a" / part)
            Path(path).write_text("x")
        parts[-1].write_text("x")
    (tmp_path / ".mine.part").write_text("x")
    gone.tasks.close()
    exporter.start("p", "EXPORT_IMAGE", "", {"description": "d"})
    assert [each.exists() for each in parts] == [False, True]
    assert (tmp_path / ".mine.part").exists()
    for each in (writing, exporter):
        each.tasks.close()


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    exporter = Exporter(Folder(tmp_path / "out", 500), Cancelling([], []))
    with pytest.raises(StoreFull, match=r"^The folder of exports cannot be written to\.$"):
        exporter.start("p", "EXPORT_IMAGE", "", {"description": "d"})


@pytest.mark.parametrize("name", ["é" * 76, "\ud800", "😀" * 38, "x" * 151, ".a", "a//b", ""])
def test_names_that_no_file_can_have_are_refused_before(name: str) -> None:
    with pytest.raises(InvalidRequest, match="150 bytes"):
        parts_of(name, "folder")


def test_an_image_of_too_many_files_is_refused() -> None:
    image = Cancelling([], [])
    check_image(image, ImageOptions(file_width=16, file_height=16))
    with pytest.raises(InvalidRequest, match="360000 files of 1 x 1 pixels, at most 10000"):
        check_image(image, ImageOptions(file_width=1, file_height=1))


def test_a_full_folder_takes_no_more(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"x" * 1000)
    exporter = Exporter(Folder(tmp_path, 500), Cancelling([], []))
    with pytest.raises(StoreFull, match=r"\[exports\] size"):
        exporter.start("p", "EXPORT_IMAGE", "", {"description": "d"})


def test_a_task_of_a_worker_that_has_ended_has_failed(tmp_path: Path) -> None:
    ours, others = TaskStore(tmp_path), TaskStore(tmp_path)
    facts = {"description": "d"}
    task = others.create("p", "EXPORT_IMAGE", "", facts)
    assert ours.find("p", task.id).state == "PENDING"
    ours.cancel("p", task.id)
    assert others.is_cancelled(task)
    assert ours.find("p", task.id).state == "CANCELLING"
    others.close()
    found = ours.find("p", task.id)
    assert (found.state, found.problem) == ("FAILED", "The server that ran this task has ended.")
    assert [each.id for each in ours.list("p")] == [task.id]
    assert ours.list("q") == []
    assert {each.suffix for each in (tmp_path / FOLDER).iterdir()} <= {".json", ".cancel", ".lock"}
