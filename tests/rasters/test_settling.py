from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rasterio
from rasterio.errors import RasterioError

from tests.support.otheruser import let_all_enter
from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import AssetNotFound, BeingWritten
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.files import Place, open_beneath
from tileserver.rasters.roots import Root
from tileserver.rasters.settling import Settling, has_writer, is_whole

NAME = "projects/localhost/assets/scene"


def pending(path: Path) -> bool:
    place = Place(str(path.parent), path.name)
    return bool(Settling().pending({"scene": place}, is_start=False))


def whole(path: Path) -> bool:
    file = open_beneath(Place(str(path.parent), path.name))
    assert file is not None
    with file:
        return is_whole(file)


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Act as a user to whom the system does not tell who writes the files of this one."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    let_all_enter(tmp_path)
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_a_file_is_settled_once_its_writer_has_closed_it(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 40, 40), overviews=())
    assert not pending(path)
    with path.open("r+b") as file:
        assert pending(path)
        descriptor = os.open(path, os.O_RDONLY)
        assert has_writer(descriptor) is True
        os.close(descriptor)
        file.write(b"II")
    assert not pending(path)


def test_each_part_of_a_file_is_known_to_be_a_part(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(2, 70, 90), overviews=(2,))
    content = path.read_bytes()
    part = tmp_path / "part.tif"
    for size in [*range(0, len(content), 997), len(content) - 1]:
        part.write_bytes(content[:size])
        assert not whole(part)
        try:
            with rasterio.open(part) as dataset:
                dataset.read()
                with rasterio.open(part, overview_level=0) as overview:
                    overview.read()
        except RasterioError:
            continue
        # GDAL has what it needs before the last byte of padding alone.
        assert size == len(content) - 1
    assert whole(path)


def test_a_part_that_nobody_writes_on_is_damaged_after_a_while(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 40, 40), overviews=())
    part = tmp_path / "part.tif"
    part.write_bytes(path.read_bytes()[:900])
    assert pending(part)
    place = Place(str(tmp_path), "part.tif")
    # When a server starts, what lies there has been there.
    assert not Settling().pending({"part": place}, is_start=True)


@pytest.mark.usefixtures("nobody")
def test_without_word_from_the_system_a_file_has_to_be_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a busy machine takes for this test.
    monkeypatch.setattr("tileserver.rasters.settling._QUIET_S", 50.0)
    os.seteuid(0)
    source = write_raster(tmp_path / "source.tif", noise(1, 40, 40), overviews=())
    path = tmp_path / "scene.tif"
    shutil.copyfile(source, path)
    os.seteuid(65534)
    assert pending(path)
    # One that was written elsewhere and renamed is seen at once.
    os.seteuid(0)
    os.utime(source, (time.time() - 5,) * 2)
    source.rename(path)
    os.seteuid(65534)
    assert not pending(path)


def test_a_file_that_comes_is_found_once_it_is_written(tmp_path: Path) -> None:
    catalogue = Catalogue([Root(str(tmp_path))])
    assert catalogue.scan_again().images == {}
    content = write_raster(tmp_path / "scene.tif", noise(1, 60, 60), overviews=()).read_bytes()
    with (tmp_path / "scene.tif").open("wb") as file:
        for start in range(0, len(content), 1000):
            file.write(content[start : start + 1000])
            file.flush()
            assert catalogue.scan_again().images == {}
            assert catalogue.pending == {NAME}
            with pytest.raises(AssetNotFound):
                catalogue.find(NAME)
    assert list(catalogue.scan_again().images) == [NAME]
    assert catalogue.pending == frozenset()
    assert catalogue.find(NAME).asset.band_ids == ("b1",)


def test_a_file_that_is_rewritten_in_place_is_not_read_meanwhile(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(1, 60, 60), overviews=())
    catalogue = Catalogue([Root(str(tmp_path))])
    before = catalogue.find(NAME).asset.version
    with path.open("r+b") as file:
        file.write(path.read_bytes()[:100])
        file.flush()
        catalogue.expire(NAME)
        with pytest.raises(BeingWritten, match="is being written; it is shown once"):
            catalogue.find(NAME)
        assert list(catalogue.scan_again().images) == [NAME]
    assert catalogue.find(NAME).asset.version != before
