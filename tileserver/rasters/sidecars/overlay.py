"""A dataset as it would be if GDAL had read the files beside it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from tileserver.errors import InvalidRequest
from tileserver.geo.crs import crs_of
from tileserver.rasters.sidecars.pam import Pam, PamBand

log = logging.getLogger(__name__)

_NOTHING = PamBand()


@dataclass(frozen=True)
class Metadata:
    """The metadata in the files beside a raster."""

    pam: Pam = field(default_factory=Pam)
    world: Affine | None = None
    """Of a world file."""
    crs_text: str = ""
    """Of a .prj file."""

    @property
    def says_something(self) -> bool:
        """Whether there is anything that a raster does not say itself."""
        return self != Metadata()


class WithMetadata:
    """A dataset, what is beside it on top; everything else is its own.

    Where both say something, what is beside goes first, as in GDAL, except for the place on
    Earth, which is looked for beside if the file has none.
    """

    def __init__(self, dataset: DatasetReader, beside: Metadata, name: str) -> None:
        """Show a dataset.

        Args:
            dataset: is open.
            beside: what is said beside it.
            name: of the asset, for the log.
        """
        self._dataset = dataset
        self._pam = beside.pam
        pam, own = beside.pam, dataset.transform
        elsewhere = pam.transform or beside.world
        self.transform: Affine = own if not own.is_identity or elsewhere is None else elsewhere
        self.crs: CRS | None = dataset.crs
        if dataset.crs is None and not self.transform.is_identity:
            self.crs = _crs(pam.crs_text or beside.crs_text, name)
        self.file_nodata: float | None = dataset.nodata
        self.nodata: float | None = self._nodata()

    @property
    def has_nodata_of_its_own(self) -> bool:
        """Whether the nodata value is not the one that GDAL reads of the file."""
        # NaN is told by its text.
        return str(self.nodata) != str(self.file_nodata)

    def __getattr__(self, member: str) -> Any:
        """Return an attribute of the dataset itself."""
        return getattr(self._dataset, member)

    def _bands(self) -> Sequence[PamBand]:
        return [self._pam.bands.get(index, _NOTHING) for index in self._dataset.indexes]

    def _nodata(self) -> float | None:
        """Return the nodata value of all bands; the file's own if they differ."""
        own = self._dataset.nodatavals
        found = [
            value if band.nodata is None else band.nodata
            for band, value in zip(self._bands(), own, strict=True)
        ]
        # NaN is equal to itself as a text alone.
        if len(set(map(str, found))) != 1 or None in found:
            return self.file_nodata
        value = found[0]
        dtype = np.dtype(self._dataset.dtypes[0])
        if dtype.kind in "iu" and value is not None:
            limits = np.iinfo(dtype)
            # NaN is none of these, either.
            return (
                value
                if limits.min <= value <= limits.max and value == int(value)
                else self.file_nodata
            )
        return value

    @property
    def mask_flag_enums(self) -> Sequence[Sequence[MaskFlags]]:
        """How pixels without data are told, a list a band."""
        flags: Sequence[Sequence[MaskFlags]] = self._dataset.mask_flag_enums
        if self.nodata is None or not self.has_nodata_of_its_own:
            return flags
        return [
            [MaskFlags.nodata] if set(each) == {MaskFlags.all_valid} else each for each in flags
        ]

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """Of the bands."""
        pairs = zip(self._bands(), self._dataset.descriptions, strict=True)
        return tuple(band.description or own for band, own in pairs)

    @property
    def units(self) -> tuple[str | None, ...]:
        """Of the values of bands."""
        pairs = zip(self._bands(), self._dataset.units, strict=True)
        return tuple(band.unit or own for band, own in pairs)

    @property
    def scales(self) -> tuple[float, ...]:
        """By which stored values are multiplied."""
        pairs = zip(self._bands(), self._dataset.scales, strict=True)
        return tuple(own if band.scale is None else band.scale for band, own in pairs)

    @property
    def offsets(self) -> tuple[float, ...]:
        """That are added then."""
        pairs = zip(self._bands(), self._dataset.offsets, strict=True)
        return tuple(own if band.offset is None else band.offset for band, own in pairs)

    @property
    def colorinterp(self) -> tuple[ColorInterp, ...]:
        """The colours of the bands in a picture."""
        pairs = zip(self._bands(), self._dataset.colorinterp, strict=True)
        return tuple(own if band.color is None else band.color for band, own in pairs)

    def colormap(self, index: int) -> Mapping[int, tuple[int, int, int, int]]:
        """Return the colour table of a band; raises ValueError if it has none."""
        band = self._pam.bands.get(index, _NOTHING)
        own: Mapping[int, tuple[int, int, int, int]]
        if band.color_table:
            return band.color_table
        own = self._dataset.colormap(index)
        return own

    def tags(self, index: int = 0, ns: str | None = None) -> dict[str, str]:
        """Return the metadata of the dataset, or of a band."""
        own: dict[str, str] = self._dataset.tags(index, ns=ns)
        if ns is not None:
            return own
        said = self._pam.bands.get(index, _NOTHING).tags if index else self._pam.tags
        return {**own, **said}


def class_properties(pam: Pam, ids: Mapping[int, str]) -> dict[str, Any]:
    """Return the classes of bands as properties, as Earth Engine's assets have them.

    Args:
        pam: has names and colours of classes.
        ids: of the bands, by their indexes.
    """
    found: dict[str, Any] = {}
    for index, band_id in ids.items():
        band = pam.bands.get(index, _NOTHING)
        colors = band.class_colors or band.color_table
        values = sorted(set(band.class_names) & set(colors))
        if values:
            found[f"{band_id}_class_values"] = values
            found[f"{band_id}_class_names"] = [band.class_names[value] for value in values]
            found[f"{band_id}_class_palette"] = [
                "{:02x}{:02x}{:02x}".format(*colors[value][:3]) for value in values
            ]
    return found


def _crs(text: str, name: str) -> CRS | None:
    """Return the CRS of a text, vetted as those of requests are; None if it cannot be read."""
    if not text:
        return None
    try:
        return crs_of(text)
    except InvalidRequest as exc:
        log.warning("%s: the CRS beside it is left out: %s", name, exc)
        return None
