"""What cannot be done is told at once, in Earth Engine's words, as ee.EEException."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import requests

from tests.clients.conftest import Served
from tests.clients.rasters import LOCAL, SCENE, SERIES

MOST_S = 20
"""The official client would ask again for longer than that, if it took a refusal for a failure."""
"""Longer would mean that the client has tried again."""
HUGE = {"dimensions": {"width": 9999, "height": 9999}}
LOADED = "not found (does not exist or caller does not have access)."


class Refusal(NamedTuple):
    """What is tried, and what must be said."""

    name: str
    attempt: Callable[[ModuleType], Any]
    said: str


def pixels(**asked: Any) -> Callable[[ModuleType], Any]:
    return lambda ee: ee.data.getPixels({"assetId": SCENE, "fileFormat": "NPY", **asked})


REFUSALS = (
    Refusal("a missing asset's pixels", pixels(assetId=f"{LOCAL}/no"), f"'{LOCAL}/no' not found."),
    Refusal(
        "a missing asset", lambda ee: ee.data.getAsset(f"{LOCAL}/no"), f"'{LOCAL}/no' not found."
    ),
    Refusal(
        "a missing image",
        lambda ee: ee.Image(f"{LOCAL}/no").getInfo(),
        f"Image.load: Image asset '{LOCAL}/no' {LOADED}",
    ),
    Refusal(
        "a missing collection",
        lambda ee: ee.ImageCollection(f"{LOCAL}/no").size().getInfo(),
        f"ImageCollection.load: ImageCollection asset '{LOCAL}/no' {LOADED}",
    ),
    Refusal("an unknown band", pixels(bandIds=["B99"]), "B99"),
    Refusal(
        "an unknown band of an image",
        lambda ee: ee.Image(SCENE).select("B99").getInfo(),
        "Image.select: Pattern 'B99' did not match any bands. Available bands: [B2, B3, B4, B8]",
    ),
    Refusal(
        "too much",
        pixels(grid=HUGE),
        "Total request size (1199760012 bytes) must be less than or equal to 50331648 bytes.",
    ),
    Refusal(
        "too much, computed",
        lambda ee: ee.data.computePixels(
            {"expression": ee.Image(SCENE).add(1), "fileFormat": "NPY", "grid": HUGE}
        ),
        "must be less than or equal to 50331648 bytes.",
    ),
    Refusal(
        "a palette for three bands",
        lambda ee: ee.Image(SCENE).getMapId(
            {"bands": ["B4", "B3", "B2"], "palette": ["black", "white"]}
        ),
        "Image.visualize: Cannot provide a palette when visualizing more than one band.",
    ),
    Refusal("an unknown format", pixels(fileFormat="BMP"), "Invalid value at 'file_format'"),
    Refusal(
        "two bands as a picture",
        pixels(fileFormat="PNG", bandIds=["B4", "B3"]),
        "band",
    ),
    Refusal(
        "pixels of a folder",
        pixels(assetId=f"{LOCAL}/folder"),
        "FOLDER",
    ),
    Refusal(
        "first of what a collection does not have",
        lambda ee: (
            ee.ImageCollection(SERIES).filterDate("1999-01-01").first().bandNames().getInfo()
        ),
        "Image.bandNames: Parameter 'image' is required and may not be null.",
    ),
    Refusal(
        "a word for a number",
        lambda ee: ee.Number.parse("ten").getInfo(),
        "Number.parse",
    ),
    Refusal(
        "a thumbnail too large",
        lambda ee: ee.Image(SCENE).getThumbURL({"dimensions": [9999, 9999]}),
        "must be less than or equal to",
    ),
    Refusal(
        "a mean of too much",
        lambda ee: (
            ee.Image(SCENE)
            .unmask()
            .reduceRegion(ee.Reducer.mean(), ee.Geometry.Rectangle([-170, -80, 170, 80]), 30)
            .getInfo()
        ),
        "Too many pixels in the region. Found ",
    ),
)


@pytest.mark.parametrize("refusal", REFUSALS, ids=[each.name for each in REFUSALS])
def test_a_refusal_is_prompt_and_in_words(ee: ModuleType, refusal: Refusal) -> None:
    started_s = time.perf_counter()
    with pytest.raises(ee.EEException) as told:
        refusal.attempt(ee)
    assert refusal.said in str(told.value)
    assert time.perf_counter() - started_s < MOST_S


def test_a_function_that_is_not_there_cannot_even_be_built(ee: ModuleType) -> None:
    with pytest.raises((ee.EEException, AttributeError)):
        ee.ApiFunction.call_("Image.neverHeardOf", ee.Image(SCENE))
    assert not hasattr(ee.Image(SCENE), "neverHeardOf")


def test_what_is_not_there_is_told_by_name_when_it_is_sent_all_the_same(
    served: Served, web: requests.Session
) -> None:
    call: dict[str, Any] = {"functionName": "Image.neverHeardOf", "arguments": {}}
    expression: Any = {"result": "0", "values": {"0": {"functionInvocationValue": call}}}
    url = f"{served.url}/v1/projects/localhost/value:compute"
    answer = web.post(url, json={"expression": expression}, timeout=MOST_S)
    assert answer.status_code == 400
    assert "'Image.neverHeardOf'" in answer.json()["error"]["message"]
