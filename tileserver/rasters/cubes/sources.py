"""The variables of files of NetCDF and of Zarr stores at the start, each of which has a root."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

from tileserver.contract.raster_formats import CUBES
from tileserver.errors import ConfigError, TileserverError
from tileserver.rasters.cubes.cube_file import CubeFile
from tileserver.rasters.cubes.images import Variable
from tileserver.rasters.files import Listing, Place, walk
from tileserver.rasters.roots import MosaicOptions, Root

_MODULES = {"netCDF": ("h5py", "cftime"), "Zarr": ("zarr", "cftime")}
_MAX_FILES = 1000

log = logging.getLogger(__name__)


def check_extra(formats: Sequence[str]) -> None:
    """Raise ConfigError if what reads some formats is not installed."""
    missing = [each for name in formats for each in _MODULES.get(name, ()) if not find_spec(each)]
    if missing:
        raise ConfigError(
            f"[[rasters]] formats: {', '.join(each for each in formats if each in _MODULES)} "
            f"needs {' and '.join(dict.fromkeys(missing))}: pip install 'ee-tileserver[netcdf]'"
        )


def cube_roots(root: Root) -> list[Root]:
    """Return a root for each variable of the files below one that has the formats of cubes.

    A variable with times is a mosaic of them, PREFIX/FILE/VARIABLE; one without is an image of
    that name. Variables that cannot be shown are left out with a warning.

    Args:
        root: has the formats; `mosaic` has the rule of selection and the folder of the index.

    Raises:
        ConfigError: what reads the formats is not installed, or nothing of a single file, or of
            all of them, can be shown; says why.
    """
    formats = [each for each in root.formats if each in CUBES]
    if not formats:
        return []
    check_extra(formats)
    found, faults = list[Root](), list[str]()
    for below, file in _files(root.path, formats):
        try:
            seen = file.variables()
        except TileserverError as exc:
            faults.append(str(exc))
            continue
        whys = (why.removeprefix(f"{file.name}: ") for why in seen.values() if isinstance(why, str))
        faults += [f"{file.name}: {why}" for why in whys]
        served = [Variable(file, n, t) for n, t in seen.items() if isinstance(t, bool)]
        found += [_root(root, below, each) for each in served]
        if not seen:
            faults.append(f"{file.name}: it has no variable of two or three dimensions.")
    is_only_cubes = len(formats) == len(root.formats)
    if not found and not faults and is_only_cubes:
        suffixes = ", ".join(suffix for each in formats for suffix in CUBES[each])
        own = os.path.basename(os.path.abspath(root.path))
        raise ConfigError(f"{own}: no file of {' or '.join(formats)} ({suffixes}) there")
    if not found and faults and is_only_cubes:
        more = f" ({len(faults)} faults in all)" if len(faults) > 1 else ""
        raise ConfigError(f"nothing to show: {faults[0]}{more}")
    for fault in faults:
        log.warning("not served: %s", fault)
    return found


def _root(root: Root, below: str, variable: Variable) -> Root:
    prefix, path = root.prefix.rstrip("/"), f"{below}/{variable.id}"
    if not variable.has_time:
        return Root(root.path, root.prefix, root.members, path, cube=variable)
    name = f"{prefix}/{path}"
    given = root.mosaic or MosaicOptions(name)
    mosaic = MosaicOptions(name, given.pixel_selection, given.index_folder)
    return Root(root.path, name, root.members, mosaic=mosaic, cube=variable)


def _files(path: str, formats: Sequence[str]) -> Iterator[tuple[str, CubeFile]]:
    """Yield the files of a root, each with its path below it, without the suffix."""
    path = os.path.abspath(path.rstrip(os.sep) or os.sep)
    own = os.path.basename(path)
    if format_ := _format_of(own, formats):
        is_link = os.path.islink(path)
        place = Place(os.path.dirname(path), own, links="anywhere" if is_link else "nowhere")
        if format_ == "Zarr":
            # What the configuration names may be a link itself.
            path = os.path.realpath(path)
            place = Place(os.path.dirname(path), os.path.basename(path))
        yield os.path.splitext(own)[0], CubeFile(place, format_ == "Zarr", own)
        return
    found: list[tuple[str, CubeFile]] = []
    stores: list[str] = []
    for listing in walk(path, os.path.islink(path)):
        if any(f"{listing.below}/".startswith(f"{store}/") for store in stores):
            continue
        if _format_of(listing.below.rpartition("/")[2], formats) == "Zarr":
            stores.append(listing.below)
        found += _in_folder(path, listing, formats)
        if len(found) > _MAX_FILES:
            raise ConfigError(
                f"{own}: more than {_MAX_FILES} files of {' and '.join(formats)}; expected fewer"
            )
    yield from sorted(found, key=lambda each: each[0])


def _in_folder(
    root: str, listing: Listing, formats: Sequence[str]
) -> Iterator[tuple[str, CubeFile]]:
    own = listing.below.rpartition("/")[2]
    if _format_of(own, formats) == "Zarr":
        yield (
            os.path.splitext(listing.below)[0],
            CubeFile(Place(root, listing.below), True, own),
        )
        return
    for name in sorted(listing.files):
        if _format_of(name, formats) == "netCDF":
            below = listing.path(name)
            yield os.path.splitext(below)[0], CubeFile(Place(root, below), False, name)


def _format_of(name: str, formats: Sequence[str]) -> str:
    """Return which of some formats a file is of, by its name; "" for none."""
    if name.startswith("."):
        return ""
    fitting = (each for each in formats if name.lower().endswith(CUBES[each]))
    return next(fitting, "")
