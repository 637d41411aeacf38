"""Whatever is sent, the answer has Earth Engine's shape and no failure is ours."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compute.graphs import Builder, spoilt
from tests.rest import memory
from tests.rest.conftest import LOCAL, config_of
from tests.support.serving import serve
from tests.support.waiting import Stopwatch
from tileserver.earthengine.tuning import Tuning
from tileserver.expressions.document import loaded
from tileserver.server.app import create_app

CASES = int(os.environ.get("FUZZ_CASES", "300"))
"""Of each kind that is computed without a server; over HTTP there are fewer."""
DEADLINE_S = 2.0
LATE_S = 0.5
MOST_MB = 300.0
FEW = settings(
    max_examples=max(50, CASES // 20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
RAN: Counter[int] = Counter()
GRID = {
    "dimensions": {"width": 16, "height": 16},
    "affineTransform": {
        "scaleX": 60,
        "translateX": 400_000,
        "scaleY": -60,
        "translateY": 4_500_000,
    },
    "crsCode": "EPSG:32612",
}
NAMES = st.sampled_from(
    [
        "fileFormat",
        "grid",
        "region",
        "bandIds",
        "visualizationOptions",
        "workloadTag",
        "expression",
        "dimensions",
        "width",
        "height",
        "affineTransform",
        "scaleX",
        "scaleY",
        "crsCode",
        "crsWkt",
        "type",
        "coordinates",
        "ranges",
        "min",
        "max",
        "paletteColors",
        "gamma",
        "opacity",
        "filenamePrefix",
        "values",
        "result",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["NPY", "PNG", "GEO_TIFF", "EPSG:4326", "EPSG:3857", "Point", "b1", "1e3", "0"]
    ),
    st.text(max_size=10),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
GRIDS = st.fixed_dictionaries(
    {},
    optional={
        "dimensions": st.fixed_dictionaries(
            {"width": st.integers(-1, 40), "height": st.integers(-1, 40)}
        ),
        "affineTransform": st.fixed_dictionaries(
            {
                name: st.floats(-1e7, 1e7)
                for name in ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
            }
        ),
        "crsCode": st.sampled_from(["EPSG:4326", "EPSG:3857", "EPSG:3413", "SR-ORG:6974", "x:1"]),
    },
)
REGIONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Point", "Polygon", "MultiPoint"]),
        "coordinates": st.lists(st.floats(-400, 400), max_size=3) | DOCUMENTS,
    }
)
BODIES = DOCUMENTS | st.fixed_dictionaries(
    {"fileFormat": st.sampled_from(["NPY", "PNG", "JPEG", "GEO_TIFF"])},
    optional={"grid": GRIDS, "region": REGIONS, "bandIds": st.just(["b1"])},
)


@pytest.fixture(scope="module")
def fuzzed(folder: Path, graphs: Path) -> Iterator[httpx.Client]:
    """Serve all rasters by a server that computes for a moment only, and takes no more memory."""
    app = create_app(config_of(folder, graphs), tuning=Tuning(deadline_s=DEADLINE_S))
    before_mb = memory.now_mb() if memory.is_told() else 0.0
    with serve(app) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        yield client
    if memory.is_told():
        memory.forget()
        assert memory.now_mb() - before_mb < MOST_MB


def check_shape(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask, and judge the time and the answer."""
    with Stopwatch() as watch:
        answer = ask()
    assert watch.took_s < DEADLINE_S + LATE_S
    assert answer.status_code in (200, 400, 404, 405), answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        assert error["message"]
        statuses = ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", "UNIMPLEMENTED")
        assert error["status"] in statuses
    return answer


@FEW
@given(body=BODIES)
def test_any_body_of_get_pixels(fuzzed: httpx.Client, body: Any) -> None:
    check_shape(lambda: fuzzed.post(f"/v1/{LOCAL}/bytes:getPixels", json=body))


