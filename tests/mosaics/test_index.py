"""The index of a mosaic follows its folder, and outlives restarts and damage."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.mosaics.conftest import MakeMosaic
from tests.mosaics.files import NAME, masked, read, shifted, whole, write_overlapping
from tests.support.rasterfiles import write_raster
from tests.support.waiting import until
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.tiles import tile_at, tile_grid
from tileserver.errors import AssetNotFound, ConfigError, RequestTooLarge, UnreadableRaster
from tileserver.geo.box_table import BoxTable
from tileserver.mosaics import limits
from tileserver.mosaics.engine import Mosaics, mosaics_of
from tileserver.mosaics.index import MosaicIndex
from tileserver.mosaics.index_file import IndexFile
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import mosaic_root


def index_of(mosaics: Mosaics) -> MosaicIndex:
    return mosaics.indexes[NAME]


def refreshed(mosaics: Mosaics) -> None:
    """Look at the folder now, and at the disk as it is."""
    mosaics.rasters.catalogue._scanned_s = -1e9
    index_of(mosaics)._refresh()


def test_files_that_come_change_and_go_are_followed(folder: Path, make_mosaic: MakeMosaic) -> None:
    write_overlapping(folder)
    mosaics = whole(make_mosaic(folder))
    before = mosaics.find(NAME)
    more = np.full((2, 64, 64), 7, "int16")
    write_raster(folder / "0.tif", more, transform=shifted(500, 0), overviews=())
    os.remove(folder / "c.tif")
    refreshed(mosaics)
    after = mosaics.find(NAME)
    assert after.version != before.version
    assert index_of(mosaics).wait().members.names.tolist() == [b"0", b"a", b"b", b"d"]
    assert after.common_grid.width == 564
    assert (masked(read(mosaics))[:, :64, 500:] == 7).all()
    # The pixels of the version before can still be asked for by it.
    old = PixelRequest(NAME, ImageFileFormat.NPY, asset_version=before.version)
    assert mosaics.bands(old).values.shape[2] == before.common_grid.width


def test_nothing_changes_if_nothing_changed(folder: Path, make_mosaic: MakeMosaic) -> None:
    write_overlapping(folder)
    mosaics = whole(make_mosaic(folder))
    before = mosaics.find(NAME)
    refreshed(mosaics)
    assert mosaics.find(NAME) is before


def test_a_second_start_describes_no_file(
    folder: Path, make_mosaic: MakeMosaic, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_overlapping(folder)
    first = whole(make_mosaic(folder))
    until(lambda: index_of(first).file.path.exists())
    first.close()
    described: list[str] = []
    monkeypatch.setattr(MosaicIndex, "_member", lambda self, name, *rest: described.append(name))
    second = whole(make_mosaic(folder))
    assert second.find(NAME).version == first.find(NAME).version
    assert described == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another", "pickled"])
def test_a_damaged_index_is_made_anew(damage: str, folder: Path, make_mosaic: MakeMosaic) -> None:
    write_overlapping(folder)
    first = whole(make_mosaic(folder))
    path = index_of(first).file.path
    until(path.exists)
    first.close()
    content = path.read_bytes()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            middle = len(content) // 2
            path.write_bytes(content[:middle] + bytes(255 - b for b in content[middle:]))
        case "empty":
            path.write_bytes(b"")
        case "another":
            np.savez(path, about=np.frombuffer(b'{"version": 0}', np.uint8))
        case "pickled":
            np.savez(path, about=np.array([{"version": 3}], object))
    assert index_of(first).file.read() is None
    second = whole(make_mosaic(folder))
    assert second.find(NAME).version == first.find(NAME).version
    until(lambda: index_of(second).file.read() is not None)


@pytest.mark.parametrize(
    ("column", "value"),
    [("boxes", np.nan), ("transforms", 0), ("transforms", np.inf), ("sizes", 0)],
)
def test_an_index_of_grids_that_no_file_has_is_made_anew(
    column: str, value: float, folder: Path, make_mosaic: MakeMosaic
) -> None:
    _rewritten_index(folder, make_mosaic, lambda held: {column: np.full_like(held[column], value)})


@pytest.mark.parametrize("profile", [[], [["b1", "object"]]])
def test_an_index_without_bands_is_made_anew(
    profile: list[list[str]], folder: Path, make_mosaic: MakeMosaic
) -> None:
    def rewritten(held: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        about = json.loads(bytes(held["about"]))
        about["profiles"] = [profile] * len(about["profiles"])
        return {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}

    _rewritten_index(folder, make_mosaic, rewritten)


def _rewritten_index(
    folder: Path,
    make_mosaic: MakeMosaic,
    change: Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]],
) -> None:
    """Change columns of an index, and check that the mosaic is as without one."""
    write_overlapping(folder)
    first = whole(make_mosaic(folder))
    path = index_of(first).file.path
    until(path.exists)
    expected = masked(read(first))
    first.close()
    with np.load(path) as file:
        held = dict(file)
    np.savez(path, **{**held, **change(held)})
    second = whole(make_mosaic(folder))
    np.testing.assert_array_equal(masked(read(second)), expected)
    assert second.find(NAME).version == first.find(NAME).version


def test_an_index_that_cannot_be_used_ends_no_thread(
    folder: Path, make_mosaic: MakeMosaic, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_overlapping(folder)
    first = whole(make_mosaic(folder))
    until(index_of(first).file.path.exists)
    held = index_of(first).file.read()
    assert held is not None
    first.close()
    held.transforms[:] = np.nan
    monkeypatch.setattr(IndexFile, "read", lambda self: held)
    second = whole(make_mosaic(folder))
    assert second.find(NAME).version == first.find(NAME).version


def test_a_folder_that_cannot_be_written_is_no_error(
    folder: Path, tmp_path: Path, make_mosaic: MakeMosaic
) -> None:
    write_overlapping(folder)
    (tmp_path / "indexes").write_text("a file where the folder would be")
    assert read(whole(make_mosaic(folder))).valid.any()


def test_a_damaged_file_is_left_out_logged_and_listed(
    folder: Path, make_mosaic: MakeMosaic, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_overlapping(folder)
    paths[1].write_bytes(paths[1].read_bytes()[:300])
    (folder / "text.tif").write_text("no GeoTIFF")
    with caplog.at_level(logging.WARNING):
        mosaics = whole(make_mosaic(folder))
        refreshed(mosaics)
    state = mosaics.find(NAME).mosaic
    assert state is not None
    assert (state.file_count, state.left_out_count) == (3, 2)
    assert [name for name, _ in state.left_out] == ["b", "text"]
    assert str(folder) not in str(state.left_out)
    assert sum("left out" in each.message for each in caplog.records) == 2
    assert read(mosaics).valid.any()


def test_a_file_that_vanishes_takes_the_mosaic_not_down(
    folder: Path, make_mosaic: MakeMosaic, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_overlapping(folder)
    mosaics = whole(make_mosaic(folder, "last"))
    version = mosaics.find(NAME).version
    os.remove(paths[3])
    paths[2].write_bytes(b"II*\0" + bytes(100))
    grid = mosaics.find(NAME).common_grid
    with caplog.at_level(logging.WARNING):
        found, again = (read(mosaics, version=version) for _ in range(2))
    assert sum(each.name.endswith("reading") for each in caplog.records) == 2
    os.remove(paths[2])
    expected = read(whole(make_mosaic(folder, "last")), grid)
    np.testing.assert_array_equal(masked(found), masked(expected))
    np.testing.assert_array_equal(masked(again), masked(expected))


def test_a_folder_of_damaged_files_says_why(folder: Path, make_mosaic: MakeMosaic) -> None:
    (folder / "a.tif").write_text("no GeoTIFF")
    with pytest.raises(UnreadableRaster, match=r"none of its 1 files can be drawn.*scenes/a"):
        make_mosaic(folder).find(NAME)


def test_an_empty_folder_is_not_found(folder: Path, make_mosaic: MakeMosaic) -> None:
    with pytest.raises(AssetNotFound):
        make_mosaic(folder).find(NAME)


def test_two_mosaics_of_one_name_are_refused(tmp_path: Path) -> None:
    roots = [mosaic_root(str(tmp_path / each / "scenes")) for each in "ab"]
    with pytest.raises(ConfigError, match=r"two mosaics would both be .*/scenes"):
        mosaics_of(roots, LocalRasters(Catalogue([])), tmp_path)


def noted(mosaics: Mosaics, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which the names of files are added as they are read."""
    names: list[str] = []

    def bands(request: PixelRequest) -> BandArrays:
        names.append(request.asset_id)
        return mosaics.rasters.bands(request)

    monkeypatch.setattr(mosaics._reader, "_read_bands", bands)
    return names


