"""QGIS Server as FastCGI, with a project of the scenes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import mercantile

from tests.benchmarks.grand_prix.environments import Environments, Unavailable, program, run_script
from tests.benchmarks.grand_prix.mapserver import KNOTS
from tests.benchmarks.grand_prix.peers import GDAL
from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import Server, free_port, start_fastcgi
from tests.support.qgis import SYSTEM_PYTHON, has_qgis
from tileserver.contract.tiles import Tile

_MOST_LAYERS = 1000
_SCRIPT = Path(__file__).parent / "apps" / "qgis_project.py"
_SETTINGS = {
    "QT_QPA_PLATFORM": "offscreen",
    "QGIS_PREFIX_PATH": "/usr",
    "QGIS_SERVER_TRUST_LAYER_METADATA": "1",
    "QGIS_SERVER_DISABLE_GETPRINT": "1",
    "QGIS_SERVER_LOG_LEVEL": "2",
}
_GET_MAP = (
    "/qgis?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetMap&STYLES=&CRS=EPSG:3857&WIDTH=256&HEIGHT=256"
    "&FORMAT=image/png&TRANSPARENT=TRUE"
)


@dataclass(frozen=True)
class QgisServer:
    """Debian's qgis-server; one process for each worker."""

    name: str = "QGIS Server"

    def version(self, environments: Environments) -> str:
        _program()
        if not has_qgis():
            raise Unavailable(f"{SYSTEM_PYTHON} has no QGIS to write a project with")
        code = "import qgis.core; print(qgis.core.Qgis.QGIS_VERSION.split('-')[0])"
        command = [SYSTEM_PYTHON, "-c", code]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        if len(scenes) > _MOST_LAYERS:
            raise Unavailable(f"no project of {len(scenes)} layers is written")
        folder = environments.folder / "qgis"
        folder.mkdir(parents=True, exist_ok=True)
        project = folder / f"prix-{free_port()}.qgs"
        environ = {**GDAL, **_SETTINGS, "HOME": str(folder), "QGIS_PROJECT_FILE": str(project)}
        rows = [_row(scene, source) for scene, source in scenes.items()]
        run_script([SYSTEM_PYTHON, _SCRIPT, project], rows, environ)
        server = start_fastcgi([_program()], environ, folder, workers)
        server.files.append(project)
        return server

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        box = mercantile.xy_bounds(tile.x, tile.y, tile.z)
        corners = ",".join(map(repr, (box.left, box.bottom, box.right, box.top)))
        return f"{_GET_MAP}&LAYERS={Path(source).stem}&BBOX={corners}"


def _program() -> str:
    return program("/usr/lib/cgi-bin/qgis_mapserv.fcgi", "qgis_mapserv.fcgi")


def _row(scene: Scene, source: str) -> dict[str, object]:
    return {
        "name": Path(source).stem,
        "source": f"/vsicurl/{source}" if source.startswith("http") else source,
        "bands": scene.drawn,
        "low": scene.low,
        "high": scene.high,
        "colours": KNOTS if scene.palette else (),
    }
