"""Earth Engine's metadata as image assets, looked at again now and then.

The updateTime of an asset is its version: when it changes, so do the keys of all its tiles.
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets
An image that is computed has no metadata: its description is computed once, and its version is
that of its expression.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from tileserver.assets import ImageAsset, Level
from tileserver.cache import SingleFlight
from tileserver.errors import AssetNotFound, InvalidRequest, TileserverError, UpstreamError
from tileserver.expressions import Bounds, Computed
from tileserver.grids import complete
from tileserver.pixels import AffineTransform, Geometry, PixelGrid, PixelRequest
from tileserver.projections import WGS84, transform_points
from tileserver.tiles import HALF_WORLD_M, WEB_MERCATOR, pixel_m
from tileserver.wire import grid_from_json

POLL_S = 60.0
"""Age after which an asset's metadata is asked for again; a metadata read costs no compute."""
MAX_SAMPLES = 262_144
"""Pixels a band that statistics ask for: they cost compute, and 512 x 512 tell enough."""
_MISSING_S = 15.0
_WORLD: Bounds = (-180.0, -90.0, 180.0, 90.0)
_MAX_LATITUDE = 85.0511287798066
_MAX_ASSETS = 10_000

log = logging.getLogger(__name__)


class MetadataSource(Protocol):
    """What can be asked for an EarthEngineAsset."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        ...

    async def compute_value(self, expression: Mapping[str, Any], name: str) -> Any:
        """Return an expression's value: of an image, its description."""
        ...


class EarthAssets:
    """Assets by name: asked for once, then kept, and refreshed behind the back of requests."""

    def __init__(
        self,
        source: MetadataSource,
        poll_s: float = POLL_S,
        clock: Callable[[], float] = time.monotonic,
        computed: Mapping[str, Computed] | None = None,
    ) -> None:
        """Ask `source`; `computed` are the images that are none of its assets, by name."""
        self.source = source
        self.computed = computed or {}
        self.poll_s = poll_s
        self.clock = clock
        self._held: dict[str, tuple[ImageAsset | AssetNotFound, float]] = {}
        self._flights: SingleFlight[str, ImageAsset] = SingleFlight()
        self._refreshes: set[asyncio.Task[None]] = set()

    async def get_asset(self, name: str) -> ImageAsset:
        """Return an asset as it was at most a moment ago.

        Raises:
            AssetNotFound: there is none, or none the credentials may read.
            UpstreamError: what it is cannot be drawn, or Earth Engine failed.
        """
        held = self._held.get(name)
        if held is None:
            return await self._flights.join(name, lambda: self._ask(name))
        found, asked_s = held
        age_s = self.clock() - asked_s
        if isinstance(found, AssetNotFound):
            if age_s < _MISSING_S:
                raise AssetNotFound(name)
            return await self._flights.join(name, lambda: self._ask(name))
        if age_s >= self.poll_s and name not in self.computed:
            self._refresh(name)
        return found

    def known(self, name: str) -> ImageAsset | None:
        """Return an asset that was asked for before, or None; asks nothing."""
        found = self._held.get(name, (None,))[0]
        return found if isinstance(found, ImageAsset) else None

    def _refresh(self, name: str) -> None:
        task = asyncio.create_task(self._try(name))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _try(self, name: str) -> None:
        try:
            await self._flights.join(name, lambda: self._ask(name))
        except TileserverError as exc:
            # What is held goes on being served; tell of it, and do not ask at each tile.
            log.warning("%s: its metadata could not be read again: %s", name, exc)
            found, _ = self._held[name]
            self._held[name] = (found, self.clock())

    async def _ask(self, name: str) -> ImageAsset:
        try:
            asset = await self._read(name)
        except AssetNotFound as exc:
            self._hold(name, exc)
            raise
        held = self._held.get(name)
        if held and isinstance(held[0], ImageAsset) and held[0].version == asset.version:
            asset = held[0]
        self._hold(name, asset)
        return asset

    async def _read(self, name: str) -> ImageAsset:
        computed = self.computed.get(name)
        if computed is None:
            return asset_from_json(await self.source.get_asset(name))
        try:
            expression = json.loads(computed.expression)
            description = await self.source.compute_value(expression, name)
        except InvalidRequest as exc:
            # Who asks for a tile has done nothing wrong.
            raise UpstreamError(f"{name}: Earth Engine cannot compute it: {exc}") from exc
        return computed_asset(name, computed, description)

    def _hold(self, name: str, found: ImageAsset | AssetNotFound) -> None:
        if len(self._held) >= _MAX_ASSETS and name not in self._held:
            del self._held[next(iter(self._held))]
        self._held[name] = (found, self.clock())


