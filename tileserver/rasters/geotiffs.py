"""What a GeoTIFF and its sidecar say: the asset, and how GDAL reads it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from tileserver.contract.assets import ImageAsset, Level
from tileserver.contract.pixels import AffineTransform, PixelGrid
from tileserver.errors import UnreadableRaster
from tileserver.geo.crs import code_of_file
from tileserver.rasters.blocks.layouts import LevelLayout, layouts_of
from tileserver.rasters.datasets import Location, block_bytes, shows_mask
from tileserver.rasters.decode_budget import decode_bytes
from tileserver.rasters.files import SeenFile
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.tiff_directories import Directory

_NOT_IN_BAND_IDS = re.compile(r"[^A-Za-z0-9_.-]+")


_ALL_VALID = {MaskFlags.all_valid}
_MAX_DEPTH = 20


_MAX_MASK_BYTES = 400_000_000


_MAX_MASK_BLOCK_BYTES = 8_000_000
"""Of masks that are looked at to describe an asset, not to draw it."""


@dataclass(frozen=True, eq=False)
class GeoTiff(ImageAsset):
    """An image asset in a GeoTIFF, and how GDAL reads it."""

    location: Location = field(default="", repr=False)
    """Absolute path or remote file; for `datasets` only, never shown to a client."""
    file: SeenFile | None = field(default=None, repr=False)
    """The local file that `version` is of."""
    band_indexes: tuple[int, ...] = ()
    """GDAL's index of each band, from 1; an alpha band is none of them."""
    has_mask: bool = True
    """False when every pixel is valid, so that no mask need be read."""
    shares_mask: bool = False
    """True when one mask or alpha band holds for all bands."""
    alpha_index: int | None = None
    """GDAL's index of the alpha band that hides pixels, if one does."""
    decode_bytes: int = 0
    """Memory that decoding one block of its bands and one of its mask takes."""
    layouts: tuple[LevelLayout, ...] = field(default=(), repr=False)
    """How its levels are read by blocks, in their order; none if GDAL reads them."""

    @property
    def source(self) -> SeenFile | RemoteFile | None:
        """The file, in the state that `version` is of."""
        return self.file if isinstance(self.location, str) else self.location


def describe_asset(
    dataset: DatasetReader,
    name: str,
    location: Location,
    version: str,
    sidecar: Mapping[str, Any],
    directories: Sequence[Directory] = (),
    update_time: str | None = None,
    size_bytes: int | None = None,
) -> GeoTiff:
    """Return the asset that a GeoTIFF, its directories and its sidecar describe.

    Without directories GDAL is asked instead, which takes longer.

    Raises:
        UnreadableRaster: it has no CRS or place on Earth, holds complex numbers, or the sidecar
            does not fit it.
    """
    _check_georeference(dataset, name)
    # rasterio asks all bands whenever one is looked up, so each list is fetched once.
    interpretations, all_flags = dataset.colorinterp, dataset.mask_flag_enums
    bands = [i for i in dataset.indexes if interpretations[i - 1] != ColorInterp.alpha]
    if not bands:
        raise UnreadableRaster(f"{name}: the GeoTIFF has no band beside its alpha band.")
    flags = [set(all_flags[i - 1]) for i in bands]
    descriptions = dataset.descriptions
    listed = _sidecar_bands(sidecar, len(bands), name)
    levels = _levels(dataset, directories)
    if {MaskFlags.per_dataset} in flags and len(levels) > 1:
        last = levels[-1].overview or 0
        is_shown = _has_masks(directories)
        if is_shown is None:
            is_shown = shows_mask(dataset, location, name, last)
        levels = levels if is_shown else levels[:1]
    alpha = _alpha_index(dataset, flags)
    dtype = _dtype(dataset, name)
    return GeoTiff(
        name=name,
        location=location,
        version=version,
        grid=_native_grid(dataset, name),
        band_ids=_band_ids([descriptions[i - 1] for i in bands], listed),
        band_indexes=tuple(bands),
        dtype=dtype,
        nodata=dataset.nodata,
        has_mask=alpha is not None or any(MaskFlags.all_valid not in flag for flag in flags),
        shares_mask=alpha is not None or all(MaskFlags.per_dataset in flag for flag in flags),
        alpha_index=alpha,
        levels=levels,
        pyramiding_policies=_policies(sidecar, listed),
        start_time=sidecar.get("startTime"),
        end_time=sidecar.get("endTime"),
        update_time=update_time,
        size_bytes=size_bytes,
        properties=sidecar.get("properties") or {},
        decode_bytes=decode_bytes(directories) or 2 * block_bytes(dataset),
        color_table=_color_table(dataset, bands),
        layouts=_layouts(dataset, directories, levels, dtype, () if alpha else flags),
    )


