"""The context of an evaluation: the assets it may read, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from tileserver.compute.budget import Budget, out_of_memory
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays
from tileserver.errors import AssetNotFound, InvalidRequest, UnreadableRaster
from tileserver.geo.tables import Table

MAX_EVALUATIONS = 200_000
"""Calls of algorithms in one expression, those of mapped functions included."""
MAX_ELEMENTS = 5000
"""Elements of a collection that is evaluated one by one, as in Earth Engine."""
MAX_LIST = 100_000
MAX_TEXT = 1_000_000
MAX_MADE_BYTES = 150_000_000
"""Estimated size of all strings, lists and dictionaries that one expression makes."""
_CHECK_EVERY = 256


class World(Protocol):
    """The assets an expression may read; its methods block."""

    def find_image(self, asset_id: str) -> ImageAsset:
        """Return an image by any spelling of its name, or raise AssetNotFound."""
        ...

    def find_collection(self, asset_id: str) -> tuple[str, Sequence[str], dict[str, object]]:
        """Return a collection's id, the names of its images, its properties; or AssetNotFound."""
        ...

    def find_table(self, asset_id: str) -> Table:
        """Return a table by any spelling of its name, or raise AssetNotFound."""
        ...

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image or one of a collection does; "" for none.

        It may be as old as `max_age_s`; None leaves it to the world.
        """
        ...

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        """Return bands of an image on a grid, arrays of shape (bands, height, width)."""
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
        """Count a visit to a node of the graph; raises as `count_call` when the time is over."""
        self.nodes += 1
        if self.nodes % _CHECK_EVERY == 0:
            self.budget.check_time()

    def kind_of(self, asset_id: str) -> str:
        """Return what an asset is: Image, ImageCollection, FeatureCollection, "" for none.

        For errors alone: it looks for the asset in each way that there is.
        """
        ways: Mapping[str, Callable[[str], object]] = {
            "Image": self.world.find_image,
            "ImageCollection": self.world.find_collection,
            "FeatureCollection": self.world.find_table,
        }
        for kind, find in ways.items():
            with suppress(AssetNotFound, UnreadableRaster, InvalidRequest):
                find(asset_id)
                return kind
        return ""

    def count_bytes(self, size_bytes: int) -> None:
        """Count the estimated memory of a new value.

        Raises:
            InvalidRequest: the total is too large, in Earth Engine's words.
        """
        self.made_bytes += size_bytes
        if self.made_bytes > MAX_MADE_BYTES:
            raise out_of_memory()


def check_length(count: int, most: int, plural: str) -> None:
    """Raise InvalidRequest if there are more than `most` of the things that `plural` names."""
    if count > most:
        raise InvalidRequest(f"There are {count} {plural}, at most {most} are allowed.")


def check_elements(count: int) -> None:
    """Raise, in Earth Engine's words, if a collection is too large to be evaluated one by one."""
    if count > MAX_ELEMENTS:
        raise InvalidRequest(
            f"Collection query aborted after accumulating over {MAX_ELEMENTS} elements."
        )


def check_scanned(elements: Sequence[object]) -> None:
    """Raise as `check_elements`, unless they are a stored table's, whose columns are read."""
    if not getattr(elements, "is_stored", False):
        check_elements(len(elements))
