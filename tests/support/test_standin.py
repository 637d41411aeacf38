import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest
import rasterio
from google.auth.compute_engine import _metadata
from google.auth.exceptions import RefreshError
from google.auth.transport import Request, Response
from google.oauth2 import service_account
from rasterio import Affine

from tests.support.limits import SOON_S
from tests.support.standin import (
    FAULTS,
    PREFIX,
    TOKEN,
    UNRESOLVABLE,
    MetadataServer,
    StandIn,
    TlsFlaw,
    TokenServer,
    make_authority,
    refusing,
    tls_context,
    unroutable,
)
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.contract.wire import request_to_json

pytestmark = pytest.mark.slow  # Waits for faults of time.

SCENE = f"{PREFIX}/scene"
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
SCOPE = "https://www.googleapis.com/auth/earthengine.readonly"
REQUEST = PixelRequest(SCENE, ImageFileFormat.PNG, tile_grid(Tile(8, 8, 4)), band_ids=("b1",))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of two rasters, one of them half masked."""
    path = tmp_path_factory.mktemp("rasters")
    (path / "below").mkdir()
    values = np.arange(64 * 64).reshape(1, 64, 64).astype("uint8")
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:4326", "transform": Affine(0.3, 0, 2.1, 0, -0.3, -2.1)}
    for name in ("scene.tif", "below/masked.tif"):
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path / name, "w", **profile, **place) as dataset,
        ):
            dataset.write(values)
            if "masked" in name:
                dataset.write_mask(np.arange(64) % 2 * np.ones((64, 1), bool) > 0)
    return path


@pytest.fixture
def engine(folder: Path) -> Iterator[StandIn]:
    with StandIn(folder) as server:
        yield server


def client(server: StandIn, **more: Any) -> httpx.Client:
    options: dict[str, Any] = {"headers": AUTHORIZED, "trust_env": False, "timeout": 2.0} | more
    return httpx.Client(base_url=server.url, **options)


def ask(asking: httpx.Client, request: PixelRequest = REQUEST) -> httpx.Response:
    return asking.post(f"/v1/{request.asset_id}:getPixels", json=request_to_json(request))


def test_pixels_are_those_of_the_local_engine(engine: StandIn) -> None:
    with client(engine) as asking:
        answer = ask(asking)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == engine.rasters.pixels(REQUEST)
    assert (engine.count("getPixels"), engine.pixel_requests, engine.max_in_flight) == (1, 1, 1)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"grid": {"origin": 1}},
            "Invalid JSON payload received. Unknown name \"origin\" at 'grid': Cannot find field.",
        ),
        (
            {"fileFormat": "NPY", "grid": {"dimensions": {"width": 8192, "height": 8192}}},
            "Total request size (134217728 bytes) must be less than or equal to 50331648 bytes.",
        ),
        (
            {"grid": {"dimensions": {"width": 32769, "height": 1}}},
            "Pixel grid dimensions (32769x1) must be less than or equal to 32768.",
        ),
        ({"bandIds": ["B9"]}, "Image.select: Pattern 'B9' did not match any bands."),
    ],
)
def test_a_wrong_request_is_refused_in_earth_engines_words(
    engine: StandIn, body: dict[str, Any], message: str
) -> None:
    with client(engine) as asking:
        answer = asking.post(f"/v1/{SCENE}:getPixels", json=body)
    error = {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}
    assert (answer.status_code, answer.json()) == (400, {"error": error})


def test_a_payload_over_ten_megabytes_is_refused(engine: StandIn) -> None:
    with client(engine) as asking:
        answer = asking.post(f"/v1/{SCENE}:getPixels", content=bytes(10_485_761))
    assert answer.json()["error"]["message"].startswith("Request payload size exceeds the limit")


def test_a_token_a_project_or_an_asset_that_is_unknown_is_refused(folder: Path) -> None:
    with StandIn(folder, projects=("mine",)) as engine:
        with client(engine, headers={"authorization": "Bearer other"}) as asking:
            assert ask(asking).json()["error"]["status"] == "UNAUTHENTICATED"
        with client(engine, headers={**AUTHORIZED, "x-goog-user-project": "yours"}) as asking:
            assert ask(asking).json()["error"]["status"] == "PERMISSION_DENIED"
        with client(engine) as asking:
            answer = asking.get(f"/v1/{PREFIX}/nowhere")
            assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")
            assert asking.get("/v2/else").status_code == 404


def test_more_at_once_than_there_are_slots_are_refused_and_counted(folder: Path) -> None:
    with (
        StandIn(folder, latency_s=0.6, slots=4) as engine,
        client(engine) as asking,
        ThreadPoolExecutor(6) as pool,
    ):
        statuses = sorted(r.status_code for r in pool.map(lambda _: ask(asking), range(6)))
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert engine.max_in_flight in (5, 6)


def test_more_in_a_second_than_the_rate_are_refused(folder: Path) -> None:
    with StandIn(folder, requests_per_second=2) as engine, client(engine) as asking:
        for _ in range(10):
            began_s = time.monotonic()
            found = [ask(asking).status_code for _ in range(3)]
            if time.monotonic() - began_s < 1:
                break
            time.sleep(1.1)  # The machine was busy: the three were not in one second.
        assert found == [200, 200, 429]


def test_latency_grows_with_the_area(folder: Path) -> None:
    with StandIn(folder, latency_s=0.1, per_tile_s=0.1) as engine, client(engine) as asking:
        took = []
        for size in (256, 512):
            started = time.monotonic()
            ask(asking, PixelRequest(SCENE, ImageFileFormat.PNG, tile_grid(Tile(8, 8, 4), size)))
            took.append(time.monotonic() - started)
    assert took[0] >= 0.2
    assert took[1] >= 0.5


def test_a_client_that_leaves_gives_its_slot_back(folder: Path) -> None:
    with StandIn(folder, latency_s=30) as engine:
        with client(engine, timeout=0.2) as asking, pytest.raises(httpx.ReadTimeout):
            ask(asking)
        patience_ends = time.monotonic() + SOON_S
        while engine.in_flight and time.monotonic() < patience_ends:
            time.sleep(0.01)
        assert engine.in_flight == 0


def test_assets_are_listed_page_by_page_with_folders(engine: StandIn) -> None:
    with client(engine) as asking:
        first = asking.get("/v1/projects/stand-in:listAssets?pageSize=1&view=BASIC").json()
        token = first["nextPageToken"]
        second = asking.get(f"/v1/{PREFIX}:listAssets?pageSize=1&pageToken={token}").json()
    below = f"{PREFIX}/below"
    assert first["assets"] == [{"type": "FOLDER", "name": below, "id": below}]
    assert second["assets"][0]["bands"][0]["id"] == "b1"
    assert "nextPageToken" not in second


def invocation(name: str, **arguments: Any) -> dict[str, Any]:
    return {"functionInvocationValue": {"functionName": name, "arguments": arguments}}


def computed(engine: StandIn, node: Any, **body: Any) -> httpx.Response:
    expression = {"result": "0", "values": {"0": node}}
    with client(engine) as asking:
        document = {"expression": expression, "fileFormat": "NPY", **body}
        return asking.post("/v1/projects/mine/image:computePixels", json=document)


def test_an_expression_tells_masked_from_zero(engine: StandIn, tmp_path: Path) -> None:
    image = invocation("Image.load", id={"constantValue": f"{PREFIX}/below/masked"})
    names = {"constantValue": ["seen"]}
    mask = invocation("Image.rename", input=invocation("Image.mask", image=image), names=names)
    node = invocation("Image.addBands", dstImg=image, srcImg=mask)
    (tmp_path / "a.npy").write_bytes(computed(engine, node).content)
    pixels = np.load(tmp_path / "a.npy")
    assert pixels.dtype.names == ("b1", "seen")
    assert pixels["seen"][0, :4].tolist() == [0, 1, 0, 1]
    assert pixels["b1"][0, :4].tolist() == [0, 1, 0, 3]


def test_an_expression_of_what_is_not_there_is_refused(engine: StandIn) -> None:
    gone = invocation("Image.load", id={"constantValue": f"{PREFIX}/gone"})
    assert "not found (does not exist or caller" in computed(engine, gone).text
    scene = invocation("Image.load", id={"constantValue": SCENE})
    assert "Unrecognized function" in computed(engine, invocation("Image.log", value=scene)).text
    assert "Unknown name" in computed(engine, scene, region={"type": "Point"}).text


BROKEN_BODIES = {"truncated_png", "bad_crc", "wrong_size", "jpeg_as_png", "empty_body"}
STATUSES: Mapping[str, int] = {
    **{name: 429 for name in FAULTS if name.startswith("rate_limited")},
    "rate_limited_403": 403,
    "daily_quota": 429,
    **{f"status_{code}": code for code in (500, 502, 503, 504)},
    **dict.fromkeys(("bad_band", "too_many_pixels", "out_of_memory"), 400),
    **dict.fromkeys(("computation_timed_out", "invalid_grant"), 400),
    "unauthenticated": 401,
    **dict.fromkeys(("permission_denied", "billing_disabled", "service_disabled"), 403),
    "wrong_project": 403,
    "not_found": 404,
    "flapping": 503,
    **dict.fromkeys(("html", "error_as_200", "no_content_type", "closes_after_answer"), 200),
    **dict.fromkeys(BROKEN_BODIES, 200),
}
BREAKS: Mapping[str, type[Exception]] = {
    "reset_mid_body": httpx.ReadError,
    "eof_before_length": httpx.RemoteProtocolError,
    "chunked_cut": httpx.RemoteProtocolError,
    "slow_body": httpx.ReadTimeout,
    "silence": httpx.ReadTimeout,
    "closes_unanswered": httpx.RemoteProtocolError,
}
OWN_TESTS = {"endless_headers", "huge_body", "gzip_bomb"}


def test_every_fault_is_tested_here() -> None:
    # Other tests register faults of their own, of row 0.
    assert {name for name, each in FAULTS.items() if each.row} == (
        set(STATUSES) | set(BREAKS) | OWN_TESTS
    )


@pytest.mark.parametrize("name", sorted(STATUSES))
def test_a_fault_that_answers_befalls_one_request_and_no_more(engine: StandIn, name: str) -> None:
    engine.inject(name)
    # Two clients, as the connection of the first may be closed.
    with client(engine) as first, client(engine) as second:
        struck, spared = ask(first), ask(second)
    assert struck.status_code == STATUSES[name]
    assert (struck.content == spared.content) == (
        name in ("no_content_type", "closes_after_answer")
    )
    assert spared.content == engine.rasters.pixels(REQUEST)
    assert [asked.fault for asked in engine.seen] == [name, None]


@pytest.mark.parametrize("name", BREAKS)
def test_a_fault_on_the_wire_breaks_one_request_and_no_more(engine: StandIn, name: str) -> None:
    engine.inject(name, only="getPixels")
    with client(engine) as asking:
        asking.get(f"/v1/{SCENE}")
        asking.timeout = httpx.Timeout(0.5)
        with pytest.raises(BREAKS[name]):
            ask(asking)
    with client(engine) as asking:
        assert ask(asking).status_code == 200


def test_headers_that_never_end_come_without_a_pause(engine: StandIn) -> None:
    engine.inject("endless_headers")
    request = f"GET /v1/{SCENE} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", engine.port)) as raw:
        raw.sendall(request)
        received = b""
        while received.count(b"x-more: yes\r\n") < 3:
            received += raw.recv(1000)
    assert b"\r\n\r\n" not in received


def test_a_bomb_is_small_on_the_wire_and_a_huge_body_is_not(engine: StandIn) -> None:
    engine.inject("gzip_bomb")
    engine.inject("huge_body")
    with client(engine, timeout=10) as asking:
        for most in (1_000_000, 60_000_000):
            url = f"/v1/{SCENE}:getPixels"
            with asking.stream("POST", url, json=request_to_json(REQUEST)) as answer:
                size = sum(map(len, answer.iter_raw()))
            assert most / 10 < size < most


def test_always_lasts_until_healed(engine: StandIn) -> None:
    engine.inject("status_503", times=None)
    with client(engine) as asking:
        assert {ask(asking).status_code for _ in range(3)} == {503}
        engine.heal()
        assert ask(asking).status_code == 200


def test_a_server_that_closes_idle_connections_does(folder: Path) -> None:
    with StandIn(folder, idle_s=0.1) as engine, client(engine) as asking:
        ask(asking)
        assert engine.count() == 1
        patience_ends = time.monotonic() + SOON_S
        while engine.connections and time.monotonic() < patience_ends:
            time.sleep(0.01)
        assert engine.connections == 0


def test_addresses_that_refuse_swallow_or_do_not_exist() -> None:
    with httpx.Client(timeout=0.3, trust_env=False) as asking:
        with refusing() as url, pytest.raises(httpx.ConnectError):
            asking.get(url)
        with unroutable() as url, pytest.raises(httpx.ConnectTimeout):
            asking.get(url)
        with pytest.raises((httpx.ConnectError, httpx.ConnectTimeout)):
            asking.get(UNRESOLVABLE)


@pytest.mark.parametrize("flaw", TlsFlaw)
def test_a_client_that_trusts_the_authority_refuses_flawed_certificates(
    folder: Path, tmp_path: Path, flaw: TlsFlaw
) -> None:
    authority = make_authority(tmp_path)
    trusting = ssl.create_default_context(cafile=str(authority.file))
    with (
        StandIn(folder, tls=tls_context(authority, flaw)) as engine,
        client(engine, verify=trusting) as asking,
    ):
        if flaw is TlsFlaw.NONE:
            assert ask(asking).status_code == 200
            return
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(asking)


class _Response(Response):
    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        return self._answer.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    @property
    def data(self) -> bytes:
        return self._answer.content


class _Request(Request):
    def __init__(self, timeout_s: float = SOON_S) -> None:
        self.timeout_s = timeout_s

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: Any = None,
        headers: Any = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Response:
        with httpx.Client(trust_env=False, timeout=self.timeout_s) as asking:
            return _Response(asking.request(method, url, content=body, headers=headers))


def credentials(tokens: TokenServer, path: Path) -> Any:
    file = tokens.write_service_account(path / "key.json")
    make: Any = service_account.Credentials.from_service_account_file
    return make(str(file), scopes=[SCOPE])


def test_google_auth_gets_a_token_that_the_stand_in_accepts(folder: Path, tmp_path: Path) -> None:
    with TokenServer(valid_s=3) as tokens, StandIn(folder, accepts=tokens.accepts) as engine:
        found = credentials(tokens, tmp_path)
        found.refresh(_Request())
        with client(engine, headers={"authorization": f"Bearer {found.token}"}) as asking:
            assert ask(asking).status_code == 200
            while tokens.accepts(found.token):
                time.sleep(0.01)
            assert ask(asking).status_code == 401
    assert tokens.issued[0].scopes == SCOPE


@pytest.mark.parametrize(("skew_s", "is_refused"), [(200, False), (-200, False), (-600, True)])
def test_a_clock_that_is_too_far_off_is_an_invalid_grant(
    tmp_path: Path, skew_s: float, is_refused: bool
) -> None:
    with TokenServer(clock_skew_s=skew_s) as tokens:
        found = credentials(tokens, tmp_path)
        if not is_refused:
            found.refresh(_Request())
            return
        with pytest.raises(RefreshError, match="reasonable timeframe"):
            found.refresh(_Request())


def test_a_key_the_token_endpoint_does_not_know_is_refused(tmp_path: Path) -> None:
    with TokenServer() as tokens, TokenServer() as others:
        file = others.write_service_account(tmp_path / "key.json")
        document = json.loads(file.read_text()) | {"token_uri": tokens.token_uri}
        make: Any = service_account.Credentials.from_service_account_info
        found = make(document, scopes=[SCOPE])
        with pytest.raises(RefreshError, match="account not found"):
            found.refresh(_Request())


def test_the_token_endpoint_fails_as_it_is_told(tmp_path: Path) -> None:
    with TokenServer() as tokens:
        found = credentials(tokens, tmp_path)
        tokens.inject("invalid_grant")
        with pytest.raises(RefreshError, match="invalid_grant"):
            found.refresh(_Request())
        tokens.inject("silence")
        with pytest.raises(httpx.ReadTimeout):
            found.refresh(_Request(timeout_s=0.3))


def test_the_metadata_server_answers_google_auth() -> None:
    with MetadataServer() as machine:
        root = f"http://{machine.host}/computeMetadata/v1/"
        request, get = _Request(), cast(Any, _metadata.get)
        path = "instance/service-accounts/default/"
        assert get(request, path, root, recursive=True)["email"] == machine.email
        token = get(request, path + "token", root)["access_token"]
        assert get(request, "project/project-id", root) == machine.project
        assert machine.accepts(token)
        machine.revoke()
        assert not machine.accepts(token)


def test_no_thread_is_left_behind(folder: Path) -> None:
    before = threading.active_count()
    with StandIn(folder) as engine, client(engine) as asking:
        ask(asking)
    patience_ends = time.monotonic() + SOON_S
    while threading.active_count() > before and time.monotonic() < patience_ends:
        time.sleep(0.01)
    assert threading.active_count() == before
