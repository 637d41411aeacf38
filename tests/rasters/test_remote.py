"""GeoTIFFs behind a URL: the same pixels, and an end to all waiting."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from tests.rasters.bucket import Bucket, serve_folder
from tests.rasters.engine import asset_of, engine, name_of, raw, read, tiles_over
from tests.support.limits import ends_soon
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.errors import DeadlineExceeded, TileserverError, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "scenes").mkdir()
    shown = np.random.default_rng(2).random((900, 1100)) > 0.1
    path = tmp_path / "scenes" / "utah.tif"
    write_raster(path, noise(3, 900, 1100), mask=shown, overviews=(2, 4, 8))
    with serve_folder(tmp_path) as served:
        yield served


def local(bucket: Bucket) -> Path:
    return bucket.folder / "scenes" / "utah.tif"


def behind(url: str, deadline_s: float = 30.0) -> LocalRasters:
    return LocalRasters(Catalogue([Root(url)]), deadline_s=deadline_s)


def test_tiles_over_http_equal_those_from_disk(bucket: Bucket) -> None:
    path = local(bucket)
    remote = behind(f"http://{bucket.address}/scenes/utah.tif")
    tiles = tiles_over(asset_of(path), (7, 9, 11, 12, 14))
    for tile in tiles:
        here, there = read(path, tile_grid(tile)), remote.bands(raw(path, tile_grid(tile)))
        assert np.array_equal(here.values, there.values)
        assert np.array_equal(here.valid, there.valid)
    assert {status for _, _, status, _ in bucket.answers()} <= {200, 206}


def test_a_tile_over_http_reads_a_part_of_the_file_and_asks_for_nothing_beside_it(
    bucket: Bucket,
) -> None:
    path = local(bucket)
    write_raster(path, noise(3, 2000, 2000), overviews=(2, 4, 8), compress="none")
    remote = behind(f"http://{bucket.address}/scenes/utah.tif")
    tile = tiles_over(asset_of(path), (14,))[1]
    assert remote.bands(raw(path, tile_grid(tile))).valid.all()
    assert sum(size for *_, size in bucket.answers()) < path.stat().st_size / 8
    assert {name for _, name, *_ in bucket.answers()} == {"/scenes/utah.tif"}


def refusal(rasters: LocalRasters, name: str) -> TileserverError:
    request = PixelRequest(f"{LOCAL_PREFIX}/{name}", ImageFileFormat.NPY, tile_grid(Tile(0, 0, 0)))

    async def ask() -> None:
        await rasters.get_pixels(request)

    with pytest.raises(TileserverError) as caught:
        anyio.run(ask)
    return caught.value


@pytest.mark.parametrize("place", ["absent/utah.tif", "broken/utah.tif"])
def test_a_remote_that_has_it_not_is_unreadable_and_says_no_url(bucket: Bucket, place: str) -> None:
    error = refusal(behind(f"http://{bucket.address}/{place}"), "utah")
    assert isinstance(error, UnreadableRaster)
    assert bucket.address not in str(error)


def test_nobody_listening_is_unreadable(bucket: Bucket) -> None:
    error = refusal(behind("http://127.0.0.1:9/scenes/utah.tif"), "utah")
    assert isinstance(error, UnreadableRaster)


def test_a_remote_that_hangs_is_given_up_in_time(bucket: Bucket) -> None:
    rasters = behind(f"http://{bucket.address}/stuck/utah.tif", deadline_s=0.5)
    with ends_soon():
        error = refusal(rasters, "utah")
    assert isinstance(error, DeadlineExceeded)


def test_the_loop_goes_on_while_a_slow_remote_is_described(bucket: Bucket) -> None:
    rasters = behind(f"http://{bucket.address}/late/scenes/utah.tif")
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await anyio.sleep(0.01)
            turns += 1

    async def ask() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(watch)
            await rasters.get_asset(f"{LOCAL_PREFIX}/utah")
            group.cancel_scope.cancel()

    anyio.run(ask)
    assert len(bucket.answers()) >= 2
    # Each answer takes half a second, in which the loop would not turn at all.
    assert turns >= 10


ASK = """
import sys
from pathlib import Path
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.rasters.engine import LocalRasters
from tileserver.contract.tiles import Tile, tile_grid

url, name, *numbers = sys.argv[1:]
x, y, z = map(int, numbers)
rasters = LocalRasters(Catalogue([Root(url)]))
request = PixelRequest(name, ImageFileFormat.NPY, tile_grid(Tile(x, y, z)))
sys.stdout.buffer.write(rasters.pixels(request))
"""


def test_tiles_from_s3_equal_those_from_disk(bucket: Bucket) -> None:
    path = local(bucket)
    tile = tiles_over(asset_of(path), (12,))[1]
    environment = os.environ | {
        "AWS_S3_ENDPOINT": bucket.address,
        "AWS_HTTPS": "NO",
        "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_NO_SIGN_REQUEST": "YES",
        "no_proxy": "127.0.0.1",
    }
    numbers = [str(number) for number in tile]
    command = [sys.executable, "-c", ASK, "s3://scenes/utah.tif", name_of(path), *numbers]
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == engine(path).pixels(raw(path, tile_grid(tile)))
    assert {name for _, name, *_ in bucket.answers()} == {"/scenes/utah.tif"}


LEAVE = """
import sys
import threading
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.rasters.engine import LocalRasters

rasters = LocalRasters(Catalogue([Root(sys.argv[1])]))
request = PixelRequest(sys.argv[2], ImageFileFormat.NPY)
thread = threading.Thread(target=rasters.pixels, args=(request,))
thread.start()
thread.join()
print(len(rasters.datasets._idle))
"""


def test_a_process_may_end_without_closing_what_gdal_read(bucket: Bucket) -> None:
    path = local(bucket)
    # GDAL reads it, for no other reader knows this compression.
    write_raster(path, noise(1, 300, 300, "uint8"), compress="packbits")
    url = f"http://{bucket.address}/scenes/utah.tif"
    command = [sys.executable, "-c", LEAVE, url, name_of(path)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.strip() == b"1"
