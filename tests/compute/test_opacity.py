"""The alpha band of a raster is the mask of its bands in expressions, between 0 and 1."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.compute.conftest import GRID, HOME, SIDE, Evaluator, world_of
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat

ALPHA = np.broadcast_to(np.array([0, 64, 128, 255], np.uint8)[np.arange(SIDE) % 4], (SIDE, SIDE))


@pytest.fixture
def glassy(tmp_path: Path) -> Evaluator:
    path = tmp_path / "glass.tif"
    write_raster(path, noise(3, SIDE, SIDE, "uint8"), alpha=True, overviews=())
    with rasterio.open(path, "r+") as dataset:
        dataset.write(ALPHA, 4)
    return Evaluator(world_of(tmp_path))


@pytest.mark.parametrize("how", ["as it is", "doubled", "visualized", "mosaicked"])
def test_pictures_of_expressions_are_as_opaque_as_the_file(
    ee: ModuleType, glassy: Evaluator, how: str
) -> None:
    image = ee.Image(f"{HOME}/glass")
    built: Any = {
        "as it is": lambda: image,
        "doubled": lambda: image.multiply(2).min(255).toByte(),
        "visualized": lambda: image.visualize(min=0, max=255),
        "mosaicked": lambda: ee.ImageCollection([image]).mosaic(),
    }[how]()
    body = glassy.computing.pixels(glassy.request(built, GRID, ImageFileFormat.PNG))
    picture = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
    assert np.array_equal(picture[..., 3], ALPHA)


def test_masks_are_shares_and_products_of_masks_multiply(ee: ModuleType, glassy: Evaluator) -> None:
    image = ee.Image(f"{HOME}/glass").select(0)
    (mask,) = glassy.masked(image.mask()).values()
    assert np.allclose(mask, ALPHA / 255, atol=1e-6)
    (both,) = glassy.masked(image.updateMask(image.mask()).mask()).values()
    assert np.allclose(both, (ALPHA / 255) ** 2, atol=1e-6)
