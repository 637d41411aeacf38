"""Methods that are not answered say so, through Google's own client too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import resources
from types import ModuleType
from typing import Any

import ee as official
import httpx
import pytest
from google.auth.credentials import AnonymousCredentials

from tests.rest.conftest import LOCAL, Served
from tests.rest.test_discovery import methods_of
from tests.rest.test_router import check_error
from tileserver.rest.discovery import discovery_document
from tileserver.rest.methods import METHODS

SCENE = f"{LOCAL}/scene"
REFUSED = [each for each in METHODS if each.refusal]
CASES: list[tuple[Callable[[ModuleType], Any], str]] = [
    (lambda ee: ee.data.createAsset({"type": "FOLDER"}, f"{LOCAL}/new"), "delete assets"),
    (lambda ee: ee.data.createFolder(f"{LOCAL}/new"), "change the files, and the assets follow"),
    (lambda ee: ee.data.copyAsset(SCENE, f"{SCENE}2"), "delete assets"),
    (lambda ee: ee.data.renameAsset(SCENE, f"{SCENE}2"), "delete assets"),
    (lambda ee: ee.data.deleteAsset(SCENE), "delete assets"),
    (lambda ee: ee.data.updateAsset(SCENE, {"properties": {}}, ["properties"]), "delete assets"),
    (lambda ee: ee.data.getIamPolicy(SCENE), "keeps no IAM policies"),
    (lambda ee: ee.data.setIamPolicy(SCENE, {"bindings": []}), "keeps no IAM policies"),
    (
        lambda ee: ee.data.startIngestion("1", {"name": f"{LOCAL}/n", "tilesets": []}),
        "`tileserver ingest`",
    ),
    (
        lambda ee: ee.data.startExternalImageIngestion({"name": f"{LOCAL}/n", "tilesets": []}),
        "`tileserver ingest`",
    ),
    (
        lambda ee: ee.data.startTableIngestion("1", {"name": f"{LOCAL}/n", "sources": []}),
        "does not import",
    ),
    (
        lambda ee: ee.batch.Export.map.toCloudStorage(ee.Image(1), bucket="b", maxZoom=1).start(),
        "does not export maps.",
    ),
    (
        lambda ee: ee.batch.Export.classifier.toAsset(
            ee.Classifier.smileCart(), assetId=f"{LOCAL}/n"
        ).start(),
        "does not export classifiers.",
    ),
    (
        lambda ee: ee.batch.Export.video.toDrive(
            ee.ImageCollection([ee.Image(1)]), dimensions=9
        ).start(),
        "does not export videos.",
    ),
    (
        lambda ee: ee.ImageCollection([ee.Image(1)]).getVideoThumbURL({"dimensions": 9}),
        "makes no videos.",
    ),
    (
        lambda ee: ee.ImageCollection([ee.Image(1)]).getFilmstripThumbURL({"dimensions": 9}),
        "makes no filmstrips.",
    ),
    (
        lambda ee: ee.data.getFeatureViewTilesKey({"assetId": f"{LOCAL}/n"}),
        "makes no feature views.",
    ),
    (
        lambda ee: ee.data.computeImages(
            {"expression": ee.ImageCollection([ee.Image(1)])}
        ),
        "does not compute the images of a collection",
    ),
    (
        lambda ee: ee.data.updateProjectConfig({"maxConcurrentExports": 1}),
        "no configuration of projects",
    ),
    (lambda ee: ee.data.getOperation("projects/p/operations/x"), "'projects/p/operations/x' not"),
    (lambda ee: ee.data.cancelOperation("projects/p/operations/x"), "not found"),
]  # fmt: skip


@pytest.fixture(scope="module")
def ee(served: Served) -> Iterator[ModuleType]:
    anonymous: Any = AnonymousCredentials  # Its constructor has no types.
    official.Initialize(anonymous(), url=served.url, project="localhost")
    yield official
    official.Reset()


@pytest.mark.parametrize(("attempt", "said"), CASES, ids=[said for _, said in CASES])
def test_the_client_raises_our_sentence(
    ee: ModuleType, attempt: Callable[[ModuleType], Any], said: str
) -> None:
    with pytest.raises(ee.EEException, match=f".*{said}.*"):
        attempt(ee)


def test_a_workload_tag_changes_nothing(ee: ModuleType) -> None:
    images = ee.ImageCollection([ee.Image(1)])
    with ee.data.workloadTagContext("some-tag"):
        assert ee.Number(1).getInfo() == 1
        assert ee.Image(SCENE).getMapId({"bands": ["B4"], "max": 9})["mapid"]
        assert ee.Image(SCENE).getThumbURL({"bands": ["B4"], "max": 9, "dimensions": 8})
        for build in (images.getFilmstripThumbURL, images.getVideoThumbURL):
            with pytest.raises(ee.EEException, match="tileserver makes no"):
                build({"dimensions": 9})


def test_there_are_no_operations(ee: ModuleType) -> None:
    assert ee.data.listOperations() == []
    assert ee.batch.Task.list() == []


@pytest.mark.parametrize("method", REFUSED, ids=[each.id for each in REFUSED])
def test_every_refused_method_answers_its_sentence(client: httpx.Client, method: Any) -> None:
    names = {
        "parent": "projects/p",
        "name": "projects/p/assets/x",
        **dict.fromkeys(("zoom", "x", "y"), "0"),
    }
    parts = {"locations": "projects/p/locations/l", "subscriptions": "billingAccounts/b"}
    owner = method.id.split(".")[-2]
    if owner in ("videoThumbnails", "filmstripThumbnails") and method.id.endswith("getPixels"):
        names["name"] = f"projects/p/{owner}/x"
    elif method.id.startswith("projects.locations"):
        names["parent"] = parts["locations"]
    elif owner == "subscriptions":
        names |= {"parent": parts[owner], "name": f"{parts[owner]}/subscriptions/s"}
    elif owner == "tiles":
        names["parent"] = "projects/p/featureViews/x"
    elif method.id.endswith("updateConfig"):
        names["name"] = "projects/p/config"
    path = method.path.replace("{+", "{").format(
        project="projects/p", sourceName=names["name"], resource=names["name"], **names
    )
    answer = client.request(method.http_method, f"/v1/{path}")
    check_error(answer, 400, "FAILED_PRECONDITION", method.refusal)


def test_discovery_has_all_methods_of_the_client_s_own_document() -> None:
    place = resources.files("ee").joinpath("tests/cloud_api_discovery_document.json")
    theirs = {each["id"] for each in methods_of(json.loads(place.read_bytes()))}
    ours = {each["id"] for each in methods_of(discovery_document("v1", ""))}
    assert theirs - ours <= {"earthengine.projects.assets.listFeatures"}
