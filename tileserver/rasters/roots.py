"""Roots: the files, folders and URLs that are served, and the GeoTIFFs found below them.

The name of an asset is its path below its root, without the suffix, whatever lies beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tileserver.contract.names import LOCAL_PREFIX
from tileserver.errors import ConfigError
from tileserver.rasters.band_sets import BandSet, band_sets
from tileserver.rasters.files import Place, find_file, walk
from tileserver.rasters.remote.objects import file_name, find_object, is_remote

Location = Place | str | BandSet
"""Where an image lies: in a file, behind a URL, or in several of them."""
SUFFIXES = (".tif", ".tiff")
COLLECTION_FILE = "collection.json"
"""Makes a folder an image collection, and describes it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MosaicOptions:
    """How the GeoTIFFs of a root are one image, too."""

    name: str
    """Full name of that image; the prefix of the root's own."""
    pixel_selection: str = "newest"
    """Which file shows where several lie."""
    index_folder: str | None = field(default=None, repr=False)
    """Where the index is kept; None is the user's cache folder."""


@dataclass(frozen=True)
class Root:
    """A file, a folder or a URL, and the prefix its assets get."""

    path: str = field(repr=False)
    prefix: str = LOCAL_PREFIX
    members: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """`properties`, `startTime` and `endTime` of its assets; a sidecar's own replace them."""
    name: str | None = None
    """Of the asset of a file or URL, below the prefix; None for the file's name."""
    mosaic: MosaicOptions | None = None
    """Set if its GeoTIFFs are one image, too; only that is a layer then."""


@dataclass(frozen=True)
class Top:
    """A root as it was when the server started."""

    path: str
    """Absolute, or a URL."""
    prefix: str
    is_link: bool
    """Whether it is a link; one that is put in its place later is not followed."""
    members: Mapping[str, Any]
    name: str | None


@dataclass(frozen=True)
class Scan:
    """The files and folders below the roots at one moment."""

    images: Mapping[str, Location]
    """Places or URLs of GeoTIFFs, by the names of their assets."""
    members: Mapping[str, Mapping[str, Any]]
    """Those that an image's root has for it, by the same names."""
    folders: Sequence[tuple[str, Place | None]]
    """Names of folders, those of roots included, each with its collection.json if it has one."""
    clashes: Mapping[str, Sequence[str]]
    """Files that would have one name, by that name: which of them it is cannot be told."""
    paths: Sequence[str] = ()
    """Absolute paths of the folders that were looked into."""
    bands: frozenset[str] = frozenset()
    """Names of images that are bands of others, too."""
    refused: Sequence[str] = ()
    """Folders that the system does not show to the server, for people."""


def top_of(root: Root) -> Top:
    """Return a root as it is now."""
    if is_remote(root.path):
        return Top(root.path, root.prefix, False, root.members, root.name)
    # A slash at the end would follow a link.
    path = os.path.abspath(root.path.rstrip(os.sep) or os.sep)
    return Top(path, root.prefix, os.path.islink(path), root.members, root.name)


def scan(tops: Iterable[Top]) -> Scan:
    """Return the GeoTIFFs and folders below roots.

    Raises OSError for failures that are not of one file or folder, such as too many open files.
    """
    images: dict[str, Location] = {}
    members: dict[str, Mapping[str, Any]] = {}
    folders: list[tuple[str, Place | None]] = []
    files: dict[str, list[str]] = {}
    paths: list[str] = []
    refused: list[str] = []

    def add(name: str, top: Top, path: str, location: Location) -> None:
        if name not in images or not _is_same(images[name], location):
            files.setdefault(name, []).append(_shown(top, path))
        images.setdefault(name, location)
        members.setdefault(name, top.members)

    sets: list[tuple[str, Top, str, BandSet]] = []
    for top in tops:
        found = list(_geotiffs(top, folders, paths, refused))
        for path, location in found:
            name = asset_name(top, path)
            if _is_name(name):
                add(name, top, path, location)
            else:
                log.debug("left out %s: it cannot be a name", name)
        sets += _sets(top, found)
    # A file or a collection goes before a scene of its name.
    taken = {*images, *(name for name, file in folders if file is not None)}
    for name, top, path, each in sets:
        if name not in taken:
            add(name, top, path, each)
    clashes = {name: paths for name, paths in files.items() if len(paths) > 1}
    return Scan(images, members, folders, clashes, paths, _bands(images), refused)


def _sets(
    top: Top, found: Sequence[tuple[str, Place | str]]
) -> Iterator[tuple[str, Top, str, BandSet]]:
    """Yield the name of each scene of several files below a root, the root, its path and files."""
    places = {path: each for path, each in found if isinstance(each, Place)}
    if len(places) < 2:
        return
    prefix, own = top.prefix.rstrip("/"), os.path.basename(top.path)
    for path, each in band_sets(places).items():
        name = f"{prefix}/{path or own}"
        if _is_name(name):
            yield name, top, path, each


