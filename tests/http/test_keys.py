from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.rasterfiles import noise, write_raster
from tests.support.serving import serve
from tileserver.config.config import Config, load_config
from tileserver.errors import ConfigError
from tileserver.http.keys import Keys, take_query_keys
from tileserver.server.app import create_app

KEY = "s3same-0pen+plus/slash=x"
OTHER = "another-key-that-is-long"
WRONG = "wrong-key-of-the-client"
ASSET = "projects/localhost/assets/a"
ROUTES = [
    "/",
    "/index.html",
    "/layers",
    "/metrics",
    "/nothing",
    "/tiles/a/0/0/0.png",
    f"/tiles/{ASSET}/0/0/0.png",
    "/tilejson/a.json",
    "/info/a",
    "/point/a?lon=-111&lat=40",
    "/statistics/a",
    "/preview/a.png",
    "/legend/a.svg",
    f"/v1/{ASSET}",
    "/v1/projects/localhost:listAssets",
    "/v1/projects/p/config",
    "/v1/projects/p/maps/0123456789abcdef0123456789abcdef/tiles/0/0/0",
    "/v1/projects/p/thumbnails/0123456789abcdef0123456789abcdef:getPixels",
    "/v1/projects/p/tables/0123456789abcdef0123456789abcdef:getFeatures",
    "/v1beta/projects/p/algorithms",
    "//v1alpha/projects/p/algorithms",
    "/$discovery/rest",
]
POSTS = [
    f"/v1/{ASSET}:getPixels",
    "/v1/projects/p/value:compute",
    "/v1/projects/p/image:computePixels",
    "/v1/projects/p/table:computeFeatures",
    "/v1/projects/p/maps",
    "/v1/projects/p/thumbnails",
    "/v1/projects/p/tables",
]


def basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


WAYS: dict[str, Any] = {
    "bearer": {"headers": {"authorization": f"Bearer {KEY}"}},
    "bearer in another case": {"headers": {"authorization": f"bearer  {KEY}"}},
    "x-api-key": {"headers": {"x-api-key": KEY}},
    "basic password": {"headers": basic("me", KEY)},
    "basic password alone": {"headers": basic("", KEY)},
    "basic user": {"headers": basic(KEY, "")},
    "query": {"params": {"key": KEY}},
    "query beside a token of Google's": {
        "params": {"key": KEY},
        "headers": {"authorization": "Bearer ya29.of-google"},
    },
    "another's key": {"headers": {"x-api-key": OTHER}},
}
WRONG_WAYS: dict[str, Any] = {
    "nothing": {},
    "bearer": {"headers": {"authorization": f"Bearer {WRONG}"}},
    "x-api-key": {"headers": {"x-api-key": WRONG}},
    "basic": {"headers": basic(WRONG, WRONG)},
    "basic that is no base64": {"headers": {"authorization": "Basic ?"}},
    "no scheme": {"headers": {"authorization": KEY}},
    "another scheme": {"headers": {"authorization": f"Digest {KEY}"}},
    "query": {"params": {"key": WRONG}},
    "empty query": {"params": {"key": ""}},
    "another parameter": {"params": {"KEY": KEY, "apikey": KEY}},
    "the beginning of one": {"headers": {"x-api-key": KEY[:-1]}},
    "one and more": {"headers": {"x-api-key": KEY + "x"}},
    "a name": {"headers": {"x-api-key": "dashboard"}},
    "unicode": {"headers": {"x-api-key": "schlüssel".encode()}, "params": {"key": "鍵"}},
    "4 kB": {"headers": {"x-api-key": "k" * 4096}},
    "cookie": {"headers": {"cookie": f"key={KEY}"}},
}


def at(client: httpx.Client, route: str) -> str:
    """Return a whole URL, as a client makes another of one that begins with two slashes."""
    return str(client.base_url).rstrip("/") + route


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    write_raster(folder / "a.tif", noise(1, 50, 60), overviews=())
    (folder / "tileserver.toml").write_text(
        '[[rasters]]\npath = "a.tif"\n'
        '[access]\nkeys = { dashboard = "env:DASHBOARD_KEY", qgis = "env:QGIS_KEY" }\n'
        '[api]\ngraphs = "graphs"\n'
    )
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> Iterator[Config]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DASHBOARD_KEY", KEY)
        patch.setenv("QGIS_KEY", OTHER)
        yield load_config(folder / "tileserver.toml", {}, {})


