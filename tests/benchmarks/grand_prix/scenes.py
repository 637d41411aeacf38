"""The rasters of the events, written once into a folder, and the tiles that lie within them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import mercantile
import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from tileserver.contract.tiles import Tile

_UTM = "EPSG:32612"
_MERCATOR = "EPSG:3857"
SIDE, SMALL_SIDE = 7400, 2048
"""Pixels."""
_DEFLATE = {"compress": "deflate", "predictor": 2}


@dataclass(frozen=True)
class Scene:
    """A raster and its style."""

    name: str
    bands: int = 7
    dtype: str = "uint16"
    crs: str = _UTM
    creation: dict[str, Any] = field(default_factory=lambda: dict(_DEFLATE), hash=False)
    """GDAL's creation options."""
    drawn: tuple[int, ...] = (1, 2, 3)
    """Numbers of the bands in the picture, from 1."""
    low: float = 0.0
    high: float = 8000.0
    palette: str | None = None
    """Name of a colour map, for one band."""
    overviews: tuple[int, ...] = (2, 4, 8, 16)
    rotation_deg: float = 0.0
    masked: bool = False
    """Whether a dataset mask hides a disc in the middle."""
    share: float = 1.0
    """Side as a share of the side of the others."""
    what: str = field(default="", compare=False)
    """In words."""

    def path(self, folder: Path) -> Path:
        """Return where the raster lies."""
        return folder / f"{self.name}.tif"


SCENES = (
    Scene("utm", what="7 bands uint16 in UTM, three drawn"),
    Scene("mercator", crs=_MERCATOR, what="7 bands uint16 in Web Mercator"),
    Scene(
        "dem",
        bands=1,
        dtype="float32",
        creation={"compress": "deflate", "predictor": 3},
        drawn=(1,),
        high=6000.0,
        palette="viridis",
        what="a DEM in float32 with a palette",
    ),
    Scene(
        "jpeg",
        bands=3,
        dtype="uint8",
        creation={"compress": "jpeg", "photometric": "ycbcr", "interleave": "pixel"},
        high=255.0,
        what="a JPEG COG",
    ),
    Scene("zstd", creation={"compress": "zstd", "predictor": 2}, what="7 bands uint16, ZSTD"),
    Scene("three", bands=3, what="3 bands uint16"),
    Scene("mask", bands=3, masked=True, what="a mask"),
    Scene("rotated", bands=3, rotation_deg=20.0, what="rotated by 20 degrees"),
    Scene("flat", bands=3, overviews=(), what="no overviews"),
    Scene(
        "many",
        bands=64,
        share=0.25,
        creation={**_DEFLATE, "interleave": "band"},
        what="64 bands, three drawn",
    ),
)
SCENE = {each.name: each for each in SCENES}


def side_of(scene: Scene, is_small: bool) -> int:
    """Return the pixels on a side of a scene."""
    return int((SMALL_SIDE if is_small else SIDE) * scene.share)


def write_scene(scene: Scene, folder: Path, is_small: bool) -> Path:
    """Write a scene unless it is there; return its path."""
    path = scene.path(folder)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part.tif")
    side = side_of(scene, is_small)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(draft, "w", **_profile(scene, side)) as dataset,
    ):
        for index, values in enumerate(_bands(scene, side), 1):
            dataset.write(values, index)
        if scene.masked:
            dataset.write_mask(_disc(side))
    if scene.overviews:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(draft, "r+") as dataset:
            dataset.build_overviews(scene.overviews, Resampling.average)
    return draft.rename(path)


def _profile(scene: Scene, side: int) -> dict[str, Any]:
    pixel_m = 40.0 if scene.crs == _MERCATOR else 30.0
    corner = (-12_500_000.0, 5_100_000.0) if scene.crs == _MERCATOR else (3e5, 4.6e6)
    transform = Affine.translation(*corner) @ Affine.rotation(-scene.rotation_deg)
    return {
        "driver": "GTiff",
        "dtype": scene.dtype,
        "count": scene.bands,
        "width": side,
        "height": side,
        "crs": scene.crs,
        "transform": transform @ Affine.scale(pixel_m, -pixel_m),
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        **({} if scene.masked or scene.dtype != "uint16" else {"nodata": 0}),
        **scene.creation,
    }


def _bands(scene: Scene, side: int) -> Any:
    """Yield (rows, columns) of each band: waves with noise, in the range of the style."""
    noise = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    base = (np.sin(x / 310) + np.cos(y / 270) + np.sin((x + y) / 97)) * 900 + 4000
    for band in range(scene.bands):
        values = base * (0.6 + 0.1 * (band % 7))
        values += noise.normal(0, 60, (side, side)).astype(np.float32)
        if scene.dtype == "uint8":
            values = values / 32
        elif scene.dtype == "float32":
            values = np.round(values, 1)
        yield values.clip(1, 255 if scene.dtype == "uint8" else 65535).astype(scene.dtype)


def _disc(side: int) -> NDArray[np.uint8]:
    y, x = np.ogrid[0:side, 0:side]
    inside = (x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 4) ** 2
    return np.where(inside, 0, 255).astype(np.uint8)


def linked(scene: Scene, path: Path, count: int) -> dict[Scene, str]:
    """Return so many scenes with the pixels of one, as hard links in a folder beside its file."""
    folder = path.parent / f"{scene.name}-{count}"
    folder.mkdir(exist_ok=True)
    scenes = {}
    for number in range(count):
        one = replace(scene, name=f"{scene.name}-{number:05}")
        link = one.path(folder)
        if not (link.exists() and link.samefile(path)):
            link.unlink(missing_ok=True)
            link.hardlink_to(path)
        scenes[one] = str(link)
    return scenes


def write_bands(scene: Scene, path: Path) -> list[Path]:
    """Write the drawn bands of a scene into a file each, unless they are there; return those."""
    paths = [path.parent / "bands" / f"{path.stem}-{number}.tif" for number in scene.drawn]
    for number, each in zip(scene.drawn, paths, strict=True):
        if not each.exists():
            each.parent.mkdir(exist_ok=True)
            _write_band(scene, path, number, each)
    return paths


def _write_band(scene: Scene, path: Path, number: int, to: Path) -> None:
    draft = to.with_suffix(".part.tif")
    creation = {key: text for key, text in scene.creation.items() if key != "photometric"}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(path) as dataset:
            profile = {**_profile(replace(scene, bands=1, creation=creation), dataset.width)}
            with rasterio.open(draft, "w", **profile) as band:
                band.write(dataset.read(number), 1)
                if scene.masked:
                    band.write_mask(dataset.dataset_mask())
        if scene.overviews:
            with rasterio.open(draft, "r+") as band:
                band.build_overviews(scene.overviews, Resampling.average)
    draft.rename(to)


def tiles_within(path: Path, zooms: tuple[int, ...], seed: int = 0) -> list[Tile]:
    """Return distinct tiles within the middle of a raster, at random, as many of each zoom."""
    with rasterio.open(path) as dataset:
        west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    x_margin, y_margin = (east - west) * 0.08, (north - south) * 0.08
    box = (west + x_margin, south + y_margin, east - x_margin, north - y_margin)
    draw = random.Random(seed)
    of_zooms = [
        [Tile(each.x, each.y, each.z) for each in mercantile.tiles(*box, zooms=[zoom])]
        for zoom in zooms
    ]
    count = min(map(len, of_zooms))
    chosen = [tile for tiles in of_zooms for tile in draw.sample(tiles, count)]
    draw.shuffle(chosen)
    return chosen
