"""Layers: an asset and its style, under a name.

A name in a URL is a configured layer, or an asset that the access rules allow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple, Protocol
from weakref import WeakKeyDictionary

import anyio

from tileserver.concurrency.retry_changed import ask_again
from tileserver.concurrency.single_flight import SingleFlight
from tileserver.contract.assets import MAX_COMPUTED_SAMPLES, ImageAsset
from tileserver.contract.drawn_tables import REACH_PX
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import Box, PixelGrid, Window
from tileserver.contract.names import Access, check_asset_name
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.processing import Processing
from tileserver.contract.true_color import is_picture
from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.expressions.document import Computed
from tileserver.geo.asset_extents import AssetExtents, extent_of, known_extent
from tileserver.geo.positions import parts_within
from tileserver.layers.declared_looks import declared_look
from tileserver.layers.defaults import declared_classes, default_bands, measured_look
from tileserver.layers.looks import Looks
from tileserver.layers.statistics import overview_request, percentiles
from tileserver.layers.steps import steps_over
from tileserver.layers.styles import Style

_NOT_IN_TAGS = re.compile(r"[^a-z0-9_-]+")
_SHOWN = 3
"""Names that an error lists."""
MIN_TAIL, MAX_TAIL = 2.0, 98.0
"""Percentiles of the values that an automatic stretch maps to black and white."""


class AssetMetadata(Protocol):
    """The part of an engine that layers use."""

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset, or raise AssetNotFound."""
        ...

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        ...

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        ...