@pytest.fixture(scope="module")
def client(config: Config) -> Iterator[httpx.Client]:
    with serve(create_app(config)) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.mark.parametrize("way", WRONG_WAYS.values(), ids=WRONG_WAYS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_without_a_known_key_every_route_answers_401(
    client: httpx.Client, method: str, way: dict[str, Any]
) -> None:
    for route in ROUTES:
        answer = client.request(method, at(client, route), **way)
        assert (route, answer.status_code) == (route, 401)
        challenges = answer.headers.get_list("www-authenticate")
        assert [each.split()[0] for each in challenges] == ["Basic", "Bearer"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("route", POSTS)
def test_without_a_known_key_nothing_is_computed_or_kept(
    client: httpx.Client, folder: Path, route: str
) -> None:
    for headers in ({}, {"x-api-key": WRONG}, {"x-http-method-override": "GET"}):
        answer = client.post(route, json={"expression": {}}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["status"] == "UNAUTHENTICATED"
        assert "X-API-Key" in answer.json()["error"]["message"]
    assert not (folder / "graphs").exists()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_of_giving_a_key_opens_every_route(
    client: httpx.Client, way: dict[str, Any]
) -> None:
    for route in ROUTES:
        params = {**httpx.QueryParams(route.partition("?")[2]), **way.get("params", {})}
        answer = client.get(at(client, route), params=params, headers=way.get("headers"))
        expected = 404 if "nothing" in route or "0123456789abcdef" in route else 200
        assert (route, answer.status_code) == (route, expected)


def test_health_and_the_files_of_the_page_are_open(client: httpx.Client) -> None:
    for route in ("/healthz", "/readyz", "/main.js", "/css/base.css", "/vendor/leaflet/leaflet.js"):
        assert client.get(route).status_code == 200
    assert client.get("/package.json").status_code == 401


def test_a_preflight_needs_no_key_and_tells_no_name(client: httpx.Client) -> None:
    answers = [client.options(f"/tiles/{name}/0/0/0.png") for name in ("a", "nothing")]
    for answer in answers:
        assert answer.status_code == 204
        assert "X-API-Key" in answer.headers["access-control-allow-headers"]
    told = [
        {k: v for k, v in a.headers.items() if k not in ("date", "x-request-id")} for a in answers
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("route", [each for each in ROUTES if "nothing" not in each])
def test_no_shared_cache_keeps_what_needs_a_key(client: httpx.Client, route: str) -> None:
    headers = {"x-api-key": KEY}
    answer = client.get(at(client, route), headers=headers)
    etag = answer.headers.get("etag", "none")
    again = client.get(at(client, route), headers={**headers, "if-none-match": etag})
    assert again.status_code in (304, answer.status_code)
    for each in (answer, again):
        assert "public" not in each.headers["cache-control"]
        assert {"private", "no-store"} & set(each.headers["cache-control"].split(", "))
        assert {"Authorization", "X-API-Key"} <= set(each.headers["vary"].split(", "))


def test_urls_carry_the_key_if_it_came_in_the_query_and_only_then(client: httpx.Client) -> None:
    for route in ("/layers?limit=1", "/tilejson/a.json"):
        by_header = client.get(route, headers={"x-api-key": KEY})
        assert "key" not in by_header.text
        both = client.get(route, headers={"x-api-key": KEY}, params={"key": WRONG})
        assert "key" not in both.text
    url = client.get("/tilejson/a.json", params={"key": KEY}).json()["tiles"][0]
    assert client.get(url.format(z=0, x=0, y=0)).status_code == 200
    listed = client.get("/layers", params={"key": KEY}).json()["layers"][0]["tiles"]
    assert client.get(listed.format(z=0, x=0, y=0)).status_code == 200


def test_the_key_is_no_part_of_what_is_cached(client: httpx.Client) -> None:
    route = "/tiles/a/3/1/3.png"
    client.get(route, headers={"x-api-key": KEY})
    for way in ({"params": {"key": KEY}}, {"headers": {"x-api-key": OTHER}}):
        answer: httpx.Response = client.get(route, **way)  # type: ignore[arg-type]
        assert "hit" in answer.headers["cache-status"]


def test_a_key_is_told_nowhere(
    client: httpx.Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told = ""
    for key in (KEY, WRONG):
        for way in (
            {"params": {"key": key}},
            {"headers": {"authorization": f"Bearer {key}"}},
            {"headers": basic("x", key)},
        ):
            for route in (
                "/",
                "/nothing",
                "/metrics",
                "/info/nothing",
                "/tiles/a/0/0/9.png",
                "/tiles/a/0/0/0.png",
                "/statistics/a",
                "/point/a",
                f"/v1/{ASSET}",
                f"/v1/{ASSET}x",
                "/v1/projects/p:listAssets",
                "/$discovery/rest",
            ):
                answer: httpx.Response = client.get(route, **way)  # type: ignore[arg-type]
                told += f"{answer.headers}{answer.text}"
    told += client.get("/metrics", headers={"x-api-key": KEY}).text
    ours = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    told += "".join(f"{each.getMessage()}{each.args}" for each in ours) + "".join(
        capfd.readouterr()
    )
    for key in (KEY, WRONG, base64.b64encode(f"x:{KEY}".encode()).decode()):
        assert key not in told
    assert "s3same" not in told


def test_the_body_of_a_post_that_stands_for_a_get_may_carry_the_key(client: httpx.Client) -> None:
    """Google's clients send a query so that would be too long for a URL."""
    headers = {"x-http-method-override": "GET"}
    route = "/v1/projects/localhost:listAssets"
    answers = [
        client.post(route, content=f"pageSize=9&key={key}&filter=", headers=headers)
        for key in (httpx.QueryParams({"k": KEY}).__str__()[2:], WRONG)
    ]
    assert [each.status_code for each in answers] == [200, 401]
    assert answers[0].json()["assets"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_what_a_browser_sends_by_itself_starts_nothing_for_another_page(
    client: httpx.Client, origin: str
) -> None:
    route, body = "/v1/projects/p/value:compute", {"expression": {"result": "0", "values": {}}}
    refused = client.post(route, json=body, headers={**basic("", KEY), "origin": origin})
    assert refused.status_code == 403
    meant = client.post(route, json=body, headers={"x-api-key": KEY, "origin": origin})
    assert meant.status_code == 400


def test_with_keys_the_server_answers_to_every_name(client: httpx.Client) -> None:
    headers = {"host": "maps.example.org", "x-api-key": KEY}
    listed = client.get("/layers", headers=headers).json()["layers"]
    assert listed[0]["tiles"].startswith("http://maps.example.org/tiles/a/")


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ({"a": "same-key", "b": "same-key"}, "keys.b: expected a key of its own, got that of 'a'"),
        ({"a": "with space"}, "keys.a: expected ASCII"),
        ({"a": "schlüssel"}, "keys.a: expected ASCII"),
        ({"a": "tab\t"}, "keys.a: expected ASCII"),
        ({"a": ""}, "keys.a: expected ASCII"),
    ],
)
def test_a_key_that_cannot_be_sent_or_is_another_s_is_refused_and_not_shown(
    secrets: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        Keys(secrets)
    assert message in str(refused.value)
    assert not any(secret and secret in str(refused.value) for secret in secrets.values())


def test_a_key_that_is_not_in_the_environment_is_missed_at_the_start(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QGIS_KEY")
    with pytest.raises(ConfigError, match="QGIS_KEY: expected the secret of access key 'qgis'"):
        create_app(config)


def test_the_keys_themselves_are_not_held(config: Config) -> None:
    keys = Keys({"a": KEY})
    assert keys.name_of(KEY.encode()) == "a"
    assert KEY not in repr(vars(keys))
    assert KEY not in repr(config)


def test_a_file_of_keys_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tileserver.toml"
    path.write_text(f'[access]\nkeys = {{ a = "{KEY}" }}\n')
    path.chmod(0o600)
    load_config(path, {}, {})
    assert not caplog.records
    path.chmod(0o644)
    load_config(path, {}, {})
    assert "every user of this machine can read it" in caplog.text
    assert KEY not in caplog.text
    caplog.clear()
    path.write_text('[access]\nkeys = { a = "env:A_KEY" }\n')
    load_config(path, {}, {})
    assert not caplog.records


@pytest.mark.parametrize(
    ("query", "left", "keys"),
    [
        (b"", b"", []),
        (b"min=0&max=9", b"min=0&max=9", []),
        (b"key=a", b"", [b"a"]),
        (b"min=0&key=a%2Bb&key=&max=9", b"min=0&max=9", [b"a+b", b""]),
        (b"%6bey=a&k%65%79=b", b"", [b"a", b"b"]),
        (b"monkey=a&keys=b&key2=c", b"monkey=a&keys=b&key2=c", []),
        (b"key", b"", [b""]),
        (b"key=%ff%00", b"", [b"\xff\0"]),
    ],
)
def test_keys_leave_the_query_however_they_are_written(
    query: bytes, left: bytes, keys: list[bytes]
) -> None:
    assert take_query_keys(query) == (left, keys)
