"""What requests and Earth Engine say reaches the log of a real server, each record on one line."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.earth.conftest import Google
from tests.support.commands import serving
from tests.support.loopback import Answer, Asked, Loopback, json_answer

CONFIG = """
[earth_engine]
project = "my-project"
endpoint = "{url}"
[access]
assets = ["**"]
[server]
port = 0
workers = {workers}
"""
FORGED = "\nERROR tileserver.forged: all is lost\x1b[2J\u202e"
NAMES = (
    "x%0aERROR%20tileserver.forged:%20all%20is%20lost",
    "x%0d%0aERROR%20tileserver.forged:%20yes",
    "x%1b[2J%1b[31mred",
    "x%e2%80%aegnol",
    "x%c2%85ERROR%20tileserver.forged:%20yes",
)


class Hostile(Loopback):
    """Fails, and says what would forge a line."""

    async def honest(self, asked: Asked) -> Answer:
        message = f"{asked.path}{FORGED}"
        error = {"code": 500, "message": message, "status": f"INTERNAL{FORGED}"}
        return json_answer({"error": error}, 500)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_and_no_answer_of_earth_engine_forges_a_line(
    google: Google, tmp_path: Path, workers: int
) -> None:
    with Hostile() as engine:
        config = tmp_path / "tileserver.toml"
        config.write_text(CONFIG.format(url=engine.url, workers=workers))
        more = {"GOOGLE_APPLICATION_CREDENTIALS": str(google.key)}
        with serving("--config", config, cwd=tmp_path, environ=more) as server:
            for name in NAMES:
                path = f"/v1/projects/my-project/assets/{name}"
                assert httpx.get(server.url + path, timeout=60).status_code >= 400
            server.process.terminate()
            assert server.process.stdout is not None
            said = server.process.stdout.read()
    # Something was logged of them, as they were.
    assert "gnol" in said
    assert "all is lost" in said
    for line in said.splitlines():
        assert line.isprintable(), line
        assert not line.startswith("ERROR tileserver.forged")
        assert line.startswith(("WARNING ", "ERROR ", "    "))
