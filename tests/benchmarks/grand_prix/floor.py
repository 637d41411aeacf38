"""The floor of cold tiles: each touched block decoded once and each picture encoded, in C.

Nothing is warped, stretched, cached or sent. Threads are as many as the cores of the servers.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import imagecodecs
import mercantile
import numpy as np
import rasterio
from isal import isal_zlib
from PIL import Image
from rasterio.warp import transform

from tests.benchmarks.grand_prix.scenes import Scene
from tests.benchmarks.grand_prix.servers import CORES
from tileserver.contract.tiles import Tile

_SAMPLES = 33
"""Points on a side of a tile whose blocks count as touched."""


@dataclass(frozen=True)
class Block:
    """Compressed bytes of a block in the file."""

    offset: int
    length: int
    tables: bytes | None
    """JPEG tables of its level."""


class Floor:
    """Decodes the blocks of a file that were not decoded before."""

    def __init__(self, scene: Scene, path: Path) -> None:
        self.scene, self.path = scene, path
        self.seen: set[tuple[str, Block]] = set()
        self.cpu_s = 0.0
        """CPU time of the last round."""

    def __enter__(self) -> Self:
        """Open the file."""
        self.dataset = rasterio.open(self.path)
        self.file = os.open(self.path, os.O_RDONLY)
        self.pool = ThreadPoolExecutor(len(CORES))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.pool.shutdown()
        os.close(self.file)
        self.dataset.close()

    def round(
        self, tiles: Sequence[Tile], pictures: Sequence[bytes], layers: Sequence[str] = ()
    ) -> float:
        """Return the tiles a second of decoding the new blocks of tiles and encoding pictures.

        Args:
            tiles: those of the round.
            pictures: what was drawn of them, as PNG.
            layers: of each tile, if many layers have a file like this one each.
        """
        names = layers or [""] * len(tiles)
        touched = {
            (name, block)
            for name, tile in zip(names, tiles, strict=True)
            for block in self.blocks(tile)
        }
        new = touched - self.seen
        self.seen |= new
        rows = [_rows(picture) for picture in pictures]
        started, cpu_s = time.perf_counter(), time.process_time()
        decoded = [self.pool.submit(self.decode, block) for _, block in new]
        encoded = [self.pool.submit(isal_zlib.compress, each, 1) for each in rows]
        for decoding in decoded:
            decoding.result()
        for encoding in encoded:
            encoding.result()
        self.cpu_s = time.process_time() - cpu_s
        return len(tiles) / (time.perf_counter() - started)

    def blocks(self, tile: Tile) -> set[Block]:
        """Return the blocks whose pixels a tile shows, of the level that suffices."""
        columns, rows, level = self._pixels(tile)
        factor = self.dataset.overviews(1)[level] if level >= 0 else 1
        corners = {
            (int(column) // (512 * factor), int(row) // (512 * factor))
            for column, row in zip(columns, rows, strict=True)
            if 0 <= column < self.dataset.width and 0 <= row < self.dataset.height
        }
        by_band = self.dataset.interleaving.value == "BAND"
        bands = self.scene.drawn if by_band else (1,)
        return {self._block(*corner, band, level) for corner in corners for band in bands}

    def _pixels(self, tile: Tile) -> tuple[Any, Any, int]:
        west, south, east, north = mercantile.xy_bounds(tile)
        x, y = np.meshgrid(np.linspace(west, east, _SAMPLES), np.linspace(south, north, _SAMPLES))
        points = transform("EPSG:3857", self.dataset.crs, x.ravel(), y.ravel())
        x, y = np.array(points)
        to_pixel = ~self.dataset.transform
        columns = to_pixel.a * x + to_pixel.b * y + to_pixel.c
        rows = to_pixel.d * x + to_pixel.e * y + to_pixel.f
        span = max(abs(columns[1] - columns[0]), abs(rows[1] - rows[0])) * (_SAMPLES - 1) / 256
        fine = [factor for factor in self.dataset.overviews(1) if factor <= span * 1.01]
        return columns, rows, len(fine) - 1

    def _block(self, column: int, row: int, band: int, level: int) -> Block:
        def item(name: str) -> str | None:
            text: str | None = self.dataset.get_tag_item(
                name, "TIFF", bidx=band, **({"ovr": level} if level >= 0 else {})
            )
            return text

        place = f"{column}_{row}"
        tables = item("JPEGTABLES") if self.dataset.profile["compress"] == "jpeg" else None
        offset, length = item(f"BLOCK_OFFSET_{place}"), item(f"BLOCK_SIZE_{place}")
        assert offset is not None
        assert length is not None
        return Block(int(offset), int(length), bytes.fromhex(tables) if tables else None)

    def decode(self, block: Block) -> None:
        """Decode a block, and undo its predictor."""
        body = os.pread(self.file, block.length, block.offset)
        kind = self.dataset.profile["compress"]
        if kind == "jpeg":
            imagecodecs.jpeg8_decode(body, tables=block.tables)
            return
        decode = imagecodecs.zstd_decode if kind == "zstd" else imagecodecs.deflate_decode
        values = np.frombuffer(decode(body), self.scene.dtype).reshape(512, 512, -1)
        if self.scene.dtype == "float32":
            imagecodecs.floatpred_decode(values, axis=1)
        else:
            imagecodecs.delta_decode(values, axis=1)


def _rows(picture: bytes) -> bytes:
    with Image.open(io.BytesIO(picture)) as image:
        return image.tobytes()
