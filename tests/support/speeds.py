"""Tests at two speeds: the marker `slow`, and what keeps the others fast.

`pytest` alone runs the fast tests of the project, a file at a time on each core, and with
`-m "slow or not slow"` all of them, with a worker more, as many wait for a browser or a clock.
With files or folders it runs all tests there, in one process.

A test is slow if it, its fixtures or the helpers they call refer to what starts a process. Where
that cannot be seen, or a test waits for a clock or computes for long, it has the marker itself.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest

_MAKE_PROCESSES = ("subprocess", "multiprocessing", "playwright")
_SLOW_FIXTURES = frozenset({"cubexpress", "geedim", "geemap", "google", "opened", "pytester"})
"""Libraries that take seconds to import; a server before a stand-in for Earth Engine; a session
of pytest in a process."""
_STARTS_A_PROCESS = ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.exec")
_MOST_WORKERS = 4
_LONG = 10
"""As how many slow tests one with a limit of time of its own counts."""
_fast: list[str] = []
"""The test under way, if it may not start a process."""
_hooked: list[bool] = []


def slow(*values: Any) -> list[Any]:
    """Return values of `parametrize` with which a test is slow: more of what others show."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def choose(config: pytest.Config) -> None:
    """Set the options that were not given of a run of all the project's files.

    A worker reads the same command line, and chooses the same tests.
    """
    option, is_worker = config.option, hasattr(config, "workerinput")
    if config.args_source is not config.ArgsSource.TESTPATHS:
        return
    waiting = bool(option.markexpr)
    option.markexpr = option.markexpr or "not slow"
    if not is_worker and getattr(option, "numprocesses", 0) is None and not option.usepdb:
        option.numprocesses = min((os.cpu_count() or 1) + waiting, _MOST_WORKERS)
        option.dist, option.loadscopereorder = "loadfile", False


def mark(items: list[pytest.Item]) -> None:
    """Mark tests as slow by what they use, and put files that take long first.

    Else a worker may begin with the longest file when the others have nothing left to do. Those
    are files with many slow tests, or with some that have a limit of time of their own.
    """
    for item in items:
        if isinstance(item, pytest.Function) and _makes_processes(item):
            item.add_marker(pytest.mark.slow)
    weights: Counter[Path] = Counter()
    for item in items:
        if item.get_closest_marker("slow"):
            weights[item.path] += _LONG if item.get_closest_marker("timeout") else 1
    items.sort(key=lambda item: -weights[item.path])


def _makes_processes(item: pytest.Function) -> bool:
    if _SLOW_FIXTURES.intersection(item.fixturenames):
        return True
    fixtures = item._fixtureinfo.name2fixturedefs
    functions = [item.function, *(each.func for name in fixtures for each in fixtures[name])]
    return any(makes_process(each) for each in functions)


@cache
def makes_process(function: Any) -> bool:
    """Tell whether a function, or what it calls of the tests, refers to what starts a process."""
    seen, left = set(), [_origin(function)]
    while left:
        each = left.pop()
        if _home(each).partition(".")[0] in _MAKE_PROCESSES:
            return True
        if each not in seen and _home(each).startswith("tests."):
            left += _references(each)
        seen.add(each)
    return False


def _home(thing: Any) -> str:
    return str(thing.__name__ if inspect.ismodule(thing) else thing.__module__)


@cache
def _references(thing: Any) -> tuple[Any, ...]:
    """Return the functions, classes and modules that the code of a function or class names."""
    if inspect.isclass(thing):
        return tuple(_origin(each) for each in vars(thing).values() if _is_code(_origin(each)))
    if not isinstance(thing, FunctionType):
        return ()
    named = (thing.__globals__.get(name) for name in _names_in(thing.__code__))
    return tuple(_origin(each) for each in named if _is_code(_origin(each)))


def _is_code(thing: Any) -> bool:
    return inspect.isfunction(thing) or inspect.isclass(thing) or inspect.ismodule(thing)


def _origin(thing: Any) -> Any:
    """Return the function below decorators."""
    if hypothesis := getattr(thing, "hypothesis", None):
        return hypothesis.inner_test
    if isinstance(thing, property):
        return thing.fget
    return inspect.unwrap(getattr(thing, "__func__", thing))


def _names_in(code: CodeType) -> Iterator[str]:
    """Yield the globals that code names, and the attributes: to tell them apart takes seconds."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names_in(each)


class NoProcesses:
    """The plugin that fails a test which starts a process and is not marked as slow."""

    def __init__(self) -> None:
        if not _hooked:  # A hook stays for good.
            sys.addaudithook(_refuse)
            _hooked.append(True)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Refuse processes during a fast test, in its fixtures too."""
        if item.get_closest_marker("slow") is None:
            _fast.append(item.nodeid)
        try:
            return (yield)
        finally:
            _fast.clear()


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if _fast and event in _STARTS_A_PROCESS:
        raise AssertionError(f"{_fast[0]} starts a process: it needs the marker slow")
