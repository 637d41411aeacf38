"""Error margins as values: how far off a geometry may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ErrorMargin:
    """How far off a geometry may be."""

    value: float | None
    unit: Literal["meters", "projected", "infinite"] = "meters"

    def to_json(self) -> dict[str, Any]:
        """Return what getInfo tells."""
        members: dict[str, Any] = {"type": "ErrorMargin", "unit": self.unit}
        return members if self.value is None else members | {"value": self.value}
