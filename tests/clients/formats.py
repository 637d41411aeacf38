"""What is in the files that getPixels and its like answer with."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image


def npy(body: bytes) -> NDArray[Any]:
    """Return the structured array of an NPY."""
    array: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def geotiff(body: bytes) -> tuple[NDArray[Any], str, tuple[float, ...]]:
    """Return the bands of a GeoTIFF, its CRS, and its transform in Earth Engine's order."""
    with rasterio.MemoryFile(body) as file, file.open() as dataset:
        return dataset.read(), str(dataset.crs), tuple(dataset.transform)[:6]


def zipped(body: bytes) -> dict[str, NDArray[Any]]:
    """Return the bands of each GeoTIFF in a ZIP, by the name of the file."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        return {name: geotiff(archive.read(name))[0] for name in archive.namelist()}


def rgba(body: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a picture, shape (4, height, width)."""
    return np.moveaxis(np.asarray(Image.open(io.BytesIO(body)).convert("RGBA")), -1, 0)
