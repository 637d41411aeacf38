import asyncio
import gzip
import io
import json
import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from tests.earthengine.loops import LOOPS
from tests.earthengine.loops import run as run_on
from tests.earthengine.test_tokens import credentials_in, endless
from tests.support.limits import SOON_S, ends_soon
from tests.support.loopback import Answer, Asked, Loopback, error_answer, json_answer
from tests.support.standin import (
    PREFIX,
    UNRESOLVABLE,
    StandIn,
    TlsFlaw,
    TokenServer,
    make_authority,
    refusing,
    tls_context,
    unroutable,
)
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.geojson import read_geometry
from tileserver.contract.names import upstream_name
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.earthengine.client import EarthEngine
from tileserver.earthengine.connections import make_client
from tileserver.earthengine.tokens import GoogleAuth
from tileserver.errors import (
    AssetNotFound,
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidName,
    InvalidRequest,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    TileserverError,
    TooComplex,
    TransientError,
    UpstreamError,
)

PROJECT = "my-project"
SCENE = f"{PREFIX}/scene"
REQUEST = PixelRequest(SCENE, ImageFileFormat.PNG, tile_grid(Tile(8, 8, 4)), band_ids=("b1",))
RAW = [
    ImageFileFormat.NPY,
    ImageFileFormat.GEO_TIFF,
    ImageFileFormat.ZIPPED_GEO_TIFF,
    ImageFileFormat.ZIPPED_GEO_TIFF_PER_BAND,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rasters")
    values = np.random.default_rng(3).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    profile = {"driver": "GTiff", "width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    place = {"crs": "EPSG:4326", "transform": Affine(0.3, 0, 2.1, 0, -0.3, -2.1), "nodata": 0}
    with rasterio.open(path / "scene.tif", "w", **profile, **place) as dataset:
        dataset.write(values)
    return path


@pytest.fixture(scope="module")
def tokens() -> Iterator[TokenServer]:
    with TokenServer() as server:
        yield server


@pytest.fixture(scope="module")
def key(tokens: TokenServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a service account's key."""
    path = tmp_path_factory.mktemp("key") / "key.json"
    return tokens.write_service_account(path)


@pytest.fixture(scope="module")
def standin(folder: Path, tokens: TokenServer) -> Iterator[StandIn]:
    with StandIn(folder, accepts=tokens.accepts) as server:
        yield server


@pytest.fixture
def engine(standin: StandIn) -> Iterator[StandIn]:
    standin.forget()
    yield standin
    standin.heal()
    standin.quota_status = None


Ask = Callable[[EarthEngine], Awaitable[Any]]


@pytest.fixture(params=LOOPS)
def ask(request: pytest.FixtureRequest, engine: StandIn, key: Path) -> Callable[..., Any]:
    """Return a function that lets an EarthEngine ask the stand-in, or another address."""

    def run(
        question: Ask, endpoint: str | None = None, deadline_s: float = 10, **options: Any
    ) -> Any:
        async def scenario() -> Any:
            auth = GoogleAuth(credentials_in(key), PROJECT)
            async with make_client(auth, options.pop("concurrency", 4), **options) as client:
                source = EarthEngine(client, PROJECT, endpoint or engine.url, deadline_s)
                return await question(source)

        return run_on(request.param, scenario())

    return run


def pixels(request: PixelRequest = REQUEST) -> Ask:
    return lambda source: source.get_pixels(request)


class Fixed(Loopback):
    """Answers everything alike."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    async def honest(self, asked: Asked) -> Answer:
        return self.answer


@pytest.mark.parametrize("file_format", [ImageFileFormat.PNG, ImageFileFormat.JPEG, *RAW])
def test_a_body_passes_byte_for_byte(
    ask: Callable[..., Any], engine: StandIn, file_format: ImageFileFormat
) -> None:
    request = replace(REQUEST, file_format=file_format)
    assert ask(pixels(request)) == asyncio.run(engine.rasters.get_pixels(request))
    (asked,) = engine.seen
    assert asked.json()["fileFormat"] == file_format
    assert asked.headers["x-goog-user-project"] == PROJECT
    assert asked.headers["accept-encoding"] == "gzip"


def test_the_automatic_format_is_asked_for_as_png(ask: Callable[..., Any], engine: StandIn) -> None:
    request = replace(REQUEST, file_format=ImageFileFormat.AUTO_JPEG_PNG)
    assert ask(pixels(request)).startswith(b"\x89PNG")
    assert engine.seen[0].json()["fileFormat"] == "PNG"


def test_webp_is_asked_for_as_png_and_encoded_without_loss(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    body = ask(pixels(replace(REQUEST, file_format=ImageFileFormat.WEBP)))
    png = asyncio.run(engine.rasters.get_pixels(REQUEST))
    assert body[:4] + body[8:12] == b"RIFFWEBP"
    assert engine.seen[0].json()["fileFormat"] == "PNG"
    found, expected = (
        np.asarray(Image.open(io.BytesIO(each)).convert("RGBA")) for each in (body, png)
    )
    np.testing.assert_array_equal(found[..., 3], expected[..., 3])
    seen = expected[..., 3] > 0
    assert 0 < seen.mean() < 1
    np.testing.assert_array_equal(found[seen], expected[seen])


def test_webp_has_no_side_that_long(ask: Callable[..., Any], engine: StandIn) -> None:
    grid = replace(tile_grid(Tile(0, 0, 0)), width=16384, height=1)
    request = replace(REQUEST, file_format=ImageFileFormat.WEBP, grid=grid)
    with pytest.raises(InvalidRequest, match="16383"):
        ask(pixels(request))
    assert engine.seen == []


def test_the_workload_tag_goes_along(ask: Callable[..., Any], engine: StandIn) -> None:
    ask(pixels(replace(REQUEST, workload_tag="delta")))
    assert engine.seen[0].json()["workloadTag"] == "delta"


@pytest.mark.parametrize(
    ("asset_id", "name"),
    [
        ("projects/my-project/assets/a/b", "projects/my-project/assets/a/b"),
        ("projects/example.org:my-project/assets/a", "projects/example.org:my-project/assets/a"),
        ("projects/demo/assets/a", "projects/earthengine-legacy/assets/projects/demo/assets/a"),
        ("users/me/a", "projects/earthengine-legacy/assets/users/me/a"),
        ("COPERNICUS/S2/x", "projects/earthengine-public/assets/COPERNICUS/S2/x"),
        ("USGS/SRTMGL1_003", "projects/earthengine-public/assets/USGS/SRTMGL1_003"),
    ],
)
def test_a_name_is_completed_as_the_official_client_does(asset_id: str, name: str) -> None:
    assert upstream_name(asset_id) == name


@pytest.mark.parametrize("asset_id", ["", "a//b", "../x", "a/../b", "a/.", "/a", "x" * 1001])
def test_a_name_that_no_asset_has_is_refused_here(asset_id: str) -> None:
    with pytest.raises(InvalidName):
        upstream_name(asset_id)


@pytest.mark.parametrize("odd", ["a b", "a?b", "a#b", "a%2fb", "ü", "a\nb", "a:getPixels?"])
def test_a_name_cannot_leave_its_place_in_the_address(odd: str) -> None:
    async def scenario() -> None:
        with Fixed(error_answer(404, "Asset not found.", "NOT_FOUND")) as server:
            async with make_client(None, 1) as client:
                source = EarthEngine(client, PROJECT, server.url + "/")
                with pytest.raises(AssetNotFound):
                    await source.get_asset(f"projects/my-project/assets/{odd}")
            assert server.seen[0].path == f"/v1/projects/my-project/assets/{odd}"

    asyncio.run(scenario())


def test_the_metadata_of_an_asset_come_as_they_are(ask: Callable[..., Any]) -> None:
    found = ask(lambda source: source.get_asset(SCENE))
    assert (found["name"], found["type"]) == (SCENE, "IMAGE")


def test_assets_are_listed_page_by_page(ask: Callable[..., Any], engine: StandIn) -> None:
    for parent in (PREFIX, f"{PREFIX}/", PREFIX.removesuffix("/assets")):
        page = ask(lambda source, parent=parent: source.list_assets(parent))
        assert [asset["name"] for asset in page["assets"]] == [SCENE]
    assert {asked.target for asked in engine.seen} == {"/v1/projects/stand-in:listAssets"}
    engine.forget()
    ask(
        lambda source: source.list_assets(
            PREFIX, page_token="0", page_size=5, filter='startTime >= "x"', view="BASIC"
        )
    )
    assert engine.seen[0].query == {
        "pageToken": "0",
        "pageSize": "5",
        "filter": 'startTime >= "x"',
        "view": "BASIC",
    }


def test_an_expression_is_computed_in_the_project_that_pays(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    load = {"functionName": "Image.load", "arguments": {"id": {"constantValue": SCENE}}}
    expression = {"result": "0", "values": {"0": {"functionInvocationValue": load}}}
    request = replace(REQUEST, asset_id="layers/ndvi")
    body = ask(lambda source: source.compute_pixels(expression, request))
    assert body == ask(pixels())
    asked = engine.seen[0]
    assert asked.path == f"/v1/projects/{PROJECT}/image:computePixels"
    assert asked.json()["expression"] == expression
    assert "region" not in asked.json()


def test_an_expression_with_a_region_is_refused_here(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    region = read_geometry({"type": "Point", "coordinates": [1, 2]})
    request = replace(REQUEST, region=region)
    with pytest.raises(InvalidRequest, match="no region"):
        ask(lambda source: source.compute_pixels({}, request))
    assert engine.seen == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("rate_limited_2s", RateLimited),
        ("rate_limited_garbage", RateLimited),
        ("rate_limited_403", RateLimited),
        ("daily_quota", QuotaExhausted),
        ("status_500", TransientError),
        ("status_502", TransientError),
        ("status_503", TransientError),
        ("status_504", TransientError),
        ("bad_band", InvalidRequest),
        ("too_many_pixels", RequestTooLarge),
        ("out_of_memory", TooComplex),
        ("computation_timed_out", TooComplex),
        ("not_found", AssetNotFound),
        ("permission_denied", AssetNotFound),
        ("billing_disabled", AssetNotFound),
        ("service_disabled", AssetNotFound),
        ("wrong_project", AssetNotFound),
        ("reset_mid_body", TransientError),
        ("eof_before_length", TransientError),
        ("chunked_cut", TransientError),
        ("closes_unanswered", TransientError),
        ("truncated_png", UpstreamError),
        ("bad_crc", UpstreamError),
        ("wrong_size", UpstreamError),
        ("jpeg_as_png", UpstreamError),
        ("empty_body", UpstreamError),
        ("huge_body", UpstreamError),
        ("gzip_bomb", UpstreamError),
        ("html", UpstreamError),
        ("error_as_200", UpstreamError),
        ("no_content_type", UpstreamError),
    ],
)
def test_each_fault_is_one_of_our_errors_and_the_next_request_is_well(
    ask: Callable[..., Any], engine: StandIn, fault: str, kind: type[TileserverError]
) -> None:
    engine.inject(fault)

    async def twice(source: EarthEngine) -> bytes:
        with pytest.raises(kind) as raised:
            await source.get_pixels(REQUEST)
        assert type(raised.value) is kind or kind is AssetNotFound
        assert "canary" not in f"{raised.value!r}"
        return await source.get_pixels(REQUEST)

    assert ask(twice, concurrency=1).startswith(b"\x89PNG")
    assert engine.count() == 2


def test_a_token_that_ran_out_is_renewed_and_the_request_asked_again(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    engine.inject("unauthenticated")
    assert ask(pixels()).startswith(b"\x89PNG")
    assert engine.count() == 2


def test_credentials_that_are_refused_twice_have_failed(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    engine.inject("unauthenticated", times=None)
    with pytest.raises(AuthenticationFailed, match="does not accept the credentials"):
        ask(pixels())
    assert engine.count() == 2


@pytest.mark.parametrize("fault", ["slow_body", "endless_headers", "silence"])
def test_the_deadline_holds_for_the_whole_call(
    ask: Callable[..., Any], engine: StandIn, fault: str
) -> None:
    async def thrice(source: EarthEngine) -> float:
        # With a token and a connection, a busy machine meets the fault in time.
        assert await source.get_pixels(REQUEST)
        engine.inject(fault)
        source.deadline_s = 0.4
        began_s = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await source.get_pixels(REQUEST)
        took_s = time.monotonic() - began_s
        engine.heal()
        source.deadline_s = SOON_S
        # The only connection is free again.
        assert await source.get_pixels(REQUEST)
        return took_s

    assert ask(thrice, concurrency=1, deadline_s=SOON_S) < SOON_S


def test_a_token_that_does_not_come_counts_against_the_deadline(
    ask: Callable[..., Any], tokens: TokenServer
) -> None:
    tokens.inject("silence")
    try:
        with pytest.raises(DeadlineExceeded):
            ask(pixels(), deadline_s=0.2)
    finally:
        tokens.heal()


def test_an_endpoint_that_is_away_may_come_back(ask: Callable[..., Any]) -> None:
    with refusing() as nowhere, pytest.raises(TransientError):
        ask(pixels(), endpoint=nowhere)
    with pytest.raises(TransientError):
        ask(pixels(), endpoint=UNRESOLVABLE)


@pytest.mark.slow
def test_no_connection_is_waited_for_longer_than_three_seconds(ask: Callable[..., Any]) -> None:
    with unroutable() as nowhere, pytest.raises(TransientError, match="in time"), ends_soon():
        ask(pixels(), endpoint=nowhere, deadline_s=2 * SOON_S)


@pytest.mark.parametrize("flaw", list(TlsFlaw))
def test_only_a_valid_certificate_is_trusted(
    ask: Callable[..., Any], folder: Path, tokens: TokenServer, tmp_path: Path, flaw: TlsFlaw
) -> None:
    authority = make_authority(tmp_path)
    trust = ssl.create_default_context(cafile=str(authority.file))
    server = StandIn(folder, accepts=tokens.accepts, tls=tls_context(authority, flaw))
    with server as engine:
        if flaw is TlsFlaw.NONE:
            assert ask(pixels(), endpoint=engine.url, tls=trust).startswith(b"\x89PNG")
            with pytest.raises(UpstreamError, match="certificate"):
                ask(pixels(), endpoint=engine.url)
        else:
            with pytest.raises(UpstreamError, match="certificate") as raised:
                ask(pixels(), endpoint=engine.url, tls=trust)
            assert not isinstance(raised.value, TransientError)


def test_never_more_requests_are_in_flight_than_the_cap(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    engine.latency_s = 0.05
    requests = [replace(REQUEST, grid=tile_grid(Tile(x, 8, 4))) for x in range(16)]

    async def all_at_once(source: EarthEngine) -> None:
        await asyncio.gather(*(source.get_pixels(request) for request in requests))

    ask(all_at_once, concurrency=3)
    engine.latency_s = 0
    assert engine.max_in_flight == 3


def test_a_redirect_is_not_followed(ask: Callable[..., Any], engine: StandIn) -> None:
    moved = Answer(b"", 302, {"location": f"{engine.url}/v1/{SCENE}"})
    with Fixed(moved) as server, pytest.raises(UpstreamError, match="302"):
        ask(lambda source: source.get_asset(SCENE), endpoint=server.url)
    assert engine.seen == []


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff"])
def test_metadata_that_are_no_json_object_are_refused(ask: Callable[..., Any], body: bytes) -> None:
    with Fixed(Answer(body)) as server, pytest.raises(UpstreamError, match="JSON object"):
        ask(lambda source: source.get_asset(SCENE), endpoint=server.url)


def test_a_compressed_answer_is_read(ask: Callable[..., Any]) -> None:
    packed = json_answer({"name": "x"})
    headers = {**packed.headers, "content-encoding": "gzip"}
    with Fixed(Answer(gzip.compress(packed.body), 200, headers)) as server:
        assert ask(lambda source: source.get_asset(SCENE), endpoint=server.url) == {"name": "x"}


def test_an_error_without_end_is_told_by_its_status() -> None:
    async def scenario() -> None:
        async with endless("503 Service Unavailable") as url, make_client(None, 1) as client:
            with pytest.raises(TransientError, match="503"):
                await EarthEngine(client, PROJECT, url, deadline_s=5).get_pixels(REQUEST)

    asyncio.run(scenario())


def test_restricted_mode_is_told_once(
    ask: Callable[..., Any], engine: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    engine.quota_status = "parallelism_restricted=true"

    async def some(source: EarthEngine) -> None:
        assert not source.is_restricted
        for _ in range(3):
            await source.get_pixels(REQUEST)
        assert source.is_restricted
        engine.quota_status = "parallelism_restricted=false"
        await source.get_pixels(REQUEST)
        assert not source.is_restricted

    ask(some)
    assert caplog.text.count("monthly compute quota") == 1


def test_why_an_asset_is_refused_is_told_to_the_operator_once_a_minute(
    ask: Callable[..., Any], engine: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    engine.inject("service_disabled", times=None)

    async def some(source: EarthEngine) -> None:
        for _ in range(5):
            with pytest.raises(AssetNotFound) as raised:
                await source.get_pixels(REQUEST)
            assert str(raised.value) == str(AssetNotFound(SCENE))

    ask(some)
    assert caplog.text.count("gcloud services enable earthengine.googleapis.com") == 1


def test_a_request_that_is_cancelled_frees_its_connection(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    engine.inject("silence")

    async def leave(source: EarthEngine) -> bytes:
        waiting = asyncio.create_task(source.get_pixels(REQUEST))
        async with asyncio.timeout(SOON_S):
            while not engine.count():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await source.get_pixels(REQUEST)

    assert ask(leave, concurrency=1).startswith(b"\x89PNG")


def test_a_connection_that_closed_while_idle_is_replaced_unnoticed(
    ask: Callable[..., Any], engine: StandIn
) -> None:
    engine.inject("closes_after_answer", times=3)

    async def some(source: EarthEngine) -> None:
        for _ in range(4):
            assert await source.get_pixels(REQUEST)
            await asyncio.sleep(0.05)

    ask(some, concurrency=1)
    assert engine.count() == 4


def test_nothing_secret_is_ever_written(
    ask: Callable[..., Any],
    engine: StandIn,
    key: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for fault in ("unauthenticated", "status_500", "reset_mid_body", "html", "permission_denied"):
        engine.inject(fault, times=2)
        try:
            ask(pixels())
        except TileserverError:
            logging.getLogger("test").exception("failed")
        engine.heal()
    secret = json.loads(key.read_text())["private_key"]
    out, err = capfd.readouterr()
    everything = caplog.text + out + err
    assert "Traceback" in everything
    assert "canary" not in everything
    assert not any(line in everything for line in secret.splitlines()[1:-1])
