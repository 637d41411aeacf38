"""Files that are one scene, a band each: found by their names, which differ in a band alone.

`B02.tif` and `B03.tif` are the scene of their folder; `LC08_…_SR_B2.TIF` and `LC08_…_SR_B3.TIF` are
the scene `LC08_…`, whatever else lies beside. Sentinel-2's folders R10m, R20m and R60m are one, and
of a band that is there at several resolutions the finest is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from tileserver.contract.band_notes import BandNotes
from tileserver.rasters.files import Place

_NUMBERED = r"(?:(?:SR|ST|TOA)_)?(?:B|band_?)[0-9]{1,3}(?:A|_VCID_[12])?"
_NAMED = (
    # By wavelength, the shortest first; pansharpening's band and the thermal ones come last.
    *("coastal", "aerosol", "violet", "blue", "green_i", "green", "yellow", "red"),
    *("rededge1", "rededge2", "rededge3", "rededge4", "rededge", "red_edge"),
    *(
        "nir",
        "nir08",
        "nir09",
        "nir_narrow",
        "cirrus",
        "swir1",
        "swir2",
        "swir16",
        "swir22",
        "swir",
    ),
    *("pan", "lwir", "lwir11", "lwir12", "tir", "VV", "VH", "HH", "HV"),
)
_BESIDE = (
    *("SR_QA_AEROSOL", "SR_CLOUD_QA", "SR_ATMOS_OPACITY", "QA_PIXEL", "QA_RADSAT", "BQA"),
    *("ST_ATRAN", "ST_CDIST", "ST_DRAD", "ST_EMIS", "ST_EMSD", "ST_QA", "ST_TRAD", "ST_URAD"),
    *("AOT", "WVP", "SCL", "CLDPRB", "SNWPRB", "Fmask", "SAA", "SZA", "VAA", "VZA"),
)
"""Files delivered with the bands: quality, masks, angles, vapour."""
_ORDER = {name.lower(): place for place, name in enumerate((*_NAMED, *_BESIDE), start=1000)}
_LONGEST_FIRST = sorted((*_NAMED, *_BESIDE), key=len, reverse=True)
_BAND = re.compile(
    rf"(?<![A-Za-z0-9])(?:{_NUMBERED}|{'|'.join(_LONGEST_FIRST)})(?![A-Za-z0-9])", re.IGNORECASE
)
_RESOLUTION = re.compile(r"[_.-]([0-9]{1,4})m$", re.IGNORECASE)
_SENTINEL_1_NUMBER = re.compile(r"(?<=^s1)([a-d]-.*)-[0-9]{3}$", re.IGNORECASE)
"""Of a polarization in the names of Sentinel-1's own files."""
_RESOLUTION_FOLDER = re.compile(r"(?:^|/)R([0-9]{1,4})m$")
_SEPARATORS = "_.-"
MAX_FILES = 256
"""Of one scene; more files with a band's name are not taken for one."""


@dataclass(frozen=True, slots=True)
class BandFile:
    """A file that has a band of an image, or several."""

    id: str
    """Of the band; if the file has several, the first part of their ids."""
    location: Place | str
    """Where it lies, or its URL."""
    bands: tuple[tuple[str, BandNotes], ...] = ()
    """Ids and notes of all its bands, if they are known before it is read."""
    nodata: float | None = None
    """The value of pixels without data, where the file itself has neither one nor a mask."""


@dataclass(frozen=True, slots=True)
class BandSet:
    """Where an image lies whose bands are in several files."""

    files: tuple[BandFile, ...]
    """In the order of the bands."""
    sidecar: Place | None = None
    """Where its JSON would lie, which has the form of an Earth Engine asset."""
    token: str = ""
    """A token that changes with whatever else describes the image."""
    problem: str = ""
    """Why it cannot be drawn."""

    def without(self, places: Set[Place]) -> BandSet | None:
        """Return the image without the files at some places; None if it is none without them."""
        files = tuple(file for file in self.files if file.location not in places)
        if len(files) == len(self.files):
            return self
        return replace(self, files=files) if len(files) > 1 else None


class Named(NamedTuple):
    """The scene and the band that the name of a file tells."""

    scene: str
    """The path of the scene without a suffix; ends in a slash if only the folder names it."""
    band: str
    resolution: int
    """Metres, or 0 where the name does not tell."""


@lru_cache(maxsize=100_000)
def read_name(path: str) -> Named | None:
    """Return the scene and band that the path of a file names, or None if it names no band.

    >>> read_name("2024/LC08_L2SP_044034_20240508_02_T1_SR_B4.TIF")
    Named(scene='2024/LC08_L2SP_044034_20240508_02_T1', band='SR_B4', resolution=0)
    >>> read_name("IMG_DATA/R20m/T32TQM_20240101T101411_B8A_20m.tif")
    Named(scene='IMG_DATA/T32TQM_20240101T101411', band='B8A', resolution=20)
    >>> read_name("S2A/B04.tif")
    Named(scene='S2A/', band='B04', resolution=0)
    """
    folder, _, name = path.rpartition("/")
    stem = os.path.splitext(name)[0]
    of_file, of_folder = _RESOLUTION.search(stem), _RESOLUTION_FOLDER.search(folder)
    if of_file:
        stem = stem[: of_file.start()]
    stem = _SENTINEL_1_NUMBER.sub(r"\1", stem)
    found = list(_BAND.finditer(stem))
    if not found:
        return None
    if of_folder:
        folder = folder[: of_folder.start()]
    band = found[-1]
    before, after = (part.strip(_SEPARATORS) for part in (stem[: band.start()], stem[band.end() :]))
    shared = "_".join(filter(None, (before, after)))
    size = of_file or of_folder
    scene = f"{folder}/{shared}" if folder else shared
    return Named(scene, band[0], int(size[1]) if size else 0)


def band_sets(files: Mapping[str, Place]) -> dict[str, BandSet]:
    """Return the scenes among files, by their paths without a suffix.

    Args:
        files: by their paths below a root, which are separated by slashes.

    Returns:
        Scenes of at least two bands. The path of one named by the root itself is empty.
    """
    groups: dict[str, dict[str, tuple[Named, Place]]] = {}
    for path, place in files.items():
        named = read_name(path)
        if named is None:
            continue
        bands = groups.setdefault(named.scene, {})
        held = bands.get(named.band.lower())
        if held is None or named.resolution < held[0].resolution:
            bands[named.band.lower()] = named, place
    return {
        scene.rstrip("/"): _set_of(scene, bands.values())
        for scene, bands in groups.items()
        if 2 <= len(bands) <= MAX_FILES
    }


def _set_of(scene: str, bands: Iterable[tuple[Named, Place]]) -> BandSet:
    ordered = sorted(bands, key=lambda each: _place_in_order(each[0].band))
    files = tuple(BandFile(named.band, place) for named, place in ordered)
    first = ordered[0][1]
    name = scene.rpartition("/")[2]
    if not name:
        folder = first.below.rpartition("/")[0] or first.root
        name = folder.rstrip("/").rpartition("/")[2]
    return BandSet(files, first.beside(f"{name}.json"))


def _place_in_order(band: str) -> tuple[int, str]:
    """Return a key that sorts B8A after B8 and before B9, and names by wavelength."""
    number = re.search(r"([0-9]+)(?:A|_VCID_[12])?$", band, re.IGNORECASE)
    if band.lower() in _ORDER or number is None:
        return _ORDER.get(band.lower(), 10_000), band.lower()
    is_thermal = band.upper().startswith("ST_")
    return int(number[1]) + (500 if is_thermal else 0), band.lower()
