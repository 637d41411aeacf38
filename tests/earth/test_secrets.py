"""No token and no key is ever told, whatever the server is asked and whatever goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.earth.asking import TILE, Serve, answers
from tests.earth.conftest import Google, secrets_of
from tests.support.commands import ROOT, environment
from tests.support.loopback import Answer, Exchange, error_answer, fault
from tests.support.standin import PREFIX, StandIn
from tests.support.standin_tokens import bearer


@fault(0, "tells_the_token")
async def _tells(exchange: Exchange) -> Answer:
    """Refuse, and repeat the token as a careless endpoint might."""
    token = bearer(exchange.asked)
    return error_answer(400, f"Bad request with authorization: Bearer {token}.", "INVALID_ARGUMENT")


@pytest.mark.usefixtures("no_secret_told")
def test_nothing_of_the_routes_tells_a_secret(serve_earth: Serve, engine: StandIn) -> None:
    with serve_earth() as earth:
        for path in ("/layers", "/info/scene", TILE, "/point/scene?lon=10&lat=10", "/healthz"):
            earth.get(path, headers={"authorization": "Bearer of-the-client"})
        engine.inject("tells_the_token", times=None)
        told = earth.get("/tiles/scene/8/138/124.png")
        assert told.status_code == 400
        assert "Bad request" in told.text
        earth.get("/point/scene?lon=11&lat=11")


def test_a_server_that_cannot_start_tells_no_secret(google: Google, tmp_path: Path) -> None:
    broken = tmp_path / "key.json"
    members = json.loads(google.key.read_text())
    broken.write_text(json.dumps({**members, "type": "something_else"}))
    config = tmp_path / "tileserver.toml"
    layer = f'[layers.scene]\nasset = "{PREFIX}/scene"\n'
    config.write_text(f'[earth_engine]\nproject = "my-project"\n{layer}')
    for key in (broken, tmp_path / "missing.json"):
        ended = subprocess.run(
            [sys.executable, "-m", "tileserver", "--config", str(config), "--port", "0"],
            cwd=tmp_path,
            env=environment({"GOOGLE_APPLICATION_CREDENTIALS": str(key), "PYTHONPATH": str(ROOT)}),
            capture_output=True,
            timeout=30,
            text=True,
        )
        assert ended.returncode == 2
        assert len(ended.stderr.splitlines()) == 1
        for secret in (*secrets_of(google.key), str(tmp_path)):
            assert secret not in ended.stdout + ended.stderr


def test_the_search_for_secrets_would_find_one(serve_earth: Serve, google: Google) -> None:
    with serve_earth() as earth:
        answer = earth.get("/healthz", headers={"x-request-id": "canary-1"})
    assert any(secret in answers(answer) for secret in secrets_of(google.key))