def write_many(folder: Path, count: int) -> None:
    """Write files side by side, in rows of twenty."""
    for number in range(count):
        values = np.full((1, 8, 8), number % 200 + 1, "uint8")
        down, across = divmod(number, 20)
        transform = shifted(8 * across, 8 * down)
        write_raster(folder / f"{number:04}.tif", values, transform=transform, overviews=())


def test_no_more_files_are_read_than_a_request_may(
    folder: Path, make_mosaic: MakeMosaic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_FILES", 12)
    write_many(folder, 40)
    mosaics = whole(make_mosaic(folder))
    grid = tile_grid(tile_at(48, 96, 8))
    asked = noted(mosaics, monkeypatch)
    native = mosaics.find(NAME).common_grid
    assert read(mosaics, native).valid.mean() == pytest.approx(12 / 40)
    assert len(asked) == 12
    asked.clear()
    # A file without a pixel centre on the grid need not be read.
    assert read(mosaics, grid).valid.any()
    assert len(asked) <= 12
    with pytest.raises(RequestTooLarge, match="40 files lie here, and mean is made of at most 12"):
        read(whole(make_mosaic(folder, "mean")), native)


def test_reading_stops_once_all_pixels_are_there(
    folder: Path, make_mosaic: MakeMosaic, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcdef":
        write_raster(folder / f"{name}.tif", np.full((1, 64, 64), 5, "uint8"), overviews=())
    mosaics = whole(make_mosaic(folder))
    asked = noted(mosaics, monkeypatch)
    assert read(mosaics).valid.all()
    assert asked == [f"{NAME}/a"]


def test_boxes_are_found_on_both_sides_of_the_antimeridian() -> None:
    boxes = np.array(
        [[170, -10, 190, 10], [0, 0, 1, 1], [-180, 0, -175, 1], [179, 50, 181, 51]], np.float64
    )
    tree = BoxTable(boxes)
    assert tree.touching([Box(-172, 0, -171, 1)]).tolist() == [0]
    assert tree.touching([Box(-179, 0, -178, 1), Box(175, 0, 180, 1)]).tolist() == [0, 2]
    assert tree.touching([Box(20, 0, 21, 1)]).tolist() == []
    assert tree.touching([Box(-180, 50, -179.5, 51)]).tolist() == [3]
    assert tree.touching([Box(-178.5, 50, -178, 51)]).tolist() == []
    assert tree.touching([]).tolist() == []
