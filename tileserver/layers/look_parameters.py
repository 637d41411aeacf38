"""A layer's look as the parameters of a URL: what it shows, said outright."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tileserver.contract.drawing import ColorClass, Curve
from tileserver.contract.processing import OF_ALGORITHMS, Processing, Resampling
from tileserver.layers.layers import Layer
from tileserver.layers.steps import NONE, REMOVABLE
from tileserver.layers.styles import Style


def look_parameters(layer: Layer) -> dict[str, str]:
    """Return parameters with which the layer is drawn as it is now.

    They hold numbers and colours where the layer has rules for them, so they draw the same later
    and on another layer of the asset. `none` takes away what the layer's own settings would add.
    """
    steps = layer.processing or Processing()
    found = _of_steps(layer, steps) | _of_style(layer.style, steps)
    own = layer.definition.processing
    if own is not None:
        for name, (field, *_) in REMOVABLE.items():
            if getattr(own, field) is not None and name not in found:
                found[name] = NONE
        if own.resampling is not None:
            found.setdefault("resampling", Resampling.NEAREST)
        for name in ("unscale", "relief"):
            if getattr(own, name):
                found.setdefault(name, "false")
    return found


def _of_style(style: Style, steps: Processing) -> dict[str, str]:
    is_color = steps.algorithm is not None and steps.algorithm.is_color
    found = {} if steps.makes else {"bands": ",".join(style.bands)}
    is_equalized = steps.shading is not None and steps.shading.curve is Curve.EQUALIZE
    if not is_equalized and not is_color:
        found |= {"min": _numbers(style.min), "max": _numbers(style.max)}
    if not is_color:
        found["palette"] = ",".join(style.palette)
    for name, value in (("gamma", style.gamma), ("opacity", style.opacity)):
        found[name] = "" if value is None else _number(value)
    return {name: text for name, text in found.items() if text}


def _of_steps(layer: Layer, steps: Processing) -> dict[str, str]:
    found: dict[str, str] = {}
    if steps.makes and steps.expression is None:
        found["bands"] = ",".join(layer.inputs)
    for name in ("resampling", "expression", "algorithm"):
        found[name] = str(getattr(steps, name) or "")
    for name in ("nodata", *OF_ALGORITHMS, "threshold"):
        value = getattr(steps, name)
        found[name] = "" if value is None else _number(value)
    found["like"] = ",".join(map(_number, steps.like or ()))
    found |= {name: "true" for name in ("unscale", "relief") if getattr(steps, name)}
    found["stretch"] = str(steps.shading.curve) if steps.shading else ""
    found["colormap"] = _colormap(steps.classes) if steps.classes else ""
    return {name: text for name, text in found.items() if text}


def _numbers(values: Sequence[float]) -> str:
    """Return numbers with commas between, one if they are all the same."""
    return ",".join(map(_number, values if len(set(values)) > 1 else values[:1]))


def _number(value: float) -> str:
    """Return a number that is read back exactly, whole ones without a point."""
    is_whole = abs(value) < 1e15 and value == int(value)
    return str(int(value)) if is_whole else repr(value)


def _colormap(classes: Sequence[ColorClass]) -> str:
    """Return colours of classes as the parameter `colormap` has them."""
    if all(each.high is None for each in classes):
        singles = {_number(each.low): _hex(each.color) for each in classes}
        return json.dumps(singles, separators=(",", ":"))
    intervals = [[each.low, each.high, _hex(each.color)] for each in classes]
    return json.dumps(intervals, separators=(",", ":"))


def _hex(color: tuple[int, int, int, int]) -> str:
    return "#" + bytes(color if color[3] < 255 else color[:3]).hex()
