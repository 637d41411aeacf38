from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.commands import ROOT
from tests.support.speeds import makes_process

pytest_plugins = ["pytester"]
CONFTEST = """
from tests.support.speeds import NoProcesses

def pytest_configure(config):
    config.addinivalue_line("markers", "slow: starts a process")
    config.pluginmanager.register(NoProcesses())
"""
TESTS = """
import subprocess
import pytest

def test_hidden():
    subprocess.run(["true"])

@pytest.mark.slow
def test_marked():
    subprocess.run(["true"])
"""


def starts() -> int:
    return subprocess.run(["true"], check=True).returncode


@cache
def decorated() -> None:
    starts()


@given(st.integers())
def drawn(number: int) -> None:
    starts()


def nested() -> list[int]:
    return [starts() for _ in range(2)]


class Starter:
    def begin(self) -> None:
        starts()


def makes_one() -> Starter:
    return Starter()


def innocent() -> str:
    return str(ROOT)


@pytest.mark.parametrize(
    "function", [starts, decorated, drawn, nested, makes_one], ids=lambda each: each.__name__
)
def test_a_process_is_seen_through_helpers(function: Callable[..., object]) -> None:
    assert makes_process(function)


def test_a_test_without_one_is_not_slow() -> None:
    assert not makes_process(innocent)


def test_a_process_that_is_not_seen_fails_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*test_hidden starts a process: it needs the marker slow"])
