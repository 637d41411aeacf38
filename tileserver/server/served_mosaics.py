"""Mosaics of a server: opened with it, notified of changes, closed with it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tileserver.layers.layers import LayerDefinition
from tileserver.mosaics.engine import Mosaics, mosaics_of
from tileserver.mosaics.index_file import default_folder
from tileserver.rasters.engine import LocalRasters
from tileserver.server.late_computing import LateComputing


def mosaic_engine(rasters: LocalRasters, resources: AsyncExitStack) -> Mosaics | None:
    """Return the engine of mosaics, or None without any; raises ConfigError as `mosaics_of`."""
    mosaics = mosaics_of(rasters.catalogue.roots, rasters, default_folder(os.environ))
    if mosaics is not None:
        resources.callback(mosaics.close)
    return mosaics


def noticed(
    look: Callable[[], Sequence[LayerDefinition]], mosaics: Mosaics | None
) -> Callable[[], Sequence[LayerDefinition]]:
    """Return a function that looks for layers after a change, and has mosaics look for files."""
    if mosaics is None:
        return look

    def look_at_all() -> Sequence[LayerDefinition]:
        mosaics.start()
        return look()

    return look_at_all


@asynccontextmanager
async def starting(
    trusted: LateComputing, drawing: LateComputing, mosaics: Mosaics | None
) -> AsyncIterator[None]:
    """Begin to index mosaics, and to import the evaluator if layers or tables need it."""
    if mosaics is not None:
        mosaics.start()
    async with trusted.imported_early(), drawing.imported_early():
        yield