def read_sidecar(text: str, name: str) -> dict[str, Any]:
    """Return the members of a sidecar.

    Raises:
        UnreadableRaster: it is not a JSON object, or a member is of the wrong type.
    """
    try:
        members = json.loads(text)
        _check_depth(members)
        # Python also reads NaN, 1e999 and halves of surrogate pairs, which cannot be written.
        json.dumps(members, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise UnreadableRaster(f"{name}: its .json sidecar is not JSON: {exc}.") from exc
    kinds = {"bands": list, "properties": dict, "startTime": str, "endTime": str}
    if not isinstance(members, dict):
        raise UnreadableRaster(f"{name}: its .json sidecar must be a JSON object.")
    for member, kind in kinds.items():
        if member in members and not isinstance(members[member], kind):
            raise UnreadableRaster(
                f"{name}: {member} in its .json sidecar must be a {kind.__name__}."
            )
    return members


def _check_depth(value: object, left: int = _MAX_DEPTH) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _check_georeference(dataset: DatasetReader, name: str) -> None:
    if dataset.crs is None and dataset.gcps[0]:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF has ground control points instead of a CRS and a geotransform; "
            "gdalwarp writes one that has both."
        )
    if dataset.crs is None:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF has no CRS, so its place on Earth is unknown; "
            "gdal_edit.py -a_srs EPSG:… writes one."
        )
    # Products of the members are what is computed with; those of NaN and 1e300 are not numbers.
    has_area = math.isfinite(dataset.transform.determinant) and dataset.transform.determinant != 0
    has_area = has_area and all(map(math.isfinite, tuple(dataset.transform)[:6]))
    if dataset.transform.is_identity or not has_area:
        raise UnreadableRaster(
            f"{name}: the GeoTIFF has no geotransform, so its place on Earth is unknown; "
            "gdal_edit.py -a_ullr … writes one."
        )


