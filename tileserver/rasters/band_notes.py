"""Notes on each band of a GeoTIFF, its own and of its sidecar: colour, wavelength, unit, text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rasterio.io import DatasetReader

from tileserver.contract.band_notes import BandNotes

_MAX_TEXT = 200
_NANOMETRES_FROM = 100
"""A wavelength without a unit is in nanometres from here on, else in micrometres."""
_PER_UM = {
    "nanometers": 1e3,
    "nanometres": 1e3,
    "nanometer": 1e3,
    "nm": 1e3,
    "micrometers": 1.0,
    "micrometres": 1.0,
    "micrometer": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
}


def band_notes(
    dataset: DatasetReader,
    indexes: Sequence[int],
    listed: Sequence[Mapping[str, Any]],
    properties: Mapping[str, Any],
) -> tuple[BandNotes, ...]:
    """Return the notes of bands.

    Args:
        dataset: the file.
        indexes: of the bands, from 1.
        listed: the bands of its sidecar, as many, or none.
        properties: those of the sidecar; "eo:bands" of STAC is used.
    """
    # rasterio asks all bands whenever one is looked up, so each list is fetched once.
    colors, units, texts = dataset.colorinterp, dataset.units, dataset.descriptions
    scales, offsets = dataset.scales, dataset.offsets
    catalogued = _catalogued(properties, len(indexes))
    notes = []
    for place, index in enumerate(indexes):
        said = {**catalogued[place], **(listed[place] if listed else {})}
        tags = {name.lower(): text for name, text in dataset.tags(index).items()}
        imagery = {f"imagery:{n.lower()}": t for n, t in dataset.tags(index, ns="IMAGERY").items()}
        notes.append(
            BandNotes(
                description=_text(texts[index - 1]),
                unit=_text(said.get("unit")) or _text(units[index - 1]),
                color=colors[index - 1].name,
                common_name=_text(said.get("eo:common_name") or said.get("common_name")),
                wavelength_um=_wavelength_um(said, tags | imagery),
                scale=_unlike(scales[index - 1], 1.0),
                offset=_unlike(offsets[index - 1], 0.0),
            )
        )
    return tuple(notes)


def _catalogued(properties: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    bands = properties.get("eo:bands")
    if not isinstance(bands, list) or len(bands) != count:
        return [{}] * count
    return [each if isinstance(each, dict) else {} for each in bands]


def _unlike(value: float, default: float) -> float | None:
    return float(value) if math.isfinite(value) and value != default else None


def _text(value: object) -> str | None:
    return value[:_MAX_TEXT] if isinstance(value, str) and value else None


def _wavelength_um(said: Mapping[str, Any], tags: Mapping[str, str]) -> float | None:
    """Return the wavelength of STAC, of GDAL's IMAGERY domain, or as ENVI's header has it."""
    micrometres = (
        said.get("eo:center_wavelength"),
        said.get("center_wavelength"),
        tags.get("imagery:central_wavelength_um"),
    )
    for value in micrometres:
        if um := _positive(value):
            return um
    length = _positive(tags.get("wavelength"))
    if length is None:
        return None
    per_um = _PER_UM.get(tags.get("wavelength_units", "").strip().lower())
    return length / (per_um or (1e3 if length >= _NANOMETRES_FROM else 1.0))


def _positive(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None
