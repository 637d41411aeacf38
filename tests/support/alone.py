"""The marker `alone`: while such a test runs, no other worker of pytest-xdist runs a test.

A test that judges by the clock measures its neighbour as well. Tests with the marker hold a lock
of the run exclusively, all others share it.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_FOLDER = "folder_of_locks"


class Alone:
    """The plugin, in the process that hands out the tests and in each worker."""

    def __init__(self, config: pytest.Config) -> None:
        worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.is_worker = worker is not None
        self.folder = Path(worker[_FOLDER] if worker else tempfile.mkdtemp(prefix="alone-"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a new worker where the locks are."""
        node.workerinput[_FOLDER] = str(self.folder)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Hold the lock during a test; the time limit of the test begins when it has it."""
        with held(self.folder, item.get_closest_marker("alone") is not None):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Remove the locks at the end of the run."""
        if not self.is_worker:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def held(folder: Path, is_exclusive: bool) -> Iterator[None]:
    """Hold the lock in a folder, shared or exclusively.

    It is reached through a second lock, held while waiting for the first: no test that came after
    an exclusive one passes it, so that a stream of shared ones does not keep it waiting for ever.
    """
    with (folder / "entrance").open("w") as entrance, (folder / "room").open("w") as room:
        fcntl.flock(entrance, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if is_exclusive else fcntl.LOCK_SH)
        fcntl.flock(entrance, fcntl.LOCK_UN)
        yield
