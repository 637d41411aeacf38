from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tileserver.errors import UnreadableRaster
from tileserver.rasters import files
from tileserver.rasters.files import (
    OpenFile,
    Place,
    file_errors,
    file_state,
    find_file,
    open_beneath,
    walk,
)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a root with a file in a folder, beside another folder that is none of its."""
    (tmp_path / "top/inner").mkdir(parents=True)
    (tmp_path / "top/inner/a.tif").write_bytes(b"inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a.tif").write_bytes(b"secret")
    return tmp_path / "top"


def opened(place: Place) -> OpenFile:
    file = open_beneath(place)
    assert file is not None
    return file


def content(place: Place) -> bytes | None:
    """Return what is read at a place, links to places below the root resolved."""
    found = find_file(place)
    file = open_beneath(found.place) if found else None
    if found is None or file is None:
        return None
    with file:
        assert file.is_still(found.state)
        return file.read(1000)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_opened_and_its_state_is_that_of_the_descriptor(top: Path) -> None:
    place = Place(str(top), "inner/a.tif")
    assert content(place) == b"inside"
    with opened(place) as file:
        os.replace(top.parent / "outside/a.tif", top / "inner/a.tif")
        assert file.read(100) == Path(file.location).read_bytes() == b"inside"
        assert file.state() != file_state(place)


@pytest.mark.parametrize(
    "below", ["../outside/a.tif", "inner/../../outside/a.tif", "", "inner/", "/etc/passwd", ".."]
)
def test_no_name_leads_out(top: Path, below: str) -> None:
    assert open_beneath(Place(str(top), below)) is None
    assert file_state(Place(str(top), below)) is None
    assert content(Place(str(top), below)) is None


def test_links_below_the_root_lead_where_they_did(top: Path) -> None:
    (top / "relative.tif").symlink_to("inner/a.tif")
    (top / "absolute.tif").symlink_to(top / "inner/a.tif")
    (top / "folder").symlink_to("inner")
    (top / "twice.tif").symlink_to("folder/../relative.tif")
    (top.parent / "alias").symlink_to(top)
    for below in ("relative.tif", "absolute.tif", "folder/a.tif", "twice.tif"):
        for root in (top, top.parent / "alias"):
            assert content(Place(str(root), below)) == b"inside", below
            assert open_beneath(Place(str(root), below)) is None


def test_links_out_of_the_root_lead_nowhere(top: Path) -> None:
    (top / "relative.tif").symlink_to("../outside/a.tif")
    (top / "absolute.tif").symlink_to(top.parent / "outside/a.tif")
    (top / "folder").symlink_to("../outside")
    (top / "through.tif").symlink_to("inner/../folder/a.tif")
    (top / "round.tif").symlink_to("round.tif")
    (top / "nothing.tif").symlink_to("nothing else")
    # A folder whose name begins as the root's does lies beside it.
    (top.parent / "topmost").mkdir()
    (top.parent / "topmost/a.tif").write_bytes(b"secret")
    (top / "beside.tif").symlink_to("../topmost/a.tif")
    names = ("relative", "absolute", "folder/a", "through", "round", "nothing", "beside")
    assert [content(Place(str(top), f"{name}.tif")) for name in names] == [None] * len(names)


def test_a_root_that_was_no_link_is_none_later(top: Path) -> None:
    place = Place(str(top), "a.tif", is_root_link=False)
    (top / "a.tif").write_bytes(b"inside")
    assert content(place) == b"inside"
    top.rename(top.parent / "moved")
    top.symlink_to("outside")
    assert content(place) is None
    assert list(walk(str(top), is_root_link=False)) == []
    assert content(Place(str(top), "a.tif")) == b"secret"


@pytest.mark.parametrize(("links", "expected"), [("anywhere", b"secret"), ("nowhere", None)])
def test_a_file_that_is_given_as_a_link_may_lead_anywhere(
    top: Path, links: str, expected: bytes | None
) -> None:
    (top / "given.tif").symlink_to(top.parent / "outside/a.tif")
    place = Place(str(top), "given.tif", links=links)  # type: ignore[arg-type]
    assert content(place) == expected


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "device"])
def test_what_is_no_regular_file_is_not_opened_and_holds_nobody_up(top: Path, kind: str) -> None:
    path = top / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    before = descriptors()
    place = Place(str(path.parent), path.name)
    assert open_beneath(place) is None
    assert find_file(place) is None
    assert descriptors() == before


def test_a_name_that_changes_hands_all_the_time_never_leads_out(top: Path) -> None:
    inner, outside = top / "inner", top.parent / "outside"
    place, stop = Place(str(top), "inner/a.tif"), threading.Event()

    def swap() -> None:
        (top / "link").symlink_to(outside)
        while not stop.is_set():
            inner.rename(top / "kept")
            (top / "link").rename(inner)
            inner.rename(top / "link")
            (top / "kept").rename(inner)

    swapper = threading.Thread(target=swap)
    before = descriptors()
    swapper.start()
    try:
        tries, seen = 0, set[bytes]()
        # On a busy machine the name may lead elsewhere at each of many tries.
        while tries < 3000 or (not seen and tries < 300_000):
            tries += 1
            if file := open_beneath(place):
                seen.add(file.read(100))
    finally:
        stop.set()
        swapper.join()
    assert seen == {b"inside"}
    del file
    assert descriptors() <= before + 1


def test_no_more_than_needed_is_read_of_a_long_file(top: Path) -> None:
    path = top / "long"
    path.touch()
    os.truncate(path, 1 << 30)
    with opened(Place(str(top), "long")) as file:
        assert len(file.read(5000)) == 5001


def test_a_file_is_closed_when_nobody_has_it_any_more(top: Path) -> None:
    before = descriptors()
    file = open_beneath(Place(str(top), "inner/a.tif"))
    assert descriptors() == before + 1
    del file
    assert descriptors() == before


def test_folders_are_walked_in_order_and_none_that_is_hidden_or_linked(top: Path) -> None:
    for name in ("b/x", ".hidden", "a"):
        (top / name).mkdir(parents=True)
    (top / "loop").symlink_to(".")
    (top / "out").symlink_to("../outside")
    os.mkfifo(top / "pipe.tif")
    (top / "z.tif").touch()
    found = [(each.below, each.files, each.links) for each in walk(str(top), True)]
    assert found == [
        ("", ["z.tif"], ["loop", "out"]),
        ("a", [], []),
        ("b", [], []),
        ("b/x", [], []),
        ("inner", ["a.tif"], []),
    ]


def test_a_folder_nested_deeper_than_a_name_may_be_long_is_left_out(top: Path) -> None:
    folder = os.open(top, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("ddd", dir_fd=folder)
        inner = os.open("ddd", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    before = descriptors()
    assert len(max((each.below for each in walk(str(top), True)), key=len)) == 999
    assert descriptors() == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "x"), "a: permission denied; the server"),
        (OSError(24, "Too many"), "a: its files cannot be opened: Too many"),
    ],
)
def test_what_the_system_refuses_is_told_without_a_path(error: OSError, said: str) -> None:
    error.filename = "/secret/place"
    with pytest.raises(UnreadableRaster, match=said) as caught, file_errors("a"):
        raise error
    assert "secret" not in str(caught.value)


def test_without_paths_of_descriptors_the_name_must_lead_to_the_same_file(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "has_descriptor_paths", lambda: False)
    place = Place(str(top), "inner/a.tif")
    with opened(place) as file:
        state = file.state()
        assert file.location == str(top / "inner/a.tif")
        assert file.is_still(state)
        (top / "inner").rename(top / "kept")
        (top / "inner").symlink_to("../outside")
        assert file.state() == state
        assert not file.is_still(state)
