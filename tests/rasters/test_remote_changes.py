"""Remote GeoTIFFs that move, change or vanish, and servers that are not to be trusted."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import anyio
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from tests.rasters.engine import asset_of, raw, read, tiles_over
from tests.rasters.remote.origin import Answer, Origin, Stored, asked, send, serve
from tests.support.limits import ends_soon
from tests.support.rasterfiles import noise, write_raster
from tileserver.config.config import CacheSettings, Config, RasterFolder, RemoteSettings
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.errors import AssetChanged, TileserverError, UnreadableRaster
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.datasets import gdal_environment
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root
from tileserver.server.definitions import catalogue_of

pytestmark = pytest.mark.slow  # Waits until a catalogue looks again.

TTL_S = 0.2


def scene(folder: Path, seed: int, side: int = 1500) -> Path:
    """Write a GeoTIFF whose place and size are the same for every seed, and its length too."""
    folder.mkdir()
    values = np.random.default_rng(seed).integers(1, 255, (3, side, side), "uint8")
    return write_raster(folder / "utah.tif", values, overviews=(2, 4, 8), compress="none")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return scene(tmp_path / "old", 1)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return scene(tmp_path / "new", 2)


@pytest.fixture
def stored(old: Path) -> Stored:
    return Stored(old.read_bytes())


@pytest.fixture
def origin(stored: Stored) -> Iterator[Origin]:
    with serve(stored) as served:
        yield served


def behind(url: str) -> LocalRasters:
    config = Config(rasters=(RasterFolder(url),), cache=CacheSettings(ttl_s=TTL_S))
    return LocalRasters(catalogue_of(config))


def shown(rasters: LocalRasters, path: Path, tile: Tile) -> NDArray[np.uint8]:
    return rasters.bands(raw(path, tile_grid(tile))).values


def refusal(rasters: LocalRasters) -> TileserverError:
    grid = tile_grid(Tile(0, 0, 0))
    request = PixelRequest(f"{LOCAL_PREFIX}/utah", ImageFileFormat.NPY, grid)
    with pytest.raises(TileserverError) as caught:
        rasters.pixels(request)
    return caught.value


def wait_for_recheck() -> None:
    time.sleep(2.1)  # Longer than a catalogue takes an entry for new.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_to_another_host(status: int, stored: Stored) -> None:
    with serve(stored) as canary:
        moved = {"Location": canary.url.replace("127.0.0.1", "localhost") + "?token=canary"}
        with serve(lambda handler: send(handler, status, moved)) as origin:
            rasters = behind(origin.url)
            error = refusal(rasters)
            rasters.close()
        assert canary.requests == []
    assert isinstance(error, UnreadableRaster)
    assert str(error).startswith(f"{LOCAL_PREFIX}/utah: the server redirects")
    assert "canary" not in str(error)


def test_a_redirect_of_a_later_range_is_not_followed_either(old: Path, stored: Stored) -> None:
    with serve(stored) as canary:

        def answer(handler: BaseHTTPRequestHandler) -> None:
            if asked(handler)[0] > 0:
                send(handler, 302, {"Location": canary.url})
            else:
                stored(handler)

        with serve(answer) as origin:
            rasters = behind(origin.url)
            with pytest.raises(UnreadableRaster, match="redirects"):
                shown(rasters, old, tiles_over(asset_of(old), (14,))[1])
            rasters.close()
        assert canary.requests == []


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0"])
def test_a_name_for_this_machine_is_refused(host: str, origin: Origin) -> None:
    rasters = behind(origin.url.replace("127.0.0.1", host))
    error = refusal(rasters)
    rasters.close()
    assert origin.requests == []
    assert "private_hosts" in str(error) or "cannot be reached" in str(error)


@pytest.mark.parametrize(
    "path",
    [
        "/vsicurl/http://{}/x.tif",
        "/vsicurl_streaming/http://{}/x.tif",
        "/vsicurl?url=http%3A%2F%2F{}%2Fx.tif",
        "/vsis3/scenes/x.tif",
        "/vsis3_streaming/scenes/x.tif",
        "/vsigs/scenes/x.tif",
        "/vsioss/scenes/x.tif",
        "/vsisubfile/0_100,/vsicurl/http://{}/x.tif",
        "/vsizip//vsicurl/http://{}/x.tif",
        "/vsigzip//vsicurl/http://{}/x.tif",
        "GTIFF_DIR:1:/vsicurl/http://{}/x.tif",
        "http://{}/x.tif",
    ],
)
def test_gdal_itself_asks_no_server(
    path: str, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(stored) as canary:
        address = f"127.0.0.1:{canary.port}"
        for name, value in {
            "AWS_S3_ENDPOINT": address,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
            "CPL_GS_ENDPOINT": f"http://{address}/",
            "GS_NO_SIGN_REQUEST": "YES",
            "OSS_ENDPOINT": address,
            "OSS_HTTPS": "NO",
        }.items():
            monkeypatch.setenv(name, value)
        with gdal_environment(), pytest.raises(rasterio.errors.RasterioIOError):
            rasterio.open(path.format(address), driver="GTiff")
        assert canary.requests == []


def test_a_file_that_changed_is_shown_anew_once_its_tiles_are_stale(
    old: Path, new: Path, stored: Stored, origin: Origin
) -> None:
    rasters = behind(origin.url)
    tile = tiles_over(asset_of(old), (12,))[1]
    first = anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah")
    assert np.array_equal(shown(rasters, old, tile), read(old, tile_grid(tile)).values)
    stored.body, stored.etag = new.read_bytes(), '"2"'
    wait_for_recheck()
    assert np.array_equal(shown(rasters, old, tile), read(new, tile_grid(tile)).values)
    assert anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah").version != first.version
    rasters.close()


@pytest.mark.parametrize("etag", ['"2"', 'W/"2"', None])
def test_no_tile_is_of_two_versions(
    etag: str | None, old: Path, new: Path, stored: Stored, origin: Origin
) -> None:
    """The file changes after it was opened, and has the same length and directories as before."""
    rasters = behind(origin.url)
    if etag is None:
        stored.etag = None
    anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah")
    stored.body, stored.etag = new.read_bytes(), etag
    stored.last_modified = "Fri, 27 Nov 2026 09:00:00 GMT"
    tiles = tiles_over(asset_of(old), (10, 12, 14))
    expected = {tile: read(new, tile_grid(tile)) for tile in tiles}
    assert sum(bool(bands.valid.any()) for bands in expected.values()) >= 3
    for tile, bands in expected.items():
        assert np.array_equal(shown(rasters, old, tile), bands.values)
    rasters.close()


def test_a_file_that_changes_all_the_time_is_an_error_in_the_end(old: Path, stored: Stored) -> None:
    count = 0

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal count
        count += 1
        stored.etag = f'"{count}"'
        stored(handler)

    with serve(answer) as origin:
        rasters = behind(origin.url)
        with pytest.raises(AssetChanged, match=r"assets/utah' changed while it was read"):
            shown(rasters, old, tiles_over(asset_of(old), (14,))[1])
        rasters.close()
        assert len(origin.requests) < 30


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_vanished_is_an_error_and_not_its_old_pixels(
    status: int, old: Path, stored: Stored, origin: Origin
) -> None:
    rasters = behind(origin.url)
    tile = tiles_over(asset_of(old), (12,))[1]
    shown(rasters, old, tile)
    stored.status = status
    wait_for_recheck()
    with pytest.raises(UnreadableRaster, match=rf"assets/utah: .*{status}"):
        shown(rasters, old, tile)
    with pytest.raises(UnreadableRaster):
        anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah")
    rasters.close()


def cut(handler: BaseHTTPRequestHandler) -> None:
    first, last = asked(handler)
    headers = {"Content-Range": f"bytes {first}-{last}/9000000", "ETag": '"1"'}
    send(handler, 206, {**headers, "Content-Length": str(last - first + 1)}, b"II*\0")
    handler.close_connection = True


def zeros(handler: BaseHTTPRequestHandler) -> None:
    first, last = asked(handler)
    headers = {"Content-Range": f"bytes {first}-{last}/{10**17}", "ETag": '"1"'}
    send(handler, 206, headers, b"II*\0".ljust(last - first + 1, b"\0"))


@pytest.mark.parametrize("answer", [cut, zeros])
def test_a_server_that_lies_is_an_error_in_time(answer: Answer) -> None:
    with serve(answer) as origin:
        rasters = behind(origin.url)
        with ends_soon():
            error = refusal(rasters)
        rasters.close()
    assert isinstance(error, UnreadableRaster)


def test_a_failed_range_is_an_error_and_not_an_empty_tile(old: Path, stored: Stored) -> None:
    """GDAL takes some reads that fail for the end of a file."""
    fails = False

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if fails and asked(handler)[0] > 0:
            send(handler, 404, {})
        else:
            stored(handler)

    with serve(answer) as origin:
        for zoom in (10, 12, 14):
            fails = False
            rasters = behind(origin.url)
            anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah")
            fails = True
            for tile in tiles_over(asset_of(old), (zoom,))[1:3]:
                with pytest.raises(UnreadableRaster, match="assets/utah: the server has no such"):
                    shown(rasters, old, tile)
            rasters.close()


def test_a_signed_url_is_served_and_never_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = write_raster(tmp_path / "utah.tif", noise(1, 2100, 2100, "uint8"), overviews=())
    with serve(Stored(path.read_bytes())) as origin:
        rasters = behind(f"{origin.url}?X-Amz-Signature=s1gned&a=/b")
        assert rasters.catalogue.names() == [f"{LOCAL_PREFIX}/utah"]
        asset = anyio.run(rasters.get_asset, f"{LOCAL_PREFIX}/utah")
        assert origin.requests[0][0] == "/scenes/utah.tif?X-Amz-Signature=s1gned&a=/b"
        rasters.close()
    assert "has no overviews" in caplog.text
    assert "s1gned" not in caplog.text + repr(asset) + str(asset.to_json())


def test_threads_share_a_remote_file(old: Path, stored: Stored) -> None:
    """They open, read and close datasets of one another; GDAL calls Python below each."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.01)
        stored(handler)

    tiles = tiles_over(asset_of(old), (9, 10, 11, 12, 13, 14))
    here = {tile: read(old, tile_grid(tile)).values for tile in tiles}
    errors: list[BaseException] = []

    def ask(rasters: LocalRasters) -> None:
        try:
            for tile in tiles:
                assert np.array_equal(shown(rasters, old, tile), here[tile])
        except BaseException as exc:
            errors.append(exc)

    with serve(answer) as origin:
        rasters = behind(origin.url)
        threads = [threading.Thread(target=ask, args=(rasters,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Opened in those threads, closed in this one.
        rasters.close()
    assert errors == []


def test_a_file_is_opened_and_a_tile_read_in_few_requests(old: Path, origin: Origin) -> None:
    rasters = LocalRasters(Catalogue([Root(origin.url)]))
    tiles = tiles_over(asset_of(old), (14,))
    shown(rasters, old, tiles[1])
    assert len(origin.requests) <= 4
    count = len(origin.requests)
    shown(rasters, old, tiles[1])
    assert len(origin.requests) == count
    rasters.close()


def test_a_private_host_of_the_configuration_is_read(old: Path, origin: Origin) -> None:
    url = origin.url.replace("127.0.0.1", "127.1")
    remote = RemoteSettings(private_hosts=("127.1",))
    rasters = LocalRasters(catalogue_of(Config(rasters=(RasterFolder(url),), remote=remote)))
    tile = tiles_over(asset_of(old), (12,))[1]
    assert np.array_equal(shown(rasters, old, tile), read(old, tile_grid(tile)).values)
    rasters.close()
