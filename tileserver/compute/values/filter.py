"""Filters: predicates that decide which elements of a collection are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tileserver.compute.values.feature import Element


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate of elements."""

    keeps: Callable[[Element], bool]
    name: str = "Filter"
    depth: int = 0
    """Filters within filters."""
    size: int = 1
    """Predicates in it, itself included."""

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return {"type": f"Filter.{self.name}" if self.name != "Filter" else "Filter"}
