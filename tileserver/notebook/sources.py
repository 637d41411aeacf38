"""What a notebook draws, each as an application: files, URLs, arrays, assets, ee's images."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tileserver.config.config import CacheSettings, Config, LayerSettings, PyramidSettings
from tileserver.config.config import RasterFolder as RasterSettings
from tileserver.contract.raster_formats import CUBES, GEOTIFF, SUFFIXES, driver_of, is_vrt
from tileserver.errors import ConfigError, shown
from tileserver.notebook import earth
from tileserver.notebook.array_files import array_file
from tileserver.notebook.arrays import is_array, placed
from tileserver.notebook.background import Background
from tileserver.rasters.remote.objects import file_name, is_remote
from tileserver.rasters.roots import Root, check_root, is_stac

_TILES_BYTES, _BLOCKS_BYTES = 48_000_000, 192_000_000
"""Most memory of one application's caches; several are open at once."""
_LAYER = "image"
_CREDIT = "Google Earth Engine"


@dataclass(frozen=True)
class Source:
    """Something to draw, and the application that serves its tiles."""

    title: str
    """What the map calls it; "" for the titles of its layers."""
    key: Hashable
    """The same for the same pixels."""
    make: Callable[[], Any]
    """Returns the application."""
    told: str
    """What the user gave, in error messages."""


def source_of(
    given: Any,
    server: Background,
    bounds: Sequence[float] | None = None,
    crs: Any = None,
    project: str | None = None,
) -> Source:
    """Return what was given as a source.

    Args:
        given: path, URL, name of an asset, array, ee.Image or ee.ImageCollection.
        server: of the notebook.
        bounds: of an array, west, south, east, north.
        crs: of an array's bounds and coordinates.
        project: of Earth Engine.

    Raises:
        ConfigError: there is no such file or asset's name, or no project.
        InvalidRequest: the array or the object cannot be drawn.
    """
    if earth.is_earth_object(given):
        return _image(given, server, project)
    if is_array(given):
        return _array(given, server, bounds, crs)
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(
            "expected a path, a URL, the name of an asset, an array, an ee.Image, or "
            f"(one of these, {{style}}), got {shown(given)}"
        )
    text = os.path.expanduser(os.fspath(given))
    if is_remote(text) or os.path.exists(text) or _is_path(text):
        return _file(text, server)
    return _asset(earth.asset_name(text), server, project)


def _is_path(text: str) -> bool:
    """Tell whether a text that is no file was meant as one."""
    names = {suffix for each in (SUFFIXES, CUBES) for found in each.values() for suffix in found}
    is_named = text.lower().endswith(tuple(names)) or is_stac(text) or is_vrt(text)
    return is_named or text.startswith((".", "/", "~")) or os.path.isabs(text) or "://" in text


def _file(text: str, server: Background) -> Source:
    """Return a file, a folder or a URL."""
    if not is_remote(text) and not os.path.exists(text):
        raise ConfigError(f"{text}: no such file or folder in {os.getcwd()}")
    driver = _driver(text)
    check_root(text if is_remote(text) else os.path.abspath(text), text, (driver,))
    path = text if is_remote(text) else os.path.abspath(text)

    def make() -> Any:
        if driver == GEOTIFF:
            return _app(Config(access=server.access, cache=_cache()), [Root(path)])
        rasters = (RasterSettings(path, formats=(driver,)),)
        return _app(Config(access=server.access, cache=_cache(), rasters=rasters))

    is_one = is_remote(text) or not os.path.isdir(text)
    stem = os.path.splitext(file_name(text) if is_remote(text) else os.path.basename(path))[0]
    return Source(stem if is_one and not is_stac(text) else "", ("file", path), make, text)


def _driver(text: str) -> str:
    lower = text.lower().rstrip("/")
    for driver, suffixes in CUBES.items():
        if lower.endswith(suffixes):
            return driver
    return GEOTIFF if os.path.isdir(text) else driver_of(text)


def _array(given: Any, server: Background, bounds: Sequence[float] | None, crs: Any) -> Source:
    path = array_file(placed(given, bounds, crs), server.folder)
    pyramids = PyramidSettings(path=str(server.folder / "pyramids"))

    def make() -> Any:
        config = Config(access=server.access, cache=_cache(), pyramids=pyramids)
        return _app(config, [Root(str(path))])

    name = getattr(given, "name", None)
    title = name if isinstance(name, str) and name else "array"
    return Source(title, ("array", path.name), make, "the array")


def _asset(name: str, server: Background, project: str | None) -> Source:
    layer = LayerSettings(_LAYER, asset=name, title=name, attribution=_CREDIT)
    return _earth_source(name.rpartition("/")[2], layer, ("asset", name), server, project)


def _image(given: Any, server: Background, project: str | None) -> Source:
    text = earth.expression_of(given)
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    path = Path(server.folder, f"{digest}.json")
    path.write_text(text, "utf-8")
    layer = LayerSettings(_LAYER, expression=str(path), title="the image", attribution=_CREDIT)
    return _earth_source("image", layer, ("image", digest), server, project)


def _earth_source(
    title: str, layer: LayerSettings, key: Hashable, server: Background, project: str | None
) -> Source:
    settings, tuning, account = earth.settings(project)

    def make() -> Any:
        config = Config(
            access=server.access, cache=_cache(), earth_engine=settings, layers=(layer,)
        )
        return _app(config, tuning=tuning)

    return Source(title, (key, account), make, layer.title or title)


def _cache() -> CacheSettings:
    return CacheSettings(memory_bytes=_TILES_BYTES, blocks_bytes=_BLOCKS_BYTES)


def _app(config: Config, added: Sequence[Root] = (), **more: Any) -> Any:
    # Late, as it takes a second.
    from tileserver.server.app import create_app

    return create_app(config, added, **more)
