"""Patterns of strangers end in time and hold no other thread up."""

from __future__ import annotations

import threading
import time
from types import ModuleType

import pytest

from tests.compute.conftest import Evaluator
from tileserver.compute.patterns import Pattern
from tileserver.errors import InvalidRequest


def test_a_pattern_that_takes_too_long_is_stopped_and_lets_other_threads_run() -> None:
    said: list[str] = []

    def match() -> None:
        try:
            Pattern("(x+x+)+y").search("x" * 3000)
        except InvalidRequest as exc:
            said.append(str(exc))

    thread = threading.Thread(target=match)
    began = time.monotonic()
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.005)
        turns += 1
    assert time.monotonic() - began < 5
    assert said == ["The pattern '(x+x+)+y' takes too long; expected a simpler one."]
    # Had it held this thread up, there would have been a turn or two.
    assert turns > 10


def test_bands_are_chosen_by_a_pattern_that_ends(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(1).rename("a" * 200)
    began = time.monotonic()
    with pytest.raises(InvalidRequest, match=r"did not match any bands|takes too long"):
        evaluator.pixels(image.select("(a|a)*b"))
    assert time.monotonic() - began < 5
    assert evaluator.value(image.select("(a|b)+").bandNames()) == ["a" * 200]
