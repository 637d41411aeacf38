"""Pyramids that are made in the background, with GDAL's overviews as the oracle."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling

from tests.support.commands import ROOT, environment, run, serving
from tests.support.rasterfiles import noise, write_raster
from tests.support.waiting import until
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import AssetChanged
from tileserver.ingest.growing import Job, NoRoom, grow, job_json
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.geotiffs import GeoTiff
from tileserver.rasters.pyramids.activity import Activity
from tileserver.rasters.pyramids.store import DONE, MIN_SAMPLES, PART, PyramidStore, needs_pyramid
from tileserver.rasters.roots import Root
from tileserver.server.growth import Growth

NAME = "projects/localhost/assets/scene"
SIDE = 1792
"""Divided by two until 224 is left: GDAL makes odd sides in another way."""


@pytest.fixture
def store(tmp_path: Path) -> PyramidStore:
    (tmp_path / "pyramids").mkdir()
    return PyramidStore(tmp_path / "pyramids", 10**9)


def catalogue(path: Path, store: PyramidStore | None) -> Catalogue:
    return Catalogue([Root(str(path))], pyramids=store)


def raster_of(found: Catalogue) -> GeoTiff:
    found.expire(NAME)
    raster = found.find(NAME)
    assert isinstance(raster, GeoTiff)
    return raster


def job_of(path: Path, store: PyramidStore) -> Job:
    version = raster_of(catalogue(path, None)).asset.version
    folder, name = str(path.parent), path.name
    return Job(str(store.folder), store.max_bytes, version, NAME, folder, name, False, "nowhere")


def at_factor(rasters: LocalRasters, factor: int) -> BandArrays:
    """Read all of the raster on the grid of a level."""
    t = raster_of(rasters.catalogue).grid.transform
    side = -(-SIDE // factor)
    coarse = AffineTransform(
        t.scale_x * factor, t.shear_x, t.translate_x, t.shear_y, t.scale_y * factor, t.translate_y
    )
    grid = PixelGrid(side, side, coarse, "EPSG:32612")
    return rasters.bands(PixelRequest(NAME, ImageFileFormat.NPY, grid))


def holes(seed: int = 3) -> NDArray[np.bool_]:
    """Return a mask of small and large holes."""
    random = np.random.default_rng(seed)
    valid = random.random((SIDE, SIDE)) > 0.2
    valid[200:700, 300:900] = False
    return valid


def with_nodata(values: NDArray[Any], nodata: float) -> NDArray[Any]:
    return np.where(holes(), values, values.dtype.type(nodata))


KINDS: dict[str, Callable[[Path, tuple[int, ...]], Path]] = {
    "colours": lambda path, levels: write_raster(path, noise(3, SIDE, SIDE), overviews=levels),
    "planes": lambda path, levels: write_raster(path, noise(6, SIDE, SIDE), overviews=levels),
    "uint16 with nodata": lambda path, levels: write_raster(
        path, with_nodata(noise(1, SIDE, SIDE, "uint16"), 0), nodata=0, overviews=levels
    ),
    "int16 below zero": lambda path, levels: write_raster(
        path, (noise(1, SIDE, SIDE, "int16") - 20_000).astype("int16"), overviews=levels
    ),
    "float32 with nodata": lambda path, levels: write_raster(
        path, with_nodata(noise(1, SIDE, SIDE, "float32"), -9999), nodata=-9999, overviews=levels
    ),
    "float64": lambda path, levels: write_raster(
        path, noise(1, SIDE, SIDE, "float64"), overviews=levels
    ),
    "mask": lambda path, levels: write_raster(
        path, noise(3, SIDE, SIDE), mask=holes(), overviews=levels
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_levels_are_those_that_gdal_makes(tmp_path: Path, store: PyramidStore, kind: str) -> None:
    (tmp_path / "gdal").mkdir()
    path = KINDS[kind](tmp_path / "scene.tif", ())
    oracle = KINDS[kind](tmp_path / "gdal/scene.tif", (2, 4, 8))
    grow(job_of(path, store))
    rasters = LocalRasters(catalogue(path, store))
    by_gdal = LocalRasters(catalogue(oracle, None))
    raster = raster_of(rasters.catalogue)
    assert [level.factor for level in raster.levels] == [1, 2, 4, 8]
    assert all(raster.layouts)
    for factor in (2, 4, 8):
        found, expected = at_factor(rasters, factor), at_factor(by_gdal, factor)
        np.testing.assert_array_equal(found.valid, expected.valid)
        assert found.valid.any()
        shown = np.where(expected.valid, found.values, 0)
        wanted = np.where(expected.valid, expected.values, 0)
        if found.values.dtype.kind == "f":
            np.testing.assert_allclose(shown, wanted, rtol=1e-5)
        else:
            # From level to level both round, in masked places not in the same direction.
            assert np.abs(shown.astype(int) - wanted.astype(int)).max() <= (factor > 1 and 2)
    rasters.close()
    by_gdal.close()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("which", ["points", "nowhere"])
def test_a_raster_without_geotransform_grows_the_pyramid_of_its_pixels(
    tmp_path: Path, store: PyramidStore, which: str
) -> None:
    values = noise(1, SIDE, SIDE)
    path = tmp_path / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", tiled=True
    ) as dataset:
        if which == "points":
            corners = [(0, 0, 10, 50), (0, SIDE, 12, 51), (SIDE, 0, 11, 48)]
            dataset.gcps = ([GroundControlPoint(*each) for each in corners], "EPSG:4326")
        dataset.write(values)
    assert needs_pyramid(raster_of(catalogue(path, None))) == (SIDE * SIDE >= MIN_SAMPLES)
    grow(job_of(path, store))
    shutil.copy(path, tmp_path / "copy.tif")
    with rasterio.open(tmp_path / "copy.tif", "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.average)
    rasters, by_gdal = (
        LocalRasters(found)
        for found in (catalogue(path, store), Catalogue([Root(str(tmp_path / "copy.tif"))]))
    )
    t, crs_code = (raster := raster_of(rasters.catalogue)).grid.transform, raster.grid.crs_code
    assert [level.factor for level in raster.levels] == [1, 2, 4, 8]
    for factor in (1, 2, 8):
        side = raster.grid.width // factor
        grid = PixelGrid(side, side, t.scaled(factor, factor), crs_code)
        request = PixelRequest(NAME, ImageFileFormat.NPY, grid)
        found = rasters.bands(request)
        expected = by_gdal.bands(replace(request, asset_id=f"{NAME.rpartition('/')[0]}/copy"))
        assert np.array_equal(found.valid, expected.valid)
        assert 0.3 < found.valid.mean() <= 1
        off = np.abs(found.values.astype(int) - expected.values)[found.valid]
        assert off.max() <= (factor > 1 and 2)


def test_complex_numbers_grow_no_pyramid(tmp_path: Path) -> None:
    values = np.ones((1, SIDE, SIDE), np.complex64)
    path = write_raster(tmp_path / "scene.tif", values, overviews=())
    assert not needs_pyramid(raster_of(catalogue(path, None)))


def test_gdal_reads_the_same_file(tmp_path: Path, store: PyramidStore) -> None:
    values = noise(2, SIDE, SIDE, "int16")
    path = write_raster(tmp_path / "scene.tif", values, mask=holes(), overviews=())
    job = job_of(path, store)
    grow(job)
    raster = raster_of(catalogue(path, store))
    with rasterio.open(store.place(job.version).path) as dataset:
        assert dataset.overviews(1) == [2, 4]
        assert dataset.shape == (SIDE // 2, SIDE // 2)
        found, masks = dataset.read(), dataset.read_masks(1) > 0
    valid = holes().reshape(SIDE // 2, 2, SIDE // 2, 2)
    np.testing.assert_array_equal(masks, valid.any(axis=(1, 3)))
    quads = np.where(valid, values.reshape(2, SIDE // 2, 2, SIDE // 2, 2), 0).astype(np.float64)
    count = np.maximum(valid.sum(axis=(1, 3)), 1)
    mean = np.floor(quads.sum(axis=(2, 4)) / count + 0.5)
    np.testing.assert_array_equal(np.where(masks, found, 0), np.where(masks, mean, 0))
    assert raster.beside is not None


def test_opacity_is_averaged_and_transparent_pixels_do_not_bleed(
    tmp_path: Path, store: PyramidStore
) -> None:
    values = noise(3, SIDE, SIDE, "uint8")
    valid = holes()
    path = write_raster(tmp_path / "scene.tif", values, mask=valid, alpha=True, overviews=())
    grow(job_of(path, store))
    rasters = LocalRasters(catalogue(path, store))
    found = at_factor(rasters, 2)
    quads = valid.reshape(SIDE // 2, 2, SIDE // 2, 2)
    count = quads.sum(axis=(1, 3))
    np.testing.assert_array_equal(found.valid[0], count > 0)
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha, (count * 255 + 2) // 4)
    shown = np.where(quads, values[0].reshape(quads.shape), 0).astype(int).sum(axis=(1, 3))
    mean = (2 * shown + count) // np.maximum(2 * count, 1)
    np.testing.assert_array_equal(np.where(count > 0, found.values[0], 0), mean)
    rasters.close()


def test_classes_are_not_averaged(tmp_path: Path, store: PyramidStore) -> None:
    classes = np.random.default_rng(1).choice(np.array([10, 40, 90], np.uint8), (1, SIDE, SIDE))
    path = write_raster(tmp_path / "scene.tif", classes, overviews=())
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {10: (0, 255, 0, 255), 90: (255, 0, 0, 255)})
    grow(job_of(path, store))
    rasters = LocalRasters(catalogue(path, store))
    assert set(np.unique(at_factor(rasters, 4).values)) == {10, 40, 90}
    rasters.close()


@pytest.mark.parametrize("size", [(1793, 1801), (3000, 1100), (257, 12_001)])
def test_odd_sides_have_all_their_pixels(
    tmp_path: Path, store: PyramidStore, size: tuple[int, int]
) -> None:
    values = noise(1, *size)
    path = write_raster(tmp_path / "scene.tif", values, overviews=())
    job = job_of(path, store)
    grow(job)
    with rasterio.open(store.place(job.version).path) as dataset:
        found = dataset.read(1)
    height, width = size
    even = np.pad(values[0].astype(float), ((0, height % 2), (0, width % 2)), mode="edge")
    quads = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2)
    np.testing.assert_array_equal(found, np.floor(quads.mean(axis=(1, 3)) + 0.5))


class Killed(Exception):
    """Stands for the end of the process."""


def test_it_goes_on_where_it_was_killed(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 2600, 2600), overviews=())
    job = job_of(path, store)
    steps = []

    def rest() -> None:
        steps.append(1)
        if len(steps) in (3, 9):
            raise Killed

    raster = raster_of(catalogue(path, store))
    for _ in range(2):
        with pytest.raises(Killed):
            grow(job, rest)
        assert store.token(job.version) == job.version
        assert "% made" in store.progress(raster, job.version)
    grow(job, rest)
    total = len(steps)
    once = Path(store.place(job.version).path)
    content = once.read_bytes()
    assert store.progress(raster, job.version) == "its pyramid is ready"
    once.unlink()
    steps[:] = [1] * 100
    grow(job, rest)
    # A step that was killed is the only one that is made twice, if at all.
    assert total <= len(steps) - 100 + 2
    with rasterio.open(once) as dataset:
        whole = dataset.read()
    once.write_bytes(content)
    with rasterio.open(once) as dataset:
        np.testing.assert_array_equal(dataset.read(), whole)


def test_a_damaged_beginning_is_made_anew(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 1100, 1100), overviews=())
    job = job_of(path, store)
    Path(store.place(job.version, PART).path).write_bytes(b"II+\0nonsense" * 99)
    grow(job)
    assert len(raster_of(catalogue(path, store)).levels) == 4


def test_a_file_that_changes_has_no_pyramid_any_more(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", np.full((3, 1100, 1100), 7, np.uint8), overviews=())
    job = job_of(path, store)
    grow(job)
    found = catalogue(path, store)
    before = raster_of(found)
    assert before.asset.version != job.version
    assert found.local_versions([NAME]) == {NAME: before.asset.version}
    write_raster(path, np.full((3, 1100, 1100), 9, np.uint8), overviews=())
    with pytest.raises(AssetChanged):
        grow(job)
    now = raster_of(found)
    assert len(now.levels) == 1
    assert now.asset.version not in (job.version, before.asset.version)


def test_a_pyramid_that_is_removed_is_missed_by_nobody(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, SIDE, SIDE), overviews=())
    job = job_of(path, store)
    grow(job)
    rasters = LocalRasters(catalogue(path, store))
    with_pyramid = at_factor(rasters, 4)
    Path(store.place(job.version).path).unlink()
    # Another engine, which holds none of its blocks; the catalogue has just looked.
    afresh = LocalRasters(rasters.catalogue)
    grid = PixelGrid(448, 448, AffineTransform(120, 0, 400_000, 0, -120, 4_500_000), "EPSG:32612")
    without = afresh.bands(PixelRequest(NAME, ImageFileFormat.NPY, grid))
    afresh.close()
    assert (with_pyramid.values != without.values).any()
    assert len(raster_of(rasters.catalogue).levels) == 1
    rasters.close()


@pytest.mark.parametrize("damage", ["cut off", "pixels", "directories", "empty"])
def test_a_damaged_pyramid_is_missed_by_nobody_and_made_again(
    tmp_path: Path, store: PyramidStore, damage: str
) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, SIDE, SIDE), overviews=())
    job = job_of(path, store)
    grow(job)
    pyramid = Path(store.place(job.version).path)
    body = pyramid.read_bytes()
    junk = np.random.default_rng(1).bytes(len(body))
    places = {"cut off": len(body) // 3, "pixels": 3000, "directories": 300, "empty": 0}
    kept = places[damage]
    end = junk[kept:] if damage in ("pixels", "directories") else b""
    pyramid.write_bytes(body[:kept] + end)
    without = LocalRasters(catalogue(path, None))
    rasters = LocalRasters(catalogue(path, store))
    for factor in (4, 2):
        found = at_factor(rasters, factor)
        np.testing.assert_array_equal(found.values, at_factor(without, factor).values)
    assert not pyramid.exists()
    assert rasters.catalogue.find(NAME).asset.version == job.version
    grow(job)
    assert len(raster_of(rasters.catalogue).levels) > 1


def test_a_folder_without_room_says_so(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 1100, 1100), overviews=())
    small = PyramidStore(store.folder, 1_000_000)
    with pytest.raises(NoRoom, match=r"\[pyramids\] size"):
        grow(job_of(path, small))
    # What was not used for a day makes room.
    old = Path(store.place("0" * 16).path)
    old.touch()
    os.truncate(old, 990_000_000)
    assert not store.make_room(64_000_000)
    os.utime(old, (1, 1))
    assert store.make_room(64_000_000)
    assert not old.exists()


def test_a_process_tells_when_the_others_are_idle(tmp_path: Path) -> None:
    one, other = Activity(tmp_path), Activity(tmp_path)
    one.note()
    assert other.idle_s() < 10
    until(lambda: other.idle_s() > 0.01)


def test_the_process_goes_on_after_a_kill_and_ends_with_the_server(
    tmp_path: Path, store: PyramidStore
) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 4000, 4000), overviews=())
    job = job_of(path, store)
    # Without a pause between requests there is a step in five seconds.
    activity = Activity(store.folder)
    busy = threading.Event()

    def be_busy() -> None:
        while not busy.wait(0.05):
            activity.note()

    thread = threading.Thread(target=be_busy)
    thread.start()
    part = Path(store.place(job.version, PART).path)
    for how in ("kill", "close"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tileserver.ingest.growing"],
            stdin=subprocess.PIPE,
            env=environment({}),
            cwd=ROOT,
        )
        assert process.stdin is not None
        process.stdin.write(job_json(job).encode())
        process.stdin.flush()
        until(part.exists)
        if how == "kill":
            process.send_signal(signal.SIGKILL)
        process.stdin.close()
        assert process.wait(60) == (-signal.SIGKILL if how == "kill" else 2)
    busy.set()
    thread.join()
    done = subprocess.run(
        [sys.executable, "-m", "tileserver.ingest.growing"],
        input=job_json(job).encode(),
        env=environment({}),
        cwd=ROOT,
        timeout=60,
    )
    # Its input was at its end: it made no step, and left what there was.
    assert done.returncode == 2
    assert part.exists()


def test_a_server_makes_pyramids_and_check_tells_how_far_they_are(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    write_raster(tmp_path / "served/scene.tif", noise(3, 1500, 1500), overviews=())
    config = tmp_path / "tileserver.toml"
    config.write_text('[[rasters]]\npath = "served"\n[pyramids]\npath = "pyramids"\n')

    def check() -> str:
        return run("check", cwd=tmp_path).stdout.decode()

    assert check() == "scene: ok, its pyramid waits to be made\n"
    with serving("--port", "0", "--workers", "2", cwd=tmp_path) as server:
        assert server.url
        until(lambda: list((tmp_path / "pyramids").glob(f"*{DONE}")))
    assert check() == "scene: ok, its pyramid is ready\n"


def test_only_one_server_makes_pyramids(tmp_path: Path, store: PyramidStore) -> None:
    path = write_raster(tmp_path / "scene.tif", noise(3, 1100, 1100), overviews=())
    found = catalogue(path, store)
    growths = [Growth(found, store, Activity(store.folder), 0.01, 0.0) for _ in range(2)]
    threads = [threading.Thread(target=each.run) for each in growths]
    for each in threads:
        each.start()
    until(lambda: found.local_versions([NAME])[NAME].endswith("p"))
    for growth in growths:
        growth._stop.set()
    for each in threads:
        each.join()
    assert sum(growth._tries.total() for growth in growths) == 1
