"""QGIS, driven without a screen: what it paints of XYZ tiles."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

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
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
    path = folder / "map.png"
    arguments = [template, *map(json.dumps, (list(extent), side, zmax)), str(path)]
    made = subprocess.run(
        [SYSTEM_PYTHON, "-c", _SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_PATIENCE_S,
    )
    # What QGIS says when it ends is its own matter.
    assert path.exists(), made.stderr
    return picture(path.read_bytes())
