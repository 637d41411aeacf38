"""Styles: Earth Engine's visualization parameters, from TOML and from a URL.

bands=B4,B3,B2  min=0  max=3000  palette=000000,00ff00,fff  gamma=1.2  opacity=0.8
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tileserver.contract.pixels import Range, VisualizationOptions
from tileserver.errors import InvalidRequest, nearest
from tileserver.rendering.colormaps import named_palette, names
from tileserver.rendering.colors import check_palette_length, hex_color
from tileserver.rendering.render import check_options, check_rising

STYLE_PARAMETERS = ("bands", "min", "max", "palette", "gamma", "opacity")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?", re.ASCII)
_MAX_BANDS_IN_URL = 1024


@dataclass(frozen=True, slots=True)
class Style:
    """Bands and how to draw them; an empty or None field is not set."""

    bands: tuple[str, ...] = ()
    min: tuple[float, ...] = ()
    """One value for all bands, or one for each."""
    max: tuple[float, ...] = ()
    palette: tuple[str, ...] = ()
    gamma: float | None = None
    opacity: float | None = None
    classes: tuple[tuple[int, str], ...] = ()
    """Values and names of the classes that the palette is for: it has one colour for each integer
    from min to max."""

    def options(self) -> VisualizationOptions | None:
        """Return the visualization options, or None if all are unset.

        As in Earth Engine's client, max without min counts from 0, and min without max to 1.

        Raises:
            InvalidRequest: min and max do not fit each other or the bands.
        """
        options = VisualizationOptions(self._ranges(), self.palette, self.gamma, self.opacity)
        if options == VisualizationOptions():
            return None
        check_options(options, len(self.bands))
        check_rising(options.ranges)
        return options

    def _ranges(self) -> tuple[Range, ...]:
        if not self.min and not self.max:
            return ()
        lows, highs = self.min or (0.0,), self.max or (1.0,)
        count = max(len(lows), len(highs))
        for name, values in (("min", lows), ("max", highs)):
            if len(values) not in (1, count) or len(values) > max(len(self.bands), 1):
                raise InvalidRequest(
                    f"{name} has {len(values)} values; expected one for all bands, or one for "
                    f"each of {', '.join(self.bands)}"
                )
        lows, highs = (v * count if len(v) == 1 else v for v in (lows, highs))
        return tuple(Range(low, high) for low, high in zip(lows, highs, strict=True))

    def over(self, base: Style) -> Style:
        """Return this style, its unset fields taken from `base`.

        Ranges of single bands and a palette do not apply to other bands, so they are not taken
        when this style has bands of its own.
        """
        if self.bands and self.bands != base.bands:
            base = replace(
                base,
                min=base.min if len(base.min) == 1 else (),
                max=base.max if len(base.max) == 1 else (),
                palette=base.palette if len(self.bands) == 1 else (),
            )
        is_other = bool(self.palette or self.has_range or (self.bands or base.bands) != base.bands)
        return Style(
            classes=self.classes or (() if is_other else base.classes),
            bands=self.bands or base.bands,
            min=self.min or base.min,
            max=self.max or base.max,
            palette=self.palette or base.palette,
            gamma=base.gamma if self.gamma is None else self.gamma,
            opacity=base.opacity if self.opacity is None else self.opacity,
        )

    @property
    def has_range(self) -> bool:
        """Whether min or max is set."""
        return bool(self.min or self.max)

    def to_json(self) -> dict[str, Any]:
        """Return the style as JSON, for `/layers`."""
        return {
            "bands": list(self.bands),
            "min": _one_or_list(self.min),
            "max": _one_or_list(self.max),
            "palette": list(self.palette) or None,
            "gamma": 1.0 if self.gamma is None else self.gamma,
            "opacity": 1.0 if self.opacity is None else self.opacity,
            **({"classes": [*map(self._class_json, self.classes)]} if self.classes else {}),
        }

    def _class_json(self, member: tuple[int, str]) -> dict[str, Any]:
        value, name = member
        color = self.palette[value - int(self.min[0])]
        return {"value": value, "name": name, "color": f"#{color}"}


def _one_or_list(values: Sequence[float]) -> float | list[float] | None:
    if not values:
        return None
    return values[0] if len(values) == 1 else list(values)


def parse_style(parameters: Mapping[str, str]) -> Style:
    """Return the style in the parameters of a URL; other parameters are ignored.

    Raises:
        InvalidRequest: a value is malformed or out of range; names the parameter.
    """
    given = [name for name in STYLE_PARAMETERS if name in parameters]
    return Style(**{name: _PARSERS[name](parameters[name]) for name in given})


def parse_colors(text: str | Sequence[str]) -> tuple[str, ...]:
    """Return a palette as six hex digits a colour, from a colour map's name or from colours.

    Raises:
        InvalidRequest: a colour is unknown, or there are too many.
    """
    colors = text.split(",") if isinstance(text, str) else text
    if len(colors) == 1 and (stops := named_palette(colors[0])):
        return stops
    try:
        check_palette_length(len(colors))
        return tuple(map(hex_color, colors))
    except InvalidRequest as exc:
        similar = nearest(colors[0].lower(), names()) if len(colors) == 1 else None
        hint = f" Did you mean the colour map {similar!r}?" if similar else ""
        raise InvalidRequest(f"palette: {exc}{hint}") from exc


def parse_bands(text: str) -> tuple[str, ...]:
    """Return the bands in a comma-separated list.

    Raises:
        InvalidRequest: one is empty, or there are too many.
    """
    bands = tuple(text.split(","))
    if len(bands) > _MAX_BANDS_IN_URL:
        raise InvalidRequest(f"bands: {len(bands)} given, at most {_MAX_BANDS_IN_URL} may be")
    if any(not band or band != band.strip() for band in bands):
        raise InvalidRequest(
            f"bands: expected band ids with commas between, such as B4,B3,B2, got {text[:80]!r}"
        )
    return bands


def parse_number(name: str, text: str, low: float = -math.inf, high: float = math.inf) -> float:
    """Return the value of a numeric parameter.

    Raises:
        InvalidRequest: it is no finite number from low to high; names the parameter.
    """
    value = float(text) if len(text) <= 40 and _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value) or not low <= value <= high:
        span = "" if low == -math.inf else f" from {low:g}"
        span += "" if high == math.inf else f" to {high:g}"
        raise InvalidRequest(f"{name}: expected a number{span}, got {text[:80]!r}")
    return value


def _numbers(name: str, text: str) -> tuple[float, ...]:
    parts = text.split(",")
    if len(parts) > 3:
        raise InvalidRequest(f"{name}: expected one number, or one a band, got {len(parts)}")
    return tuple(parse_number(name, part) for part in parts)


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "bands": parse_bands,
    "min": partial(_numbers, "min"),
    "max": partial(_numbers, "max"),
    "palette": parse_colors,
    "gamma": partial(parse_number, "gamma", low=0.01, high=100.0),
    "opacity": partial(parse_number, "opacity", low=0.0, high=1.0),
}
