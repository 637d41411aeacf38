"""The list of a folder of many rasters: from the index, while it is filled and after."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import numpy as np
import rasterio

from tileserver.layers.automatic_layers import automatic_layers
from tileserver.layers.layer_list import LayerList, filling
from tileserver.layers.layers import Layers
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

_COUNT = 1000
_ROUNDS = 15


def measure_layers(folder: Path) -> None:
    """Print how long a page of 100 layers takes, of a folder of 1,000 rasters."""
    _write(folder)
    asyncio.run(_measure(folder))


def _write(folder: Path) -> None:
    profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "crs": "EPSG:4326"}
    values = np.arange(256, dtype="uint8").reshape(1, 16, 16)
    for i in range(_COUNT):
        transform = rasterio.Affine(0.01, 0, i % 170, 0, -0.01, i // 170)
        path = folder / f"scene{i:04}.tif"
        with rasterio.open(path, "w", dtype="uint8", transform=transform, **profile) as file:
            file.write(values)


async def _measure(folder: Path) -> None:
    catalogue = Catalogue([Root(str(folder))])
    layers = Layers(automatic_layers(catalogue.names(), ()), LocalRasters(catalogue))
    listed = LayerList(layers, files=catalogue)
    async with filling(listed):
        print(f"page of 100 layers, index filling  {await _page_ms(listed):8.2f} ms")
        started = time.perf_counter()
        while len(listed.index.places()) < _COUNT:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        print(f"index of {_COUNT} layers filled in     {time.perf_counter() - started:8.2f} s")
        print(f"page of 100 layers, index full     {await _page_ms(listed):8.2f} ms")


async def _page_ms(listed: LayerList) -> float:
    """Return the median."""
    taken = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        await listed.page(None, 100)
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)
