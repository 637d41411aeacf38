"""Patterns of strangers end in time and hold no other thread up."""

from __future__ import annotations

import threading
import time
from types import ModuleType

import pytest

from tests.compute.conftest import Evaluator
from tileserver.compute.patterns import Pattern
from tileserver.errors import InvalidRequest


def test_a_pattern_that_takes_too_long_lets_other_threads_run() -> None:
    # Found to take for ever: what may be repeated here can be read in very many ways.
    said: list[str] = []

    def match() -> None:
        try:
            Pattern(r"(?:a|aa|b?a)*(?:a|aa|b?a)*c").fullmatch("a" * 3000)
        except InvalidRequest as exc:
            said.append(str(exc))

    thread = threading.Thread(target=match)
    began = time.monotonic()
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.005)
        turns += 1
    took = time.monotonic() - began
    assert took < 5
    assert not said or "takes too long" in said[0]
    # Had the pattern held the others up, this one would hardly have had a turn.
    assert turns > took / 0.1


def test_bands_are_chosen_by_a_pattern_that_ends(ee: ModuleType, evaluator: Evaluator) -> None:
    image = ee.Image(1).rename("a" * 200)
    began = time.monotonic()
    with pytest.raises(InvalidRequest, match=r"did not match any bands|takes too long"):
        evaluator.pixels(image.select("(a|a)*b"))
    assert time.monotonic() - began < 5
    assert evaluator.value(image.select("(a|b)+").bandNames()) == ["a" * 200]
