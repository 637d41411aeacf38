from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.limits import ends_soon
from tileserver.rasters.watching import FolderWatch, is_of_network

LONG_S = 600.0


@pytest.fixture
def watch() -> FolderWatch:
    return FolderWatch()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new.tif").write_bytes(b""),
        lambda folder: (folder / "old.tif").unlink(),
        lambda folder: (folder / "old.tif").rename(folder / "other.tif"),
        lambda folder: (folder / "inner").mkdir(),
    ],
)
def test_a_change_ends_the_wait(
    tmp_path: Path, watch: FolderWatch, change: Callable[[Path], None]
) -> None:
    (tmp_path / "old.tif").write_bytes(b"")
    assert watch.follow([str(tmp_path)])
    assert watch.is_noticed
    change(tmp_path)
    with ends_soon():
        watch.wait(LONG_S, threading.Event())
    watch.close()


def test_a_stop_ends_the_wait_with_and_without_notices(tmp_path: Path, watch: FolderWatch) -> None:
    stop = threading.Event()
    stop.set()
    for folder in (tmp_path, tmp_path / "missing"):
        watch.follow([str(folder)])
        assert watch.is_noticed == (folder == tmp_path)
        with ends_soon():
            watch.wait(LONG_S, stop)
    watch.close()


def test_the_same_folders_are_followed_on(tmp_path: Path, watch: FolderWatch) -> None:
    assert watch.follow([str(tmp_path)])
    assert not watch.follow([str(tmp_path)])
    watch.close()


def test_file_systems_of_other_machines_are_looked_into_by_the_clock(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    share = tmp_path / "my share"
    (share / "local").mkdir(parents=True)
    escaped = str(share).replace(" ", "\\040")
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n"
        f"tmpfs {escaped}/local tmpfs rw 0 0\n"
    )
    assert is_of_network([str(share)], str(mounts))
    assert is_of_network([str(tmp_path), str(share / "a/b")], str(mounts))
    assert not is_of_network([str(tmp_path), str(share / "local")], str(mounts))
    assert not is_of_network([str(tmp_path)], str(tmp_path / "none"))