def _dtype(dataset: DatasetReader, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(dataset.dtypes[0])
    except TypeError:  # complex_int16 is GDAL's alone
        dtype = np.dtype("complex64")
    if dtype.kind not in "iuf":
        raise UnreadableRaster(
            f"{name}: pixels of type {dataset.dtypes[0]} cannot be drawn; "
            "expected int8 to int64, uint8 to uint64, float32 or float64."
        )
    return dtype


def _native_grid(dataset: DatasetReader, name: str) -> PixelGrid:
    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    return PixelGrid(
        dataset.width,
        dataset.height,
        AffineTransform(a, b, c, d, e, f),
        code_of_file(dataset.crs, name),
    )


def _levels(dataset: DatasetReader, directories: Sequence[Directory]) -> tuple[Level, ...]:
    # GDAL looks for overviews elsewhere when the file has none, except within JPEG itself.
    if directories and not any(each.is_overview or each.is_jpeg for each in directories):
        return (Level(None, 1),)
    # A width of one pixel makes every factor 1, as rasterio looks at nothing but the width.
    overviews = [Level(i, factor) for i, factor in enumerate(dataset.overviews(1)) if factor > 1]
    return (Level(None, 1), *sorted(overviews, key=lambda level: level.factor))


def _layouts(
    dataset: DatasetReader,
    directories: Sequence[Directory],
    levels: Sequence[Level],
    dtype: np.dtype[Any],
    flags: Sequence[set[MaskFlags]],
) -> tuple[LevelLayout, ...]:
    """Return how levels are read without GDAL; nothing if masks are of kinds that it mixes."""
    kinds: list[set[MaskFlags]] = [{MaskFlags.nodata}, {MaskFlags.per_dataset}]
    if flags and not any(all(flag == kind for flag in flags) for kind in [*kinds, _ALL_VALID]):
        return ()
    has_mask_directory = bool(flags) and flags[0] == {MaskFlags.per_dataset}
    return layouts_of(directories, levels, dtype, dataset.nodata, has_mask_directory)


def _has_masks(directories: Sequence[Directory]) -> bool | None:
    """Tell whether each overview has a mask of its own; None if it takes a look at pixels."""
    masks = [each for each in directories if each.is_mask]
    overviews = {(each.width, each.height) for each in directories if each.is_overview}
    if overviews and overviews <= {(mask.width, mask.height) for mask in masks if mask.bits <= 8}:
        return True
    is_large = sum(mask.width * mask.height for mask in masks) > _MAX_MASK_BYTES
    is_coarse = any(mask.block_bytes > _MAX_MASK_BLOCK_BYTES for mask in masks)
    return False if is_large or is_coarse else None


def _alpha_index(dataset: DatasetReader, flags: Sequence[set[MaskFlags]]) -> int | None:
    """Return the alpha band, unless a nodata value or a mask comes first."""
    if ColorInterp.alpha not in dataset.colorinterp:
        return None
    # GDAL itself knows an alpha band as a mask only behind one band or three.
    is_first = all(MaskFlags.alpha in flag or MaskFlags.all_valid in flag for flag in flags)
    return dataset.colorinterp.index(ColorInterp.alpha) + 1 if is_first else None


def _sidecar_bands(sidecar: Mapping[str, Any], count: int, name: str) -> list[Mapping[str, Any]]:
    bands = sidecar.get("bands", [])
    if not bands:
        return []
    are_named = all(isinstance(b, dict) and isinstance(b.get("id"), str) for b in bands)
    ids = [band["id"] for band in bands] if are_named else []
    if len(ids) != count or len(set(ids)) != count:
        raise UnreadableRaster(
            f"{name}: bands in its .json sidecar must give the GeoTIFF's {count} bands an id "
            "each, no two the same."
        )
    if wrong := [i for i in ids if not i or _NOT_IN_BAND_IDS.search(i)]:
        raise UnreadableRaster(
            f"{name}: band id {wrong[0]!r} in its .json sidecar; "
            "it may hold letters, digits and _.- only."
        )
    return list(bands)


def _band_ids(
    descriptions: Sequence[str | None], listed: Sequence[Mapping[str, Any]]
) -> tuple[str, ...]:
    """Return the sidecar's ids, else the descriptions if they can serve, else b1, b2 and so on."""
    if listed:
        return tuple(band["id"] for band in listed)
    ids = [_NOT_IN_BAND_IDS.sub("_", text or "").strip("_") for text in descriptions]
    if all(ids) and len(set(ids)) == len(ids):
        return tuple(ids)
    # Earth Engine's own default names.
    return tuple(f"b{i}" for i in range(1, len(descriptions) + 1))


def _policies(sidecar: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    default = sidecar.get("pyramidingPolicy")
    policies = [band.get("pyramidingPolicy", default) for band in listed]
    return tuple(map(str, policies)) if policies and all(policies) else ()


def _color_table(dataset: DatasetReader, bands: Sequence[int]) -> tuple[str, ...]:
    if len(bands) != 1 or dataset.colorinterp[bands[0] - 1] != ColorInterp.palette:
        return ()
    try:
        table = dataset.colormap(bands[0])
    except ValueError:
        # It says that its values are places in a table, and has none.
        return ()
    last = max((value for value, rgba in table.items() if rgba[:3] != (0, 0, 0)), default=0)
    if not 1 <= last <= 255:
        return ()
    return tuple("{:02x}{:02x}{:02x}".format(*table[value][:3]) for value in range(last + 1))
