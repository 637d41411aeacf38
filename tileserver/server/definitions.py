"""The rasters and layers that a configuration names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tileserver.config.config import Config, EarthEngineSettings, RasterFolder
from tileserver.config.layers import TABLE_STYLE, LayerSettings, computed_image
from tileserver.contract.drawn_tables import MARKS, drawn_table
from tileserver.contract.names import Access, full_name, layer_name
from tileserver.contract.raster_formats import CUBES
from tileserver.errors import ConfigError, InvalidRequest
from tileserver.expressions.document import Computed, picture_of
from tileserver.layers.automatic_layers import automatic_layers
from tileserver.layers.layers import LayerDefinition
from tileserver.layers.steps import STEP_PARAMETERS, parse_steps
from tileserver.layers.styles import Style, parse_colors
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.cubes.sources import cube_roots
from tileserver.rasters.pyramids.store import PyramidStore
from tileserver.rasters.remote.files import RemoteFiles
from tileserver.rasters.roots import MosaicOptions, Root, mosaic_root
from tileserver.rasters.user_cache import user_cache
from tileserver.rendering.colors import parse_color

_SETTINGS = {"expression": "formula"}
"""Parameters whose setting has another name, since a layer's own is taken."""


def roots_of(config: Config, added: Sequence[Root] = ()) -> list[Root]:
    """Return the files, folders and URLs of rasters, those of the command line first.

    A source of one GeoTIFF per asset adds a `Root` with name and members for each: its
    layers, default access and listing follow, as for any other root.
    """
    configured = (each for settings in config.rasters for each in _roots(settings))
    return [*added, *configured]


def _roots(settings: RasterFolder) -> list[Root]:
    """Return the root of a table, and one for each variable of files of arrays below it."""
    formats = tuple(each for each in settings.formats if each not in CUBES)
    if formats == settings.formats:
        return [_root(settings)]
    options = MosaicOptions("", settings.pixel_selection, settings.index)
    given = Root(settings.path, settings.prefix, mosaic=options, formats=settings.formats)
    others = [replace(_root(settings), formats=formats)] if formats else []
    return [*others, *cube_roots(given)]


def _root(settings: RasterFolder) -> Root:
    if not settings.mosaic:
        return Root(settings.path, settings.prefix, formats=settings.formats)
    root = mosaic_root(settings.path, settings.prefix, settings.pixel_selection, settings.index)
    return replace(root, formats=settings.formats)


def catalogue_of(config: Config, added: Sequence[Root] = ()) -> Catalogue:
    """Return the local assets of a configuration.

    Raises:
        ConfigError: a path leads nowhere.
    """
    return Catalogue(roots_of(config, added), remote_files(config), pyramids=pyramids_of(config))


def pyramids_of(config: Config) -> PyramidStore | None:
    """Return where pyramids of rasters without overviews are kept, if they are made."""
    settings = config.pyramids
    folder = Path(settings.path) if settings.path else user_cache(os.environ, "pyramids")
    is_on = settings.enabled and folder is not None
    return PyramidStore(folder, settings.size_bytes) if is_on and folder else None


def remote_files(config: Config) -> RemoteFiles:
    """Return the files behind URLs, checked again after the lifetime of a cached tile."""
    return RemoteFiles(
        config.cache.ttl_s, config.remote.private_hosts, document_hosts=config.remote.hosts
    )


def drawn_of(config: Config, catalogue: Catalogue, added: Sequence[Root] = ()) -> Catalogue:
    """Return the catalogue of the rasters that become layers by themselves.

    Each raster of `added` becomes a layer; without configured layers each raster of the
    catalogue does. Of a mosaic that is the mosaic, not its files.
    """
    only_added = (added or config.layers) and len(added) < len(catalogue.roots)
    if not only_added and not (catalogue.mosaics and catalogue.reads_mosaics):
        return catalogue
    # A catalogue of its own reads the folders once more, but for those of mosaics.
    roots = added if only_added else catalogue.roots
    return Catalogue(roots, catalogue.remote, reads_mosaics=False)


