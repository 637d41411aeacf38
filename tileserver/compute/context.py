"""What an evaluation may use and cost: the assets it can see, its time, its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tileserver.compute.budget import Budget, too_much
from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import BandArrays, PixelGrid
from tileserver.errors import InvalidRequest

MAX_EVALUATIONS = 200_000
"""Calls of algorithms in one expression, those of mapped functions included."""
MAX_ELEMENTS = 5000
"""Of a collection that is looked at one by one, as at Earth Engine."""
MAX_LIST = 100_000
MAX_TEXT = 1_000_000
MAX_MADE_BYTES = 150_000_000
"""Of all strings, lists and dictionaries that one expression makes, about."""
_LOOK_EVERY = 256


class World(Protocol):
    """The assets an expression may read; its methods block."""

    def find_image(self, asset_id: str) -> ImageAsset:
        """Return an image by any spelling of its name, or raise AssetNotFound."""
        ...

    def find_collection(self, asset_id: str) -> tuple[str, Sequence[str], dict[str, object]]:
        """Return a collection's id, the names of its images, its properties; or AssetNotFound."""
        ...

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image or one of a collection does; "" for none.

        It may be as old as `max_age_s`; None leaves it to the world.
        """
        ...

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        """Return bands of an image on a grid."""
        ...


@dataclass
class Context:
    """One evaluation."""

    world: World
    budget: Budget
    evaluations: int = field(default=0)
    nodes: int = field(default=0)
    made_bytes: int = field(default=0)

    def count_call(self) -> None:
        """Count the call of an algorithm.

        Raises:
            InvalidRequest: there were too many, or the time is over.
        """
        self.evaluations += 1
        if self.evaluations > MAX_EVALUATIONS:
            raise InvalidRequest(
                f"The expression calls more than {MAX_EVALUATIONS} functions; "
                "expected one with fewer, or over a smaller collection."
            )
        self.budget.check_time()

    def count_node(self) -> None:
        """Count a node of the graph that is looked at; raises when the time is over."""
        self.nodes += 1
        if self.nodes % _LOOK_EVERY == 0:
            self.budget.check_time()

    def count_made(self, size_bytes: int) -> None:
        """Count the memory of a value that was made, about.

        Raises:
            InvalidRequest: there is too much, in Earth Engine's words.
        """
        self.made_bytes += size_bytes
        if self.made_bytes > MAX_MADE_BYTES:
            raise too_much()


def check_length(count: int, most: int, what: str) -> None:
    """Raise InvalidRequest if there are more of something than are allowed."""
    if count > most:
        raise InvalidRequest(f"There are {count} {what}, at most {most} are allowed.")


def check_elements(count: int) -> None:
    """Raise, in Earth Engine's words, if a collection is too large to be looked at one by one."""
    if count > MAX_ELEMENTS:
        raise InvalidRequest(
            f"Collection query aborted after accumulating over {MAX_ELEMENTS} elements."
        )
