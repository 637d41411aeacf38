"""Tells of large rasters without overviews, and how a copy with a pyramid is made."""

from __future__ import annotations

import logging
import os
import shlex

from tileserver.rasters.geotiffs import GeoTiff

_LARGE_PX = 4_000_000

log = logging.getLogger(__name__)


def warn_without_overviews(raster: GeoTiff, path: str | None = None) -> None:
    """Warn of a large raster without overviews; `path` is that of a local file, for a command."""
    size_px = raster.grid.width * raster.grid.height
    if len(raster.levels) > 1 or size_px < _LARGE_PX:
        return
    size_mb = size_px * sum(band.dtype.itemsize for band in raster.asset.bands) / 1e6
    command = "tileserver ingest"
    if path is not None:
        copy = f"{os.path.splitext(path)[0]}_cog.tif"
        command = f"{command} {shlex.quote(path)} {shlex.quote(copy)}"
    log.warning(
        "%s has no overviews: a map tile of all of it decodes %.0f MB. "
        "A copy with the pyramid it needs is made by: %s",
        raster.asset.name,
        size_mb,
        command,
    )