def definitions_of(
    config: Config, catalogue: Catalogue, added: Sequence[Root] = ()
) -> list[LayerDefinition]:
    """Return the configured layers, and those of rasters, as they are now.

    Args:
        config: rasters that `[access] assets` excludes are no layers.
        catalogue: all assets, or those that `drawn_of` returns.
        added: rasters beside those of the configuration.
    """
    drawn = drawn_of(config, catalogue, added)
    configured = [_definition(each, config.earth_engine) for each in config.layers]
    taken = {each.name for each in configured}
    mosaics, names = drawn.mosaics, drawn.names()
    # Tables come first, as they are drawn over rasters.
    tables = sorted(drawn.scanned().tables)
    _check_clashes(mosaics, names)
    # A configured layer may show any asset, an automatic one only what may be read by name.
    readable = filter(Access(config.access.assets).may_read, [*tables, *mosaics, *names])
    bands = drawn.scanned().bands
    return [*automatic_layers(readable, taken, drawn.prefixes, bands), *configured]


def _check_clashes(mosaics: Sequence[str], names: Sequence[str]) -> None:
    for name in set(mosaics) & set(names):
        raise ConfigError(
            f"a mosaic and a GeoTIFF would both be {name}; rename one of them, or give the folder "
            "a prefix of its own ([[rasters]] prefix)"
        )


def project_of(earth: EarthEngineSettings | None) -> str:
    """Return the project in the names made up for computed layers."""
    return earth.project if earth else "localhost"


def _definition(settings: LayerSettings, earth: EarthEngineSettings | None) -> LayerDefinition:
    try:
        palette = parse_colors(settings.palette) if settings.palette else ()
        computed = _styled_table(settings) if settings.asset else computed_image(settings)
        steps = parse_steps(_texts(settings))
    except InvalidRequest as exc:
        raise ConfigError(f"[layers.{settings.name}] {exc}") from exc
    return LayerDefinition(
        name=settings.name,
        asset_name=layer_name(project_of(earth), settings.name)
        if computed or not settings.asset
        else settings.asset,
        computed=computed,
        title=settings.title or "",
        description=settings.description,
        attribution=settings.attribution,
        style=Style(
            settings.bands,
            settings.min,
            settings.max,
            palette,
            settings.gamma,
            settings.opacity,
        ),
        processing=steps,
        minzoom=settings.minzoom,
        maxzoom=settings.maxzoom,
        is_visible=settings.visible,
        class_names=settings.class_names,
        tiles_per_side=settings.tiles_per_side,
    )


def _styled_table(settings: LayerSettings) -> Computed | None:
    """Return the picture of a table in a layer's style; None if the layer has none for tables.

    Raises:
        InvalidRequest: a colour or a mark is not known.
    """
    if not any(getattr(settings, name) is not None for name in TABLE_STYLE):
        return None
    for name in ("color", "fill_color"):
        _check_color(name, getattr(settings, name))
    if settings.point_shape not in (None, *MARKS):
        raise InvalidRequest(
            f"point_shape: expected one of {', '.join(MARKS)}, got {settings.point_shape[:60]!r}"
        )
    style = {name: getattr(settings, name) for name in TABLE_STYLE}
    return picture_of(drawn_table(full_name(settings.asset or ""), **style))


def _check_color(name: str, text: str | None) -> None:
    digits = (text or "").removeprefix("#")
    has_opacity = len(digits) == 8 and set(digits.lower()) <= set("0123456789abcdef")
    if text is None or has_opacity:
        return
    try:
        parse_color(text)
    except InvalidRequest as exc:
        raise InvalidRequest(f"{name}: {exc}") from exc


def _texts(settings: LayerSettings) -> dict[str, str]:
    """Return the settings of processing as the parameters of a URL."""
    found = {name: getattr(settings, _SETTINGS.get(name, name)) for name in STEP_PARAMETERS}
    return {name: _text(value) for name, value in found.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
