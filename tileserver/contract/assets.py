"""What is known of an image asset: its grid, bands, masks, pyramid and metadata.

Read once from a GeoTIFF and the sidecar beside it, `scene.json` in the form of an Earth
Engine asset: https://developers.google.com/earth-engine/reference/rest/v1/projects.assets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tileserver.contract.pixels import PixelGrid
from tileserver.contract.wire import grid_to_json
from tileserver.errors import InvalidRequest

_ACCURACY = {"float32": "FLOAT", "float64": "DOUBLE"}


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the pyramid."""

    overview: int | None
    """GDAL's index of the overview; None is the image itself."""
    factor: int
    """Side of a pixel in native pixels, as a whole number."""


@dataclass(frozen=True, eq=False)
class ImageAsset:
    """An image: everything about it but its pixels. Equal only to itself."""

    name: str
    """Full name, `projects/*/assets/**`."""
    version: str
    """Changes whenever the file or its sidecar does."""
    grid: PixelGrid
    """The native grid."""
    band_ids: tuple[str, ...]
    dtype: np.dtype[Any]
    """One for all bands, as GeoTIFF has it."""
    nodata: float | None = None
    levels: tuple[Level, ...] = (Level(None, 1),)
    """Finest first; the first is the image itself."""
    pyramiding_policies: tuple[str, ...] = ()
    start_time: str | None = None
    end_time: str | None = None
    update_time: str | None = None
    size_bytes: int | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    band_dtypes: tuple[np.dtype[Any], ...] = ()
    """The type of each band, where they are not all `dtype`."""
    max_samples: int = 4_000_000
    """Pixels a band that statistics may take."""
    color_table: tuple[str, ...] = ()
    """Hex colours of the values 0, 1, 2 … of a one-band image that carries them."""

    def indexes(self, band_ids: Sequence[str]) -> tuple[int, ...]:
        """Return the places of bands in `band_ids`; all of them when none is named.

        Raises:
            InvalidRequest: a band is unknown or named twice; says which there are.
        """
        if not band_ids:
            return tuple(range(len(self.band_ids)))
        for band in band_ids:
            if band not in self.band_ids:
                raise InvalidRequest(
                    f"Image.select: Pattern {band[:80]!r} did not match any bands. "
                    f"Bands: {_listed(self.band_ids)}."
                )
        if len(set(band_ids)) < len(band_ids):
            raise InvalidRequest(f"Bands must not repeat, got {_listed(band_ids)}.")
        return tuple(self.band_ids.index(band) for band in band_ids)

    def to_json(self) -> dict[str, Any]:
        """Return the EarthEngineAsset."""
        members: dict[str, Any] = {
            "type": "IMAGE",
            "name": self.name,
            "id": self.name.removeprefix("projects/earthengine-public/assets/"),
            "updateTime": self.update_time,
            "startTime": self.start_time,
            "endTime": self.end_time,
            "properties": dict(self.properties) or None,
            "bands": [self._band_json(i) for i in range(len(self.band_ids))],
            "sizeBytes": None if self.size_bytes is None else str(self.size_bytes),
        }
        return {name: value for name, value in members.items() if value is not None}

    def _band_json(self, index: int) -> dict[str, Any]:
        band: dict[str, Any] = {
            "id": self.band_ids[index],
            "dataType": data_type_json(self.dtype),
            "grid": grid_to_json(self.grid),
        }
        if self.pyramiding_policies:
            band["pyramidingPolicy"] = self.pyramiding_policies[index]
        if self.nodata is not None and np.isfinite(self.nodata):
            band["missingData"] = {"values": [self.nodata]}
        return band


def data_type_json(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Return Earth Engine's PixelDataType."""
    if dtype.kind == "f":
        return {"precision": _ACCURACY[dtype.name]}
    limits = np.iinfo(dtype)
    return {"precision": "INT", "range": {"min": int(limits.min), "max": int(limits.max)}}


def _listed(names: Sequence[str], most: int = 20) -> str:
    more = f" … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more
