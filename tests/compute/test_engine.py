"""The engine of expressions: every format, every field, and no pixel older than its file."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.compute.conftest import (
    GRID,
    HOME,
    SCENE,
    SIDE,
    Evaluator,
    LocalWorld,
    scene_values,
    world_of,
)
from tests.support.rasterfiles import noise, write_raster
from tileserver.compute.engine import Computing
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PartialGrid
from tileserver.contract.pixels import PixelRequest, Range, VisualizationOptions
from tileserver.errors import AssetNotFound, InvalidRequest, RequestTooLarge
from tileserver.expressions.document import loaded, to_text

PLAIN = to_text(loaded(SCENE))


def request(expression: str = PLAIN, **more: Any) -> PixelRequest:
    return PixelRequest("projects/p/expressions/x", expression=expression, **more)


@pytest.mark.parametrize("file_format", [f for f in ImageFileFormat if not f.is_picture])
def test_a_loaded_image_is_the_asset_in_every_raw_format(
    evaluator: Evaluator, file_format: ImageFileFormat
) -> None:
    rasters = evaluator.computing.world.rasters  # type: ignore[attr-defined]
    ours = evaluator.computing.pixels(request(file_format=file_format, band_ids=("B3", "B1")))
    theirs = rasters.pixels(PixelRequest(SCENE, file_format, band_ids=("B3", "B1")))
    if "ZIPPED" not in file_format:
        assert ours == theirs
        return
    with zipfile.ZipFile(io.BytesIO(ours)) as a, zipfile.ZipFile(io.BytesIO(theirs)) as b:
        assert a.namelist() == b.namelist()
        assert all(a.read(name) == b.read(name) for name in a.namelist())


def test_visualization_is_that_of_get_pixels(evaluator: Evaluator) -> None:
    options = VisualizationOptions((Range(0, 4000),))
    for file_format in (ImageFileFormat.PNG, ImageFileFormat.JPEG, ImageFileFormat.WEBP):
        body = evaluator.computing.pixels(
            request(file_format=file_format, visualization_options=options)
        )
        rasters = evaluator.computing.world.rasters  # type: ignore[attr-defined]
        asked = PixelRequest(SCENE, file_format, visualization_options=options)
        assert body == rasters.pixels(asked)
        assert Image.open(io.BytesIO(body)).size == (SIDE, SIDE)


def test_bands_of_different_types_keep_them_in_npy(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(SCENE).select("B1")
    mixed = image.addBands(image.divide(3).rename("third")).addBands(image.gt(5).rename("gt"))
    found = evaluator.pixels(mixed)
    assert [found.dtype[i].str for i in range(3)] == ["<u2", "<f4", "|u1"]
    assert (found["B1"] == scene_values()[0]).all()
    body = evaluator.computing.pixels(evaluator.request(mixed, GRID, ImageFileFormat.GEO_TIFF))
    with rasterio.MemoryFile(body) as file, file.open() as dataset:
        assert dataset.dtypes == ("float32",) * 3 or dataset.dtypes == ("float64",) * 3
        assert (dataset.read(1) == scene_values()[0]).all()


def test_a_partial_grid_is_completed_from_the_image(evaluator: Evaluator) -> None:
    small = request(file_format=ImageFileFormat.NPY, grid=PartialGrid(16, 8))
    assert np.load(io.BytesIO(evaluator.computing.pixels(small))).shape == (8, 16)


def test_too_many_pixels_are_refused_before_any_is_read(evaluator: Evaluator) -> None:
    with pytest.raises(RequestTooLarge, match="Total request size"):
        evaluator.computing.pixels(request(grid=replace(GRID, width=9000, height=9000)))


def test_what_is_no_image_has_no_pixels(evaluator: Evaluator) -> None:
    number = json.dumps({"result": "0", "values": {"0": {"constantValue": 1}}})
    with pytest.raises(InvalidRequest, match="Expected an Image, got int"):
        evaluator.computing.pixels(request(number))
    with pytest.raises(AssetNotFound):
        evaluator.computing.pixels(replace(request(), expression=None))


def test_a_missing_asset_is_said_in_earth_engines_words(evaluator: Evaluator) -> None:
    with pytest.raises(InvalidRequest) as refused:
        evaluator.computing.pixels(request(to_text(loaded(f"{HOME}/none"))))
    assert str(refused.value) == (
        f"Image.load: Image asset '{HOME}/none' not found (does not exist or caller does not have "
        "access)."
    )


def test_what_may_not_be_read_is_not_there(world: LocalWorld) -> None:
    shut = Computing(LocalWorld(world.rasters, world.tree, lambda name: not name.endswith("scene")))
    with pytest.raises(InvalidRequest, match="not found"):
        shut.pixels(request())


def test_a_replaced_file_changes_the_version_and_the_pixels(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 8, 8, seed=1), overviews=())
    text = to_text(loaded(SCENE))

    def read() -> tuple[str, bytes]:
        computing = Computing(world_of(tmp_path))
        version = asyncio.run(computing.version(text))
        asked = request(text, file_format=ImageFileFormat.NPY, asset_version=version)
        return version, computing.pixels(asked)

    before = read()
    assert before == read()
    write_raster(path, noise(1, 8, 8, seed=2), overviews=())
    after = read()
    assert before[0] != after[0]
    assert before[1] != after[1]