@FEW
@given(
    body=BODIES,
    method=st.sampled_from(["image:computePixels", "value:compute", "maps", "thumbnails"]),
)
def test_any_body_of_what_computes(fuzzed: httpx.Client, body: Any, method: str) -> None:
    if isinstance(body, dict):
        body = {"expression": loaded(f"{LOCAL}/bytes"), **body}
    check_shape(lambda: fuzzed.post(f"/v1/projects/p/{method}", json=body))


@FEW
@given(raw=st.binary(max_size=40))
def test_any_bytes_as_a_body(fuzzed: httpx.Client, raw: bytes) -> None:
    check_shape(lambda: fuzzed.post(f"/v1/{LOCAL}/bytes:getPixels", content=raw))


@FEW
@given(
    path=st.text(max_size=30),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    below=st.sampled_from(["", "projects/", f"{LOCAL}/", "projects/p/maps/", "projects/p:"]),
)
def test_any_path(fuzzed: httpx.Client, path: str, method: str, below: str) -> None:
    check_shape(lambda: fuzzed.request(method, f"/v1/{below}{quote(path, safe='/:')}"))


@FEW
@given(
    query=st.dictionaries(
        st.sampled_from(
            ["pageSize", "pageToken", "filter", "view", "region", "startTime", "endTime"]
        ),
        st.text(max_size=20)
        | st.sampled_from(["BASIC", "2", "CLOUD < 20", "NOT", "2020-02-01", "{'type': 'Point'}"]),
    )
)
def test_any_query_of_a_list(fuzzed: httpx.Client, query: dict[str, str]) -> None:
    check_shape(lambda: fuzzed.get(f"/v1/{LOCAL}/series:listImages", params=query))


def computed(client: httpx.Client, method: str, document: Any) -> None:
    """Ask for what an expression makes, and judge the answer."""
    body: dict[str, Any] = {"expression": document}
    if method != "value:compute":
        body["fileFormat"] = "PNG" if method == "maps" else "NPY"
    if method in ("image:computePixels", "thumbnails"):
        body["grid"] = GRID
    content = json.dumps(body)
    answer = check_shape(lambda: client.post(f"/v1/projects/p/{method}", content=content))
    RAN[answer.status_code] += 1
    for secret in ("/rest0/", "site-packages", "Traceback", " at 0x"):
        assert secret not in answer.text
    if answer.status_code == 200 and method in ("maps", "thumbnails"):
        name = answer.json()["name"]
        path = f"/v1/{name}/tiles/13/1538/3087" if method == "maps" else f"/v1/{name}:getPixels"
        check_shape(lambda: client.get(path))


@FEW
@given(
    chance=st.randoms(use_true_random=True),
    method=st.sampled_from(["image:computePixels", "value:compute", "maps", "thumbnails"]),
)
def test_any_graph(fuzzed: httpx.Client, chance: random.Random, method: str) -> None:
    built = Builder(chance, (f"{LOCAL}/bytes", f"{LOCAL}/heights"), (f"{LOCAL}/series",))
    wanted = None if method == "value:compute" else "Image"
    computed(fuzzed, method, built.expression(wanted))


@FEW
@given(
    chance=st.randoms(use_true_random=True),
    method=st.sampled_from(["image:computePixels", "value:compute", "maps", "thumbnails"]),
)
def test_any_spoilt_graph(fuzzed: httpx.Client, chance: random.Random, method: str) -> None:
    built = Builder(chance, (f"{LOCAL}/bytes", f"{LOCAL}/nothing"), (f"{LOCAL}/series",))
    computed(fuzzed, method, spoilt(chance, built.expression()))


def test_an_honest_request_is_answered_after_all_that(fuzzed: httpx.Client) -> None:
    print(dict(RAN))
    assert sum(RAN.values()) >= 90
    assert RAN[200] > 5
    body = {"expression": loaded(f"{LOCAL}/bytes"), "fileFormat": "NPY", "grid": GRID}
    assert fuzzed.post("/v1/projects/p/image:computePixels", json=body).status_code == 200
    assert fuzzed.get("/healthz").status_code == 200
