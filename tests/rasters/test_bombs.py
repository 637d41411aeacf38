"""GeoTIFFs that are small to store and enormous to decode, asked for by many at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.rasters.bombs import REFUSED, SERVED
from tests.rasters.engine import asset_of, engine, name_of, raster_of
from tests.rasters.tiffs import METADATA, UTM_12N, Image, write_tiff
from tests.support.commands import serving
from tileserver.errors import UnreadableRaster
from tileserver.layers.statistics import overview_request

_CLIENTS = 8
_MAX_GROWTH_MB = 300


@pytest.mark.parametrize("name", REFUSED)
def test_a_block_that_is_too_large_is_refused_wherever_it_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.tif"
    REFUSED[name](path)
    assert path.stat().st_size < 1_500_000
    said = "blocks hold .* MB each, at most 68 MB may be; gdal_translate -co TILED=YES"
    with pytest.raises(UnreadableRaster, match=said):
        asset_of(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_a_block_as_large_as_may_be_is_described(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.tif"
    SERVED[name](path)
    assert asset_of(path).band_ids


def test_a_large_image_in_one_strip_of_many_rows_is_read_by_rows(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", Image(9000, 9000, tags=UTM_12N))
    assert raster_of(path).decode_bytes == 2 * 9000


def test_bands_of_all_levels_are_counted(tmp_path: Path) -> None:
    levels = [Image(8 - i, 8 - i, samples=3000, tags={254: 1}) for i in range(6)]
    path = write_tiff(tmp_path / "a.tif", Image(9, 9, samples=3000, tags=UTM_12N), *levels)
    with pytest.raises(UnreadableRaster, match="have 21000 bands in all, at most 20000 may be"):
        asset_of(path)


def test_a_dataset_that_keeps_a_large_block_of_its_mask_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    SERVED["mask"](path)
    rasters = engine(path)
    assert rasters.bands(overview_request(asset_of(path), (), 32 * 32)).valid.all()
    assert not rasters.datasets.idle_bytes


def test_metadata_is_bounded(tmp_path: Path) -> None:
    text = b"<GDALMetadata>" + b"a" * 1_100_000 + b"\0"
    path = write_tiff(tmp_path / "a.tif", Image(9, 9, tags={**UTM_12N, METADATA: text}))
    with pytest.raises(UnreadableRaster, match=r"metadata holds 1.1 MB, at most 1 MB may be"):
        asset_of(path)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells how much memory another takes")
def test_a_server_of_bombs_that_many_ask_for_at_once_stays_small(tmp_path: Path) -> None:
    for name, make in SERVED.items():
        for copy in range(2):
            make(tmp_path / f"{name}-{copy}.tif")
    write_tiff(tmp_path / "plain.tif", Image(512, 512, (256, 256), tags=UTM_12N))
    targets = [
        f"/preview/{name_of(path)}.png"
        for path in sorted(tmp_path.glob("*-*.tif"), key=lambda path: path.stem[::-1])
    ]
    with serving("--port", "0", str(tmp_path), cwd=tmp_path, patience_s=180) as server:
        plain = f"{server.url}/preview/{name_of(tmp_path / 'plain.tif')}.npy"
        assert httpx.get(plain, timeout=60).status_code == 200
        status = Path(f"/proc/{server.process.pid}/status")
        before = memory_mb(status, "VmRSS")
        with ThreadPoolExecutor(_CLIENTS) as clients:
            answers = clients.map(
                lambda target: httpx.get(server.url + target, timeout=120), targets
            )
            codes = {answer.status_code for answer in answers}
        growth = memory_mb(status, "VmHWM") - before
        assert httpx.get(plain, timeout=60).status_code == 200
    assert codes <= {200, 503, 504}
    assert 200 in codes
    assert growth < _MAX_GROWTH_MB


def memory_mb(status: Path, field: str) -> float:
    """Return what a process takes now (VmRSS) or took at most (VmHWM)."""
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1000
