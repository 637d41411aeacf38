"""What a GeoTIFF and its sidecar say: the asset, and how GDAL reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from tileserver.contract.assets import Band, ImageAsset
from tileserver.contract.grids import PixelGrid
from tileserver.contract.raster_formats import GEOTIFF
from tileserver.errors import UnreadableRaster
from tileserver.geo.positions import Level
from tileserver.rasters.band_notes import band_notes
from tileserver.rasters.blocks.layouts import LevelLayout, layouts_of
from tileserver.rasters.datasets import Location, block_bytes, shows_mask
from tileserver.rasters.decode_budget import decode_bytes
from tileserver.rasters.file_times import time_of_file
from tileserver.rasters.files import SeenFile
from tileserver.rasters.placement import place
from tileserver.rasters.remote.files import RemoteFile
from tileserver.rasters.sidecars.overlay import WithMetadata
from tileserver.rasters.tiff_directories import Directory
from tileserver.rasters.warps import Warp

_NOT_IN_BAND_IDS = re.compile(r"[^A-Za-z0-9_.-]+")
_ALL_VALID = {MaskFlags.all_valid}
MAX_SAMPLES = 4_000_000
"""Pixels a band that statistics read of a file."""
_MAX_DEPTH = 20
_MAX_MASK_BYTES = 400_000_000
_MAX_MASK_BLOCK_BYTES = 8_000_000
"""Of masks that are looked at to describe an asset, not to draw it."""


@dataclass(frozen=True, eq=False)
class GeoTiff:
    """An image asset in one GeoTIFF, and how GDAL reads it. Equal only to itself."""

    asset: ImageAsset
    grid: PixelGrid
    """The native grid, of all bands."""
    dtype: np.dtype[Any]
    """Of all bands, as GeoTIFF has it."""
    levels: tuple[Level, ...]
    """Finest first; the first is the image itself."""
    band_indexes: tuple[int, ...]
    """GDAL's index of each band, from 1; an alpha band is none of them."""
    location: Location = field(repr=False)
    """Absolute path or remote file; for `datasets` only, never shown to a client."""
    file: SeenFile | None = field(default=None, repr=False)
    """The local file that the asset's version is of."""
    has_mask: bool = True
    """False when every pixel is valid, so that no mask need be read."""
    has_given_nodata: bool = False
    """True when the nodata value of its bands is not the file's own, which has no mask."""
    shares_mask: bool = False
    """True when one mask or alpha band holds for all bands."""
    alpha_index: int | None = None
    """GDAL's index of the alpha band that hides pixels, if one does."""
    decode_bytes: int = 0
    """Memory that decoding one block of its bands and one of its mask takes."""
    layouts: tuple[LevelLayout, ...] = field(default=(), repr=False)
    """How its levels are read by blocks, in their order; none if GDAL reads them."""
    sample_count: int = 0
    """Bands of the file, that of opacity included."""
    beside: SeenFile | None = field(default=None, repr=False)
    """The file of the levels that are not in the raster's own."""
    mask: GeoTiff | None = field(default=None, repr=False)
    """The file that tells, in its first band, which pixels of the image itself are valid."""
    masks_by_value: bool = False
    """Whether GDAL does not know the nodata value, which is told beside the file."""
    is_complex: bool = False
    """True when the file holds complex numbers, whose magnitude is shown."""
    warp: Warp | None = field(default=None, repr=False)
    """Leads from the native grid to the pixels of the file, unless it has them."""

    @property
    def source(self) -> SeenFile | RemoteFile | None:
        """The file, in the state that `version` is of."""
        return self.file if isinstance(self.location, str) else self.location

    @property
    def without_mask(self) -> GeoTiff:
        """The raster as its own file has it, all pixels of which are valid."""
        return replace(self, mask=None, has_mask=False)

    def place_of(self, level: Level) -> tuple[Location, SeenFile | None]:
        """Return where a level's pixels are, and the local file in the state it must have."""
        if level.is_beside and self.beside is not None:
            return self.beside.place.path, self.beside
        return self.location, self.file

    def layout_of(self, level: Level) -> LevelLayout | None:
        """Return how a level is read by blocks, or None if GDAL reads it."""
        return self.layouts[self.levels.index(level)] if self.layouts else None


