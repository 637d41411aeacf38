"""The stand-in and the server, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import serving
from tests.support.loopback import Answer, Asked
from tests.support.standin import PREFIX, StandIn
from tests.support.standin_tokens import TokenServer

ASSET = f"{PREFIX}/scene"
_CONFIG = """
[earth_engine]
project = "my-project"
endpoint = "{url}"
concurrency = {cap}
requests_per_second = 1000
[server]
port = 0
[layers.scene]
asset = "{asset}"
bands = ["b1", "b2", "b3"]
min = 0
max = 4000
tiles_per_side = {side}
"""


class Prepared(StandIn):
    """A stand-in that answers what it was asked before without any work."""

    def __init__(self, *roots: Path, tokens: TokenServer, latency_s: float, tile_s: float) -> None:
        super().__init__(*roots, accepts=tokens.accepts, latency_s=latency_s, per_tile_s=tile_s)
        self._prepared: dict[tuple[str, bytes], Answer] = {}

    async def _answer_kind(self, asked: Asked) -> Answer:
        key = asked.target, asked.body
        answer = self._prepared.get(key)
        if answer is None:
            answer = self._prepared[key] = await super()._answer_kind(asked)
        return answer


def stand_in(folder: Path, latency_s: float, per_tile_s: float) -> None:
    """Run the stand-in, say where it is, and tell of its requests for each line that comes."""
    with (
        TokenServer() as tokens,
        Prepared(folder, tokens=tokens, latency_s=latency_s, tile_s=per_tile_s) as engine,
    ):
        tokens.write_service_account(folder / "key.json")
        print(engine.url, flush=True)
        for _ in sys.stdin:
            print(json.dumps([engine.pixel_requests, engine.max_in_flight]), flush=True)
            engine.forget()


class Upstream:
    """The stand-in in its own process."""

    def __init__(self, folder: Path, latency_s: float, per_tile_s: float) -> None:
        self.folder = folder
        numbers = (str(latency_s), str(per_tile_s))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.processes", folder, *numbers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    @property
    def key(self) -> Path:
        """The key file of a service account that it knows."""
        return self.folder / "key.json"

    def requests(self) -> tuple[int, int]:
        """Return the requests for pixels since the last call, and the most at once."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        requests, at_once = json.loads(self.process.stdout.readline())
        return requests, at_once

    def end(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def upstream(folder: Path, latency_s: float, per_tile_s: float) -> Iterator[Upstream]:
    """Run a stand-in that takes so long for a request, and so much longer for each 256x256."""
    engine = Upstream(folder, latency_s, per_tile_s)
    try:
        yield engine
    finally:
        engine.end()


@contextmanager
def served(engine: Upstream, cap: int, side: int) -> Iterator[str]:
    """Run the command with a cold cache and blocks of `side` tiles; yield its address."""
    config = engine.folder / "tileserver.toml"
    config.write_text(_CONFIG.format(url=engine.url, cap=cap, side=side, asset=ASSET))
    key = str(engine.key)
    with serving(
        "--config",
        config,
        cwd=engine.folder,
        environ={"GOOGLE_APPLICATION_CREDENTIALS": key},
    ) as server:
        yield server.url


if __name__ == "__main__":
    stand_in(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
