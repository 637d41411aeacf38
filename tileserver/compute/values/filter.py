"""Filters: predicates that decide which elements of a collection are kept, or which pairs join."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.compute.values.feature import Element
from tileserver.compute.values.made import Made
from tileserver.compute.values.stored_features import StoredFeatures

Narrow = Callable[[StoredFeatures], NDArray[np.bool_] | None]

Test = Callable[[Element, Element], bool]
Measure = Callable[[Element, Element], "float | None"]
Candidates = Callable[[Element], Iterable[int]]


@dataclass(frozen=True, slots=True)
class Filter:
    """A predicate of elements, and of pairs of them: the right operand is of the second."""

    passes: Test
    """Of the element of the left field and of the right one; without a join they are the same."""
    name: str = "Filter"
    depth: int = 0
    """Filters within filters."""
    size: int = 1
    """Predicates in it, itself included."""
    measure: Measure | None = None
    """Returns how far apart a pair is; None where the filter knows no distance."""
    candidates: Callable[[Sequence[Element]], Candidates] | None = None
    """Of right elements, returns which places may match a left one; None: all of them."""
    narrow: Narrow | None = None
    """Returns which of the features of a stored table may pass, by columns and boxes; None if it
    cannot tell."""
    made: Made | None = field(default=None, compare=False)

    def keeps(self, element: Element) -> bool:
        """Tell whether one element passes, which both operands are of."""
        return self.passes(element, element)

    def to_json(self) -> dict[str, Any]:
        """Return the `getInfo` JSON."""
        return self.made.to_json() if self.made else {"type": f"Filter.{self.name}"}
