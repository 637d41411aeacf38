"""How a layer is drawn whose bands are worked on first: its bands and its range."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import anyio
from cachetools import LRUCache

from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.errors import InvalidRequest
from tileserver.layers.defaults import default_bands
from tileserver.layers.statistics import overview_request, percentiles
from tileserver.layers.styles import Style

TAILS = 2.0, 98.0
_KEPT = 512
Read = Callable[[PixelRequest], Awaitable[BandArrays]]


class Look(NamedTuple):
    """A complete style and steps."""

    style: Style
    """Of the bands that are drawn."""
    processing: Processing
    inputs: tuple[str, ...]
    """The bands that are read for them; none leaves it to the steps."""


class Looks:
    """Completes styles from samples of what steps make, measured once each."""

    def __init__(self, read: Read) -> None:
        """Read samples by `read`."""
        self._read = read
        self._held: LRUCache[object, list[tuple[float, float]]] = LRUCache(_KEPT)

    async def completed(
        self, asset: ImageAsset, own: Style, base: Style | None, steps: Processing
    ) -> Look:
        """Return how an asset is drawn after steps.

        Args:
            asset: the image.
            own: the style of the request.
            base: that of the layer, if it is for what the steps make.
            steps: what is done.

        Raises:
            InvalidRequest: the style does not fit the bands.
        """
        wanted = own if base is None else own.over(base)
        inputs: tuple[str, ...] = ()
        if steps.makes:
            if own.bands:
                raise InvalidRequest("bands: an expression names its bands itself")
            wanted = replace(wanted, bands=steps.makes)
        else:
            asset.indexes(wanted.bands)
            inputs = wanted.bands or default_bands(asset)
            wanted = replace(wanted, bands=inputs)
        if not wanted.has_range and len(wanted.bands) in (1, 3):
            tails = await self._tails(asset, inputs, replace(steps, resampling=None))
            lows, highs = zip(*tails, strict=True)
            wanted = replace(wanted, min=lows, max=highs)
        return Look(wanted, steps, inputs)

    async def _tails(
        self, asset: ImageAsset, inputs: tuple[str, ...], steps: Processing
    ) -> list[tuple[float, float]]:
        key = asset.name, asset.version, inputs, steps
        if key not in self._held:
            request = replace(overview_request(asset, inputs), is_sample=True)
            bands = await self._read(replace(request, processing=steps.effective))
            self._held[key] = await anyio.to_thread.run_sync(percentiles, bands, *TAILS)
        return self._held[key]
