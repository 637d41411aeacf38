"""How a value was made, which is all that `getInfo` tells of filters and reducers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SHORT = {
    "Filter.equals": "Filter.eq",
    "Filter.notEquals": "Filter.neq",
    "Filter.lessThan": "Filter.lt",
    "Filter.lessThanOrEquals": "Filter.lte",
    "Filter.greaterThan": "Filter.gt",
    "Filter.greaterThanOrEquals": "Filter.gte",
}
"""Names that the service prints for others, as it does `Filter.eq` (recorded in eerepr's tests)."""


@dataclass(frozen=True, slots=True)
class Made:
    """The call of an algorithm."""

    name: str
    given: Mapping[str, Any]
    """The arguments that were given, converted to their types."""

    def to_json(self) -> dict[str, Any]:
        """Return the name of the algorithm as the type, and its arguments beside it."""
        return {"type": _SHORT.get(self.name, self.name), **self.given}
