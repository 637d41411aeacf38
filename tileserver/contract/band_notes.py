"""Notes of a file on a band: a colour, a wavelength, a unit, a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BandNotes:
    """Notes of a file, of its sidecar or of a catalogue; None where there is none."""

    description: str | None = None
    unit: str | None = None
    """Of the values, as the file writes it, such as "metre"."""
    color: str | None = None
    """GDAL's colour interpretation, such as "red", "gray" or "palette"."""
    common_name: str | None = None
    """Of STAC's electro-optical extension, such as "red" or "nir"."""
    wavelength_um: float | None = None
    """The middle of the band."""
    scale: float | None = None
    """With `offset`: the quantity is value * scale + offset."""
    offset: float | None = None


NO_NOTES = BandNotes()
