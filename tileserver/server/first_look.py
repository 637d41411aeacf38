"""Checks layers over local files before a server lists them as served."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tileserver.concurrency.cores import cores
from tileserver.errors import Overloaded, TileserverError
from tileserver.geo.asset_extents import extent_of
from tileserver.layers.layer_list import LONG
from tileserver.layers.layers import LayerDefinition
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.soundness import check_sound
from tileserver.rendering.render import check_options

_PATIENCE_S = 2.0


@dataclass(frozen=True)
class FirstLook:
    """The layers that work, and the faults of the others."""

    works: Sequence[LayerDefinition]
    """Layers that can be drawn, or that were not looked at."""
    faults: dict[str, str]
    """Why others cannot be, by their names."""
    unseen: int
    """Local layers that were not looked at, or not to the end."""


def first_look(
    rasters: LocalRasters,
    definitions: Sequence[LayerDefinition],
    patience_s: float = _PATIENCE_S,
) -> FirstLook:
    """Look at layers; blocks, but no longer than `patience_s`.

    Many layers (`LONG`) are left to the list of layers, which looks at them in the background, and
    so are those of mosaics, of remote files and of Earth Engine.
    """
    mosaics = set(rasters.catalogue.mosaics)
    single = [each for each in definitions if each.asset_name not in mosaics]
    # A folder of a hundred thousand files is not looked through for a mosaic.
    held = set(rasters.catalogue.names()) if single else set()
    local = [
        each
        for each in single
        if each.asset_name in held and not rasters.catalogue.is_remote(each.asset_name)
    ]
    seen: dict[str, str | None] = {}
    if len(local) <= LONG:
        seen = _looked_at(rasters, local, patience_s)
    faults = {each.name: fault for each in local if (fault := seen.get(each.name))}
    works = [each for each in definitions if each.name not in faults]
    return FirstLook(works, faults, len(local) - len(seen))


def _looked_at(
    rasters: LocalRasters, definitions: Iterable[LayerDefinition], patience_s: float
) -> dict[str, str | None]:
    """Return the faults of those layers that were looked at in time, by name."""
    waiting: queue.SimpleQueue[LayerDefinition] = queue.SimpleQueue()
    for each in definitions:
        waiting.put(each)
    found: dict[str, str | None] = {}
    ends_s = time.monotonic() + patience_s

    def look() -> None:
        while time.monotonic() < ends_s:
            try:
                each = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                found[each.name] = fault_of(rasters, each)
            except Overloaded:
                # It may pass: the file is being written, or changes.
                continue

    # Nobody waits for the end of a thread whose file does not answer.
    threads = [threading.Thread(target=look, daemon=True) for _ in range(cores() + 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, ends_s - time.monotonic()))
    return dict(found)


def fault_of(rasters: LocalRasters, definition: LayerDefinition) -> str | None:
    """Return why a layer over a local file cannot be drawn, or None; blocks.

    Raises:
        Overloaded: its file is being written, or changes.
    """
    style = definition.style
    try:
        asset = rasters.catalogue.find(definition.asset_name).asset
        asset.indexes(style.bands)
        if style.bands:
            check_options(style.options(), len(style.bands))
        extent_of(asset)
        check_sound(rasters, definition.asset_name)
    except Overloaded:
        raise
    except TileserverError as exc:
        return str(exc)
    return None
