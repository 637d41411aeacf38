"""Finds the red, green and blue bands of an image.

In this order: by the colour interpretation, by STAC's common names, by wavelengths, by words in
ids and descriptions, by the numbers that Sentinel-2, Landsat and MODIS give their bands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tileserver.contract.assets import Band, ImageAsset

Names = tuple[str, str, str]
"""Ids of the red, the green and the blue band."""

COLORS = ("red", "green", "blue")
_MIDDLES_UM = {"red": (0.61, 0.665, 0.7), "green": (0.51, 0.56, 0.6), "blue": (0.43, 0.48, 0.515)}
"""Shortest, usual and longest wavelength in the middle of such a band."""
_OTHER_COLORS = {"edge", "rededge", "infrared", "near", "nir", "swir", "coastal", "deep", "ratio"}
"""Words that make another band of one with a colour's name."""
_NUMBERED = re.compile(
    r"(?:sr_|toa_|sur_refl_)?b(?:and)?[ _.-]?0*([1-9]\d?)(?:[ _.-].*)?", re.ASCII | re.IGNORECASE
)
_OLI, _TM, _MODIS = (4, 3, 2), (3, 2, 1), (1, 4, 3)
_SENSORS = (
    (re.compile(r"(?<![a-z])l[cot]0[89]|landsat[ _-]?[89]|sentinel-?2|(?<![a-z])s2[abc]_"), _OLI),
    (re.compile(r"(?<![a-z])l[etm]0[457]|landsat[ _-]?[457]"), _TM),
    (re.compile(r"(?<![a-z])m[oyc]d(09|43)|modis|sur_refl_b"), _MODIS),
)
"""Numbers of the red, green and blue bands, by names of files and platforms."""
_PLATFORMS = ("SPACECRAFT_ID", "SPACECRAFT_NAME", "platform", "constellation", "mission")
_MAX_BANDS = 1024


def true_color(asset: ImageAsset) -> Names | None:
    """Return the ids of an image's red, green and blue bands, or None if they cannot be told."""
    bands = asset.bands[:_MAX_BANDS]
    if len(bands) < 3:
        return None
    return (
        _named({band.id: band.notes.color for band in bands})
        or _named({band.id: (band.notes.common_name or "").lower() for band in bands})
        or _by_wavelength(bands)
        or _by_words({band.id: band.id for band in bands})
        or _by_words({band.id: band.notes.description or "" for band in bands})
        or _by_numbers(bands, _hints(asset))
    )


def is_picture(asset: ImageAsset, band_ids: Sequence[str]) -> bool:
    """Tell whether bands are the red, green and blue of a picture with eight bits a channel."""
    bands = {band.id: band for band in asset.bands}
    chosen = [bands[each] for each in band_ids]
    colors = {band.notes.color for band in chosen}
    return colors == set(COLORS) and all(band.dtype.name == "uint8" for band in chosen)


def _named(colors: Mapping[str, str | None]) -> Names | None:
    """Return the bands of the three colours, the first of each."""
    found = {color: band_id for band_id, color in reversed(list(colors.items())) if color in COLORS}
    return _all_three(found)


def _all_three(found: Mapping[str, str]) -> Names | None:
    ids = [found[color] for color in COLORS if color in found]
    return (ids[0], ids[1], ids[2]) if len(set(ids)) == 3 else None


def _by_wavelength(bands: Iterable[Band]) -> Names | None:
    known = [(band.notes.wavelength_um, band.id) for band in bands if band.notes.wavelength_um]
    found = {}
    for color, (shortest, usual, longest) in _MIDDLES_UM.items():
        fitting = [(abs(um - usual), name) for um, name in known if shortest <= um <= longest]
        if fitting:
            found[color] = min(fitting)[1]
    return _all_three(found)


def _by_words(texts: Mapping[str, str]) -> Names | None:
    """Return the bands whose texts name a colour and no other kind of band."""
    words = {band: re.findall(r"[a-z]+", text.lower()) for band, text in texts.items()}
    found = {}
    for color in COLORS:
        spelled = (color,), (color[0],)
        exact = [band for band, text in words.items() if tuple(text) in spelled]
        some = [band for band, text in words.items() if color in text]
        some = [band for band in some if not _OTHER_COLORS.intersection(words[band])]
        if chosen := [*exact, *some]:
            found[color] = chosen[0]
    return _all_three(found)


def _hints(asset: ImageAsset) -> str:
    """Return texts that may name the sensor, in lower case."""
    said = (asset.properties.get(each) for each in _PLATFORMS)
    texts = [each[:80] for each in said if isinstance(each, str)]
    return " ".join([*texts, asset.name.rpartition("/assets/")[2], *asset.band_ids[:1]]).lower()


def _by_numbers(bands: Sequence[Band], hints: str) -> Names | None:
    ids = [band.id for band in bands]
    if ids == [f"b{place}" for place in range(1, len(ids) + 1)]:
        # These number the bands of a file that names none.
        return None
    matches = ((_NUMBERED.fullmatch(each), each) for each in reversed(ids))
    numbered = {int(match[1]): each for match, each in matches if match}
    said = [order for pattern, order in _SENSORS if pattern.search(hints)]
    for order in (*said, _usual_order(numbered)):
        if all(number in numbered for number in order):
            red, green, blue = (numbered[number] for number in order)
            return red, green, blue
    return None


def _usual_order(numbered: Mapping[int, str]) -> tuple[int, int, int]:
    """Return the numbers of red, green and blue where nothing names the sensor.

    The Thematic Mapper has a thermal band 6, often left out or apart, and nothing above 8; the
    newer sensors count a coastal band as the first.
    """
    if 4 not in numbered or "VCID" in numbered.get(6, ""):
        return _TM
    is_tm = {1, 2, 3, 4, 5, 7} <= numbered.keys() <= {1, 2, 3, 4, 5, 7, 8}
    return _TM if is_tm else _OLI
