"""Named colour maps, so that `palette=viridis` says what thirty hex codes would.

Each is a row of equally spaced stops, drawn linearly in between like any palette. They are those
of Matplotlib, ColorBrewer, cmocean and Crameri, within 2 of 255 of the originals in every channel;
`docs/colormaps.py` writes `colormaps.txt` from the package `cmap`. THIRD_PARTY.md has their
authors and licences. "ndvi" is the vegetation palette of Earth Engine's own examples (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("colormaps.txt")
_NDVI = (
    "ffffff ce7e45 df923d f1b555 fcd163 99b718 74a901 66a000 529400 3e8601 207401 056201 "
    "004c00 023b01 012e01 011d01 011301"
)
_ALIASES = {"grey": "gray"}
_REVERSED = "_r"


@dataclass(frozen=True, slots=True)
class ColorMap:
    """A colour map."""

    name: str
    """In lower case."""
    kind: str
    """sequential, diverging, cyclic, qualitative or miscellaneous."""
    stops: tuple[str, ...]
    """Six hex digits each; of a qualitative map the colours of classes."""


@cache
def colormaps() -> dict[str, ColorMap]:
    """Return the colour maps by their names, in order."""
    # Late: most tiles have no named palette.
    lines = _FILE.read_text("ascii").splitlines()[1:]
    rows = [line.split(" ") for line in lines]
    found = [ColorMap(name, kind, tuple(stops)) for name, kind, _, *stops in rows]
    found.append(ColorMap("ndvi", "sequential", tuple(_NDVI.split())))
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def named_palette(name: str) -> tuple[str, ...] | None:
    """Return the hex stops of a colour map, or None when there is none of that name.

    Case does not matter; the suffix `_r` turns the map around. "gray" and "grey" are the ramp
    from black to white here, although CSS has a colour of that name too.

    >>> named_palette("Gray_R")
    ('ffffff', '000000')
    """
    lower = name.strip().lower()
    base = lower.removesuffix(_REVERSED)
    found = colormaps().get(_ALIASES.get(base, base))
    if found is None:
        return None
    return found.stops if base == lower else found.stops[::-1]


def names() -> tuple[str, ...]:
    """Return every name `named_palette` knows, sorted; each may take the suffix `_r`."""
    return tuple(sorted({*colormaps(), *_ALIASES}))
