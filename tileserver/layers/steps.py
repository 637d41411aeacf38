"""Parses the parameters of processing, from a URL or from TOML."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from tileserver.contract.processing import OF_ALGORITHMS, Processing, Resampling, Terrain
from tileserver.errors import InvalidRequest, nearest
from tileserver.layers.drawing_parameters import parse_colormap, parse_stretch
from tileserver.layers.styles import parse_number

VALUE_PARAMETERS = (
    "nodata",
    "unscale",
    "expression",
    "algorithm",
    *OF_ALGORITHMS,
    "like",
    "threshold",
)
"""Those that decide values, whatever the grid: for points and statistics too."""
STEP_PARAMETERS = ("resampling", *VALUE_PARAMETERS, "stretch", "colormap", "relief")
"""Those of a picture."""
NONE = "none"
"""In place of a value: the layer's own is not taken."""
REMOVABLE: Mapping[str, tuple[str, ...]] = {
    "nodata": ("nodata",),
    "expression": ("expression",),
    "algorithm": ("algorithm", *OF_ALGORITHMS),
    "like": ("like", "threshold"),
    "stretch": ("stretch", "shading"),
    "colormap": ("classes",),
}
"""Parameters that may be `none`, and the fields that the layer then lacks."""


def parse_steps(parameters: Mapping[str, str]) -> Processing | None:
    """Return the processing in the parameters of a URL; None without any.

    Raises:
        InvalidRequest: a value is malformed or unknown; names the parameter.
    """
    given = [name for name in STEP_PARAMETERS if name in parameters]
    if not given:
        return None
    removed = [name for name in given if name in REMOVABLE and parameters[name] == NONE]
    given = [name for name in given if name not in removed]
    found = {name: _PARSERS[name](parameters[name]) for name in given}
    _check_makers(given)
    steps = Processing(
        **{_FIELDS.get(name, name): value for name, value in found.items()},
        without=tuple(field for name in removed for field in REMOVABLE[name]),
    )
    if steps.classes and (steps.stretch or "palette" in parameters):
        other = "stretch" if steps.stretch else "palette"
        raise InvalidRequest(f"colormap: goes not with {other}, since it has all the colours")
    return steps


def _check_makers(given: Sequence[str]) -> None:
    makers = [name for name in ("expression", "algorithm", "like") if name in given]
    if len(makers) > 1:
        raise InvalidRequest(f"{makers[1]}: goes not with {makers[0]}; expected one of the two")


def check_fitting(steps: Processing) -> None:
    """Check that parameters are those of the algorithm that there is, or go with what is made.

    Raises:
        InvalidRequest: one is not; names it.
    """
    known = steps.algorithm.parameters if steps.algorithm else ()
    for name in OF_ALGORITHMS:
        if getattr(steps, name) is not None and name not in known:
            fitting = [each.value for each in Terrain if name in each.parameters]
            raise InvalidRequest(f"{name}: goes with algorithm={' or '.join(fitting)} alone")
    if steps.threshold is not None and steps.like is None:
        raise InvalidRequest("threshold: goes with like alone")
    if steps.relief and (steps.makes or steps.classes):
        other = "colormap" if steps.classes else "an algorithm, an expression or like"
        raise InvalidRequest(f"relief: goes not with {other}; it shades one band of elevations")


def steps_over(base: Processing | None, steps: Processing | None) -> Processing | None:
    """Return the steps of a request over those of its layer; None if nothing is done."""
    if steps is None or base is None:
        found = base if steps is None else steps
    else:
        found = steps.over(base)
    return None if found is None else replace(found, without=()).effective


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


def parse_like(text: str) -> tuple[float, float]:
    """Return a place as longitude and latitude in degrees.

    Raises:
        InvalidRequest: it is not two numbers in range.
    """
    parts = text.split(",")
    if len(parts) != 2:
        raise InvalidRequest(f"like: expected lon,lat in degrees, got {text[:60]!r}")
    lon, lat = parts
    return parse_number("like", lon, -180, 180), parse_number("like", lat, -90, 90)


def _parse_flag(name: str, text: str) -> bool:
    return _choice(name, text.lower(), ("true", "false")) == "true"


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "nodata": parse_nodata,
    "unscale": partial(_parse_flag, "unscale"),
    "expression": str,
    "algorithm": lambda text: Terrain(_choice("algorithm", text, list(Terrain))),
    "azimuth": partial(parse_number, "azimuth", low=-360, high=360),
    "altitude": partial(parse_number, "altitude", low=0, high=90),
    "z_factor": partial(parse_number, "z_factor", low=1e-6, high=1e6),
    "interval": partial(parse_number, "interval", low=1e-3, high=1e6),
    "like": parse_like,
    "threshold": partial(parse_number, "threshold", low=-1, high=1),
    "stretch": parse_stretch,
    "colormap": parse_colormap,
    "relief": partial(_parse_flag, "relief"),
    "resampling": parse_resampling,
}
_FIELDS = {"colormap": "classes"}
"""Fields that have other names than their parameters."""
