"""Terracotta under gunicorn, with a file for each band, as it wants them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.benchmarks.grand_prix.environments import Environments, run_script
from tests.benchmarks.grand_prix.peers import GDAL
from tests.benchmarks.grand_prix.scenes import Scene, write_bands
from tests.benchmarks.grand_prix.servers import Server, free_port, start_http
from tileserver.contract.tiles import Tile

_SETTINGS = {
    "TC_DRIVER_PROVIDER": "sqlite",
    # As the others read.
    "TC_RESAMPLING_METHOD": "nearest",
    "TC_REPROJECTION_METHOD": "nearest",
    # Of its cache in memory, whose level 9 is slower than to read again.
    "TC_RASTER_CACHE_COMPRESS_LEVEL": "1",
}
_INGEST = Path(__file__).parent / "apps" / "terracotta_ingest.py"


@dataclass(frozen=True)
class Terracotta:
    """Terracotta from PyPI, in an environment of its own."""

    name: str = "Terracotta"

    def version(self, environments: Environments) -> str:
        environments.install(self.name, ("terracotta", "gunicorn"))
        return environments.version(self.name, "terracotta")

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        port = free_port()
        python = environments.python(self.name)
        database = _database(python, environments.folder / "terracotta-databases", _rows(scenes))
        # One thread a worker: requests in several break each other's transactions now and then.
        command: list[str | Path] = [
            *(python, "-m", "gunicorn", "terracotta.server.app:app", "--bind", f"127.0.0.1:{port}"),
            *("--workers", str(workers), "--worker-class", "gthread", "--threads", "1"),
            *("--keep-alive", "60"),
        ]
        settings = {**GDAL, **_SETTINGS, "TC_DRIVER_PATH": str(database)}
        server = start_http(command, port, settings)
        if any(source.startswith("http") for source in scenes.values()):
            server.files.append(database)  # Of a port that is another one next time.
        return server

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        stretch = f"[{scene.low:g},{scene.high + salt:g}]"
        place = f"{tile.z}/{tile.x}/{tile.y}.png"
        if scene.palette:
            query = f"stretch_range={stretch}&colormap={scene.palette}"
            return f"/singleband/{Path(source).stem}/{scene.drawn[0]}/{place}?{quote(query, '=&')}"
        bands = zip("rgb", scene.drawn, strict=True)
        query = "&".join(f"{name}={band}&{name}_range={stretch}" for name, band in bands)
        return f"/rgb/{Path(source).stem}/{place}?{quote(query, '=&')}"


def _database(python: Path, folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """Return a database of rows, written unless it is there.

    Raises:
        Unavailable: Terracotta failed.
    """
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]
    database = folder / f"{digest}.sqlite"
    if not database.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{digest}-{os.getpid()}.part.sqlite"
        run_script([python, _INGEST, draft], rows)
        draft.rename(database)
    return database


def _rows(scenes: Mapping[Scene, str]) -> list[tuple[str, str, str]]:
    """Return name of the scene, number of the band and its file; links have one file."""
    files: dict[int, list[Path]] = {}
    rows = []
    for scene, source in scenes.items():
        stem = Path(source).stem
        if source.startswith("http"):
            base = source.rpartition("/")[0]
            paths = [f"{base}/bands/{stem}-{number}.tif" for number in scene.drawn]
        else:
            inode = os.stat(source).st_ino
            if inode not in files:
                files[inode] = write_bands(scene, Path(source))
            paths = [str(each) for each in files[inode]]
        rows += [(stem, str(number), path) for number, path in zip(scene.drawn, paths, strict=True)]
    return rows
