"""Files without overviews grow pyramids, and a VRT is read from these."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.rasters.engine import name_of, raw
from tests.rasters.vrt.writing import band, source, write_vrt
from tests.support.rasterfiles import noise, write_raster
from tileserver.ingest.growing import Job, grow
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.pyramids.store import PyramidStore
from tileserver.rasters.roots import Root
from tileserver.rasters.vrt.image import VrtImage

SIDE = 1024


@pytest.mark.parametrize("alpha", [False, True])
def test_a_vrt_is_read_from_the_pyramid_of_its_file(tmp_path: Path, alpha: bool) -> None:
    mask = np.ones((SIDE, SIDE), bool)
    mask[:, 600:] = False
    values = noise(3, SIDE, SIDE, "uint8")
    write_raster(
        tmp_path / "a.tif", values, mask=mask if alpha else None, alpha=alpha, overviews=()
    )
    colors = ["Red", "Green", "Blue", "Alpha"][: 3 + alpha]
    bands = [
        band(f"<ColorInterp>{color}</ColorInterp>", source("a.tif", i))
        for i, color in enumerate(colors, start=1)
    ]
    path = write_vrt(tmp_path / "v.vrt", bands, SIDE, SIDE)
    (tmp_path / "pyramids").mkdir()
    store = PyramidStore(tmp_path / "pyramids", 10**9)
    rasters = LocalRasters(Catalogue([Root(str(path))], pyramids=store))
    image = rasters.catalogue.find(name_of(path))
    assert isinstance(image, VrtImage)
    [(file, place)] = rasters.catalogue.described()
    version = file.asset.version.removesuffix("p")
    grow(
        Job(
            str(store.folder),
            10**9,
            version,
            file.asset.name,
            place.root,
            place.below,
            True,
            "below",
        )
    )
    rasters.catalogue.expire(name_of(path))
    now = rasters.catalogue.find(name_of(path))
    assert isinstance(now, VrtImage)
    assert now.asset.version != image.asset.version
    assert [level.factor for level in now.files[0].levels] == [1, 2, 4]
    found = rasters.bands(raw(path, now.grid.coarsened(SIDE // 2, SIDE // 2)))
    if alpha:
        # Its levels have no band of opacity, so the file itself is read.
        np.testing.assert_array_equal(found.values, values[:, 1::2, 1::2])
        np.testing.assert_array_equal(found.valid[0], mask[1::2, 1::2])
        return
    with rasterio.open(store.place(version).path) as dataset:
        np.testing.assert_array_equal(found.values, dataset.read())
