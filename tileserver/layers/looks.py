"""Completes the style of a layer with processing: its bands, its range and its curve."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

import anyio
import numpy as np
from cachetools import LRUCache

from tileserver.contract.assets import ImageAsset
from tileserver.contract.drawing import Curve, RangeRule, Shading, Stretch
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.contract.true_color import is_picture
from tileserver.errors import InvalidRequest
from tileserver.layers.defaults import declared_classes, default_bands
from tileserver.layers.statistics import finite_values, overview_request, percentiles, rounded
from tileserver.layers.steps import check_fitting
from tileserver.layers.styles import Style
from tileserver.rendering.colormaps import named_palette

_KEPT = 512
_QUANTILES = 257
_SAMPLES = 1_000_000
"""Pixels of the pyramid level that ranges are measured on, at most."""
_DEFAULT = Stretch()
_USUAL: dict[str, Style] = {
    "hillshade": Style(min=(0.0,), max=(255.0,)),
    "slope": Style(min=(0.0,), max=(90.0,)),
    "aspect": Style(min=(0.0,), max=(360.0,)),
    "contours": Style(min=(0.0,), max=(1.0,), palette=("8b4513",)),
    "similarity": Style(min=(-1.0,), max=(1.0,), palette=named_palette("viridis") or ()),
}
"""How bands that steps make are drawn where nothing is said of it."""
Read = Callable[[PixelRequest], Awaitable[BandArrays]]


class Look(NamedTuple):
    """A complete style and steps."""

    style: Style
    """Of the bands that are drawn."""
    processing: Processing
    inputs: tuple[str, ...]
    """The bands that are read for them; none leaves it to the steps."""


class Measured(NamedTuple):
    """The ranges of bands, and the quantiles that their curve needs."""

    lows: tuple[float, ...]
    highs: tuple[float, ...]
    quantiles: tuple[tuple[float, ...], ...] = ()


class Looks:
    """Completes styles from samples of processed bands, measured once each."""

    def __init__(self, read: Read) -> None:
        """Read samples by `read`."""
        self._read = read
        self._held: LRUCache[object, Measured] = LRUCache(_KEPT)

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
        check_fitting(steps)
        if steps.algorithm is not None and steps.algorithm.is_color:
            _check_plain(own, steps)
            base = None
        wanted = own if base is None else own.over(base)
        if not steps.makes:
            asset.indexes(wanted.bands)
        if steps.stretch and not own.has_range:
            wanted = replace(wanted, min=(), max=())
        wanted, inputs = _with_bands(asset, own, _as_it_is(asset, wanted, steps), steps)
        if steps.classes:
            plain = Style(wanted.bands, opacity=wanted.opacity)
            return Look(plain, replace(steps, stretch=None), inputs)
        return await self._with_range(asset, wanted, inputs, steps)

    async def _with_range(
        self, asset: ImageAsset, wanted: Style, inputs: tuple[str, ...], steps: Processing
    ) -> Look:
        stretch = steps.stretch or _DEFAULT
        is_equalized = stretch.curve is Curve.EQUALIZE
        if is_equalized and wanted.has_range:
            raise InvalidRequest("stretch: equalize goes not with min and max")
        shading = steps.shading
        is_color = steps.algorithm is not None and steps.algorithm.is_color
        if not wanted.has_range and not is_color and len(wanted.bands) in (1, 3):
            found = await self._measured(asset, inputs, steps.of_values, stretch)
            wanted = replace(wanted, min=found.lows, max=found.highs)
            shading = Shading(Curve.EQUALIZE, found.quantiles) if is_equalized else shading
        if stretch.curve is Curve.SQRT:
            # The square root is what a gamma of 2 draws.
            wanted = replace(wanted, gamma=2 * (wanted.gamma or 1.0))
        if stretch.curve is Curve.LOG:
            shading = Shading(Curve.LOG)
        return Look(wanted, replace(steps, stretch=None, shading=shading), inputs)

    async def _measured(
        self,
        asset: ImageAsset,
        inputs: tuple[str, ...],
        steps: Processing | None,
        stretch: Stretch,
    ) -> Measured:
        steps = replace(steps, clip=None).effective if steps else None
        key = asset.name, asset.version, inputs, steps, stretch
        if key not in self._held:
            request = replace(overview_request(asset, inputs, _SAMPLES), is_sample=True)
            bands = await self._read(replace(request, processing=steps))
            self._held[key] = await anyio.to_thread.run_sync(measured, bands, stretch)
        return self._held[key]


def _as_it_is(asset: ImageAsset, wanted: Style, steps: Processing) -> Style:
    """Return a style with the colours of classes, or the range of a photograph, if it is one's."""
    if steps.makes or steps.stretch or steps.classes or steps.unscale or wanted.has_range:
        return wanted
    if not wanted.bands and not wanted.palette and (classes := declared_classes(asset)):
        return wanted.over(classes)
    bands = wanted.bands or default_bands(asset)
    return wanted.over(Style(bands, (0.0,), (255.0,))) if is_picture(asset, bands) else wanted


