"""Files that are cut off, and those that only look so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.support.rasterfiles import write_raster
from tileserver.errors import UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.files import Place, open_beneath
from tileserver.rasters.roots import Root
from tileserver.rasters.settling import ends_early, is_whole
from tileserver.rasters.soundness import check_sound

NAME = "projects/localhost/assets/scene"


def raw(path: Path) -> Path:
    """Strips of 8 rows of 100 bytes, the last at the end of the file."""
    values = np.arange(80 * 100, dtype=np.uint8).reshape(1, 80, 100)
    return write_raster(path, values, overviews=(), tiled=False, blockysize=8, compress="none")


@pytest.mark.parametrize(
    ("lacks", "is_early", "is_sound"),
    [(0, False, True), (1, False, False), (799, False, False), (801, True, False)],
)
def test_a_file_without_its_end_is_told_from_a_whole_one(
    tmp_path: Path, lacks: int, is_early: bool, is_sound: bool
) -> None:
    path = raw(tmp_path / "scene.tif")
    path.write_bytes(path.read_bytes()[: path.stat().st_size - lacks])
    file = open_beneath(Place(str(tmp_path), "scene.tif"))
    assert file is not None
    with file:
        assert (ends_early(file), is_whole(file)) == (is_early, lacks == 0)
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    if is_sound:
        check_sound(rasters, NAME)
    else:
        with pytest.raises(UnreadableRaster):
            check_sound(rasters, NAME)
    rasters.close()


def test_blocks_that_were_never_written_are_no_lack(tmp_path: Path) -> None:
    path = tmp_path / "scene.tif"
    profile = {"driver": "GTiff", "width": 2000, "height": 2000, "count": 1, "dtype": "uint8"}
    place = rasterio.Affine(30, 0, 4e5, 0, -30, 4.5e6)
    with rasterio.open(
        path, "w", crs="EPSG:32612", transform=place, tiled=True, sparse_ok=True, **profile
    ) as dataset:
        dataset.write(np.ones((1, 256, 256), np.uint8), window=((256, 512), (256, 512)))
    rasters = LocalRasters(Catalogue([Root(str(tmp_path))]))
    check_sound(rasters, NAME)
    rasters.close()