def describe_raster(
    dataset: DatasetReader | WithMetadata,
    name: str,
    location: Location,
    version: str,
    sidecar: Mapping[str, Any],
    directories: Sequence[Directory] = (),
) -> GeoTiff:
    """Return what a GeoTIFF, its directories and its sidecar describe.

    Without directories GDAL is asked instead, which takes longer.

    Raises:
        UnreadableRaster: it cannot be placed, or the sidecar does not fit it.
    """
    placement = place(dataset, name)
    # rasterio asks all bands whenever one is looked up, so each list is fetched once.
    interpretations, all_flags = dataset.colorinterp, dataset.mask_flag_enums
    indexes = tuple(i for i in dataset.indexes if interpretations[i - 1] != ColorInterp.alpha)
    if not indexes:
        raise UnreadableRaster(f"{name}: the GeoTIFF has no band beside its alpha band.")
    flags = [set(all_flags[i - 1]) for i in indexes]
    bands = _bands(dataset, indexes, sidecar, placement.grid, name)
    levels = _levels_with_masks(dataset, flags, directories, location, name)
    alpha = _alpha_index(dataset, flags)
    start_time, end_time = sidecar.get("startTime"), sidecar.get("endTime")
    if not (start_time or end_time):
        start_time = time_of_file(dataset.tags(), name)
    asset = ImageAsset(
        name=name,
        version=version,
        bands=bands,
        start_time=start_time,
        end_time=end_time,
        properties=sidecar.get("properties") or {},
        overview_factors=tuple(level.factor for level in levels[1:]),
        max_samples=MAX_SAMPLES,
        color_table=color_table(dataset, indexes),
        no_place=placement.no_place,
    )
    return GeoTiff(
        asset=asset,
        grid=placement.grid,
        is_complex=dataset.dtypes[0].startswith("complex"),
        warp=placement.warp,
        dtype=bands[0].dtype,
        levels=levels,
        band_indexes=indexes,
        location=location,
        has_mask=alpha is not None or any(MaskFlags.all_valid not in flag for flag in flags),
        shares_mask=all(MaskFlags.nodata not in flag for flag in flags)
        and (alpha is not None or all(MaskFlags.per_dataset in flag for flag in flags)),
        alpha_index=alpha,
        decode_bytes=decode_bytes(directories) or 2 * block_bytes(dataset),
        sample_count=dataset.count,
        masks_by_value=isinstance(dataset, WithMetadata) and dataset.has_nodata_of_its_own,
        layouts=_layouts(dataset, directories, levels, bands[0], () if alpha else flags),
    )


def _bands(
    dataset: DatasetReader,
    indexes: Sequence[int],
    sidecar: Mapping[str, Any],
    grid: PixelGrid,
    name: str,
) -> tuple[Band, ...]:
    listed = sidecar_bands(sidecar, len(indexes), name)
    descriptions = dataset.descriptions
    ids = band_ids([descriptions[i - 1] for i in indexes], listed)
    policies = _policies(sidecar, listed) or (None,) * len(indexes)
    dtype, nodata = _dtype(dataset, name), dataset.nodata
    notes = band_notes(dataset, indexes, listed, sidecar.get("properties") or {})
    return tuple(
        Band(band_id, dtype, grid, policy, nodata, note)
        for band_id, policy, note in zip(ids, policies, notes, strict=True)
    )


def read_sidecar(text: str, name: str) -> dict[str, Any]:
    """Return the members of a sidecar.

    Raises:
        UnreadableRaster: it is not a JSON object, or a member is of the wrong type.
    """
    members = read_object(text, name, "its .json sidecar")
    kinds = {"bands": list, "properties": dict, "startTime": str, "endTime": str}
    for member, kind in kinds.items():
        if member in members and not isinstance(members[member], kind):
            raise UnreadableRaster(
                f"{name}: {member} in its .json sidecar must be a {kind.__name__}."
            )
    return members


