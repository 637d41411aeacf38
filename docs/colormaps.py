"""Write the colour maps of the package from those of `cmap`: `python docs/colormaps.py`."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import cmap
import numpy as np
from cmap import Catalog
from numpy.typing import NDArray

FILE = Path(__file__).parents[1] / "tileserver" / "rendering" / "colormaps.txt"
ORIGINS = ("colorbrewer", "cmocean", "crameri")
"""Namespaces of cmap that are taken whole, beside the maps that Matplotlib has."""
# From https://matplotlib.org/stable/gallery/color/colormap_reference.html
MATPLOTLIB = """
viridis plasma inferno magma cividis Greys Purples Blues Greens Oranges Reds YlOrBr YlOrRd OrRd
PuRd RdPu BuPu GnBu PuBu YlGnBu PuBuGn BuGn YlGn binary gist_yarg gist_gray gray bone pink spring
summer autumn winter cool Wistia hot afmhot gist_heat copper PiYG PRGn BrBG PuOr RdGy RdBu RdYlBu
RdYlGn Spectral coolwarm bwr seismic berlin managua vanimo twilight twilight_shifted hsv Pastel1
Pastel2 Paired Accent Dark2 Set1 Set2 Set3 tab10 tab20 tab20b tab20c flag prism ocean gist_earth
terrain gist_stern gnuplot gnuplot2 CMRmap cubehelix brg gist_rainbow rainbow jet turbo
nipy_spectral gist_ncar
"""
MAX_ERROR = 2
"""Of 255, in any channel, between a map and its stops."""
_SAMPLES = 256


def text() -> str:
    """Return the file: a line with name, kind, origin and stops for each map."""
    # cmap tells each time that a name is in several of its namespaces.
    logging.getLogger("cmap").setLevel(logging.ERROR)
    catalog = Catalog()
    names = {name.lower(): name for name in MATPLOTLIB.split()}
    for key in sorted(catalog.unique_keys(prefer_short_names=False)):
        origin, _, name = key.partition(":")
        if origin in ORIGINS and not name.rpartition("_")[2].isdigit():
            names.setdefault(name.lower(), key)
    return "".join(f"{line}\n" for line in _lines(names, catalog))


def _lines(names: dict[str, str], catalog: Catalog) -> Iterator[str]:
    yield "# Written by docs/colormaps.py: name, kind, origin, stops."
    for name, key in sorted(names.items()):
        found = cmap.Colormap(key)
        origin = catalog[key].namespace
        yield f"{name} {found.category} {origin} {' '.join(stops(found))}"


def stops(colormap: cmap.Colormap) -> list[str]:
    """Return the fewest equally spaced stops that have the map's colours, straight in between.

    Of a map for classes they are its colours.
    """
    if colormap.category == "qualitative":
        return _hex(np.array([stop.color.rgba[:3] for stop in colormap.color_stops]) * 255)
    exact = sampled(colormap, _SAMPLES)
    for count in range(2, _SAMPLES):
        few = sampled(colormap, count).round()
        if np.abs(_between(few, _SAMPLES) - exact).max() <= MAX_ERROR:
            return _hex(few)
    return _hex(exact)


def sampled(colormap: cmap.Colormap, count: int) -> NDArray[np.float64]:
    """Return colours at equal distances, shape (count, 3), from 0 to 255."""
    return np.asarray(colormap(np.linspace(0, 1, count), N=4096))[:, :3] * 255


def _between(few: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    at, places = np.linspace(0, 1, count), np.linspace(0, 1, len(few))
    return np.stack([np.interp(at, places, few[:, channel]) for channel in range(3)], axis=-1)


def _hex(colors: NDArray[np.float64]) -> list[str]:
    return ["{:02x}{:02x}{:02x}".format(*map(int, each)) for each in colors.round()]


if __name__ == "__main__":
    FILE.write_text(text(), encoding="ascii")
