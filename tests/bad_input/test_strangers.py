"""Whatever strangers say in CRSs, metadata, patterns and names: one server, watched from outside.

A canary file lies outside of the served folder and a canary port listens beside the server; neither
may be touched, and the server's memory may not grow past a limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.rasters.tiffs import decoy, poisoned
from tests.rest.bombs import call, expression
from tests.support.canaries import Canary, canary
from tests.support.commands import serving
from tests.support.crstexts import texts_with_files

_MAX_MB = 700
_PATIENCE_S = 40
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Watched:
    """A server, and what must stay as it is."""

    client: httpx.Client
    bird: Canary
    folder: Path
    decoy: Path
    pid: int

    def check(self, *answers: httpx.Response) -> None:
        assert self.bird.touched() == []
        for answer in answers:
            assert answer.status_code < 600
            assert answer.status_code != 500, answer.text
            assert "longlat +ellps=WGS84 <>" not in answer.text
        assert self.client.get("/healthz").status_code == 200
        status = Path(f"/proc/{self.pid}/status").read_text()
        taken = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        assert int(taken.split()[1]) / 1000 < _MAX_MB

    def compute(self, *nodes: Any) -> httpx.Response:
        body = {"expression": expression(*nodes)}
        return self.client.post("/v1/projects/localhost/value:compute", json=body)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell the memory of a process")
    outside, folder = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("served")
    other = decoy(outside / "decoy.tif")
    poisoned(folder / "first.tif", "<GDALMetadata></GDALMetadata>")
    with (
        canary(outside) as bird,
        serving(str(folder), "--port", "0", cwd=folder, patience_s=600) as server,
        httpx.Client(base_url=server.url, timeout=_PATIENCE_S, trust_env=False) as client,
    ):
        yield Watched(client, bird, folder, other, server.process.pid)


PIECES = st.sampled_from(
    [
        *("{path}", "{url}", "/vsicurl/{url}", "file://{path}", "+init={path}:key", "@", "|", "\0"),
        *("+proj=pipeline +step", "+nadgrids={path}", "EPSG:4326", "ESRI::{path}", '"', "[", "{"),
        *('EXTENSION["PROJ4","+init={path}:key"]', "PARAMETERFILE[", "urn:ogc:def:crs:", "é"),
    ]
)


@FEW
@given(
    start=st.sampled_from(sorted(texts_with_files("{path}", "{url}").values())),
    pieces=st.lists(st.tuples(st.floats(0, 1), PIECES), max_size=4),
)
def test_no_crs_of_a_request_touches_a_file_or_a_host(
    watched: Watched, start: str, pieces: list[tuple[float, str]]
) -> None:
    text = start
    for place, piece in pieces:
        at = int(place * len(text))
        text = text[:at] + piece + text[at:]
    text = text.replace("{path}", watched.bird.path).replace("{url}", watched.bird.url)
    projection = call("Projection", crs=text)
    grid = {"dimensions": {"width": 2, "height": 2}, "crsWkt": text}
    constant = expression(call("Image.constant", value=1))
    pixels = {"expression": constant, "fileFormat": "NPY", "grid": grid}
    watched.check(
        watched.compute(call("Projection.wkt", projection=projection)),
        watched.client.post("/v1/projects/localhost/image:computePixels", json=pixels),
    )


ITEMS = st.tuples(
    st.sampled_from(["OVERVIEW_FILE", "OVERVIEW&#95;FILE", "overview_file", "FILE", "NAME"]),
    st.sampled_from(["OVERVIEWS", "OVERVIE&#87;S", "overviews", "xml:VRT", "GEOLOCATION", "RPC"]),
    st.sampled_from(["{decoy}", "{path}", "{url}", "/vsicurl/{url}", "GTIFF_DIR:1:{decoy}"]),
    st.sampled_from(["", ' sample="0"', ' role="offset"', ' format="xml"']),
)


@FEW
@given(items=st.lists(ITEMS, max_size=4), start=st.text(" \t<!->x", max_size=6))
def test_no_metadata_of_a_file_leads_to_another_file_or_host(
    watched: Watched, items: list[tuple[str, str, str, str]], start: str
) -> None:
    rows = (
        f'<Item name="{name}" domain="{domain}"{more}>{value}</Item>'
        for name, domain, value, more in items
    )
    text = f"{start}<GDALMetadata>{''.join(rows)}</GDALMetadata>"
    text = text.replace("{decoy}", str(watched.decoy)).replace("{path}", watched.bird.path)
    path = poisoned(watched.folder / "new", text.replace("{url}", watched.bird.url))
    path.replace(watched.folder / "first.tif")
    asset = "projects/localhost/assets/first"
    small = {"fileFormat": "NPY", "grid": {"dimensions": {"width": 32, "height": 32}}}
    answer = watched.client.post(f"/v1/{asset}:getPixels", json=small)
    info = watched.client.get(f"/info/{asset}")
    watched.check(answer, info)
    assert answer.status_code in (200, 400, 502), answer.text
    if answer.status_code == 200:
        assert set(answer.content[-32 * 32 :]) == {10}


PATTERNS = st.recursive(
    st.sampled_from(
        ["a", ".", r"\w", r"\p{L}", "[^x]", "(?R)", r"\1", "(?=a)", "é", "|", "^", "$"]
    ),
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["*", "+", "{1000}", "{1000000000}", "{0,999}", "?", "*?", "++"])
        ).map("".join),
        st.lists(inner, min_size=1, max_size=4).map("".join),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, inner).map("|".join),
    ),
    max_leaves=12,
)


@FEW
@given(pattern=PATTERNS, text=st.sampled_from(["a" * 5000, "ab" * 300 + "é", ""]))
def test_no_pattern_takes_the_memory_or_the_time(watched: Watched, pattern: str, text: str) -> None:
    watched.check(
        watched.compute(call("String.match", input=text, regex=pattern)),
        watched.compute(
            call("String.replace", input=text, regex=pattern, replacement="$0$0", flags="g")
        ),
    )


NAMES = st.lists(
    st.sampled_from(
        [
            *("..", ".", "", "projects", "localhost", "assets", "first", "first.tif", "canary"),
            *("{path}", "{url}", "/vsicurl/", "\0", "\r\n", "%2e%2e", "..\\", "~", "é", "<b>"),
        ]
    ),
    min_size=1,
    max_size=7,
).map("/".join)


@FEW
@given(name=NAMES)
def test_no_name_leads_out_of_the_folder(watched: Watched, name: str) -> None:
    name = name.replace("{path}", watched.bird.path).replace("{url}", watched.bird.url)
    encoded = quote(name, safe="/")
    watched.check(
        watched.client.get(f"/info/{encoded}"),
        watched.client.get(f"/tiles/{encoded}/0/0/0.png"),
        watched.client.get(f"/v1/{encoded}"),
        watched.compute(call("Image.load", id=name)),
        watched.compute(call("Collection.loadTable", tableId=name)),
    )
