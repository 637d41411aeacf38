"""World files: six numbers that place the pixels of a raster.

The first four are the sides of a pixel, the last two the centre of the upper left one.
https://gdal.org/en/stable/drivers/raster/wld.html
"""

from __future__ import annotations

import math
import os

from rasterio import Affine

MAX_BYTES = 4096


def names_of(file: str) -> list[str]:
    """Return the names that the world file of a raster may have, in the order of GDAL.

    >>> names_of("scene.tif")
    ['scene.tfw', 'scene.TFW', 'scene.tifw', 'scene.TIFW', 'scene.wld', 'scene.WLD']
    """
    stem, suffix = os.path.splitext(file)
    letters = suffix[1:].lower()
    ends = [f"{letters[:1]}{letters[-1:]}w", f"{letters}w", "wld"]
    return [f"{stem}.{each}" for end in ends for each in (end, end.upper())]


def read_world_file(text: str) -> Affine:
    """Return the geotransform.

    Raises:
        ValueError: it has no six numbers.
    """
    numbers = [float(each) for each in text.replace(",", ".").split()[:6]]
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise ValueError("expected six numbers, a line each")
    a, d, b, e, x, y = numbers
    return Affine(a, b, x - a / 2 - b / 2, d, e, y - d / 2 - e / 2)
