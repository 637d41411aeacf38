"""Many threads at once, and files that change under way."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.rasters.engine import asset_of, engine, name_of, raw, tiles_over
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import tile_grid
from tileserver.errors import AssetNotFound

STALE_S = 2.2
"""After this long the catalogue looks at a file again."""


@pytest.mark.slow
def test_sixteen_threads_read_what_one_reads(tmp_path: Path) -> None:
    shown = np.random.default_rng(3).random((900, 1100)) > 0.1
    paths = [
        write_raster(tmp_path / "a.tif", noise(3, 900, 1100), mask=shown, overviews=(2, 4, 8)),
        write_raster(tmp_path / "b.tif", noise(1, 700, 900, "float32"), nodata=np.nan),
        write_raster(tmp_path / "c.tif", noise(3, 900, 1100, "uint8"), mask=shown, alpha=True),
    ]
    requests = [
        PixelRequest(name_of(path), file_format, tile_grid(tile))
        for path in paths
        for tile in tiles_over(asset_of(path), (8, 10, 11, 12, 13))
        for file_format in (ImageFileFormat.NPY, ImageFileFormat.PNG)
    ]
    alone = engine(tmp_path)
    expected = [_pixels_of(alone.pixels(request)) for request in requests]
    order = list(range(len(requests))) * 3
    random.Random(4).shuffle(order)
    together = engine(tmp_path)
    with ThreadPoolExecutor(16) as pool:
        bodies = list(pool.map(lambda i: together.pixels(requests[i]), order))
    for i, body in zip(order, bodies, strict=True):
        assert np.array_equal(_pixels_of(body), expected[i]), requests[i]
    alone.close()
    together.close()


def _pixels_of(body: bytes) -> NDArray[Any]:
    """Return the pixels of an NPY file, as bytes, or of a PNG.

    ISA-L compresses the same pixels to other bytes now and then: one thread in a thousand
    chooses other matches, by the same code, for as long as it lives.
    """
    if body.startswith(b"\x89PNG"):
        return np.asarray(Image.open(BytesIO(body)).convert("RGBA"))
    return np.frombuffer(body, np.uint8)


@pytest.mark.slow
def test_many_tasks_read_what_one_thread_reads(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise(3, 900, 1100), overviews=(2, 4, 8))
    requests = [raw(path, tile_grid(tile)) for tile in tiles_over(asset_of(path), (9, 11, 12, 13))]
    rasters = engine(path)
    bodies: dict[int, bytes] = {}

    async def read_one(number: int) -> None:
        bodies[number] = await rasters.get_pixels(requests[number % len(requests)])

    async def read_all() -> None:
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(read_one, number)

    anyio.run(read_all)
    expected = [engine(path).pixels(request) for request in requests]
    assert all(body == expected[i % len(requests)] for i, body in bodies.items())
    assert len(bodies) == 60


@pytest.mark.slow
def test_a_changed_file_is_read_anew_and_one_that_is_gone_is_not_found(tmp_path: Path) -> None:
    paths = replaced, rewritten, gone = [tmp_path / f"{name}.tif" for name in "abc"]
    for path in paths:
        write_raster(path, noise(1, 200, 200, seed=1), overviews=(), compress=None)
    rasters = engine(tmp_path)
    versions = {rasters.catalogue.find(name_of(path)).asset.version for path in paths}
    for path in paths:
        assert np.array_equal(rasters.bands(raw(path, None)).values, noise(1, 200, 200, seed=1))
    os.replace(write_raster(tmp_path / "fresh", noise(1, 150, 300, seed=2)), replaced)
    with rasterio.open(rewritten, "r+") as dataset:
        dataset.write(noise(1, 200, 200, seed=3))
    gone.unlink()
    time.sleep(STALE_S)
    assert np.array_equal(rasters.bands(raw(replaced, None)).values, noise(1, 150, 300, seed=2))
    assert np.array_equal(rasters.bands(raw(rewritten, None)).values, noise(1, 200, 200, seed=3))
    with pytest.raises(AssetNotFound, match="Asset 'projects/localhost/assets/c' not found"):
        rasters.pixels(raw(gone, None))
    for path in (replaced, rewritten):
        assert rasters.catalogue.find(name_of(path)).asset.version not in versions
