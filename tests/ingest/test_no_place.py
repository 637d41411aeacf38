"""Rasters without a place on Earth, and those placed by points or RPCs, keep what they have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from tests.rasters.engine import raster_of, read
from tests.rasters.test_warps import made
from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import InvalidRequest
from tileserver.ingest.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, Affine.identity()),
        (None, Affine(100, 0, 7, 0, -100, 9)),
        ("+proj=eqc +R=3396190", Affine(100, 0, 7, 0, -100, 9)),
    ],
)
def test_a_picture_gets_a_pyramid_and_stays_without_a_place(
    tmp_path: Path, crs: str | None, transform: Affine
) -> None:
    values = noise(3, 700, 900, "uint8")
    path = tmp_path / "in.tif"
    write_raster(path, values, crs, transform, overviews=())  # type: ignore[arg-type]
    done = ingest([path], tmp_path / "out.tif")
    assert done.levels == 2
    with rasterio.open(done.path) as dataset, rasterio.open(path) as source:
        assert (dataset.crs, dataset.transform) == (source.crs, source.transform)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert np.array_equal(dataset.read(), values)
    found = raster_of(done.path)
    assert found.asset.no_place == raster_of(path).asset.no_place
    assert found.asset.overview_factors == (2, 4)
    assert np.array_equal(read(done.path, None).values, values)


@pytest.mark.parametrize("which", ["RPCs", "nine points"])
def test_the_place_by_points_or_rpcs_is_kept(tmp_path: Path, which: str) -> None:
    path = made(tmp_path / "in.tif", which)
    done = ingest([path], tmp_path / "out.tif")
    before, after = read(path, None), read(done.path, None)
    assert raster_of(done.path).grid == raster_of(path).grid
    assert np.array_equal(after.values, before.values)
    assert np.array_equal(after.valid, before.valid)


def test_pictures_of_one_size_are_stacked_and_others_refused(tmp_path: Path) -> None:
    paths = []
    for name, side in (("a", 40), ("b", 40), ("c", 50)):
        path = tmp_path / f"{name}.tif"
        write_raster(path, noise(1, side, side), None, Affine.identity(), overviews=())  # type: ignore[arg-type]
        paths.append(path)
    assert ingest(paths[:2], tmp_path / "out.tif").band_ids == ("b1", "b2")
    with pytest.raises(InvalidRequest, match=r"c\.tif: sources without a place on Earth must be"):
        ingest(paths, tmp_path / "no.tif")
