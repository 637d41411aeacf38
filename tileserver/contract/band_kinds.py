"""Tells from a band's values and names whether it holds elevations, classes or another quantity.

Names, descriptions and units tell; so do the values themselves, as classes are few integers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tileserver.contract.assets import Band

Bools = NDArray[np.bool_]
Sample = tuple[NDArray[Any], Bools]
"""Values of one band and their validity, both of shape (height, width)."""

MAX_SPAN = 256
"""Classes are drawn with one colour for each value from the first to the last."""
_MAX_UNNAMED = 32
_PIXELS_PER_CLASS = 50
"""Fewer pixels a value are too few to tell."""
_FEW = 8
"""So many steps of a quantity are not told from classes by their order."""
_SMOOTH = 0.95


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ELEVATION = _listed("""
elevation elev altitude alt height dem dsm dtm dgm dom mnt mns mde mdt dhm hgt srtm nasadem gdem
astgtm gebco etopo copdem topography topo bathymetry relief terrain orography
""")
_NO_ELEVATION = _listed("""
slope aspect hillshade shade shaded error mask canopy tree trees vegetation building chm ndsm
roughness curvature tri tpi count flow flowdir flowacc wbm edm flm hem diff difference change
std stddev uncertainty snow ice wave rgb class classes classification wind boundary
""")
_CLASSES = _listed("""
class classes classified classification landcover landuse lulc lc nlcd cdl worldcover corine clc
category categories categorical label labels mask qa scl fmask cropland biome biomes ecoregions
soiltype geology zones lithology
""")
_PHRASES = ("land_cover", "land_use", "land cover", "land use")
_LENGTHS = re.compile(r"m|met(?:re|er)s?|ft|foot|feet|(?:us|u\.s\.) survey (?:foot|feet)|ftus")
_LOWEST, _HIGHEST = -40_000.0, 30_000.0
"""Of the Earth's surface, in feet."""


def is_elevation(band: Band, file_name: str, low: float, high: float) -> bool:
    """Tell whether the only band of an image has elevations.

    Args:
        band: with what its file says of it.
        file_name: of the asset, the last part.
        low: a low value of the band, such as its 2nd percentile.
        high: a high one.
    """
    is_wide = band.dtype.kind == "f" or band.dtype.itemsize >= 2
    if not is_wide or not _LOWEST <= low < high <= _HIGHEST:
        return False
    words = _words(band, file_name)
    if words & _NO_ELEVATION:
        return False
    unit = (band.notes.unit or "").strip().lower()
    if unit and not _LENGTHS.fullmatch(unit):
        return False
    is_unnamed = band.id == "b1" and not band.notes.description
    return bool(words & _ELEVATION) or bool(unit and is_unnamed)


def class_values(band: Band, file_name: str, samples: Iterable[Sample]) -> tuple[int, ...]:
    """Return the values of a band of classes that samples of it have, or none if it has no classes.

    Those are up to 256 integers if the band's names say so, or up to 32 without a unit, each of
    many pixels, that do not merely rise and fall by one from pixel to pixel.
    """
    if band.dtype.kind not in "iu" or band.notes.unit or band.notes.color in ("red", "green"):
        return ()
    samples = list(samples)
    valid = [values[there] for values, there in samples]
    found, counts = np.unique(np.concatenate(valid) if valid else [], return_counts=True)
    if len(found) < 2 or int(found[-1]) - int(found[0]) >= MAX_SPAN:
        return ()
    if not _says_classes(band, file_name):
        is_few = len(found) <= min(_MAX_UNNAMED, counts.sum() / _PIXELS_PER_CLASS)
        if not is_few or _words(band, file_name) & _ELEVATION or _is_smooth(samples, found):
            return ()
    return tuple(int(each) for each in found)


def _says_classes(band: Band, file_name: str) -> bool:
    text = f"{file_name} {band.id} {band.notes.description or ''}".lower()
    is_named = bool(_words(band, file_name) & _CLASSES) or any(each in text for each in _PHRASES)
    return is_named or band.notes.color == "palette" or band.pyramiding_policy == "MODE"


def _words(band: Band, file_name: str) -> set[str]:
    text = f"{file_name} {band.id} {band.notes.description or ''}"
    # ESA_WorldCover, landCover2020, LandCover: words begin at capitals, too.
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text[:400])
    return {*re.findall("[a-z]+", split.lower()), *re.findall("[a-z]+", text[:400].lower())}


def _is_smooth(samples: Iterable[Sample], found: NDArray[Any]) -> bool:
    """Tell whether neighbours, where they differ, nearly always differ by one step."""
    if len(found) <= _FEW:
        return False
    steps = [_steps(np.searchsorted(found, values), there) for values, there in samples]
    changes = np.concatenate(steps)
    changes = changes[changes > 0]
    return bool(changes.size) and bool((changes == 1).mean() >= _SMOOTH)


def _steps(ranks: NDArray[Any], valid: Bools) -> NDArray[Any]:
    """Return the differences of pixels from those at their left."""
    both = valid[:, 1:] & valid[:, :-1]
    steps: NDArray[Any] = np.abs(np.diff(ranks, axis=1))[both]
    return steps