def read_object(text: str, name: str, kind: str) -> dict[str, Any]:
    """Return a JSON object.

    Args:
        text: JSON.
        name: of the asset, for errors.
        kind: of the file, for errors.

    Raises:
        UnreadableRaster: it is not one, or holds numbers or texts that cannot be written again.
    """
    try:
        members = json.loads(text)
        _check_depth(members)
        # Python also reads NaN, 1e999 and halves of surrogate pairs, which cannot be written.
        json.dumps(members, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as exc:
        raise UnreadableRaster(f"{name}: {kind} is not JSON: {exc}.") from exc
    if not isinstance(members, dict):
        raise UnreadableRaster(f"{name}: {kind} must be a JSON object.")
    return members


def _check_depth(value: object, left: int = _MAX_DEPTH) -> None:
    if isinstance(value, dict | list):
        if left == 0:
            raise ValueError(f"it is nested more than {_MAX_DEPTH} deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check_depth(each, left - 1)


def _dtype(dataset: DatasetReader, name: str) -> np.dtype[Any]:
    """Return the type of values that are served: of complex numbers that of the magnitude."""
    kind = dataset.dtypes[0]
    # Of GDAL's own types NumPy knows nothing.
    dtype: np.dtype[Any] = np.dtype("complex64" if kind == "complex_int16" else kind)
    return dtype if dtype.kind != "c" else np.dtype(f"float{dtype.itemsize * 4}")


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
    band: Band,
    flags: Sequence[set[MaskFlags]],
) -> tuple[LevelLayout, ...]:
    """Return how levels are read without GDAL; nothing if masks are of kinds that it mixes."""
    kinds: list[set[MaskFlags]] = [{MaskFlags.nodata}, {MaskFlags.per_dataset}]
    if dataset.dtypes[0].startswith("complex"):
        return ()
    if flags and not any(all(flag == kind for flag in flags) for kind in [*kinds, _ALL_VALID]):
        return ()
    has_mask_directory = bool(flags) and flags[0] == {MaskFlags.per_dataset}
    # Blocks are filled with the file's own value, whatever is said beside it.
    nodata = dataset.file_nodata if isinstance(dataset, WithMetadata) else dataset.nodata
    return layouts_of(directories, levels, band.dtype, nodata, has_mask_directory)


def _levels_with_masks(
    dataset: DatasetReader,
    flags: Sequence[set[MaskFlags]],
    directories: Sequence[Directory],
    location: Location,
    name: str,
) -> tuple[Level, ...]:
    """Return the levels; the image alone where overviews lack the mask that the image has."""
    levels = _levels(dataset, directories)
    if {MaskFlags.per_dataset} not in flags or len(levels) == 1:
        return levels
    has_masks = _has_masks(directories) if dataset.driver == GEOTIFF else False
    if has_masks is None:
        has_masks = shows_mask(dataset, location, name, levels[-1].overview or 0)
    return levels if has_masks else levels[:1]


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
    """Return the alpha band, unless a mask comes first; a nodata value holds beside it."""
    if ColorInterp.alpha not in dataset.colorinterp:
        return None
    # GDAL itself knows an alpha band as a mask only behind one band or three.
    beside = {MaskFlags.alpha, MaskFlags.all_valid, MaskFlags.nodata}
    is_first = all(flag & beside for flag in flags)
    return dataset.colorinterp.index(ColorInterp.alpha) + 1 if is_first else None


def sidecar_bands(sidecar: Mapping[str, Any], count: int, name: str) -> list[Mapping[str, Any]]:
    """Return the bands that a sidecar lists, each with its id; none if it lists none.

    Raises:
        UnreadableRaster: they are not `count` bands with ids that bands can have.
    """
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


def band_ids(
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


def color_table(dataset: DatasetReader, bands: Sequence[int]) -> tuple[str, ...]:
    """Return the hex colours of the values of a single band that has a table; none of others."""
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
    # All values beyond are black, as the table has them.
    beyond = () if last == 255 else ("000000",)
    used = (table.get(value, (0, 0, 0)) for value in range(last + 1))
    return (*("{:02x}{:02x}{:02x}".format(*each[:3]) for each in used), *beyond)
