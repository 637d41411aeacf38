"""`Number.expression`: formulas over numbers, in the grammar of `Image.expression`.

Variables are members of a dictionary; `vals.x` and `vals["x"]` are members of one within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tileserver.compute.algorithms.image.expression import Formula, FormulaParser, called
from tileserver.compute.algorithms.value.numbers import BINARY, UNARY
from tileserver.compute.context import Context
from tileserver.compute.plain_values import to_number
from tileserver.compute.registry import algorithm
from tileserver.errors import InvalidRequest, shown

_SPECIAL = {
    **dict.fromkeys(("digamma", "trigamma", "erfInv", "erfcInv", "lanczos"), 1),
    "gammainc": 2,
}


@algorithm("Number.expression(expression: String, vars: Dictionary = null) -> Number")
def expression(context: Context, text: str, given: Mapping[str, Any] | None) -> float:
    """Return the number of a formula such as `x * y + 1` over the numbers of a dictionary."""
    known = dict(given or {})
    formula = _NumberParser(text, list(known)).formula()
    found = to_number(formula(context, known), context)
    if found is None:
        raise InvalidRequest(f"Expected a formula of a number, got {shown(text)}.")
    return found


class _NumberParser(FormulaParser):
    """Parses a formula whose parts are numbers; there are no bands, so b(…) is no function."""

    def __init__(self, text: str, names: list[str]) -> None:
        super().__init__(text, "", names, False)
        self.given = frozenset((*names, "b"))

    def functions(self) -> Mapping[str, int]:
        return {**dict.fromkeys(BINARY, 2), **dict.fromkeys(UNARY, 1), **_SPECIAL}

    def called(self, name: str, *arguments: Formula) -> Formula:
        return called(f"Number.{name}", *arguments)

    def number(self, value: float) -> Formula:
        return lambda context, scope: value

    def member(self, of: Formula, selectors: list[str | int]) -> Formula:
        def find(context: Context, scope: Mapping[str, Any]) -> Any:
            values = of(context, scope)
            if len(selectors) != 1 or not isinstance(values, Mapping):
                raise InvalidRequest(f"Expected a dictionary with {shown(selectors)}.")
            if selectors[0] not in values:
                raise InvalidRequest(f"The dictionary has no {shown(selectors[0])}.")
            return values[selectors[0]]

        return find

    def renamed(self, formula: Formula, name: str) -> Formula:
        return formula

    def chosen(self, test: Formula, yes: Formula, no: Formula) -> Formula:
        return lambda context, scope: (yes if test(context, scope) else no)(context, scope)
