"""`python -m tests.benchmarks`: every figure is a median, every pair is of one run."""

from __future__ import annotations

import io
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import httpx
import mercantile
import numpy as np
import rasterio
import uvicorn
from PIL import Image
from rasterio.vrt import WarpedVRT
from rasterio.windows import from_bounds

from tests.benchmarks.earth import measure_earth
from tests.benchmarks.layers import measure_layers
from tests.benchmarks.rest import measure_rest
from tests.benchmarks.scene import write_scene
from tileserver.config.config import Config
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.layers.layers import LayerDefinition
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.rendering.encoders import encode
from tileserver.rendering.png import write_png
from tileserver.rendering.render import Picture, draw
from tileserver.server.app import create_app

REPEATS = 150
STRETCH = VisualizationOptions((Range(0, 4000),))
BANDS = ("b1", "b2", "b3")


def median_ms(*actions: Callable[[], object]) -> list[float]:
    """Return the median of each action in ms; they take turns, so noise meets all alike."""
    times: list[list[float]] = [[] for _ in actions]
    for round_ in range(REPEATS + 5):
        for action, taken in zip(actions, times, strict=True):
            started = time.perf_counter()
            action()
            if round_ >= 5:
                taken.append((time.perf_counter() - started) * 1000)
    return [statistics.median(taken) for taken in times]


def row(name: str, ours_ms: float, theirs: str, theirs_ms: float) -> None:
    """Print one comparison."""
    ratio = theirs_ms / ours_ms
    print(f"{name:<36} {ours_ms:8.2f} ms   {theirs:<34} {theirs_ms:8.2f} ms   {ratio:6.1f}x")


def scene_tiles(path: Path, zoom: int) -> list[Tile]:
    """Return the tiles of a zoom that lie within the scene."""
    with rasterio.open(path) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(
            dataset.crs, "EPSG:4326", *dataset.bounds
        )
    inner = (west + 0.1, south + 0.08, east - 0.1, north - 0.08)
    return [Tile(each.x, each.y, each.z) for each in mercantile.tiles(*inner, zooms=[zoom])]


def warped_picture(path: Path, tile: Tile) -> bytes:
    """Answer a tile as rasterio alone does: open, WarpedVRT, stretch, Pillow."""
    with (
        rasterio.open(path) as source,
        WarpedVRT(source, crs="EPSG:3857", resampling=rasterio.enums.Resampling.nearest) as warped,
    ):
        window = from_bounds(*mercantile.xy_bounds(tile), warped.transform)
        values = warped.read(window=window, out_shape=(3, 256, 256), boundless=False)
    stretched = (np.clip(values / 4000, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pillow_png(Picture(np.moveaxis(stretched, 0, -1), None))


def peer_picture() -> Callable[[Path, Tile], bytes] | None:
    """Return how rio-tiler answers a tile, as TiTiler would; None if it is not installed."""
    try:
        from rio_tiler.io import Reader
    except ImportError:
        return None

    def picture(path: Path, tile: Tile) -> bytes:
        with Reader(str(path)) as source:
            image = source.tile(tile.x, tile.y, tile.z, indexes=(1, 2, 3), tilesize=256)
            image.rescale(((0, 4000),))
            body: bytes = image.render(img_format="PNG")
            return body

    return picture


def pillow_png(picture: Picture, level: int = 6) -> bytes:
    """Return a picture as Pillow writes it."""
    body = io.BytesIO()
    Image.fromarray(picture.color).save(body, "PNG", compress_level=level)
    return body.getvalue()


def measure_engine(path: Path) -> None:
    """Compare reading, drawing and encoding of one tile with rasterio and Pillow."""
    catalogue = Catalogue([Root(str(path))])
    rasters = LocalRasters(catalogue)
    (name,) = catalogue.names()
    tiles = cycle(scene_tiles(path, 13))
    theirs = cycle(scene_tiles(path, 13))

    def request() -> PixelRequest:
        grid = tile_grid(next(tiles))
        return PixelRequest(name, ImageFileFormat.PNG, grid, None, BANDS, STRETCH)

    ours_ms, theirs_ms = median_ms(
        lambda: rasters.pixels(request()), lambda: warped_picture(path, next(theirs))
    )
    row("cold tile, UTM scene, 3x uint16", ours_ms, "rasterio WarpedVRT + Pillow", theirs_ms)
    peer = peer_picture()
    if peer is not None:
        ours_ms, peer_ms = median_ms(
            lambda: rasters.pixels(request()), lambda: peer(path, next(theirs))
        )
        row("cold tile, UTM scene, 3x uint16", ours_ms, "rio-tiler", peer_ms)
    bands = rasters.bands(request())
    picture = draw(bands, STRETCH)
    png, level6, level1 = median_ms(
        lambda: write_png(picture), lambda: pillow_png(picture), lambda: pillow_png(picture, 1)
    )
    row("PNG of 256x256 RGB", png, "Pillow, level 6", level6)
    row("PNG of 256x256 RGB", png, "Pillow, level 1", level1)
    grid = tile_grid(next(tiles))
    webp, npy = median_ms(
        lambda: encode(ImageFileFormat.WEBP, bands, grid, STRETCH),
        lambda: encode(ImageFileFormat.NPY, bands, grid, None),
    )
    print(f"{'WebP, lossless':<36} {webp:8.2f} ms   NPY {npy:.2f} ms")


@contextmanager
def served(path: Path) -> Iterator[str]:
    """Serve the scene on loopback, and yield the address."""
    app = create_app(Config(), [Root(str(path))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def measure_http(path: Path) -> None:
    """Compare a cold tile, a cached one and the cheapest route over one connection."""
    layer = LayerDefinition(path.stem, "").name
    tiles = scene_tiles(path, 13) + scene_tiles(path, 14)
    with served(path) as url, httpx.Client(base_url=url, timeout=60) as client:
        fresh = cycle(enumerate(tiles * 10))

        def cold() -> None:
            count, tile = next(fresh)
            # A new stretch each time, so that the cache never has it.
            query = f"bands=b1,b2,b3&min=0&max={4000 + count}"
            client.get(f"/tiles/{layer}/{tile.z}/{tile.x}/{tile.y}.png?{query}").raise_for_status()

        held = f"/tiles/{layer}/{tiles[0].z}/{tiles[0].x}/{tiles[0].y}.png"
        cold_ms, hit_ms, health_ms = median_ms(
            cold,
            lambda: client.get(held).raise_for_status(),
            lambda: client.get("/healthz").raise_for_status(),
        )
    print()
    row("tile over HTTP, cached", hit_ms, "the same, cold", cold_ms)
    row("tile over HTTP, cached", hit_ms, "/healthz, the cheapest route", health_ms)


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_scene(Path(folder, "scene.tif"))
        measure_engine(path)
        measure_http(path)
        measure_rest(path, scene_tiles(path, 13))
    print()
    with tempfile.TemporaryDirectory() as folder:
        measure_layers(Path(folder))
    measure_earth()


if __name__ == "__main__":
    main()
