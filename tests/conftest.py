"""Set-up that all tests share."""

from __future__ import annotations

import os

import pytest

TIMED = (
    "tests/earth/",
    "tests/rasters/test_concurrency.py",
    "tests/server/test_event_loop.py",
    "tests/server/test_serving.py",
    "tests/web/",
)
"""Where many processes and threads meet the clock; a busy machine may upset one of them."""


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give servers a folder for published maps that no other run has filled."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that depend on the clock a second and a third try; the summary counts them."""
    for item in items:
        if item.nodeid.startswith(TIMED):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in which a test was skipped, where NO_SKIPS says that none may be."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
