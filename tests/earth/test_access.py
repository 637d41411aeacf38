"""Earth Engine's assets by name are for this machine alone, unless `[access]` says otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.earth.asking import LAYERS, TILE, Serve
from tests.earth.conftest import Google
from tests.earth.workers import config_text
from tests.support.commands import serving
from tests.support.standin import PREFIX, StandIn
from tileserver.config.config import Access, Config, Server

SCENE = f"{PREFIX}/scene"
BY_NAME = [
    f"/tiles/{SCENE}/8/134/120.png",
    f"/tilejson/{SCENE}.json",
    f"/info/{SCENE}",
    f"/point/{SCENE}?lon=10&lat=10",
    f"/statistics/{SCENE}",
    f"/preview/{SCENE}.png",
    f"/legend/{SCENE}.svg",
]
PUBLIC = Server(public_url="https://tiles.example.org")
THROUGH = {"x-forwarded-for": "203.0.113.9"}
KEY = "a-key-of-the-dashboard"


def named(asset: str) -> dict[str, Any]:
    load = {"functionName": "Image.load", "arguments": {"id": {"constantValue": asset}}}
    return {"expression": {"result": "0", "values": {"0": {"functionInvocationValue": load}}}}


def test_on_this_machine_they_are_there_with_nothing_configured(serve_earth: Serve) -> None:
    with serve_earth() as earth:
        assert {earth.get(each).status_code for each in BY_NAME} == {200}
        assert earth.get(f"/v1/{SCENE}").status_code == 200
        assert earth.post("/v1/projects/p/value:compute", json=named(SCENE)).status_code == 200


def test_with_a_public_address_they_are_not_found_nor_asked_for(
    serve_earth: Serve, engine: StandIn
) -> None:
    with serve_earth(config=Config(layers=LAYERS, server=PUBLIC)) as earth:
        assert {earth.get(each).status_code for each in BY_NAME} == {404}
        assert earth.get(f"/v1/{SCENE}").status_code == 404
        assert earth.post(f"/v1/{SCENE}:getPixels", json={}).status_code == 404
        assert earth.post("/v1/projects/p/value:compute", json=named(SCENE)).status_code == 400
        assert engine.count() == 0
        assert earth.get(TILE).status_code == 200


@pytest.mark.parametrize("access", [Access(), Access(keys=(("dashboard", KEY),))])
def test_a_proxy_that_nobody_told_of_does_not_get_them(
    serve_earth: Serve, engine: StandIn, access: Access
) -> None:
    key = {"x-api-key": KEY} if access.keys else {}
    with serve_earth(config=Config(layers=LAYERS, access=access)) as earth:
        for route in BY_NAME:
            through = earth.get(route, headers={**THROUGH, **key})
            unknown = earth.get(route.replace("scene", "no"), headers={**THROUGH, **key})
            assert (route, through.status_code) == (route, 404)
            assert through.text.replace("scene", "no") == unknown.text
        for method, body in ((f"v1/{SCENE}:getPixels", {}), ("v1/projects/p/maps", named(SCENE))):
            refused = earth.post(f"/{method}", json=body, headers={**THROUGH, **key})
            assert refused.status_code == 403
            assert "[access]" in refused.json()["error"]["message"]
        assert earth.get(f"/v1/{SCENE}", headers={**THROUGH, **key}).status_code == 403
        assert engine.count() == 0
        assert earth.get(TILE, headers={**THROUGH, **key}).status_code == 200
        assert {earth.get(each, headers=key).status_code for each in BY_NAME} == {200}


def test_access_opens_them_to_a_proxy(serve_earth: Serve) -> None:
    access = Access(assets=(f"{PREFIX}/sc*",), keys=(("dashboard", KEY),))
    config = Config(layers=LAYERS, access=access)
    for server in (Server(), PUBLIC):
        with serve_earth(config=replace(config, server=server)) as earth:
            headers = {**THROUGH, "x-api-key": KEY}
            assert {earth.get(each, headers=headers).status_code for each in BY_NAME} == {200}
            assert earth.get(f"/v1/{SCENE}", headers=headers).status_code == 200
            assert earth.get(f"/v1/{PREFIX}/smooth", headers=headers).status_code == 404


def test_all_workers_know_the_same_keys_and_tell_none(
    engine: StandIn, google: Google, tmp_path: Path
) -> None:
    config = tmp_path / "tileserver.toml"
    keys = '[access]\nkeys = { dashboard = "env:DASHBOARD_KEY" }\n'
    config.write_text(config_text(engine.url, 2) + keys)
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(google.key), "DASHBOARD_KEY": KEY}
    with serving("--config", config, cwd=tmp_path, environ=environ) as server:
        with httpx.Client(base_url=server.url, timeout=60, headers={"connection": "close"}) as each:
            for _ in range(20):  # Each with a connection of its own, so that both are met.
                for query, status in (("", 401), ("?key=wrong-key", 401), (f"?key={KEY}", 200)):
                    assert (query, each.get(f"/layers{query}").status_code) == (query, status)
        figures = httpx.get(f"{server.url}/metrics?key={KEY}", timeout=60).text
        server.process.terminate()
        assert server.process.stdout is not None
        told = figures + server.said + server.process.stdout.read()
    assert KEY not in told
    assert "wrong-key" not in told
    assert json.dumps(KEY) not in told
