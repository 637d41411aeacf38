"""Clusterers as values: a kind with its parameters, and a model once there is training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tileserver.compute.learning.clusters import Clusters
from tileserver.compute.learning.training import Training
from tileserver.compute.values.made import Made


@dataclass(frozen=True, eq=False, slots=True)
class Clusterer:
    """A clusterer, trained or not."""

    name: str
    fit: Callable[[Training], Clusters]
    schema: tuple[str, ...] | None = None
    """Names of the inputs; None before there is training data."""
    model: Clusters | None = None
    made: Made | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return self.made.to_json() if self.made else {"type": f"Clusterer.{self.name}"}
