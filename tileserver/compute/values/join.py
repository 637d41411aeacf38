"""Joins: what becomes of an element of one collection and its matches in another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tileserver.compute.values.feature import Element
from tileserver.compute.values.made import Made

Matches = Sequence[tuple[Element, float | None]]
"""Matching elements of the secondary collection, each with the measure of the condition."""


@dataclass(frozen=True, slots=True)
class Join:
    """A way to put together elements of two collections."""

    name: str
    results: Callable[[Element, Matches], Iterator[Any]]
    """Yields the elements of the result, of an element of the primary collection."""
    needs_one: bool = False
    """Whether one match tells as much as all of them."""
    keeps_one: bool = False
    """Whether an element of the result holds one match at most."""
    has_pairs: bool = False
    """Whether the results are pairs, features of their own, and no elements of the primary one."""
    made: Made | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return self.made.to_json() if self.made else {"type": f"Join.{self.name}"}
