"""The list of all algorithms, computed or not, and what it costs."""

from __future__ import annotations

import json
import runpy
import time
from pathlib import Path
from types import ModuleType

import pytest

from tests.compute.conftest import Evaluator
from tests.compute.test_signatures import NOT_LISTED, OFFICIAL, plain
from tileserver.compute.registry import (
    ALGORITHMS,
    algorithm_list,
    algorithms_document,
    all_names,
    find_algorithm,
)
from tileserver.compute.signatures import listed_signatures
from tileserver.errors import InvalidRequest

SCRIPT = Path(__file__).parents[2] / "docs" / "signatures.py"


def test_the_list_is_that_of_the_installed_client() -> None:
    script = runpy.run_path(str(SCRIPT))
    assert script["FILE"].read_text("utf-8") == script["signatures"]()


def test_the_list_has_all_of_earth_engines_and_no_others() -> None:
    assert set(all_names()) == set(OFFICIAL) | NOT_LISTED


def test_the_list_and_the_registered_never_contradict() -> None:
    listed = listed_signatures()
    for name, each in ALGORITHMS.items():
        ours = each.signature
        assert ours.arguments == listed[name].arguments, name
        assert plain(ours.returns) == plain(listed[name].returns) or not plain(ours.returns), name
        assert ours.is_hidden == listed[name].is_hidden, name


def test_each_entry_says_whether_it_is_computed() -> None:
    for each in algorithm_list():
        found = find_algorithm(each["name"].removeprefix("algorithms/"))
        assert found.is_computed is not each["description"].startswith("Not computed by tileserver")


def test_the_list_is_made_once_and_quickly() -> None:
    """Made in less than a second of CPU time, and then answered as it is."""
    algorithms_document.cache_clear()
    before = time.thread_time()
    document = algorithms_document()
    assert time.thread_time() - before < 1
    assert algorithms_document() is document
    assert json.loads(document) == {"algorithms": algorithm_list()}


@pytest.fixture
def uncomputed() -> str:
    """Return an algorithm that nobody computes."""
    return "Model.fromVertexAi"


def test_one_that_is_not_computed_is_refused_by_name(
    ee: ModuleType, evaluator: Evaluator, uncomputed: str
) -> None:
    call = ee.ApiFunction.lookup(uncomputed).call("projects/p/locations/x/endpoints/1")
    with pytest.raises(InvalidRequest, match=rf"^{uncomputed} is not computed by tileserver; "):
        evaluator.value(call)


def test_one_of_no_list_is_refused_at_once() -> None:
    with pytest.raises(InvalidRequest, match=r"^Unrecognized function 'Image\.nothing_at_all'\.$"):
        find_algorithm("Image.nothing_at_all")
