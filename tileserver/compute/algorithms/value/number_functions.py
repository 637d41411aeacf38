"""Special functions of numbers, the functions of `compute.arrays.special`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tileserver.compute.arrays import special
from tileserver.compute.registry import algorithm

_HERE = ("digamma", "trigamma", "erfInv", "erfcInv", "lanczos")


def _number(function: Callable[[Any], Any], value: float) -> float:
    return float(function(float(value)))


for _name in _HERE:
    _function, _does = special.SPECIAL[_name]
    algorithm(
        f"Number.{_name}(input: Number) -> Number",
        _does.replace("Returns", "Return") + " of a number.",
    )(partial(_number, _function))


@algorithm("Number.gammainc(left: Number, right: Number) -> Number")
def gammainc(left: float, right: float) -> float:
    """Return the regularized lower incomplete gamma function of a number with a shape."""
    return float(special.gammainc(float(left), float(right)))
