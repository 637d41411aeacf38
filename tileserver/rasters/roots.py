"""Roots: the files, folders and URLs that are served, and the GeoTIFFs found below them.

The name of an asset is its path below its root, without the suffix, whatever lies beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.raster_formats import CUBES, GEOTIFF, driver_of, is_vrt, suffixes_of
from tileserver.contract.table_formats import is_table
from tileserver.errors import ConfigError
from tileserver.rasters.cubes.images import Variable
from tileserver.rasters.files import Listing, Place, find_file, walk
from tileserver.rasters.other_formats import check_driver
from tileserver.rasters.remote.objects import file_name, find_object, is_remote

SUFFIXES = suffixes_of([GEOTIFF])
STAC_SUFFIXES = (".json", ".geojson", ".parquet")
_MAX_DOCUMENTS = 100
"""JSON files in a folder that may be STAC items."""
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
    formats: tuple[str, ...] = (GEOTIFF,)
    """Drivers whose files are rasters; a file is opened with that of its suffix alone."""
    cube: Variable | None = None
    """The variable of a file of arrays that is its image, or whose times are its images."""


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
    suffixes: tuple[str, ...] = SUFFIXES
    """Of files that are rasters."""
    cube: Variable | None = None
    """As `Root.cube`."""

    def has(self, name: str) -> bool:
        """Tell whether a file of a name is a raster."""
        return is_raster(name, self.suffixes)


def top_of(root: Root) -> Top:
    """Return a root as it is now."""
    if is_remote(root.path):
        return Top(root.path, root.prefix, False, root.members, root.name)
    suffixes = suffixes_of(root.formats)
    # A slash at the end would follow a link.
    path = os.path.abspath(root.path.rstrip(os.sep) or os.sep)
    is_link = os.path.islink(path)
    return Top(path, root.prefix, is_link, root.members, root.name, suffixes, root.cube)


@dataclass
class Walked:
    """The other files in the folders of a root, beside its GeoTIFFs."""

    folders: list[tuple[str, Place | str | None]] = field(default_factory=list)
    """Names of folders, those of roots included; each with its collection.json if it has one, or
    with what that would hold."""
    paths: list[str] = field(default_factory=list)
    """Absolute paths of the folders that were looked into."""
    refused: list[str] = field(default_factory=list)
    """Folders that the system does not show to the server, for people."""
    documents: list[Place] = field(default_factory=list)
    """JSON files beside GeoTIFFs that are no sidecars of theirs."""
    tables: list[tuple[str, Place]] = field(default_factory=list)
    """Files of tables, with their paths below the root."""


def geotiffs(top: Top, walked: Walked) -> Iterator[tuple[str, Place | str]]:
    """Yield (path below the root, location) of the GeoTIFFs of one root; add what lies beside."""
    prefix = top.prefix.rstrip("/")
    if is_remote(top.path) or not os.path.isdir(top.path):
        walked.folders.append((prefix, None))
        yield from _single(top, walked)
        return
    unseen: list[str] = []
    for listing in walk(top.path, top.is_link, unseen):
        walked.paths.append(os.path.join(top.path, listing.below))
        has_collection = COLLECTION_FILE in listing.files
        walked.documents += [Place(top.path, path, top.is_link) for path in _documents(listing)]
        file = Place(top.path, listing.path(COLLECTION_FILE), top.is_link)
        if listing.below.isprintable():
            name = f"{prefix}/{listing.below}".rstrip("/")
            walked.folders.append((name, file if has_collection else None))
        walked.tables += _served(top, listing, is_table)
        yield from _served(top, listing, top.has)
    walked.refused += [shown(top, below).rstrip("/") for below in unseen]


def _served(top: Top, listing: Listing, has: Callable[[str], bool]) -> Iterator[tuple[str, Place]]:
    """Yield the files of a folder whose names pass a test, in order."""
    for path in map(listing.path, sorted(filter(has, listing.files + listing.links))):
        place = Place(top.path, path, top.is_link)
        # A link may point anywhere; its target must lie below the root.
        if path.rpartition("/")[2] in listing.links and find_file(place) is None:
            continue
        yield path, place


def _documents(listing: Listing) -> list[str]:
    """Return the paths of JSON files in a folder of GeoTIFFs that are no sidecars of them."""
    others = [name for name in listing.files if name.lower().endswith(".json")]
    if not others:
        return []
    stems = {os.path.splitext(name)[0] for name in listing.files if is_raster(name)}
    found = (name for name in others if os.path.splitext(name)[0] not in stems)
    places = [listing.path(name) for name in found if name != COLLECTION_FILE and stems]
    return places[:_MAX_DOCUMENTS]


def _single(top: Top, walked: Walked) -> Iterator[tuple[str, Place | str]]:
    if is_remote(top.path):
        yield file_name(top.path), top.path
        return
    folder, _, name = top.path.rpartition("/")
    place = Place(folder or "/", name, links="anywhere" if top.is_link else "nowhere")
    if find_file(place) is None:
        return
    if is_table(name):
        walked.tables.append((name, place))
    elif top.has(name) or is_vrt(name):
        yield name, place


def asset_name(top: Top, path: str) -> str:
    """Return the name of the asset of a file, by its path below a root."""
    return f"{top.prefix.rstrip('/')}/{top.name or os.path.splitext(path)[0]}"


def shown(top: Top, path: str) -> str:
    """Return a path for people: from the root's own folder or file on."""
    if is_remote(top.path) or not os.path.isdir(top.path):
        return path
    return f"{os.path.basename(top.path)}/{path}"


