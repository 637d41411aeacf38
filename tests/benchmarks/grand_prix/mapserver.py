"""MapServer as FastCGI, set to be as fast as it can be."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import rasterio

from tests.benchmarks.grand_prix.environments import Environments, program
from tests.benchmarks.grand_prix.peers import GDAL
from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import Server, free_port, start_fastcgi
from tileserver.contract.tiles import Tile

KNOTS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
"""viridis at every eighth."""
_MAP = """MAP
  NAME "prix"
  SIZE 256 256
  MAXSIZE 4096
  IMAGETYPE "png"
  IMAGECOLOR 0 0 0
  CONFIG "GDAL_CACHEMAX" "2048"
  CONFIG "GDAL_DISABLE_READDIR_ON_OPEN" "EMPTY_DIR"
  PROJECTION "init=epsg:3857" END
  OUTPUTFORMAT
    NAME "png"
    DRIVER "AGG/PNG"
    MIMETYPE "image/png"
    IMAGEMODE {mode}
    EXTENSION "png"
    FORMATOPTION "COMPRESSION=1"
  END
{layers}END
"""
_LAYER = """  LAYER
    NAME "{name}"
    TYPE RASTER
    STATUS ON
    DATA "%source%"
    VALIDATION
      "source" "^(/vsicurl/http:/)?/[a-z0-9/.:_-]+$"
      "default_source" "{data}"
    END
    PROJECTION
      {projection}
    END
    PROCESSING "BANDS={bands}"
    PROCESSING "SCALE={low:g},{high:g}"
    PROCESSING "RESAMPLE=NEAREST"
    PROCESSING "CLOSE_CONNECTION=DEFER"
{classes}  END
"""


@dataclass(frozen=True)
class MapServer:
    """Debian's mapserv; one process for each worker."""

    name: str = "MapServer"

    def version(self, environments: Environments) -> str:
        said = subprocess.run([_program(), "-v"], capture_output=True, text=True).stdout
        return said.split()[2]

    def start(
        self, scenes: Mapping[Scene, str], environments: Environments, workers: int
    ) -> Server:
        folder = environments.folder / "mapserver"
        folder.mkdir(parents=True, exist_ok=True)
        config, map_file = folder / "mapserver.conf", folder / f"prix-{free_port()}.map"
        config.write_text('CONFIG\n  ENV\n    MS_MAP_PATTERN "."\n  END\nEND\n')
        has_mask = any(each.masked or each.rotation_deg for each in scenes)
        # Files that are drawn alike share a layer: each request parses the map file anew.
        alike = {replace(scene, name=""): (scene, source) for scene, source in scenes.items()}
        layers = "".join(_layer(scene, source) for scene, source in alike.values())
        map_file.write_text(_MAP.format(mode="RGBA" if has_mask else "RGB", layers=layers))
        environ = {"MAPSERVER_CONFIG_FILE": str(config), "MS_MAPFILE": str(map_file), **GDAL}
        server = start_fastcgi([_program()], environ, folder, workers)
        server.files.append(map_file)
        return server

    def url(self, scene: Scene, source: str, tile: Tile, salt: int = 0) -> str:
        place = f"tile={tile.x}+{tile.y}+{tile.z}"
        layer = f"layers={_name(scene)}&source={_data(source)}"
        return f"/mapserv?mode=tile&tilemode=gmap&{layer}&{place}"


def _program() -> str:
    return program("/usr/lib/cgi-bin/mapserv", "mapserv")


def _name(scene: Scene) -> str:
    """Return the name of the layer of all scenes that are drawn alike."""
    return scene.name.partition("-")[0]


def _data(source: str) -> str:
    return f"/vsicurl/{source}" if source.startswith("http") else source


def _layer(scene: Scene, source: str) -> str:
    with rasterio.open(source) as dataset:
        # PROJ's own definition, for MapServer's parser has no other.
        projection = "\n      ".join(f'"{part[1:]}"' for part in dataset.crs.to_proj4().split())
    classes = _classes(scene) if scene.palette else ""
    return _LAYER.format(
        name=_name(scene),
        data=_data(source),
        projection=projection,
        bands=",".join(map(str, scene.drawn)),
        low=scene.low,
        high=scene.high,
        classes=classes,
    )


def _classes(scene: Scene) -> str:
    step = (scene.high - scene.low) / (len(KNOTS) - 1)
    classes = ""
    for index, (left, right) in enumerate(pairwise(KNOTS)):
        low, high = scene.low + index * step, scene.low + (index + 1) * step
        classes += (
            f"    CLASS EXPRESSION ([pixel] >= {low:g} AND [pixel] < {high:g})\n"
            f'      STYLE COLORRANGE "#{left}" "#{right}" DATARANGE {low:g} {high:g} END\n'
            "    END\n"
        )
    return f'    PROCESSING "SCALE_BUCKETS=4096"\n{classes}'
