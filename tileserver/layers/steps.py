"""The parameters of processing, from a URL or from TOML: what is done before bands are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from tileserver.contract.processing import Processing, Resampling
from tileserver.errors import InvalidRequest, nearest
from tileserver.layers.drawing_parameters import parse_colormap, parse_stretch
from tileserver.layers.styles import parse_number

VALUE_PARAMETERS = ("nodata", "unscale", "expression")
"""Those that decide values, whatever the grid: for points and statistics too."""
STEP_PARAMETERS = ("resampling", *VALUE_PARAMETERS, "stretch", "colormap")
"""Those of a picture."""


def parse_steps(parameters: Mapping[str, str]) -> Processing | None:
    """Return the processing in the parameters of a URL; None without any.

    Raises:
        InvalidRequest: a value is malformed or unknown; names the parameter.
    """
    given = [name for name in STEP_PARAMETERS if name in parameters]
    if not given:
        return None
    found = {name: _PARSERS[name](parameters[name]) for name in given}
    steps = Processing(**{_FIELDS.get(name, name): value for name, value in found.items()})
    if steps.classes and (steps.stretch or "palette" in parameters):
        other = "stretch" if steps.stretch else "palette"
        raise InvalidRequest(f"colormap: goes not with {other}, since it has all the colours")
    return steps


def steps_over(base: Processing | None, steps: Processing | None) -> Processing | None:
    """Return the steps of a request over those of its layer; None if nothing is done."""
    if steps is None or base is None:
        found = base if steps is None else steps
    else:
        found = steps.over(base)
    return None if found is None else found.effective


def parse_resampling(text: str) -> Resampling:
    """Return a way of resampling.

    Raises:
        InvalidRequest: there is none of that name.
    """
    return Resampling(_choice("resampling", text, list(Resampling)))


def _choice(name: str, text: str, choices: Iterable[str]) -> str:
    known = list(choices)
    if text in known:
        return text
    close = nearest(text, known)
    hint = f", did you mean {close}?" if close else ""
    raise InvalidRequest(f"{name}: expected one of {', '.join(known)}, got {text[:40]!r}{hint}")


def parse_nodata(text: str) -> float:
    """Return a value that is masked.

    Raises:
        InvalidRequest: it is neither a number nor nan.
    """
    return math.nan if text.lower() == "nan" else parse_number("nodata", text)


def _parse_flag(name: str, text: str) -> bool:
    return _choice(name, text.lower(), ("true", "false")) == "true"


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "nodata": parse_nodata,
    "unscale": partial(_parse_flag, "unscale"),
    "expression": str,
    "stretch": parse_stretch,
    "colormap": parse_colormap,
    "resampling": parse_resampling,
}
_FIELDS = {"colormap": "classes"}
"""Fields that have other names than their parameters."""