def asset_from_json(members: Mapping[str, Any]) -> ImageAsset:
    """Return the image that an EarthEngineAsset describes.

    Raises:
        UpstreamError: it is not an image, or says too little to draw it.
    """
    name = str(members.get("name", ""))
    if members.get("type") != "IMAGE":
        kind = str(members.get("type", "nothing"))[:40]
        raise AssetNotFound(f"{name} ({kind}, expected an IMAGE)")
    bands = members.get("bands") or []
    try:
        dtypes = tuple(dtype_from_json(band.get("dataType", {})) for band in bands)
        grid = grid_from_json(bands[0]["grid"])
        ids = tuple(str(band["id"]) for band in bands)
    except (KeyError, IndexError, TypeError, TileserverError) as exc:
        raise UpstreamError(f"{name}: its metadata has no bands with a grid") from exc
    if not isinstance(grid, PixelGrid):
        raise UpstreamError(f"{name}: its first band has no complete grid")
    return replace(
        _image(name, str(members.get("updateTime", "")), grid, ids, dtypes),
        pyramiding_policies=tuple(str(band.get("pyramidingPolicy", "MEAN")) for band in bands),
        start_time=members.get("startTime"),
        end_time=members.get("endTime"),
        update_time=members.get("updateTime"),
        size_bytes=int(members["sizeBytes"]) if "sizeBytes" in members else None,
        properties=members.get("properties") or {},
    )


def _image(
    name: str,
    version: str,
    grid: PixelGrid,
    band_ids: tuple[str, ...],
    dtypes: tuple[np.dtype[Any], ...],
) -> ImageAsset:
    return ImageAsset(
        name=name,
        location="",
        version=version,
        grid=grid,
        band_ids=band_ids,
        band_indexes=tuple(range(1, len(band_ids) + 1)),
        dtype=np.result_type(*dtypes),
        band_dtypes=dtypes,
        max_samples=MAX_SAMPLES,
        nodata=None,
        has_mask=True,
        shares_mask=False,
        alpha_index=None,
        levels=(Level(None, 1),),
    )


def computed_asset(name: str, computed: Computed, description: Any) -> ImageAsset:
    """Return the image that a description tells of, as `ee.Image.getInfo` returns it.

    Composites have no dimensions: they lie within the bounds of `computed`, or everywhere.

    Raises:
        UpstreamError: it is not an image, has no bands, or none within the bounds.
    """
    try:
        bands = description["bands"] if description["type"] == "Image" else []
        ids = tuple(str(band["id"]) for band in bands)
        dtypes = tuple(_described_dtype(band["data_type"]) for band in bands)
        native = _described_grid(bands[0]) if "dimensions" in bands[0] else None
    except (KeyError, IndexError, TypeError, ValueError, InvalidRequest) as exc:
        kind = description.get("type") if isinstance(description, Mapping) else None
        came = "one without; does the collection hold any" if kind == "Image" else kind or "nothing"
        raise UpstreamError(f"{name}: expected an image with bands, got {str(came)[:60]}") from exc
    if native is None:
        grid = _mercator_grid(computed.bounds or _WORLD, computed.full_zoom)
        return _image(name, computed.version, grid, ids, dtypes)
    asset = _image(name, computed.version, native, ids, dtypes)
    if computed.bounds is None:
        return asset
    return replace(asset, grid=_within(computed.bounds, asset))