def _check_plain(own: Style, steps: Processing) -> None:
    if own.has_range or own.palette or own.gamma is not None or steps.stretch or steps.classes:
        raise InvalidRequest(
            f"algorithm: {steps.algorithm} has colours of its own; "
            "expected no min, max, palette, gamma, stretch or colormap"
        )


def _with_bands(
    asset: ImageAsset, own: Style, wanted: Style, steps: Processing
) -> tuple[Style, tuple[str, ...]]:
    """Return the style with the bands that are drawn, and those that are read for them."""
    if steps.makes:
        is_formula = steps.expression is not None
        if own.bands and is_formula:
            raise InvalidRequest("bands: an expression names its bands itself")
        inputs = () if is_formula else _inputs(asset, wanted.bands, steps)
        made = replace(wanted, bands=steps.makes)
        usual = _USUAL.get(steps.makes[0])
        if usual is not None and not steps.classes and not steps.stretch:
            made = made.over(replace(usual, bands=steps.makes))
        return made, inputs
    bands = wanted.bands or default_bands(asset)
    if steps.classes and not wanted.bands:
        bands = bands[:1]
    if steps.relief and len(bands) != 1:
        raise InvalidRequest(f"relief: shades one band of elevations, got {len(bands)} bands")
    return replace(wanted, bands=bands), bands


def _inputs(asset: ImageAsset, bands: tuple[str, ...], steps: Processing) -> tuple[str, ...]:
    asset.indexes(bands)
    if steps.like is not None:
        return bands or asset.band_ids
    if len(bands) > 1:
        raise InvalidRequest(f"bands: {steps.algorithm} is made of one band, got {len(bands)}")
    return bands or asset.band_ids[:1]


def measured(bands: BandArrays, stretch: Stretch) -> Measured:
    """Return the ranges of bands by the rule of a stretch, each with its max above its min."""
    if stretch.rule is RangeRule.PERCENTILE:
        ends = percentiles(bands, stretch.low, stretch.high)
    else:
        ends = [_ends(bands, i, stretch) for i in range(len(bands.ids))]
    lows, highs = zip(*ends, strict=True)
    if stretch.curve is not Curve.EQUALIZE:
        return Measured(lows, highs)
    return Measured(lows, highs, tuple(_quantiles(bands, i) for i in range(len(bands.ids))))


def _ends(bands: BandArrays, index: int, stretch: Stretch) -> tuple[float, float]:
    values = finite_values(bands, index)
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if stretch.rule is RangeRule.STDDEV:
        samples = values.astype(np.float64)
        mean, deviation = float(samples.mean()), float(samples.std())
        low = rounded(mean - stretch.low * deviation)
        high = rounded(mean + stretch.high * deviation)
    return (low, high) if low < high else (low, low + max(1.0, abs(low) * 1e-6))


def _quantiles(bands: BandArrays, index: int) -> tuple[float, ...]:
    values = finite_values(bands, index)
    if not values.size:
        return (0.0, 1.0)
    shares = np.linspace(0, 100, _QUANTILES)
    return tuple(np.percentile(values.astype(np.float64), shares).tolist())
