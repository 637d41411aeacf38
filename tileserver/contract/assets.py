"""An image asset: its bands, times and properties, all that is known of it but its pixels.

The names are those of an EarthEngineAsset:
https://developers.google.com/earth-engine/reference/rest/v1/projects.assets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tileserver.contract.band_notes import NO_NOTES, BandNotes
from tileserver.contract.drawn_tables import DrawnTable
from tileserver.contract.grids import PixelGrid
from tileserver.contract.names import short_name
from tileserver.contract.wire import grid_to_json
from tileserver.errors import InvalidRequest

_PRECISIONS = {"float32": "FLOAT", "float64": "DOUBLE"}
MAX_COMPUTED_SAMPLES = 262_144
"""Pixels a band that statistics read of pixels that cost compute; 512 x 512 are enough."""


@dataclass(frozen=True, slots=True)
class Band:
    """One band of an image, an ImageBand in Earth Engine's words."""

    id: str
    dtype: np.dtype[Any]
    grid: PixelGrid
    """The native grid."""
    pyramiding_policy: str | None = None
    """How pixels of overviews were made: MEAN, SAMPLE, MODE …; None when it is not known."""
    nodata: float | None = None
    """The value of pixels without data, `missingData` of an ImageBand."""
    notes: BandNotes = NO_NOTES
    """The metadata of its file."""

    def to_json(self) -> dict[str, Any]:
        """Return the ImageBand."""
        members: dict[str, Any] = {
            "id": self.id,
            "dataType": data_type_json(self.dtype),
            "grid": grid_to_json(self.grid),
        }
        if self.pyramiding_policy:
            members["pyramidingPolicy"] = self.pyramiding_policy
        if self.nodata is not None and np.isfinite(self.nodata):
            members["missingData"] = {"values": [self.nodata]}
        return members


@dataclass(frozen=True, slots=True)
class MosaicState:
    """How many files a mosaic has, which are left out, and which rule chooses among them."""

    file_count: int
    """Files that can be drawn."""
    pixel_selection: str
    """The rule of which file shows where several lie."""
    is_complete: bool
    """False while there are files that were not looked at yet."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Names and reasons of files that cannot be drawn, the first of them."""
    left_out_count: int = 0
    complete_from_zoom: int | None = 0
    """The first zoom whose tiles are made of all files on them; None if there is none."""
    needs_all_files: bool = False
    """Whether tiles of lower zooms are refused, instead of showing a part of the files."""

    @property
    def minzoom(self) -> int:
        """The lowest zoom with tiles."""
        return (self.complete_from_zoom or 0) if self.needs_all_files else 0

    def to_json(self) -> dict[str, Any]:
        """Return the JSON of `/info`."""
        return {
            "files": self.file_count,
            "pixel_selection": self.pixel_selection,
            "complete": self.is_complete,
            "complete_from_zoom": self.complete_from_zoom,
            "left_out": self.left_out_count,
            "errors": [{"name": name, "reason": reason} for name, reason in self.left_out],
        }


@dataclass(frozen=True, eq=False)
class ImageAsset:
    """An image: everything about it but its pixels. Equal only to itself."""

    name: str
    """Full name, `projects/*/assets/**`."""
    version: str
    """Changes whenever pixels or metadata do."""
    bands: tuple[Band, ...]
    """At least one; types and grids may differ."""
    start_time: str | None = None
    end_time: str | None = None
    update_time: str | None = None
    size_bytes: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    overview_factors: tuple[int, ...] = ()
    """Sides of the pixels of the overviews in native pixels, finest first, where they are known."""
    max_samples: int = MAX_COMPUTED_SAMPLES
    """Pixels a band that statistics may read."""
    color_table: tuple[str, ...] = ()
    """Hex colours of the values 0, 1, 2 … of a one-band image that carries them."""
    no_place: str = ""
    """Why its place on Earth is not known; its grid is a flat map of its own. Empty if it is."""
    mosaic: MosaicState | None = None
    """Of an image that is made of many files."""
    table: DrawnTable | None = None
    """Of a picture of features."""

    @property
    def has_times(self) -> bool:
        """Whether there are times to choose from."""
        return self.mosaic is not None and self.start_time is not None

    @cached_property
    def band_ids(self) -> tuple[str, ...]:
        """The ids, in order."""
        return tuple(band.id for band in self.bands)

    @cached_property
    def grids(self) -> tuple[PixelGrid, ...]:
        """The different native grids of its bands, in their order."""
        return tuple(dict.fromkeys(band.grid for band in self.bands))

    @cached_property
    def common_grid(self) -> PixelGrid:
        """The band grid with the most pixels, where one grid must stand for the whole image."""
        return max(self.grids, key=lambda grid: grid.width * grid.height)

    def grid_of(self, band_ids: Sequence[str] = ()) -> PixelGrid:
        """Return the grid of a request that gives none: the native one of its first band.

        Raises:
            InvalidRequest: the band is unknown.
        """
        return self.bands[self.indexes(band_ids[:1])[0]].grid

    def select(self, band_ids: Sequence[str] = ()) -> tuple[Band, ...]:
        """Return bands by id, in that order; all when there are no ids. Raises as `indexes`."""
        return tuple(self.bands[index] for index in self.indexes(band_ids))

    def indexes(self, band_ids: Sequence[str] = ()) -> tuple[int, ...]:
        """Return the places of bands in `bands`; all when there are no ids.

        Raises:
            InvalidRequest: a band is unknown or named twice; the message lists the bands.
        """
        if not band_ids:
            return tuple(range(len(self.bands)))
        for band in band_ids:
            if band not in self.band_ids:
                raise InvalidRequest(
                    f"Image.select: Pattern {band[:80]!r} did not match any bands. "
                    f"Bands: {_joined(self.band_ids)}."
                )
        if len(set(band_ids)) < len(band_ids):
            raise InvalidRequest(f"Bands must not repeat, got {_joined(band_ids)}.")
        return tuple(self.band_ids.index(band) for band in band_ids)

    def to_json(self) -> dict[str, Any]:
        """Return the EarthEngineAsset."""
        members: dict[str, Any] = {
            "type": "IMAGE",
            "name": self.name,
            "id": short_name(self.name),
            "updateTime": self.update_time,
            "startTime": self.start_time,
            "endTime": self.end_time,
            "properties": dict(self.properties) or None,
            "bands": [band.to_json() for band in self.bands],
            "sizeBytes": None if self.size_bytes is None else str(self.size_bytes),
        }
        return {name: value for name, value in members.items() if value is not None}


def data_type_json(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return Earth Engine's PixelDataType."""
    if dtype.kind == "f":
        return {"precision": _PRECISIONS[dtype.name]}
    limits = np.iinfo(dtype)
    return {"precision": "INT", "range": {"min": int(limits.min), "max": int(limits.max)}}


def _joined(names: Sequence[str], most: int = 20) -> str:
    more = f" … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more
