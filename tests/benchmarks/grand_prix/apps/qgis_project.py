"""Write a project for QGIS Server; runs in the system's Python, which has QGIS.

Takes the path of the project, and on standard input a list of layers: `name`, `source` as GDAL
has it, `bands` (one with `colours`, else three), `low` and `high`.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsMultiBandColorRenderer,
    QgsProject,
    QgsRaster,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QColor


def main() -> None:
    """Write the project."""
    QgsApplication.setPrefixPath("/usr", True)
    app = QgsApplication([], False)
    app.initQgis()
    project = QgsProject.instance()
    project.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    project.writeEntry("WMSCrsList", "/", ["EPSG:3857"])
    for row in json.load(sys.stdin):
        project.addMapLayer(_layer(row))
    assert project.write(sys.argv[1])
    sys.stdout.flush()
    # QGIS may crash while Python takes it apart, with the project written.
    os._exit(0)


def _layer(row: dict[str, Any]) -> QgsRasterLayer:
    layer = QgsRasterLayer(row["source"], row["name"], "gdal")
    assert layer.isValid(), row["source"]
    provider = layer.dataProvider()
    low, high = row["low"], row["high"]
    if row["colours"]:
        ramp = QgsColorRampShader(low, high)
        step = (high - low) / (len(row["colours"]) - 1)
        ramp.setColorRampItemList(
            [
                QgsColorRampShader.ColorRampItem(low + index * step, QColor(f"#{colour}"))
                for index, colour in enumerate(row["colours"])
            ]
        )
        shader = QgsRasterShader()
        shader.setRasterShaderFunction(ramp)
        layer.setRenderer(QgsSingleBandPseudoColorRenderer(provider, row["bands"][0], shader))
        return layer
    red, green, blue = row["bands"]
    renderer = QgsMultiBandColorRenderer(provider, red, green, blue)
    # The setters take the objects over; the constructor would not.
    renderer.setRedContrastEnhancement(_stretch(provider.dataType(red), low, high))
    renderer.setGreenContrastEnhancement(_stretch(provider.dataType(green), low, high))
    renderer.setBlueContrastEnhancement(_stretch(provider.dataType(blue), low, high))
    last = provider.bandCount()
    if provider.colorInterpretation(last) == QgsRaster.AlphaBand:
        renderer.setAlphaBand(last)  # A mask within the file, which QGIS counts as a band.
    layer.setRenderer(renderer)
    return layer


def _stretch(data_type: Any, low: float, high: float) -> QgsContrastEnhancement:
    stretch = QgsContrastEnhancement(data_type)
    stretch.setMinimumValue(low)
    stretch.setMaximumValue(high)
    stretch.setContrastEnhancementAlgorithm(QgsContrastEnhancement.StretchToMinimumMaximum)
    return stretch


if __name__ == "__main__":
    main()
