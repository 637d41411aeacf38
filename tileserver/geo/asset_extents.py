"""Where assets lie, as maps need it: worked out once for each, never on the event loop.

PROJ may take minutes for a CRS it knows no way from. So only `AssetExtents` computes extents, in
threads of its own; everything else about a layer is arithmetic with what has been found.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tileserver.concurrency.limited_calls import LimitedCalls
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box, PixelGrid
from tileserver.contract.tiles import WEB_MERCATOR, native_zoom
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.completion import native_lattice
from tileserver.geo.extents import footprint, lonlat_bounds

LIMIT_S = 3.0
"""For one asset; it takes 15 to 400 ms on an idle machine."""
_THREADS = 4
"""PROJ is called with Python's global lock held: many more would hold up all the others."""


@dataclass(frozen=True, slots=True)
class AssetExtent:
    """Where an asset lies."""

    bounds: Box
    """Degrees; west > east when the antimeridian is crossed."""
    full_zoom: int
    """The zoom at which every pixel of the asset shows."""
    boxes: tuple[Box, ...]
    """In Web Mercator, together they hold the asset."""


_found: WeakKeyDictionary[ImageAsset, AssetExtent | UnreadableRaster] = WeakKeyDictionary()


def known_extent(asset: ImageAsset) -> AssetExtent | None:
    """Return where an asset lies if that was worked out before, or None; asks PROJ nothing."""
    found = _found.get(asset)
    return found if isinstance(found, AssetExtent) else None


def extent_of(asset: ImageAsset) -> AssetExtent:
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


def _worked_out(asset: ImageAsset) -> AssetExtent | UnreadableRaster:
    try:
        return AssetExtent(lonlat_bounds(asset), _full_zoom(asset), footprint(asset, WEB_MERCATOR))
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
    """Return the zoom of the finest band."""
    return max(_zoom_of(asset, grid) for grid in asset.grids)


def _zoom_of(asset: ImageAsset, grid: PixelGrid) -> int:
    try:
        return native_zoom(native_lattice(asset, grid, WEB_MERCATOR).scale_x)
    except InvalidRequest:
        return 0


class AssetExtents:
    """Works out where assets lie, in threads of its own."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """`limit_s` is for one asset."""
        self._calls: LimitedCalls[ImageAsset, AssetExtent] = LimitedCalls(
            extent_of, _too_long, limit_s, _THREADS
        )

    async def find(self, asset: ImageAsset) -> AssetExtent:
        """Return where an asset lies.

        Raises:
            UnreadableRaster: it lies nowhere on Earth, or its CRS takes too long.
        """
        return known_extent(asset) or await self._calls.call(asset)


def _too_long(asset: ImageAsset) -> UnreadableRaster:
    return UnreadableRaster(
        f"{asset.name}: its CRS takes too long to bring to longitude and latitude; expected one "
        "of the Earth. gdalwarp -t_srs EPSG:4326 makes a copy in another."
    )
