"""Styles as keywords, with Earth Engine's names, as the parameters of a tile's URL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tileserver.errors import InvalidRequest, nearest, shown
from tileserver.layers.steps import STEP_PARAMETERS, VALUE_PARAMETERS
from tileserver.layers.styles import STYLE_PARAMETERS

OPACITY = "opacity"
"""Not of the tiles: the map's layer has it, so that it can be changed there."""
TIME = "time"
NAMES = (*STYLE_PARAMETERS, *STEP_PARAMETERS, TIME)


def parameters(style: Mapping[str, Any]) -> dict[str, str]:
    """Return a style as parameters of a URL, without those that are None.

    >>> parameters({"bands": ["B4", "B3"], "min": 0, "palette": ["#ff0000", "blue"], "max": None})
    {'bands': 'B4,B3', 'min': '0', 'palette': 'ff0000,blue'}

    Raises:
        InvalidRequest: a name is unknown, or a value is no text, number or list of them.
    """
    for name in style:
        if name not in NAMES:
            close = nearest(name, NAMES)
            hint = f"did you mean {close!r}?" if close else f"expected one of {', '.join(NAMES)}"
            raise InvalidRequest(f"{name}: no such keyword of a style; {hint}")
    given = {name: value for name, value in style.items() if value is not None}
    return {name: _text(name, value) for name, value in given.items()}


def of_values(style: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that decide values, for those of a point."""
    return {name: text for name, text in style.items() if name in (*VALUE_PARAMETERS, TIME)}


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value.removeprefix("#") if name == "palette" else value
    if name == "colormap":
        return json.dumps(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, int | float | np.number):
        return _number(float(value))
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return ",".join(_text(name, each) for each in value)
    raise InvalidRequest(f"{name}: expected text, a number or a list of them, got {shown(value)}")


def _number(value: float) -> str:
    """Return a number so that it is read as the same, and whole ones without a point.

    >>> _number(3000.0), _number(0.1)
    ('3000', '0.1')
    """
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