def is_stac(path: str) -> bool:
    """Tell whether a path or a URL is named as a STAC document is."""
    name = file_name(path) if is_remote(path) else os.path.basename(path)
    return name.lower().endswith(STAC_SUFFIXES) and not name.startswith(".")


def check_root(path: str, shown: str = "", formats: Sequence[str] = (GEOTIFF,)) -> None:
    """Raise if a root leads nowhere.

    Args:
        path: of the root.
        shown: how the user wrote it.
        formats: drivers whose files are rasters.

    Raises:
        ConfigError: there is no such file or folder, or the file is not named as a raster, or it
            may not be read; or GDAL lacks a driver.
    """
    for driver in formats:
        if driver != GEOTIFF and driver not in CUBES:
            check_driver(driver)
    shown = shown or path
    if is_remote(path):
        if not file_name(path).lower().endswith((*SUFFIXES, *STAC_SUFFIXES)):
            raise ConfigError(
                f"{file_name(path)}: expected the URL of a GeoTIFF, ending in .tif or .tiff, or of "
                "a STAC document, ending in .json, .geojson or .parquet"
            )
        find_object(path)
        return
    if not os.path.exists(path):
        raise ConfigError(f"{shown}: {_why_not_there(path)}")
    is_folder = os.path.isdir(path)
    is_named = is_raster(os.path.basename(path), suffixes_of(formats))
    is_named = is_named or is_stac(path) or is_vrt(path) or is_table(path)
    if not is_folder and not (is_named and os.path.isfile(path)):
        raise ConfigError(
            f"{shown}: expected a GeoTIFF (.tif, .tiff), a folder of them, a .vrt, or STAC (.json)"
            f"{hint(path)}"
        )
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


def hint(path: str) -> str:
    """Return what to add to an error about a file that a setting would serve, or ""."""
    driver = driver_of(path)
    for cube, suffixes in CUBES.items():
        driver = cube if path.lower().endswith(suffixes) else driver
    return "" if driver == GEOTIFF else f'; [[rasters]] formats = ["{driver}"] serves this file'


def is_raster(name: str, suffixes: tuple[str, ...] = SUFFIXES) -> bool:
    """Tell whether a file is named as a raster."""
    return not name.startswith(".") and name.lower().endswith(suffixes)


def mosaic_root(
    path: str,
    prefix: str = LOCAL_PREFIX,
    pixel_selection: str = "newest",
    index_folder: str | None = None,
) -> Root:
    """Return the root of a folder, or of a STAC document, whose images are one, named after it.

    Raises:
        ConfigError: it is a VRT, which is one image by itself.
    """
    if is_vrt(path) and not os.path.isdir(path):
        raise ConfigError(
            f"{os.path.basename(path)}: expected a folder of GeoTIFFs, or STAC, for a mosaic of "
            "them; a .vrt is one image without it"
        )
    folder = file_name(path) if is_remote(path) else os.path.basename(os.path.abspath(path))
    folder = (os.path.splitext(folder)[0] if is_stac(path) else folder) or "mosaic"
    name = f"{prefix.rstrip('/')}/{folder}"
    return Root(path, name, mosaic=MosaicOptions(name, pixel_selection, index_folder))


def has_geotiff(root: Root) -> bool:
    """Return whether there is a GeoTIFF below a root; does not look further than to the first."""
    return next(geotiffs(top_of(root), Walked()), None) is not None
