"""Overviews (`.ovr`) and masks (`.msk`) that lie in GeoTIFFs beside a raster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from tileserver.errors import AssetChanged, UnreadableRaster
from tileserver.geo.positions import Level
from tileserver.rasters.blocks.layouts import LevelLayout, layouts_of
from tileserver.rasters.datasets import (
    content_errors,
    directories_of,
    gdal_environment,
    open_raster,
)
from tileserver.rasters.decode_budget import decode_bytes
from tileserver.rasters.files import SeenFile, file_errors, open_beneath
from tileserver.rasters.geotiffs import GeoTiff, describe_raster
from tileserver.rasters.tiff_directories import Directory

log = logging.getLogger(__name__)

_PER_DATASET = 2
"""GMF_PER_DATASET: one mask for all bands."""


def with_mask(raster: GeoTiff, beside: SeenFile) -> GeoTiff:
    """Return a raster with the mask of its `.msk`, which goes before nodata and opacity.

    A raster that has a mask within keeps that one, and a file that is no mask is left out.

    Raises:
        AssetChanged: the file is in another state by now.
    """
    is_own = raster.has_mask and raster.shares_mask and raster.alpha_index is None
    mask = None if is_own or raster.warp else _mask(raster, beside)
    if mask is None:
        return raster
    bands = tuple(replace(band, nodata=None) for band in raster.asset.bands)
    return replace(
        raster,
        asset=replace(raster.asset, bands=bands, overview_factors=()),
        # Their masks would be elsewhere.
        levels=raster.levels[:1],
        layouts=raster.layouts[:1],
        alpha_index=None,
        has_mask=True,
        shares_mask=True,
        masks_by_value=False,
        mask=mask,
        decode_bytes=raster.decode_bytes + mask.decode_bytes,
    )


def _mask(raster: GeoTiff, beside: SeenFile) -> GeoTiff | None:
    name = raster.asset.name
    try:
        with file_errors(name):
            file = open_beneath(beside.place)
        if file is None or not file.is_still(beside.state):
            raise AssetChanged(name)
        with file, content_errors(name, file.location), gdal_environment():
            directories = directories_of(file.location, name)
            with open_raster(file.location, name, directories=directories) as dataset:
                tags = dataset.tags()
                flags = [
                    text for tag, text in tags.items() if tag.startswith("INTERNAL_MASK_FLAGS_")
                ]
                is_shared = bool(flags) and all(int(text) & _PER_DATASET for text in flags)
                found = describe_raster(
                    dataset, name, file.location, raster.asset.version, {}, directories
                )
    except UnreadableRaster as exc:
        log.warning("%s: its .msk is left out: %s", name, exc)
        return None
    same = (found.grid.width, found.grid.height) == (raster.grid.width, raster.grid.height)
    if not (is_shared and same and found.dtype.kind == "u"):
        log.warning("%s: its .msk is left out: it is no mask of this raster", name)
        return None
    return replace(found, location=beside.place.path, file=beside, has_mask=False)


def with_overviews(raster: GeoTiff, beside: SeenFile) -> GeoTiff:
    """Return a raster with the levels of its `.ovr`; as it is if it has levels of its own.

    A file that does not fit the raster, or lacks the mask that the raster has, is left out.

    Raises:
        AssetChanged: the file is in another state by now.
    """
    if len(raster.levels) > 1 or raster.warp or raster.mask:
        return raster
    name = raster.asset.name
    try:
        with file_errors(name):
            file = open_beneath(beside.place)
        if file is None or not file.is_still(beside.state):
            raise AssetChanged(name)
        with file:
            directories = directories_of(file.location, name)
    except UnreadableRaster as exc:
        log.warning("%s: its .ovr is left out: %s", name, exc)
        return raster
    levels = _levels(raster, directories)
    if not levels:
        log.warning("%s: its .ovr is left out: its levels are not of this raster", name)
        return raster
    return _joined(raster, beside, directories, levels)


def _levels(raster: GeoTiff, directories: Sequence[Directory]) -> tuple[Level, ...]:
    """Return the levels of a file, finest first; none if they are not those of the raster."""
    images = [each for each in directories if not each.is_mask]
    factors = [round(raster.grid.width / max(each.width, 1)) for each in images]
    down = [round(raster.grid.height / max(each.height, 1)) for each in images]
    first = images[0].storage if images else None
    fits = (
        first is not None
        and all(each.is_overview for each in images[1:])
        and all(each.samples == raster.sample_count for each in images)
        and set(first.bits) == {8 * raster.dtype.itemsize}
        and set(first.sample_formats) <= {{"u": 1, "i": 2, "f": 3}[raster.dtype.kind]}
        # A side of a pixel or two is any factor.
        and all(
            abs(a - b) <= 1 or min(each.width, each.height) < 3
            for a, b, each in zip(factors, down, images, strict=True)
        )
        and min(factors) > 1
    )
    shared = raster.has_mask and raster.shares_mask and raster.alpha_index is None
    masks = {(each.width, each.height) for each in directories if each.is_mask}
    if not fits or (shared and not {(each.width, each.height) for each in images} <= masks):
        return ()
    found = [
        Level(place - 1 if place else None, factor, is_beside=True)
        for place, factor in enumerate(factors)
    ]
    return tuple(sorted(found, key=lambda level: level.factor))


def _joined(
    raster: GeoTiff,
    beside: SeenFile,
    directories: Sequence[Directory],
    levels: tuple[Level, ...],
) -> GeoTiff:
    nodata = raster.asset.bands[0].nodata
    shared = raster.has_mask and raster.shares_mask and raster.alpha_index is None
    width = directories[0].width
    images = [each for each in directories if not each.is_mask]
    # As the file itself counts them.
    own = [
        Level(
            each.overview,
            round(width / images[0 if each.overview is None else each.overview + 1].width),
        )
        for each in levels
    ]
    layouts: tuple[LevelLayout, ...] = ()
    if raster.layouts:
        layouts = layouts_of(directories, own, raster.dtype, _stored_nodata(directories), shared)
    return replace(
        raster,
        asset=replace(raster.asset, overview_factors=tuple(each.factor for each in levels)),
        levels=(*raster.levels, *levels),
        layouts=(*raster.layouts, *layouts) if layouts else (),
        beside=beside,
        # The file of the levels need not have the value.
        masks_by_value=nodata is not None and not shared and raster.alpha_index is None,
        decode_bytes=max(raster.decode_bytes, decode_bytes(directories)),
    )


def _stored_nodata(directories: Sequence[Directory]) -> float | None:
    try:
        text = directories[0].storage.nodata
        return float(text) if text else None
    except ValueError:
        return None
