"""QGIS, driven without a screen: what it paints of XYZ tiles."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SYSTEM_PYTHON = "/usr/bin/python3"
_PATIENCE_S = 200
_SCRIPT = """
import json, sys
from urllib.parse import quote
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.core import *

url, extent, side, zmax, path = sys.argv[1], *map(json.loads, sys.argv[2:5]), sys.argv[5]
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
source = f"type=xyz&zmin=0&zmax={zmax}&url=" + quote(url, safe="")
layer = QgsRasterLayer(source, "tiles", "wms")
assert layer.isValid(), layer.error().message()
settings = QgsMapSettings()
settings.setLayers([layer])
settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
settings.setExtent(QgsRectangle(*extent))
settings.setOutputSize(QSize(side, side))
settings.setOutputDpi(96)
settings.setBackgroundColor(QColor(0, 0, 0, 0))
job = QgsMapRendererSequentialJob(settings)
job.start()
job.waitForFinished()
assert not job.errors(), [error.message for error in job.errors()]
job.renderedImage().save(path)
"""

_FILES_SCRIPT = """
import json, sys
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtXml import QDomDocument
from qgis.core import *
from qgis.gui import QgsManageConnectionsDialog

files, extent, side, folder = *map(json.loads, sys.argv[1:4]), sys.argv[4]
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], True)
app.initQgis()


def layers_of(path):
    if path.endswith(".qlr"):
        return QgsLayerDefinition.loadLayerDefinitionLayers(path)
    dialog = QgsManageConnectionsDialog(
        None, QgsManageConnectionsDialog.Import, QgsManageConnectionsDialog.XyzTiles, path
    )
    dialog.selectAll()
    dialog.doExportImport()
    providers = QgsApplication.dataItemProviderRegistry().providers()
    (provider,) = [each for each in providers if each.name() == "XYZ Tiles"]
    items = provider.createDataItem("", None).createChildren()
    return [QgsRasterLayer(item.uri(), item.name(), item.providerKey()) for item in items]


found = []
for path in files:
    for layer in layers_of(path):
        assert layer.isValid(), layer.error().message()
        settings = QgsMapSettings()
        settings.setLayers([layer])
        settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
        settings.setExtent(QgsRectangle(*extent))
        settings.setOutputSize(QSize(side, side))
        settings.setOutputDpi(192)
        settings.setBackgroundColor(QColor(0, 0, 0, 0))
        job = QgsMapRendererSequentialJob(settings)
        job.start()
        job.waitForFinished()
        assert not job.errors(), [error.message for error in job.errors()]
        picture = f"{folder}/{len(found)}.png"
        job.renderedImage().save(picture)
        uri = QgsDataSourceUri()
        uri.setEncodedUri(layer.source())
        keys = ("type", "url", "zmin", "zmax", "tilePixelRatio")
        found.append(
            {
                "file": path,
                "name": layer.name(),
                "attribution": layer.attribution(),
                "source": {key: uri.param(key) for key in keys},
                "picture": picture,
            }
        )
open(f"{folder}/found.json", "w").write(json.dumps(found))
"""


def has_qgis() -> bool:
    """Tell whether the system's Python has QGIS."""
    if not os.path.exists(SYSTEM_PYTHON):
        return False
    found = subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], capture_output=True)
    return found.returncode == 0


def picture(body: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a picture, shape (height, width, 4)."""
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))


def painted(
    template: str, extent: Sequence[float], folder: Path, side: int, zmax: int
) -> NDArray[np.uint8]:
    """Return what QGIS paints of an XYZ layer.

    Args:
        template: URL of a tile, with {z}, {x} and {y}.
        extent: west, south, east, north in EPSG:3857 metres.
        folder: what QGIS may write to.
        side: of the picture, in pixels.
        zmax: the greatest zoom there is.
    """
    path = folder / "map.png"
    arguments = [template, *map(json.dumps, (list(extent), side, zmax)), str(path)]
    made = _run(_SCRIPT, arguments, folder)
    # What QGIS says when it ends is its own matter.
    assert path.exists(), made.stderr
    return picture(path.read_bytes())


def opened(
    files: Sequence[Path], extent: Sequence[float], folder: Path, side: int
) -> list[dict[str, Any]]:
    """Return the layers that QGIS finds in files of connections or layers, each painted.

    Args:
        files: `.qlr`, or `.xml` as *Load Connections* takes it.
        extent: west, south, east, north in EPSG:3857 metres.
        folder: what QGIS may write to.
        side: of the pictures, in pixels, at 192 dots an inch.

    Returns:
        Of each layer its file, name, attribution, source (by the keys of its URI) and picture, the
        name of a file.
    """
    arguments = [*map(json.dumps, ([*map(str, files)], list(extent), side)), str(folder)]
    made = _run(_FILES_SCRIPT, arguments, folder)
    path = folder / "found.json"
    assert path.exists(), made.stderr
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def _run(script: str, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
    return subprocess.run(
        [SYSTEM_PYTHON, "-c", script, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_PATIENCE_S,
    )
