"""Whatever is asked to be computed: an answer, or a refusal that says why; soon, and no more."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.compute.conftest import HEIGHTS, HOLES, SCENE, SERIES, LocalWorld
from tests.compute.graphs import Builder, spoilt
from tests.rest import memory
from tileserver.compute.budget import Budget
from tileserver.compute.engine import Computing
from tileserver.concurrency.time_limit import checked
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import AffineTransform, PixelGrid
from tileserver.contract.pixels import PixelRequest
from tileserver.errors import TileserverError
from tileserver.expressions.document import loaded, parse_expression, to_text
from tileserver.rest.errors import answer_error
from tileserver.rest.requests import read_json

CASES = int(os.environ.get("FUZZ_CASES", "300"))
"""Of each kind; CI asks for more."""
DEADLINE_S = 2.0
LATE_S = 1.0
"""How long no look is taken at the deadline, at most."""
MOST_MB = 300.0
GRID = PixelGrid(
    16, 16, AffineTransform(60.0, 0.0, 400_000.0, 0.0, -60.0, 4_500_000.0), "EPSG:32612"
)
MANY = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
RAN: Counter[str] = Counter()


@pytest.fixture(scope="module")
def computing(world: LocalWorld) -> Iterator[Computing]:
    found = Computing(world, deadline_s=DEADLINE_S)
    before_mb = memory.now_mb() if memory.is_told() else 0.0
    yield found
    if memory.is_told():
        memory.forget()
        grown_mb = memory.now_mb() - before_mb
        assert grown_mb < MOST_MB


def check_told(text: str, world: LocalWorld) -> None:
    """No path of this machine, no address in memory, nothing of Python's."""
    for secret in (
        *(root.path for root in world.rasters.catalogue.roots),
        "site-packages",
        " at 0x",
    ):
        assert secret not in text


@dataclass
class Watching(Budget):
    """Measures how long the thread computes between two looks at the deadline, at most.

    In time of the processor: a machine that is busy with other things must not count.
    """

    looked_s: float = field(default_factory=time.thread_time)
    longest_s: float = 0.0

    def check_time(self) -> None:
        self.look()
        super().check_time()

    def look(self) -> None:
        now_s = time.thread_time()
        self.longest_s = max(self.longest_s, now_s - self.looked_s)
        self.looked_s = now_s


def answer_of(computing: Computing, document: Any, budget: Budget) -> str:
    """Return what the server answers to an expression; of an image its pixels are asked too.

    Raises:
        TileserverError: it is refused.
    """
    text = to_text(parse_expression(read_json(json.dumps(document).encode())))
    computing._version(text, budget)
    told = json.dumps(computing._value(text, budget), allow_nan=False)
    RAN["value"] += 1
    if told.startswith('{"type": "Image"'):
        request = PixelRequest(
            "projects/p/expressions/x", ImageFileFormat.NPY, GRID, expression=text
        )
        assert computing.pixels(request, budget)
        RAN["pixels"] += 1
    return told


def run(computing: Computing, document: Any) -> None:
    """Do what the server does with an expression, and judge what comes of it."""
    RAN["cases"] += 1
    budget = Watching(time.monotonic() + DEADLINE_S)
    status = 200
    try:
        with checked(budget.check_time):
            told = answer_of(computing, document, budget)
    except TileserverError as exc:
        told, status = str(exc), answer_error(exc).status_code
    budget.look()
    assert told
    assert status < 500
    check_told(told, computing.world)  # type: ignore[arg-type]
    assert budget.longest_s < LATE_S


def built(chance: random.Random) -> dict[str, Any]:
    return Builder(chance, (SCENE, HOLES, HEIGHTS), (SERIES,)).expression()


@MANY
@given(chance=st.randoms(use_true_random=True))
def test_any_graph_of_the_algorithms_there_are(computing: Computing, chance: random.Random) -> None:
    run(computing, built(chance))


@MANY
@given(chance=st.randoms(use_true_random=True))
def test_any_spoilt_graph(computing: Computing, chance: random.Random) -> None:
    run(computing, spoilt(chance, built(chance)))


def test_so_many_were_tried_and_not_all_of_them_refused() -> None:
    print(dict(RAN))
    assert RAN["cases"] >= 2 * CASES
    assert RAN["value"] > CASES / 20
    assert RAN["pixels"] > CASES / 100


def test_an_honest_image_is_computed_after_all_that(computing: Computing) -> None:
    text = to_text(loaded(SCENE))
    assert computing._image(text, "", Budget(time.monotonic() + DEADLINE_S)).bands
