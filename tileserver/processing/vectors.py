"""The bands of single pixels, which others are compared with; read once for all tiles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import BandArrays, Geometry, PixelRequest
from tileserver.errors import InvalidRequest

_KEPT = 1024
Vector = NDArray[np.float64]


class Vectors:
    """Vectors of pixels, those of the latest places kept."""

    def __init__(self) -> None:
        self._held: LRUCache[PixelRequest, Vector] = LRUCache(_KEPT)

    async def find(
        self,
        request: PixelRequest,
        asset: ImageAsset,
        read: Callable[[PixelRequest], Awaitable[BandArrays]],
    ) -> Vector:
        """Return the values of a request's bands at the place that it compares with.

        Raises:
            InvalidRequest: a band is masked there, or all are zero.
        """
        steps = request.processing
        assert steps is not None
        assert steps.like is not None
        alone = replace(steps.of_values or steps, like=None, threshold=None, clip=None).effective
        place = Geometry("Point", steps.like)
        pixel = replace(request, grid=None, region=place, processing=alone)
        pixel = replace(pixel, asset_version=asset.version)
        if pixel not in self._held:
            self._held[pixel] = _vector(await read(pixel), steps.like)
        return self._held[pixel]


def _vector(bands: BandArrays, place: tuple[float, float]) -> Vector:
    values = bands.values[:, 0, 0].astype(np.float64)
    is_known = bool(bands.valid.all()) and bool(np.isfinite(values).all()) and bool(values.any())
    if not is_known:
        lon, lat = place
        raise InvalidRequest(
            f"like: there are no values at {lon:g},{lat:g}; expected the longitude and latitude of "
            "a pixel of the layer that is not masked"
        )
    return values
