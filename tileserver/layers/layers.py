"""Layers: an asset and how it is drawn, under a name of their own.

A name in a URL is a layer of the configuration, or any asset the server may read.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol
from weakref import WeakKeyDictionary

import anyio

from tileserver.concurrency.changes import ask_again
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import Box
from tileserver.contract.names import Access, check_asset_name
from tileserver.contract.pixels import BandArrays, ImageFileFormat, PixelGrid, PixelRequest
from tileserver.errors import AssetNotFound, InvalidRequest, TileserverError
from tileserver.expressions.document import Computed
from tileserver.geo.places import Places, place_of
from tileserver.geo.positions import parts_within
from tileserver.layers.statistics import overview_request, percentiles
from tileserver.layers.styles import Style

log = logging.getLogger(__name__)

_NOT_IN_TAGS = re.compile(r"[^a-z0-9_-]+")
_PATIENCE_S = 10.0
MIN_TAIL, MAX_TAIL = 2.0, 98.0
"""Percentiles that an automatic stretch maps to black and white."""


class AssetSource(Protocol):
    """What layers need of an engine."""

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset, or raise AssetNotFound."""
        ...

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        ...


@dataclass(frozen=True, slots=True)
class LayerDefinition:
    """A layer as it is configured."""

    name: str
    asset_name: str
    title: str = ""
    description: str | None = None
    attribution: str | None = None
    style: Style = field(default=Style())
    minzoom: int | None = None
    maxzoom: int | None = None
    is_visible: bool = True
    class_names: tuple[str, ...] = ()
    tiles_per_side: int | None = None
    """Of the blocks in which Earth Engine is asked; None is the server's own."""
    computed: Computed | None = None
    """What to compute, if it is no stored image; asset_name is then one made up for it."""

    @property
    def shown_title(self) -> str:
        """What a person reads."""
        return self.title or self.name.rsplit("/", 1)[-1]

    @property
    def expression(self) -> str | None:
        """What to compute, as JSON."""
        return self.computed.expression if self.computed else None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose asset was found and placed, and whose style leaves nothing open."""

    definition: LayerDefinition
    asset: ImageAsset
    style: Style

    @property
    def name(self) -> str:
        """The name in URLs; it may hold slashes."""
        return self.definition.name

    @property
    def title(self) -> str:
        """What a person reads."""
        return self.definition.shown_title

    @property
    def bounds(self) -> Box:
        """Degrees; west > east when the antimeridian is crossed."""
        return place_of(self.asset).bounds

    @property
    def minzoom(self) -> int:
        """The first zoom worth asking for."""
        return self.definition.minzoom or 0

    @property
    def maxzoom(self) -> int:
        """The zoom at which every pixel of the asset shows; deeper ones only enlarge it."""
        if self.definition.maxzoom is not None:
            return self.definition.maxzoom
        return max(place_of(self.asset).full_zoom, self.minzoom)

    @property
    def version(self) -> str:
        """A token that changes whenever the pixels or the style do."""
        return _version(self.asset.name, self.asset.version, self.style)

    def shows(self, grid: PixelGrid) -> bool:
        """Tell whether any of the asset may lie on a grid in Web Mercator."""
        return bool(parts_within(place_of(self.asset).boxes, grid))

    def request(
        self, grid: PixelGrid, file_format: ImageFileFormat, bands: Sequence[str] = ()
    ) -> PixelRequest:
        """Return the request for a grid: a picture in the layer's style, or raw bands.

        Raises:
            InvalidRequest: the style does not fit the bands.
        """
        is_picture = file_format.is_picture
        return PixelRequest(
            asset_id=self.asset.name,
            file_format=file_format,
            grid=grid,
            band_ids=self.style.bands if is_picture else tuple(bands),
            visualization_options=self.style.options() if is_picture else None,
            workload_tag=workload_tag(self.name),
            asset_version=self.asset.version,
            expression=self.definition.expression,
            tiles_per_side=self.definition.tiles_per_side,
        )


# Strangers choose the style, up to a URL long.
@lru_cache(maxsize=512)
def _version(asset_name: str, asset_version: str, style: Style) -> str:
    text = f"{asset_name} {asset_version} {style}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class Failure:
    """A layer that cannot be shown."""

    name: str
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class LayerPage:
    """Some of the configured layers, in their order."""

    layers: list[Layer]
    failures: list[Failure]
    """Those that cannot be shown."""
    after: str | None
    """The name to go on after, if there are more."""


class Layers:
    """All layers: those configured, and any asset that may be read, by its name."""

    def __init__(
        self,
        definitions: Iterable[LayerDefinition],
        source: AssetSource,
        access: Access | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Find layers.

        Args:
            definitions: those configured.
            source: has their assets.
            access: which assets may be read by name; without it all may.
            patience_s: how long a list waits for a layer.
        """
        self.definitions = {definition.name: definition for definition in definitions}
        self.source = source
        self.access = access or Access()
        self.patience_s = patience_s
        self.places = Places()
        self._stretches: WeakKeyDictionary[ImageAsset, dict[tuple[str, ...], Style]] = (
            WeakKeyDictionary()
        )
        self._flights: SingleFlight[tuple[ImageAsset, tuple[str, ...]], Style] = SingleFlight()
        self._finding: SingleFlight[str, Layer] = SingleFlight()
        self._told: dict[str, str] = {}

    async def find(self, name: str, style: Style | None = None) -> Layer:
        """Return a layer by its name or its asset's, drawn in its own style or in `style`.

        Raises:
            AssetNotFound: there is no such layer or asset, or it may not be read.
            InvalidRequest: the style does not fit the asset's bands.
            UnreadableRaster: the file behind it is damaged, or lies nowhere on Earth.
            AssetChanged: its file changes all the time.
        """
        definition = self.definitions.get(name) or self._ad_hoc(name)
        return await ask_again(lambda: self._found(name, definition, style))

    async def _found(self, name: str, definition: LayerDefinition, style: Style | None) -> Layer:
        try:
            asset = await self.source.get_asset(definition.asset_name)
        except AssetNotFound as exc:
            raise AssetNotFound(name) from exc
        # From here on where it lies is known: asking a layer for it never asks PROJ.
        await self.places.find(asset)
        wanted = definition.style if style is None else style.over(definition.style)
        return Layer(definition, asset, await self._completed(asset, wanted))

    async def page(self, after: str | None, limit: int) -> LayerPage:
        """Return the configured layers that follow one.

        Each fails alone, with its reason. Those that are not ready in time are told as such, and
        are made ready all the same for whoever asks next.

        Raises:
            InvalidRequest: there is no layer named `after`.
        """
        names = list(self.definitions)
        if after is not None and after not in self.definitions:
            raise InvalidRequest(f"after: there is no layer named {after[:80]!r}")
        first = 0 if after is None else names.index(after) + 1
        chosen = names[first : first + limit]
        found = await asyncio.gather(*map(self._layer_or_failure, chosen))
        return LayerPage(
            [each for each in found if isinstance(each, Layer)],
            [each for each in found if isinstance(each, Failure)],
            chosen[-1] if first + limit < len(names) else None,
        )

    async def _layer_or_failure(self, name: str) -> Layer | Failure:
        """Return a layer, or why it cannot be shown; the log tells, too."""
        self._finding.keep(name, lambda: self.find(name))
        try:
            async with asyncio.timeout(self.patience_s):
                layer = await self._finding.join(name, lambda: self.find(name))
        except TileserverError as exc:
            reason = " ".join(str(exc).split())
        except TimeoutError:
            reason = f"It was not ready after {self.patience_s:g} s; it may be when asked again."
        except Exception:
            # A mistake of ours, and no reason to withhold the others.
            reason = "An internal error has occurred; the log of the server tells more."
            log.exception("layer %s failed", name)
        else:
            self._told.pop(name, None)
            return layer
        self._tell(name, reason)
        definition = self.definitions[name]
        return Failure(name, definition.shown_title, reason)

    def _tell(self, name: str, reason: str) -> None:
        """Log why a layer is left out: once, until the reason is another or it was shown."""
        if self._told.get(name) != reason:
            self._told[name] = reason
            log.warning("layer %s is left out: %s", name, reason)

    def may_read(self, asset_name: str) -> bool:
        """Tell whether an asset may be read by its own name."""
        return self.access.may_read(asset_name)

    def _ad_hoc(self, name: str) -> LayerDefinition:
        try:
            asset_name = check_asset_name(name)
        except InvalidRequest as exc:
            raise AssetNotFound(name) from exc
        if not self.may_read(asset_name):
            raise AssetNotFound(name)
        return LayerDefinition(name, asset_name)

    async def _completed(self, asset: ImageAsset, style: Style) -> Style:
        """Return a style with bands and a range, from the asset where none are given."""
        asset.indexes(style.bands)
        if style.has_range and style.bands:
            return style
        if style.bands and len(style.bands) not in (1, 3):
            return style
        if not style.bands and asset.color_table and not style.has_range and not style.palette:
            return style.over(_classes(asset))
        bands = style.bands or asset.band_ids[: 3 if len(asset.band_ids) >= 3 else 1]
        if style.has_range:
            return style.over(Style(bands))
        return style.over(await self._stretch(asset, bands))

    async def _stretch(self, asset: ImageAsset, bands: tuple[str, ...]) -> Style:
        """Return the range of bands between two percentiles, measured once an asset."""
        held = self._stretches.setdefault(asset, {})
        if bands not in held:
            held[bands] = await self._flights.join(
                (asset, bands), lambda: self._measure(asset, bands)
            )
        return held[bands]

    async def _measure(self, asset: ImageAsset, bands: tuple[str, ...]) -> Style:
        arrays = await self.source.read_bands(overview_request(asset, bands))
        tails = await anyio.to_thread.run_sync(percentiles, arrays, MIN_TAIL, MAX_TAIL)
        lows, highs = zip(*tails, strict=True)
        return Style(bands, lows, highs)


@lru_cache(maxsize=4096)
def workload_tag(layer_name: str) -> str | None:
    """Return a layer's name as Earth Engine's accounting takes it, or None if nothing is left.

    >>> workload_tag("Sacramento Delta/2020")
    'sacramento-delta-2020'
    """
    return _NOT_IN_TAGS.sub("-", layer_name.lower())[:63].strip("-_") or None


def automatic_layers(asset_names: Iterable[str], taken: Iterable[str]) -> list[LayerDefinition]:
    """Return a layer for each asset, named after its file; of two, the second by its path."""
    used = set(taken)
    definitions = []
    for asset_name in asset_names:
        path = asset_name.partition("/assets/")[2] or asset_name
        short = path.rsplit("/", 1)[-1]
        name = next(each for each in (short, path, asset_name) if each not in used)
        used.add(name)
        definitions.append(LayerDefinition(name, asset_name))
    return definitions


def _classes(asset: ImageAsset) -> Style:
    table = asset.color_table
    return Style(asset.band_ids[:1], (0.0,), (len(table) - 1.0,), table)
