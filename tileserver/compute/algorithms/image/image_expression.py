"""`Image.expression`: a formula over images, as `expression` parses it.

The quotient of whole numbers is whole, as in `division`; `a * 1.0 / b` is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tileserver.compute.algorithms.image.arithmetic import combined
from tileserver.compute.algorithms.image.division import (
    formula_quotient_type,
    formula_quotients,
)
from tileserver.compute.algorithms.image.expression import Formula, FormulaParser, Scope
from tileserver.compute.coercion import to_image
from tileserver.compute.context import Context
from tileserver.compute.registry import algorithm
from tileserver.compute.values.function import Function
from tileserver.compute.values.image import Image
from tileserver.errors import InvalidRequest, shown


@algorithm(
    "Image.parseExpression(expression: String, argName: String, vars: List,"
    " mapFreeVarsToDefaultImageBands: Boolean = false) -> Algorithm",
    hidden=True,
)
def parse_expression(text: str, default: str, names: list[Any], maps_free: bool) -> Function:
    """Return a function of images that computes a formula."""
    known = [str(name) for name in names]
    return _Formula(_WholeDivision(text, default, known, maps_free).formula(), known)


class _Formula(Function):
    """A parsed formula as a function of the images that it names."""

    def __init__(self, formula: Formula, names: list[str]) -> None:
        self.formula = formula
        self.names = tuple(names)

    def call_named(self, context: Context, arguments: Mapping[str, Any]) -> Image:
        """Return the image."""
        scope: dict[str, Image] = {}
        for name, value in arguments.items():
            image = to_image(value, context)
            if image is None:
                raise InvalidRequest(f"Expected an image for {shown(name)}, got {shown(value)}.")
            scope[name] = image
        made: Image = self.formula(context, scope)
        return made


class _WholeDivision(FormulaParser):
    """Parses a formula in which quotients of whole numbers are whole."""

    def operated(self, name: str, first: Formula, second: Formula) -> Formula:
        """Return what an operator gives."""
        return _divided(first, second) if name == "divide" else self.called(name, first, second)


def _divided(first: Formula, second: Formula) -> Formula:
    def divide(context: Context, scope: Scope) -> Image:
        context.count_call()
        a, b = first(context, scope), second(context, scope)
        return combined(a, b, operation=formula_quotients, rule=formula_quotient_type)

    return divide
