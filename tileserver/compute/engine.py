"""The engine of expressions: their pixels, values and descriptions.

    expression ─ graph ─► Image (nodes, nothing read) ─ plan ─► BandArrays ─ encode ─► bytes

The graph of an expression is evaluated once and kept; each requested grid is a small plan.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from tileserver.compute import algorithms as algorithms
from tileserver.compute.algorithms.image.array_bands import first_elements
from tileserver.compute.budget import COMPUTING_S, Budget, timed_out
from tileserver.compute.context import Context, World, check_length
from tileserver.compute.graph import assets_named, evaluate
from tileserver.compute.image_cache import ImageCache
from tileserver.compute.lanes import Lanes
from tileserver.compute.pixels.plan import compute
from tileserver.compute.planned import (
    PlannedImage,
    PlannedTable,
    batch_budget,
    planned_image,
    planned_table,
)
from tileserver.compute.registry import algorithms_document, as_invalid_request
from tileserver.compute.values.image import Band, Image, as_asset
from tileserver.compute.values.to_json import features_json, to_json
from tileserver.concurrency.time_limit import checked
from tileserver.contract.assets import ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.pixels import BandArrays, PixelRequest, check_limits
from tileserver.errors import AssetChanged, AssetNotFound, InvalidRequest, UpstreamError
from tileserver.expressions.description import computed_asset
from tileserver.expressions.document import Computed, from_text
from tileserver.expressions.table_pictures import as_picture, placed_table
from tileserver.geo.completion import complete
from tileserver.rendering.encoders import encode

_THREADS = 4
_MOST_ASSETS = 5000
"""Assets that one expression may name."""
_LATE_S = 0.25
"""Time past the deadline for a thread to stop by itself."""
_CALL_BYTES = 500
"""Estimated memory of an evaluated image for each call in its expression."""
_RECHECK_S = 2.0
_PARSED_CHARACTERS = 1_000_000
"""Total length of the expressions whose JSON is kept; parsed, it takes up to 30 times as much."""

A = TypeVar("A")
T = TypeVar("T")


class Computing:
    """A `PixelSource` and `BandSource` of expressions, which also evaluates them to JSON."""

    def __init__(
        self,
        world: World,
        threads: int = _THREADS,
        deadline_s: float = COMPUTING_S,
        computed: Mapping[str, Computed] | None = None,
    ) -> None:
        """Compute expressions.

        Args:
            world: the assets they may read.
            threads: for long computations; short ones have two more.
            deadline_s: for one request.
            computed: the expressions of layers, by the names of their virtual assets.
        """
        self.world = world
        self.computed = {} if computed is None else computed
        self.deadline_s = deadline_s
        self._lanes = Lanes(threads)
        self._images = ImageCache()
        self._parsed: LRUCache[str, _Parsed] = LRUCache(
            _PARSED_CHARACTERS, lambda each: each.characters
        )
        self._parsing = Lock()
        self._assets: dict[str, tuple[ImageAsset, float]] = {}

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels of the image of a request's expression.

        Raises:
            InvalidRequest: its value is not an image, or cannot be computed; says why.
            AssetNotFound: the asset of that name is not an expression.
        """
        return await self._in_thread(self.pixels, request, request.expression or request.asset_id)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid; raises as `get_pixels`."""
        return await self._in_thread(self.bands, request, request.expression or request.asset_id)

    async def value(self, expression: str) -> Any:
        """Return the `getInfo` JSON of an expression's value; raises as `get_pixels`."""
        return await self._in_thread(self._value, expression, expression)

    async def features(self, expression: str) -> list[dict[str, Any]]:
        """Return the features that a collection has, as GeoJSON; raises as `get_pixels`."""
        return await self._in_thread(self._features, expression, expression)

    async def version(self, expression: str) -> str:
        """Return a token that changes when any asset changes that an expression names."""
        return await self._in_thread(self._version, expression, expression)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return the image of a layer's expression as an asset.

        Raises:
            AssetNotFound: no layer has a virtual asset of that name.
            UpstreamError: its value is not an image, or cannot be computed.
        """
        computed = self.computed.get(name)
        if computed is None:
            raise AssetNotFound(name)
        # A tile that is in the cache must not wait for a thread.
        if known := self.known_asset(name):
            return known
        return await self._in_thread(partial(self._described, name), computed, name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset if the assets of its expression were checked recently, else None."""
        held = self._assets.get(name)
        return held[0] if held and time.monotonic() - held[1] < _RECHECK_S else None

    def _described(self, name: str, computed: Computed, budget: Budget) -> ImageAsset:
        version = self._version(computed.expression, budget)
        held = self._assets.get(name)
        if held is not None and held[0].version == version:
            self._assets[name] = held[0], time.monotonic()
            return held[0]
        if computed.table is not None:
            computed = placed_table(name, computed, self.world.find_table(computed.table.name))
        try:
            description = self._value(computed.expression, budget)
        except (AssetNotFound, InvalidRequest) as exc:
            # The request for a tile is valid; the configured expression is not.
            raise UpstreamError(f"{name}: the expression cannot be computed: {exc}") from exc
        self._check_unchanged(computed.expression, version, budget)
        asset = computed_asset(name, computed, description)
        asset = replace(as_picture(asset, computed.table), version=version)
        self._assets[name] = asset, time.monotonic()
        return asset

    def _version(
        self, expression: str, budget: Budget | None = None, max_age_s: float | None = None
    ) -> str:
        named = self._parse(expression).asset_ids
        check_length(len(named), _MOST_ASSETS, "assets")
        states = " ".join(self._state(asset_id, budget, max_age_s) for asset_id in named)
        return hashlib.blake2b(f"{expression} {states}".encode(), digest_size=8).hexdigest()

    def _parse(self, expression: str) -> _Parsed:
        """Return an expression parsed; its version, value and pixels share one parse."""
        with self._parsing:
            parsed = self._parsed.get(expression)
        if parsed is None:
            document = from_text(expression)
            parsed = _Parsed(document, sorted(assets_named(document)), len(expression))
            # LRUCache refuses what is larger than all of it.
            with self._parsing, suppress(ValueError):
                self._parsed[expression] = parsed
        return parsed

    def _state(self, asset_id: str, budget: Budget | None, max_age_s: float | None) -> str:
        if budget is not None:
            budget.check_time()
        return self.world.state(asset_id, max_age_s)

    def _check_unchanged(self, expression: str, version: str, budget: Budget) -> None:
        """Raise AssetChanged if the assets just found are of another version."""
        if self._version(expression, budget, 0.0) != version:
            raise AssetChanged

    async def algorithms(self) -> bytes:
        """Return the list of algorithms as JSON, made once in a thread."""
        return await asyncio.to_thread(algorithms_document)

    def pixels(self, request: PixelRequest, budget: Budget | None = None) -> bytes:
        """Return the encoded pixels; blocks."""
        grid, arrays = self._arrays(request, budget or self._budget())
        return encode(request.file_format, arrays, grid, request.visualization_options)

    def bands(self, request: PixelRequest, budget: Budget | None = None) -> BandArrays:
        """Return values and validity on the request's grid; blocks."""
        return self._arrays(request, budget or self._budget())[1]

    def _arrays(self, request: PixelRequest, budget: Budget) -> tuple[PixelGrid, BandArrays]:
        named = self.computed.get(request.asset_id)
        expression = request.expression or (named.expression if named else None)
        if expression is None:
            raise AssetNotFound(request.asset_id)
        try:
            bands, grid = self._resolved(request, expression, budget)
            return grid, self._computed([first_elements(each) for each in bands], grid, budget)
        except AssetChanged:
            # The evaluated image refers to the old versions of its assets.
            self._images.drop(expression, request.asset_version)
            self._assets.pop(request.asset_id, None)
            raise

    def _resolved(
        self, request: PixelRequest, expression: str, budget: Budget
    ) -> tuple[list[Band], PixelGrid]:
        """Return the requested bands and the complete grid."""
        image = self._image(expression, request.asset_version, budget)
        if not image.bands:
            raise InvalidRequest("The image has no bands.")
        asset = as_asset(image, request.asset_id, request.asset_version)
        chosen = [image.bands[i] for i in asset.indexes(request.band_ids)]
        _check_shown(request, chosen)
        grid = complete(request, asset)
        check_limits(grid.width, grid.height, [band.type.dtype.itemsize for band in chosen])
        return chosen, grid

    def planned_image(self, expression: str) -> PlannedImage:
        """Return an image to be written a piece at a time; blocks, and raises InvalidRequest."""
        with checked((budget := batch_budget()).check_time):
            return planned_image(
                self._evaluated(expression, Context(self.world, budget)), self._computed
            )

    def planned_table(self, expression: str) -> PlannedTable:
        """Return a collection to be written a feature at a time; blocks, raises InvalidRequest."""
        with checked((budget := batch_budget()).check_time):
            return planned_table(self._evaluated(expression, Context(self.world, budget)))

    def _image(self, expression: str, version: str, budget: Budget) -> Image:
        """Return the image of an expression, evaluated once for a version of its assets."""
        held = self._images.get(expression, version)
        if held is not None:
            return held
        context = Context(self.world, budget)
        image = self._evaluated(expression, context)
        if not isinstance(image, Image):
            raise InvalidRequest(f"Expected an Image, got {type(image).__name__}.")
        if version:
            self._check_unchanged(expression, version, budget)
        size = len(expression) + context.made_bytes + _CALL_BYTES * context.evaluations
        self._images.put(expression, version, image, size)
        return image

    def _evaluated(self, expression: str, context: Context) -> Any:
        document = self._parse(expression).document
        with as_invalid_request("expression"):
            return evaluate(document, context)

    def _features(self, expression: str, budget: Budget) -> list[dict[str, Any]]:
        value = self._evaluated(expression, Context(self.world, budget))
        with as_invalid_request("features"):
            return features_json(value)

    def _value(self, expression: str, budget: Budget | None = None) -> Any:
        context = Context(self.world, budget or self._budget())
        value = self._evaluated(expression, context)
        with as_invalid_request("value"):
            return to_json(value)

    def _computed(self, bands: list[Band], grid: PixelGrid, budget: Budget) -> BandArrays:
        dtypes = tuple(band.type.dtype for band in bands)
        nodes = [band.node for band in bands]
        with np.errstate(all="ignore"), as_invalid_request("pixels"):
            values, masks = compute(nodes, dtypes, grid, self.world.read, budget)
        common = np.result_type(*dtypes)
        mask = np.stack(masks)
        arrays = BandArrays(
            tuple(band.id for band in bands),
            np.stack([each.astype(common, copy=False) for each in values]),
            mask > 0,
        )
        return replace(arrays, dtypes=dtypes, alpha=_alpha(mask))

    def _budget(self) -> Budget:
        return Budget(time.monotonic() + self.deadline_s)

    async def _in_thread(
        self, function: Callable[[A, Budget], T], argument: A, expression: str
    ) -> T:
        """Call a function in a thread; its budget ends when the caller is cancelled."""

        def call(budget: Budget) -> T:
            with checked(budget.check_time):
                return function(argument, budget)

        try:
            async with asyncio.timeout(self.deadline_s + _LATE_S):
                return await self._lanes.run(call, expression, self._budget().deadline)
        except TimeoutError as exc:
            raise timed_out() from exc


class _Parsed(NamedTuple):
    document: Any
    """The JSON; nothing changes it."""
    asset_ids: list[str]
    """The assets that it names, sorted."""
    characters: int


def _check_shown(request: PixelRequest, bands: Sequence[Band]) -> None:
    """Raise InvalidRequest for bands of arrays, unless a picture shows the first of each."""
    if not request.file_format.is_picture and any(band.type.dimensions for band in bands):
        names = ", ".join(band.id[:80] for band in bands if band.type.dimensions)
        raise InvalidRequest(
            f"{request.file_format.name} cannot hold bands of arrays: {names}. Make them bands of "
            "numbers first, with arrayFlatten or arrayGet."
        )


def _alpha(mask: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """Return the opacity of a picture of the bands, in bytes; None if masks are all 0 or 1.

    Args:
        mask: shape (bands, height, width).
    """
    least = mask.min(axis=0)
    if np.isin(least, (0, 1)).all():
        return None
    alpha: NDArray[np.uint8] = (least * 255 + 0.5).astype(np.uint8)
    return alpha