def _described_dtype(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    limits = {end: data_type[end] for end in ("min", "max") if end in data_type}
    return dtype_from_json({"precision": data_type["precision"].upper(), "range": limits})


def _described_grid(band: Mapping[str, Any]) -> PixelGrid:
    """Return a band's grid, of which an origin is where its pixels begin."""
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    width, height = band["dimensions"]
    members = {
        "dimensions": {"width": width, "height": height},
        "affineTransform": dict(zip(names, band["crs_transform"], strict=True)),
    }
    members |= {"crsCode": band["crs"]} if "crs" in band else {"crsWkt": band["crs_wkt"]}
    grid = grid_from_json(members)
    assert isinstance(grid, PixelGrid)
    column, row = band.get("origin", (0, 0))
    return _moved(grid, column, row, grid.width, grid.height)


def _moved(grid: PixelGrid, column: int, row: int, width: int, height: int) -> PixelGrid:
    x, y = grid.transform.apply(column, row)
    moved = replace(grid.transform, translate_x=x, translate_y=y)
    return PixelGrid(width, height, moved, grid.crs_code)


def _mercator_grid(bounds: Bounds, zoom: int) -> PixelGrid:
    """Return the whole pixels of a zoom that cover bounds."""
    west, south, east, north = bounds
    lats = np.clip([north, south], -_MAX_LATITUDE, _MAX_LATITUDE)
    _, ys = transform_points(WGS84, WEB_MERCATOR, np.zeros(2), lats)
    side = pixel_m(zoom)
    left = math.floor((west + 180) / 360 * 2**zoom * 256)
    right = math.ceil((east + 180) / 360 * 2**zoom * 256)
    top, bottom = (
        math.floor((HALF_WORLD_M - ys[0]) / side),
        math.ceil((HALF_WORLD_M - ys[1]) / side),
    )
    top, bottom = max(top, 0), min(bottom, 2**zoom * 256)
    world = PixelGrid(
        1, 1, AffineTransform(side, 0, -HALF_WORLD_M, 0, -side, HALF_WORLD_M), WEB_MERCATOR
    )
    return _moved(world, left, top, right - left, bottom - top)


def _within(bounds: Bounds, asset: ImageAsset) -> PixelGrid:
    """Return the part of an image's grid that holds bounds."""
    west, south, east, north = bounds
    ring = ((west, south), (east, south), (east, north), (west, north), (west, south))
    native = asset.grid
    nowhere = UpstreamError(f"{asset.name}: nothing of the image lies within its bounds")
    try:
        asked = complete(PixelRequest(asset.name, region=Geometry("Polygon", (ring,))), asset)
    except InvalidRequest as exc:
        raise nowhere from exc
    t = asked.transform
    column, row = map(round, native.transform.inverse().apply(t.translate_x, t.translate_y))
    left, right = max(column, 0), min(column + asked.width, native.width)
    top, bottom = max(row, 0), min(row + asked.height, native.height)
    if left >= right or top >= bottom:
        raise nowhere
    return _moved(native, left, top, right - left, bottom - top)


def dtype_from_json(data_type: Mapping[str, Any]) -> np.dtype[Any]:
    """Return the NumPy type that holds a PixelDataType, by its range as Earth Engine implies.

    >>> dtype_from_json({"precision": "INT", "range": {"max": 65535}})
    dtype('uint16')
    """
    precision = data_type.get("precision")
    if precision == "DOUBLE":
        return np.dtype(np.float64)
    if precision == "FLOAT":
        return np.dtype(np.float32)
    span = data_type.get("range") or {}
    low, high = float(span.get("min", 0)), float(span.get("max", 0))
    if low == high:
        return np.dtype(np.int32)
    for kind in ("uint8", "int8", "uint16", "int16", "uint32", "int32"):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return np.dtype(kind)
    return np.dtype(np.int64)