def _bands(images: Mapping[str, Location]) -> frozenset[str]:
    """Return the names of the files that are bands of others."""
    sets = [each for each in images.values() if isinstance(each, BandSet)]
    parts = {_file(file.location) for each in sets for file in each.files}
    return frozenset(name for name, each in images.items() if parts and _file(each) in parts)


def _file(location: Location) -> object:
    if isinstance(location, BandSet):
        return tuple(_file(file.location) for file in location.files)
    return location if isinstance(location, str) else location.path


def _is_same(one: Location, other: Location) -> bool:
    """Tell whether two locations are of one file, also by way of links."""
    if isinstance(one, Place) and isinstance(other, Place) and one.path != other.path:
        return os.path.realpath(one.path) == os.path.realpath(other.path)
    return _file(one) == _file(other)


def _shown(top: Top, path: str) -> str:
    """Return a path for people: from the root's own folder or file on."""
    if is_remote(top.path) or not os.path.isdir(top.path):
        return path
    return f"{os.path.basename(top.path)}/{path}"


def _geotiffs(
    top: Top,
    folders: list[tuple[str, Place | None]],
    paths: list[str],
    refused: list[str],
) -> Iterator[tuple[str, Place | str]]:
    """Yield (path below the root, location) of the GeoTIFFs of one root; add its folders."""
    prefix = top.prefix.rstrip("/")
    if is_remote(top.path) or not os.path.isdir(top.path):
        folders.append((prefix, None))
        yield from _single(top)
        return
    unseen: list[str] = []
    for listing in walk(top.path, top.is_link, unseen):
        paths.append(os.path.join(top.path, listing.below))
        has_collection = COLLECTION_FILE in listing.files
        file = Place(top.path, listing.path(COLLECTION_FILE), top.is_link)
        if listing.below.isprintable():
            name = f"{prefix}/{listing.below}".rstrip("/")
            folders.append((name, file if has_collection else None))
        for path in map(listing.path, sorted(filter(_is_geotiff, listing.files + listing.links))):
            place = Place(top.path, path, top.is_link)
            # A link may point anywhere; its target must lie below the root.
            if path.rpartition("/")[2] in listing.links and find_file(place) is None:
                continue
            yield path, place
    refused += [_shown(top, below).rstrip("/") for below in unseen]


def _single(top: Top) -> Iterator[tuple[str, Place | str]]:
    if is_remote(top.path):
        yield file_name(top.path), top.path
        return
    folder, _, name = top.path.rpartition("/")
    place = Place(folder or "/", name, links="anywhere" if top.is_link else "nowhere")
    if _is_geotiff(name) and find_file(place) is not None:
        yield name, place


def asset_name(top: Top, path: str) -> str:
    """Return the name of the asset of a file, by its path below a root."""
    return f"{top.prefix.rstrip('/')}/{top.name or os.path.splitext(path)[0]}"


def _is_name(name: str) -> bool:
    return name.isprintable() and name == name.strip()


def check_root(path: str, shown: str = "") -> None:
    """Raise if a root leads nowhere; `shown` is how the user wrote it.

    Raises:
        ConfigError: there is no such file or folder, or the file is not named as a GeoTIFF, or it
            may not be read.
    """
    shown = shown or path
    if is_remote(path):
        if not file_name(path).lower().endswith(SUFFIXES):
            raise ConfigError(
                f"{file_name(path)}: expected the URL of a GeoTIFF, ending in .tif or .tiff"
            )
        find_object(path)
        return
    if not os.path.exists(path):
        raise ConfigError(f"{shown}: {_why_not_there(path)}")
    is_folder = os.path.isdir(path)
    if not is_folder and not (_is_geotiff(os.path.basename(path)) and os.path.isfile(path)):
        raise ConfigError(f"{shown}: expected a GeoTIFF (.tif, .tiff) or a folder of them")
    if not os.access(path, os.R_OK | os.X_OK if is_folder else os.R_OK):
        raise ConfigError(f"{shown}: permission denied; the server must be allowed to read it")


def _why_not_there(path: str) -> str:
    try:
        os.stat(path)
    except PermissionError:
        return "permission denied; the server must be allowed to enter the folders above it"
    except OSError:
        pass
    return "no such file or folder"


def _is_geotiff(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def mosaic_root(
    path: str,
    prefix: str = LOCAL_PREFIX,
    pixel_selection: str = "newest",
    index_folder: str | None = None,
) -> Root:
    """Return the root of a folder whose GeoTIFFs are one image, named as the folder."""
    folder = os.path.basename(os.path.abspath(path)) or "mosaic"
    name = f"{prefix.rstrip('/')}/{folder}"
    return Root(path, name, mosaic=MosaicOptions(name, pixel_selection, index_folder))


def has_geotiff(root: Root) -> bool:
    """Return whether there is a GeoTIFF below a root; does not look further than to the first."""
    return next(_geotiffs(top_of(root), [], [], []), None) is not None
