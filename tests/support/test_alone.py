from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.alone import held

PATIENCE_S = 60


def holding(folder: Path, is_exclusive: bool, leaves: threading.Event) -> threading.Event:
    """Take the lock in a thread until told to leave; return what is set once it is held."""
    has_it = threading.Event()

    def hold() -> None:
        with held(folder, is_exclusive):
            has_it.set()
            assert leaves.wait(PATIENCE_S)

    threading.Thread(target=hold).start()
    return has_it


def test_ordinary_tests_run_side_by_side(tmp_path: Path) -> None:
    leaves = threading.Event()
    assert all(holding(tmp_path, False, leaves).wait(PATIENCE_S) for _ in range(3))
    leaves.set()


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_a_test_that_runs_alone_keeps_all_others_waiting(
    tmp_path: Path, is_exclusive: bool
) -> None:
    leaves = threading.Event()
    assert holding(tmp_path, True, leaves).wait(PATIENCE_S)
    other = holding(tmp_path, is_exclusive, leaves)
    assert not other.wait(0.05)
    leaves.set()
    assert other.wait(PATIENCE_S)


def test_ordinary_tests_that_come_later_do_not_keep_it_waiting(tmp_path: Path) -> None:
    first, second = threading.Event(), threading.Event()
    assert holding(tmp_path, False, first).wait(PATIENCE_S)
    alone = holding(tmp_path, True, second)
    assert not alone.wait(0.05)
    later = holding(tmp_path, False, second)
    assert not later.wait(0.05)
    first.set()
    assert alone.wait(PATIENCE_S)
    assert not later.wait(0.05)
    second.set()
    assert later.wait(PATIENCE_S)
