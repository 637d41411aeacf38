"""QGIS, driven without a screen: what it paints of layers of WMTS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.qgis import SYSTEM_PYTHON, picture

_PATIENCE_S = 200
_SCRIPT = """
import json, sys
from urllib.parse import quote
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.core import *

views, folder = json.loads(sys.argv[1]), sys.argv[2]
QgsApplication.setPrefixPath("/usr", True)
app = QgsApplication([], False)
app.initQgis()
for number, view in enumerate(views):
    url = quote(view["url"], safe="")
    source = (
        f"contextualWMSLegend=0&crs={view['crs']}&dpiMode=7&featureCount=10&format=image/png"
        f"&layers={view['layer']}&styles=default&tileMatrixSet={view['matrix_set']}&url={url}"
    )
    layer = QgsRasterLayer(source, "tiles", "wms")
    assert layer.isValid(), (view, layer.error().message())
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem(view["crs"]))
    settings.setExtent(QgsRectangle(*view["extent"]))
    settings.setOutputSize(QSize(view["side"], view["side"]))
    settings.setOutputDpi(96)
    settings.setBackgroundColor(QColor(0, 0, 0, 0))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors(), [error.message for error in job.errors()]
    job.renderedImage().save(f"{folder}/{number}.png")
"""


@dataclass(frozen=True)
class View:
    """A part of a layer, as QGIS is told to paint it."""

    url: str
    """Of the capabilities."""
    layer: str
    matrix_set: str
    crs: str
    extent: Sequence[float]
    """West, south, east, north in units of the CRS."""
    side: int = 256
    """Of the picture, in pixels."""


def painted_views(views: Sequence[View], folder: Path) -> list[NDArray[np.uint8]]:
    """Return what QGIS paints of each view, in one process; it may write to the folder."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
    }
    arguments = [json.dumps([asdict(each) for each in views]), str(folder)]
    made = subprocess.run(
        [SYSTEM_PYTHON, "-c", _SCRIPT, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=_PATIENCE_S,
    )
    paths = [folder / f"{number}.png" for number in range(len(views))]
    # What QGIS says when it ends is its own matter.
    assert all(path.exists() for path in paths), made.stderr
    return [picture(path.read_bytes()) for path in paths]
