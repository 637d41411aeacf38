"""How tests ask our server, and what they compare."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.support.serving import serve
from tests.support.standin import PREFIX
from tileserver.config.config import Config, EarthEngineSettings, LayerSettings, RasterFolder
from tileserver.earthengine.tuning import Tuning
from tileserver.server.app import create_app

SCENE = LayerSettings(
    "scene", f"{PREFIX}/scene", bands=("b1", "b2", "b3"), min=(0.0,), max=(60_000.0,)
)
SMOOTH = LayerSettings("smooth", f"{PREFIX}/smooth", bands=("b1",), min=(0.0,), max=(250.0,))
HOLE = LayerSettings("hole", f"{PREFIX}/hole", bands=("b1",), min=(0.0,), max=(1.0,))
LAYERS = (SCENE, SMOOTH, HOLE)
TILE = "/tiles/scene/8/134/120.png"
"""Where the scene is valid and where it is not."""
OTHER = "/tiles/scene/8/138/124.png"
"""Of another block."""

Heard = list[httpx.Response]


@dataclass
class Serve:
    """Serves layers of the Earth Engine at an address."""

    endpoint: str
    heard: Heard

    @contextmanager
    def __call__(
        self,
        tuning: Tuning | None = None,
        config: Config | None = None,
        concurrency: int = 40,
    ) -> Iterator[httpx.Client]:
        """Yield a client of our server; what it hears is kept."""
        settings = EarthEngineSettings("my-project", self.endpoint, concurrency)
        config = replace(config or Config(layers=LAYERS), earth_engine=settings)
        with (
            serve(create_app(config, tuning=tuning or Tuning())) as url,
            httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
        ):
            client.event_hooks = {"response": [self._hear]}
            yield client

    def _hear(self, response: httpx.Response) -> None:
        response.read()
        self.heard.append(response)


@contextmanager
def serve_locally(folder: Path) -> Iterator[httpx.Client]:
    """Serve the same rasters under the same names, without Earth Engine."""
    config = Config(layers=LAYERS, rasters=(RasterFolder(str(folder), PREFIX),))
    with (
        serve(create_app(config)) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def get_all(client: httpx.Client, paths: Sequence[str]) -> list[httpx.Response]:
    """Ask for many things at once."""

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(
            base_url=client.base_url, timeout=60, trust_env=False
        ) as together:
            return await asyncio.gather(*map(together.get, paths))

    return asyncio.run(ask())


def view(
    layer: str, zoom: int, x: int, y: int, columns: int, rows: int, suffix: str = ".png"
) -> list[str]:
    """Return the paths of a rectangle of tiles."""
    return [
        f"/tiles/{layer}/{zoom}/{x + column}/{y + row}{suffix}"
        for row in range(rows)
        for column in range(columns)
    ]


def pixels(response: httpx.Response) -> NDArray[Any]:
    """Return what an answer shows; pictures as RGBA, and what is transparent as nothing."""
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == "application/zip":
        found = np.load(io.BytesIO(response.content))
        assert set(found) == {"bands", "values", "valid"}
        return np.concatenate([found["values"].astype(np.float64), found["valid"]])
    if response.headers["content-type"] == "application/octet-stream":
        return np.asarray(np.load(io.BytesIO(response.content)))
    picture = Image.open(io.BytesIO(response.content))
    picture.load()
    return np.asarray(picture.convert("RGBA"))


def answers(response: httpx.Response) -> str:
    """Return all of an answer as text."""
    return f"{response.status_code} {response.headers.raw!r} {response.content!r}"
