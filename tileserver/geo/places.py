"""Where assets lie, as maps need it: worked out once for each, never on the event loop.

PROJ may take minutes for a CRS it knows no way from. So only `Places` works places out, in threads
of its own; everything else about a layer is arithmetic with what has been found.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tileserver.concurrency.aside import Aside
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.contract.tiles import WEB_MERCATOR, native_zoom
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.completion import native_lattice
from tileserver.geo.extents import footprint, lonlat_bounds

LIMIT_S = 1.0
"""For one asset; it takes 15 ms."""
_THREADS = 4
"""PROJ is called with Python's global lock held: many more would hold up all the others."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an asset lies."""

    bounds: Box
    """Degrees; west > east when the antimeridian is crossed."""
    full_zoom: int
    """The zoom at which every pixel of the asset shows."""
    boxes: tuple[Box, ...]
    """In Web Mercator, together they hold the asset."""


_found: WeakKeyDictionary[ImageAsset, Place | UnreadableRaster] = WeakKeyDictionary()


def known_place(asset: ImageAsset) -> Place | None:
    """Return where an asset lies if that was worked out before, or None; asks PROJ nothing."""
    found = _found.get(asset)
    return found if isinstance(found, Place) else None


def place_of(asset: ImageAsset) -> Place:
    """Return where an asset lies; asks PROJ the first time, and may block for long then.

    Raises:
        UnreadableRaster: it lies nowhere on Earth.
    """
    found = _found.get(asset)
    if found is None:
        found = _found.setdefault(asset, _worked_out(asset))
    if isinstance(found, UnreadableRaster):
        raise UnreadableRaster(str(found))
    return found


def _worked_out(asset: ImageAsset) -> Place | UnreadableRaster:
    try:
        return Place(lonlat_bounds(asset), _full_zoom(asset), footprint(asset, WEB_MERCATOR))
    except UnreadableRaster as exc:
        return exc
    except InvalidRequest as exc:
        # Who asks for a tile has done nothing wrong.
        return UnreadableRaster(f"{asset.name}: its CRS cannot be used: {exc}")
    except (ArithmeticError, ValueError):
        return UnreadableRaster(
            f"{asset.name}: its grid has no place on Earth; expected a geotransform that fits "
            "its CRS."
        )


def _full_zoom(asset: ImageAsset) -> int:
    try:
        return native_zoom(native_lattice(asset, asset.common_grid, WEB_MERCATOR).scale_x)
    except InvalidRequest:
        return 0


class Places:
    """Works out where assets lie, in threads of its own."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """`limit_s` is for one asset."""
        self._aside: Aside[ImageAsset, Place] = Aside(place_of, _too_long, limit_s, _THREADS)

    async def find(self, asset: ImageAsset) -> Place:
        """Return where an asset lies.

        Raises:
            UnreadableRaster: it lies nowhere on Earth, or its CRS takes too long.
        """
        return known_place(asset) or await self._aside.call(asset)


def _too_long(asset: ImageAsset) -> UnreadableRaster:
    return UnreadableRaster(
        f"{asset.name}: its CRS takes too long to bring to longitude and latitude; expected one "
        "of the Earth. gdalwarp -t_srs EPSG:4326 makes a copy in another."
    )
