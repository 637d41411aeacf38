"""Set-up that all tests share."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest
from hypothesis import HealthCheck, settings

from tests.support import speeds
from tests.support.alone import Alone
from tileserver.rasters import scenes

_TICK_S = 0.01
"""Between two times that Linux gives files; on most machines it is less."""

# Both are limits by the clock, which a busy machine does not keep.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run the fast tests, if nothing else is named."""
    _keep_bytecode()
    speeds.choose(config)


def _keep_bytecode() -> None:
    """Compile each module once, in a container too, where Python is often told not to keep that.

    Else each worker, each server and each command that the tests start compiles all it imports.
    """
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _keep_to_itself(config: pytest.Config) -> None:
    """Give the tests a cache folder of their own, and no room for pyramids in it.

    Else a server would draw a raster from a pyramid that an earlier one made, or not.
    """
    folder = Path(tempfile.mkdtemp(prefix="tileserver-tests-"))
    (folder / "tileserver").mkdir()
    (folder / "tileserver" / "pyramids").touch()
    os.environ["XDG_CACHE_HOME"] = str(folder)
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_configure(config: pytest.Config) -> None:
    """Register what runs around each test."""
    _keep_to_itself(config)
    config.pluginmanager.register(Alone(config))
    config.pluginmanager.register(speeds.NoProcesses())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests, before markers choose among them."""
    speeds.mark(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the garbage collector pass over modules and tests, which stay as long as the run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give servers folders for published maps and indexes that no other run has filled."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    # What pip has fetched before stays of use.
    for name, tool in (("PIP_CACHE_DIR", "pip"), ("UV_CACHE_DIR", "uv")):
        os.environ.setdefault(name, os.path.expanduser(f"~/.cache/{tool}"))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def _one_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let TLS clients trust one of the authorities that browsers trust.

    All are read whenever a client is made, in 30 ms, and no test reaches a server they vouch for.
    """
    path = tmp_path_factory.mktemp("trust") / "authority.pem"
    certificate, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
    path.write_text(certificate + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certifi, "where", lambda: str(path))
        yield


@pytest.fixture(scope="session", autouse=True)
def _files_settle_soon() -> Iterator[None]:
    """Wait for files that were just written as long as this system needs, and no longer.

    Nearly every raster of a test is one, and those of other systems are waited for five times
    as long. Servers in other processes wait as they always do.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "_SETTLED_S", _TICK_S)
        yield


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped, where NO_SKIPS says that none may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