@dataclass(frozen=True, slots=True)
class LayerDefinition:
    """A configured layer."""

    name: str
    asset_name: str
    title: str = ""
    description: str | None = None
    attribution: str | None = None
    style: Style = field(default=Style())
    processing: Processing | None = None
    """The processing of bands before they are drawn."""
    minzoom: int | None = None
    maxzoom: int | None = None
    is_visible: bool = True
    class_names: tuple[str, ...] = ()
    tiles_per_side: int | None = None
    """Tiles on a side of the blocks requested from Earth Engine; None is the server's default."""
    computed: Computed | None = None
    """The expression, if the image is computed; asset_name is then a virtual asset."""

    @property
    def display_title(self) -> str:
        """The title, or the last part of the name without one."""
        return self.title or self.name.rsplit("/", 1)[-1]

    @property
    def expression(self) -> str | None:
        """The expression of a computed image, as JSON."""
        return self.computed.expression if self.computed else None


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer with its asset, whose place on Earth is known, and a complete style."""

    definition: LayerDefinition
    asset: ImageAsset
    style: Style
    processing: Processing | None = None
    """The processing of bands before they are drawn, or None."""
    inputs: tuple[str, ...] = ()
    """The bands that are read, if the steps make others of them."""

    @property
    def name(self) -> str:
        """The name in URLs; may contain slashes."""
        return self.definition.name

    @property
    def title(self) -> str:
        """The title for people."""
        return self.definition.display_title

    @property
    def asset_name(self) -> str:
        """The full name of its asset."""
        return self.asset.name

    @property
    def no_place(self) -> str:
        """Why its place on Earth is not known; empty if it is."""
        return self.asset.no_place

    @property
    def bounds(self) -> Box:
        """Degrees; west > east across the antimeridian."""
        return extent_of(self.asset).bounds

    @property
    def minzoom(self) -> int:
        """The lowest zoom with tiles."""
        own = self.asset.mosaic.minzoom if self.asset.mosaic else 0
        return own if self.definition.minzoom is None else self.definition.minzoom

    @property
    def maxzoom(self) -> int:
        """The zoom of the asset's full resolution; higher ones only enlarge its pixels."""
        if self.definition.maxzoom is not None:
            return self.definition.maxzoom
        return max(self.full_zoom, self.minzoom)

    @property
    def full_zoom(self) -> int:
        """The zoom at which every pixel of the asset shows."""
        return extent_of(self.asset).full_zoom

    @property
    def version(self) -> str:
        """A token that changes with the pixels and with the style."""
        return _version(self.asset.name, self.asset.version, self.style, self.processing)

    def shows(self, grid: PixelGrid) -> bool:
        """Return whether a grid in EPSG:3857 may intersect the asset."""
        if self.asset.table is not None:
            # Marks and lines are wider than the features.
            sides = grid.width + 2 * REACH_PX, grid.height + 2 * REACH_PX
            grid = grid.window(Window(-REACH_PX, -REACH_PX, *sides))
        return bool(parts_within(extent_of(self.asset).boxes, grid))

    def request(
        self, grid: PixelGrid, file_format: ImageFileFormat, bands: Sequence[str] = ()
    ) -> PixelRequest:
        """Return the request for a grid: a picture in the layer's style, or raw values of `bands`.

        Raises:
            InvalidRequest: the style does not fit the bands.
        """
        is_picture = file_format.is_picture
        return PixelRequest(
            asset_id=self.asset.name,
            file_format=file_format,
            grid=grid,
            band_ids=self.read_bands(self.style.bands if is_picture else bands),
            visualization_options=self.style.options() if is_picture else None,
            workload_tag=workload_tag(self.name),
            asset_version=self.asset.version,
            expression=self.definition.expression,
            tiles_per_side=self.definition.tiles_per_side,
            processing=self.processing if is_picture else _of_raw(self.processing),
        )

    def read_bands(self, bands: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the bands to be read for some; all those that the steps need if they make them."""
        makes = self.processing.makes if self.processing else ()
        return self.inputs if makes else tuple(bands)

    def made_bands(self, bands: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the bands that come of reading some, or all."""
        makes = self.processing.makes if self.processing else ()
        return makes or tuple(bands) or self.asset.band_ids


def _makes(definition: LayerDefinition) -> tuple[str, ...]:
    """Return the ids of the bands that the layer's own processing makes."""
    return definition.processing.makes if definition.processing else ()


def _of_raw(processing: Processing | None) -> Processing | None:
    return None if processing is None else processing.of_raw


# Bounded: clients choose the style.
@lru_cache(maxsize=512)
def _version(
    asset_name: str, asset_version: str, style: Style, processing: Processing | None
) -> str:
    text = f"{asset_name} {asset_version} {style}"
    if processing is not None:
        text = f"{text} {processing}"
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


class Measured(NamedTuple):
    """Styles of bands after a look at their values."""

    stretch: Style
    """Their range alone."""
    look: Style
    """The same, and the colours of elevations or classes."""


class Layers:
    """The configured layers, and all readable assets by their names."""

    def __init__(
        self,
        definitions: Iterable[LayerDefinition],
        source: AssetMetadata,
        access: Access | None = None,
    ) -> None:
        """Find layers.

        Args:
            definitions: the configured layers.
            source: the engine of their assets.
            access: the assets that may be read by name; None is all.
        """
        self.replace(definitions)
        self.source = source
        self.access = access or Access()
        self.extents = AssetExtents()
        self._stretches: WeakKeyDictionary[ImageAsset, dict[tuple[str, ...], Measured]] = (
            WeakKeyDictionary()
        )
        self._looks = Looks(source.read_bands)
        self._measuring: SingleFlight[tuple[ImageAsset, tuple[str, ...]], Measured] = SingleFlight()

    def replace(self, definitions: Iterable[LayerDefinition]) -> None:
        """Have these configured layers in place of those before."""
        self.definitions = {definition.name: definition for definition in definitions}
        self._longer = _longer_names(self.definitions)

    def __contains__(self, name: object) -> bool:
        """Tell whether a name is that of a configured layer."""
        return name in self.definitions

    async def find(
        self, name: str, style: Style | None = None, steps: Processing | None = None
    ) -> Layer:
        """Return a layer by its name or its asset's, in `style` and with `steps` over its own.

        Raises:
            AssetNotFound: there is no such layer or asset, or access to it is denied.
            InvalidRequest: the style does not fit the asset's bands.
            UnreadableRaster: its file is damaged, or its grid is not on Earth.
            AssetChanged: its file changed during each of several attempts.
        """
        definition = self.definitions.get(name) or self._ad_hoc(name)
        return await ask_again(lambda: self._with_asset(name, definition, style, steps))

    async def _with_asset(
        self,
        name: str,
        definition: LayerDefinition,
        style: Style | None,
        steps: Processing | None,
    ) -> Layer:
        try:
            asset = await self.source.get_asset(definition.asset_name)
        except AssetNotFound as exc:
            raise AssetNotFound(name) from exc
        # The properties of a layer need its place; only the first request waits for PROJ.
        if known_extent(asset) is None:
            await self.extents.find(asset)
        processing = steps_over(definition.processing, steps) or Processing()
        relief = processing.relief
        # Without relief is as if nothing was said of it.
        processing = replace(processing, relief=relief or None)
        if processing.changes_looks:
            return await self._processed(definition, asset, style or Style(), processing)
        base = definition.style if not _makes(definition) else Style()
        wanted = base if style is None else style.over(base)
        complete = await self._completed(asset, wanted)
        if relief and len(complete.bands) != 1:
            raise InvalidRequest(
                f"relief: shades one band of elevations, got {len(complete.bands)} bands"
            )
        if relief is None and self._is_shaded(asset, wanted, complete):
            processing = replace(processing, relief=True)
        return Layer(definition, asset, complete, processing.effective)

    def _is_shaded(self, asset: ImageAsset, wanted: Style, complete: Style) -> bool:
        """Tell whether a style is that of elevations, which nothing but themselves has chosen."""
        if wanted.bands or wanted.has_range or wanted.palette or not complete.palette:
            return False
        # Elsewhere the pixels around a tile are one more computation, or one more request.
        is_file = asset.max_samples > MAX_COMPUTED_SAMPLES
        measured = self._stretches.get(asset, {}).get(complete.bands)
        is_same = measured is not None and measured.look.palette == complete.palette
        return is_file and is_same and not complete.classes

    async def _processed(
        self, definition: LayerDefinition, asset: ImageAsset, style: Style, steps: Processing
    ) -> Layer:
        base = definition.style if _makes(definition) == steps.makes else None
        look = await self._looks.completed(asset, style, base, steps)
        processing = look.processing.effective
        return Layer(definition, asset, look.style, processing, look.inputs)

    def is_current(self, layer: Layer) -> bool:
        """Return whether `find` would return the same layer now, without waiting."""
        return self.source.known_asset(layer.asset.name) is layer.asset

    def may_read(self, asset_name: str) -> bool:
        """Return whether an asset may be read by its own name."""
        return self.access.may_read(asset_name)

    def _ad_hoc(self, name: str) -> LayerDefinition:
        if longer := self._longer.get(name):
            raise AssetNotFound(name, f"expected one of {', '.join(longer[:_SHOWN])}")
        try:
            asset_name = check_asset_name(name)
        except InvalidRequest as exc:
            raise AssetNotFound(name) from exc
        if not self.may_read(asset_name):
            raise AssetNotFound(name)
        return LayerDefinition(name, asset_name)

    async def _completed(self, asset: ImageAsset, style: Style) -> Style:
        """Return a style with bands and a range, taken from the asset where it has none."""
        asset.indexes(style.bands)
        if style.has_range and style.bands:
            return style
        if style.bands and len(style.bands) not in (1, 3):
            return style
        is_plain = not (style.bands or style.has_range or style.palette)
        if is_plain and (classes := declared_classes(asset)):
            return style.over(classes)
        if is_plain and (look := declared_look(asset)):
            return await self._completed(asset, style.over(look))
        bands = style.bands or default_bands(asset)
        if style.has_range:
            return style.over(Style(bands))
        if is_picture(asset, bands):
            return style.over(Style(bands, (0.0,), (255.0,)))
        measured = await self._measured(asset, bands)
        return style.over(measured.look if is_plain else measured.stretch)

    async def _measured(self, asset: ImageAsset, bands: tuple[str, ...]) -> Measured:
        """Return the range of bands between two percentiles, measured once for each asset."""
        held = self._stretches.setdefault(asset, {})
        if bands not in held:
            held[bands] = await self._measuring.join(
                (asset, bands), lambda: self._measure(asset, bands)
            )
        return held[bands]

    async def _measure(self, asset: ImageAsset, bands: tuple[str, ...]) -> Measured:
        request = replace(overview_request(asset, bands), is_sample=True)
        arrays = await self.source.read_bands(request)

        def measure() -> Measured:
            lows, highs = zip(*percentiles(arrays, MIN_TAIL, MAX_TAIL), strict=True)
            stretch = Style(bands, lows, highs)
            return Measured(stretch, measured_look(asset, arrays, stretch))

        return await anyio.to_thread.run_sync(measure)


@lru_cache(maxsize=4096)
def workload_tag(layer_name: str) -> str | None:
    """Return a layer's name as a workload tag of Earth Engine, or None if no character is valid.

    >>> workload_tag("Sacramento Delta/2020")
    'sacramento-delta-2020'
    """
    return _NOT_IN_TAGS.sub("-", layer_name.lower())[:63].strip("-_") or None


def _longer_names(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names that end in each name."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.rpartition("/")[2], []).append(name)
    return {short: longer for short, longer in found.items() if short not in longer}
