"""The servers that are compared, and how each is asked for a tile of a scene."""

from __future__ import annotations

import compileall
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import Server, free_port, start_http
from tests.support.commands import ROOT
from tileserver.contract.tiles import Tile

GDAL = {
    "GDAL_CACHEMAX": "2048",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "VSI_CACHE": "TRUE",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
}
"""What TiTiler's documentation recommends, with a larger cache of blocks."""

_MOST_ARGUMENTS = 100


class Peer(Protocol):
    """A tile server."""

    @property
    def name(self) -> str:
        """As the table has it."""

    def version(self, environments: Environments) -> str:
        """Install it unless it is there, and return its version.

        Raises:
            Unavailable: it cannot be installed.
        """

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        """Start it with the rasters of scenes: files, or addresses of them.

        Raises:
            Unavailable: it cannot serve them.
        """

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        """Return the path and query of a tile as PNG of 256x256.

        Args:
            scene: and its style.
            source: its file or address.
            tile: of Web Mercator.
            salt: is added to the upper end of the stretch, where the URL has it. A server whose
                URLs have none must not keep pictures.
        """


@dataclass(frozen=True)
class Ours:
    """This checkout."""

    name: str = "tileserver"

    def version(self, environments: Environments) -> str:
        # As pip does with what it installs: else each start may compile all modules.
        compileall.compile_dir(ROOT / "tileserver", quiet=1)
        return "this checkout"

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        port = free_port()
        command = [
            *(sys.executable, "-m", "tileserver", "serve", *_rasters(list(scenes.values()))),
            *("--port", str(port), "--workers", str(workers)),
        ]
        return start_http(command, port, {"PYTHONPATH": str(ROOT)})

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        bands = ",".join(f"b{number}" for number in scene.drawn)
        palette = f"&palette={scene.palette}" if scene.palette else ""
        stretch = f"min={scene.low:g}&max={scene.high + salt:g}"
        layer = Path(source).stem
        return f"/tiles/{layer}/{tile.z}/{tile.x}/{tile.y}.png?bands={bands}&{stretch}{palette}"


def _rasters(sources: Sequence[str]) -> Sequence[str]:
    """Return the arguments for so many files: their folder for more than one would write down."""
    if len(sources) <= _MOST_ARGUMENTS:
        return sources
    return sorted({str(Path(source).parent) for source in sources})


@dataclass(frozen=True)
class Pip:
    """A server from PyPI, in an environment of its own, under uvicorn."""

    name: str
    requirements: tuple[str, ...]
    distribution: str
    app: str
    route: str
    """Up to the numbers of the tile."""
    extra: str = ""
    """Further parameters."""
    palette_name: str = "colormap_name"

    def version(self, environments: Environments) -> str:
        environments.install(self.name, self.requirements)
        return environments.version(self.name, self.distribution)

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        port = free_port()
        command: Sequence[str | Path] = (
            environments.python(self.name),
            *("-m", "uvicorn", self.app, "--port", str(port)),
            *("--workers", str(workers), "--no-access-log", "--log-level", "error"),
        )
        apps = str(Path(__file__).parent / "apps")
        return start_http(command, port, {**GDAL, "PYTHONPATH": apps})

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        bands = "".join(f"&bidx={number}" for number in scene.drawn)
        palette = f"&{self.palette_name}={scene.palette}" if scene.palette else ""
        stretch = f"&rescale={scene.low:g},{scene.high + salt:g}"
        place = f"{self.route}/{tile.z}/{tile.x}/{tile.y}.png?url={quote(source, safe='/:')}"
        return f"{place}{bands}{stretch}{palette}{self.extra}"


TITILER = Pip(
    "TiTiler",
    ("titiler.application", "uvicorn[standard]"),
    "titiler.application",
    "titiler.application.main:app",
    "/cog/tiles/WebMercatorQuad",
    extra="&tilesize=256",
)
RIO_TILER = Pip(
    "rio-tiler",
    ("rio-tiler", "starlette", "uvicorn[standard]"),
    "rio-tiler",
    "rio_tiler_app:app",
    "/tiles",
)


@dataclass(frozen=True)
class LocalTileServer(Pip):
    """localtileserver, whose parameters have names of their own."""

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        bands = ",".join(map(str, scene.drawn))
        palette = f"&colormap={scene.palette}" if scene.palette else ""
        low = ",".join(f"{scene.low:g}" for _ in scene.drawn)
        high = ",".join(f"{scene.high + salt:g}" for _ in scene.drawn)
        place = f"{self.route}/{tile.z}/{tile.x}/{tile.y}.png?filename={quote(source, safe='/:')}"
        return f"{place}&indexes={bands}&vmin={low}&vmax={high}{palette}"


LOCALTILESERVER = LocalTileServer(
    "localtileserver",
    ("localtileserver", "uvicorn[standard]"),
    "localtileserver",
    "localtileserver.web.wsgi:app",
    "/api/tiles",
)
