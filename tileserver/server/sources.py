"""The rasters that a command line names, checked before anything is made of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tileserver.config.config import Config, load_config
from tileserver.errors import ConfigError, nearest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.remote.objects import is_remote
from tileserver.rasters.roots import Root, check_root, has_geotiff, hint, is_stac, mosaic_root
from tileserver.server.definitions import remote_files
from tileserver.server.get_pixels import find_config

_READ_AT_START = 100
"""URLs of the command line that are read before anything is served; others when they are used."""


def _roots(paths: Sequence[str], mosaics: Sequence[str]) -> list[Root]:
    roots = [Root(_absolute(path)) for path in paths]
    return [*roots, *(mosaic_root(each) for each in map(_absolute, mosaics))]


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path and "://" not in path else path


def sources(
    paths: Sequence[str],
    mosaics: Sequence[str],
    config_path: Path | None,
    given: Mapping[str, object],
    commands: Collection[str],
) -> tuple[Config, list[Root]]:
    """Return the configuration and the rasters of the command line, which are there.

    With rasters on the command line the configuration is one that was named, or none.

    Args:
        paths: of files and folders, and URLs.
        mosaics: paths of folders.
        config_path: of the configuration, if it was named.
        given: settings of the command line.
        commands: one of them may have been meant by a path that is not there.

    Raises:
        ConfigError: a path leads nowhere, or the configuration is wrong.
    """
    added = _roots(paths, mosaics)
    config = (load_config if added else find_config)(config_path, os.environ, given)
    for number, (path, root) in enumerate(zip((*paths, *mosaics), added, strict=True)):
        is_read = number < _READ_AT_START
        _check_path(path, root, config, commands, is_read)
    return config, added


def _check_path(
    path: str, root: Root, config: Config, commands: Collection[str], is_read: bool
) -> None:
    if not path:
        raise ConfigError("a path is empty; expected a GeoTIFF or a folder of them")
    if path.isalpha() and not os.path.lexists(path) and (command := nearest(path, commands)):
        raise ConfigError(
            f"{path}: no such file or folder, and no such command; did you mean {command!r}?"
        )
    check_root(root.path, path)
    if root.mosaic is not None:
        return _check_mosaic(path, root, config)
    catalogue = Catalogue([root], remote_files(config))
    names = catalogue.names()
    if not names and not catalogue.scanned().tables:
        refused = catalogue.scanned().refused
        if refused:
            raise ConfigError(
                f"{path}: permission denied to look into {refused[0]}; the server must be allowed "
                "to read and to enter it"
            )
        if is_stac(root.path):
            raise ConfigError(f"{path}: no item in this STAC document")
        raise ConfigError(f"{path}: no GeoTIFF (.tif, .tiff) in this folder{hint(root.path)}")
    # One of many items must not keep the others from being served.
    if is_read and is_remote(root.path) and len(names) == 1:
        catalogue.find(names[0])


def _check_mosaic(path: str, root: Root, config: Config) -> None:
    if is_stac(root.path):
        catalogue = Catalogue([root], remote_files(config))
        names = catalogue.names()
        if not names:
            raise ConfigError(f"{path}: no item in this STAC document")
        if all(map(catalogue.is_broken, names)):
            catalogue.find(names[0])
        return
    if not os.path.isdir(root.path):
        raise ConfigError(f"{path}: expected a folder of GeoTIFFs, or STAC, for a mosaic of them")
    if not has_geotiff(root):
        raise ConfigError(f"{path}: no GeoTIFF (.tif, .tiff) in this folder")
