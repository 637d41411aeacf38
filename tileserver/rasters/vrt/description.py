"""The asset that a VRT describes: its grid, bands, times and properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from tileserver.contract.assets import Band, ImageAsset
from tileserver.errors import InvalidRequest, UnreadableRaster
from tileserver.geo.crs import crs_of
from tileserver.rasters.band_notes import band_notes
from tileserver.rasters.file_times import time_of_file
from tileserver.rasters.geotiffs import MAX_SAMPLES, band_ids, color_table, sidecar_bands
from tileserver.rasters.placement import place
from tileserver.rasters.sidecars.overlay import class_properties
from tileserver.rasters.sidecars.pam import Color, Pam
from tileserver.rasters.vrt.document import VrtBand, VrtDocument
from tileserver.rasters.vrt.values import fitting


class DescribedVrt:
    """A VRT with the members of rasterio's datasets that descriptions are made of."""

    gcps: tuple[Sequence[Any], CRS | None] = ((), None)
    rpcs = None

    def __init__(self, document: VrtDocument, name: str) -> None:
        """Show a VRT.

        Args:
            document: what it says.
            name: of the asset, for errors.

        Raises:
            UnreadableRaster: its CRS cannot be read.
        """
        self._bands: tuple[VrtBand, ...] = document.bands
        self._tags = document.tags
        self.width, self.height = document.width, document.height
        self.transform: Affine = document.transform
        try:
            self.crs = crs_of(document.crs_text) if document.crs_text else None
        except InvalidRequest as exc:
            raise UnreadableRaster(f"{name}: the SRS of the VRT cannot be used: {exc}") from exc
        notes = [band.notes for band in document.bands]
        self.indexes = tuple(range(1, len(notes) + 1))
        self.descriptions = tuple(each.description for each in notes)
        self.units = tuple(each.unit for each in notes)
        self.scales = tuple(1.0 if each.scale is None else each.scale for each in notes)
        self.offsets = tuple(each.offset or 0.0 for each in notes)
        self.colorinterp = tuple(each.color or ColorInterp.undefined for each in notes)

    def tags(self, index: int = 0, ns: str | None = None) -> Mapping[str, str]:
        """Return the metadata of the VRT, or of a band; of the default domain alone."""
        if ns is not None:
            return {}
        return self._bands[index - 1].notes.tags if index else self._tags

    def colormap(self, index: int) -> Mapping[int, Color]:
        """Return the colour table of a band; raises ValueError if it has none."""
        table = self._bands[index - 1].notes.color_table
        if not table:
            raise ValueError("no colour table")
        return table


def alpha_of(document: VrtDocument) -> int | None:
    """Return the place of the band that tells which pixels of the others show, if one does."""
    colors = [band.notes.color for band in document.bands]
    return colors.index(ColorInterp.alpha) if ColorInterp.alpha in colors else None


def drawn_bands(document: VrtDocument) -> tuple[int, ...]:
    """Return the places of the bands that are no alpha bands."""
    bands = enumerate(document.bands)
    return tuple(i for i, band in bands if band.notes.color != ColorInterp.alpha)


def describe_vrt(
    document: VrtDocument,
    name: str,
    version: str,
    members: Mapping[str, Any],
    factors: tuple[int, ...],
) -> ImageAsset:
    """Return the asset of a VRT.

    Args:
        document: what it says.
        name: of the asset.
        version: of the VRT and its files together.
        members: of the asset, as in a sidecar.
        factors: of the overviews that all files have.

    Raises:
        UnreadableRaster: it cannot be placed, or the members do not fit it.
    """
    seen: Any = DescribedVrt(document, name)
    indexes = [place + 1 for place in drawn_bands(document)]
    if not indexes:
        raise UnreadableRaster(f"{name}: the VRT has no band beside its alpha band.")
    placement = place(seen, name)
    listed = sidecar_bands(members, len(indexes), name)
    ids = band_ids([seen.descriptions[i - 1] for i in indexes], listed)
    properties = members.get("properties") or {}
    notes = band_notes(seen, indexes, listed, properties)
    bands = [document.bands[index - 1] for index in indexes]
    start_time, end_time = members.get("startTime"), members.get("endTime")
    if not (start_time or end_time):
        start_time = time_of_file(dict(document.tags), name)
    return ImageAsset(
        name=name,
        version=version,
        bands=tuple(
            Band(band_id, band.dtype, placement.grid, None, nodata_of(band), note)
            for band_id, band, note in zip(ids, bands, notes, strict=True)
        ),
        start_time=start_time,
        end_time=end_time,
        properties={**_classes(document, dict(zip(indexes, ids, strict=True))), **properties},
        overview_factors=factors,
        max_samples=MAX_SAMPLES,
        color_table=color_table(seen, indexes),
        no_place=placement.no_place.replace("the GeoTIFF", "the VRT"),
    )


def _classes(document: VrtDocument, ids: Mapping[int, str]) -> dict[str, Any]:
    notes = {index: band.notes for index, band in enumerate(document.bands, start=1)}
    return class_properties(Pam(bands=notes), ids)


def nodata_of(band: VrtBand) -> float | None:
    """Return the value of pixels without data, unless it is hidden or pixels cannot have it."""
    return None if band.hides_nodata else fitting(band.nodata, band.dtype)
