"""Mosaics of folders that tests fill."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tileserver.mosaics.engine import Mosaics, mosaics_of
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import mosaic_root

MakeMosaic = Callable[..., Mosaics]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder whose GeoTIFFs will be a mosaic named "scenes"."""
    made = tmp_path / "scenes"
    made.mkdir()
    return made


@pytest.fixture
def make_mosaic(tmp_path: Path) -> Iterator[MakeMosaic]:
    """Return a function that makes the engine of a folder's mosaic."""
    with ExitStack() as stack:

        def make(folder: Path, pixel_selection: str = "first") -> Mosaics:
            root = mosaic_root(str(folder), pixel_selection=pixel_selection)
            rasters = LocalRasters(Catalogue([root]))
            stack.callback(rasters.close)
            mosaics = mosaics_of([root], rasters, tmp_path / "indexes")
            assert mosaics is not None
            stack.callback(mosaics.close)
            return mosaics

        yield make
