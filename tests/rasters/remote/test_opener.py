from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.io import DatasetReader

from tests.rasters.remote.origin import Origin, Stored, serve
from tests.rasters.tiffs import Image, tiff
from tests.support.rasterfiles import noise, write_raster
from tileserver.errors import DeadlineExceeded, UnreadableRaster
from tileserver.rasters.datasets import gdal_environment, open_raster
from tileserver.rasters.remote import opener
from tileserver.rasters.remote.blocks import BLOCK_BYTES
from tileserver.rasters.remote.files import RemoteFile, RemoteFiles
from tileserver.rasters.remote.opener import open_remote, remote_errors


@pytest.fixture
def path(tmp_path: Path) -> Path:
    values = noise(3, 900, 1100)
    shown = np.random.default_rng(2).random((900, 1100)) > 0.1
    return write_raster(tmp_path / "utah.tif", values, mask=shown, overviews=(2, 4))


@pytest.fixture
def stored(path: Path) -> Stored:
    return Stored(path.read_bytes())


@pytest.fixture
def origin(stored: Stored) -> Iterator[Origin]:
    with serve(stored) as served:
        yield served


@pytest.fixture
def file(origin: Origin) -> Iterator[RemoteFile]:
    files = RemoteFiles()
    yield files.current(origin.url, "asset")
    files.close()


@pytest.mark.parametrize("level", [None, 0, 1])
def test_a_remote_file_is_what_the_file_on_disk_is(
    level: int | None, path: Path, file: RemoteFile
) -> None:
    with gdal_environment():
        with open_raster(file, "asset", level) as there, open_raster(str(path), "a", level) as here:
            assert there.profile == here.profile
            assert there.overviews(1) == here.overviews(1)
            assert np.array_equal(there.read(), here.read())
            assert np.array_equal(there.read_masks(), here.read_masks())
            assert "127.0.0.1" not in there.name
        assert there.closed


def test_a_dataset_may_be_closed_by_another_thread(file: RemoteFile) -> None:
    """rasterio keeps open files in context variables, and a new thread has none."""
    datasets: list[DatasetReader] = []
    errors: list[BaseException] = []

    def run(work: object) -> None:
        def guarded() -> None:
            try:
                assert callable(work)
                with gdal_environment():
                    work()
            except BaseException as exc:
                errors.append(exc)

        thread = threading.Thread(target=guarded)
        thread.start()
        thread.join()

    run(lambda: datasets.append(open_remote(file, driver="GTiff")))
    run(lambda: datasets[0].read(1))
    run(lambda: datasets[0].close())
    assert errors == []
    assert datasets[0].closed


def test_what_fails_below_gdal_is_raised_above_it(stored: Stored, file: RemoteFile) -> None:
    handle = opener._Container(file).open("")
    stored.status = 404
    handle.seek(3 * BLOCK_BYTES)

    def read() -> None:
        with remote_errors():
            assert handle.read(9) == b""
            assert handle.get_byte_ranges([2 * BLOCK_BYTES], [9]) == [bytes(9)]

    with pytest.raises(UnreadableRaster, match=r"^asset: the server has no such"):
        read()
    stored.status = 0
    with remote_errors():
        assert handle.read(9) == stored.body[3 * BLOCK_BYTES :][:9]


def test_an_error_within_another_reading_does_not_spoil_it(
    stored: Stored, file: RemoteFile
) -> None:
    handle = opener._Container(file).open("")
    with remote_errors():
        stored.status = 404
        handle.seek(3 * BLOCK_BYTES)
        with pytest.raises(UnreadableRaster), remote_errors():
            handle.read(9)
        stored.status = 0
        assert handle.read(9) == stored.body[3 * BLOCK_BYTES :][:9]


def test_a_file_that_sends_readers_all_over_it_slowly_has_one_deadline(
    stored: Stored, origin: Origin, file: RemoteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No range is late, all of them together are."""
    monkeypatch.setattr(opener, "_READING_S", 0.5)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        stored(handler)

    origin.answer = answer
    handle = opener._Container(file).open("")

    def read() -> None:
        with remote_errors():
            for block in range(1, file.size // BLOCK_BYTES, 2):
                handle.seek(block * BLOCK_BYTES)
                handle.read(9)

    with pytest.raises(DeadlineExceeded):
        read()
    assert file.size > 60 * BLOCK_BYTES
    assert len(origin.requests) <= 5


def test_messages_of_gdal_do_not_name_the_url(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    files = RemoteFiles()
    # The directories are as they should be, and GDAL refuses them nevertheless.
    with serve(Stored(tiff(Image(9, 9, tags={277: 0})))) as origin:
        file = files.current(origin.url + "?sig=s1gned", "asset")
        with gdal_environment(), pytest.raises(UnreadableRaster) as caught:
            open_raster(file, "asset")
        files.close()
    assert isinstance(caught.value.__cause__, rasterio.errors.RasterioError)
    assert "s1gned" not in caplog.text + str(caught.value.__cause__)
