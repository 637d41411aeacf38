"""Opens sources, aligns them and reads them as one image, a window at a time.

Sources on one and the same grid are stacked, their bands following one another; others become a
mosaic, in which a valid pixel of a later source hides an earlier one's.

Masks. Earth Engine has one mask a band, a GeoTIFF has either a nodata value (masked band by band)
or one mask for all bands. So: a nodata value given, or one that all sources share, is kept;
otherwise floating point rasters get NaN; otherwise, when anything is masked, an internal mask.
NaN is always masked. Alpha bands become the mask, unless bytes say how opaque a pixel is: then the
result has an alpha band, behind the others, in which masked pixels are 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tileserver.errors import InvalidRequest
from tileserver.ingest.alphas import has_partial_alpha, opacity_of, shows
from tileserver.ingest.classes import has_classes
from tileserver.ingest.pyramids import PyramidingPolicy
from tileserver.ingest.sources import (
    check_source,
    color_bands,
    damaged,
    is_placed,
    transform_of,
)

SNAP_PIXELS = 1e-3
"""Two grids are aligned when the corners of their pixels lie this close, in pixels."""

_ID = re.compile(r"[A-Za-z0-9_.-]+")

Values = NDArray[Any]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Piece:
    """One source and its place in the mosaic."""

    dataset: DatasetReader
    indexes: tuple[int, ...]
    """Its bands but alpha, counted from 1."""
    first_band: int
    column: int
    row: int

    @property
    def bands(self) -> slice:
        """Its bands, counted in the mosaic from 0."""
        return slice(self.first_band, self.first_band + len(self.indexes))


@dataclass(frozen=True, slots=True)
class Mosaic:
    """The plan of a mosaic, made before the first pixel is read."""

    pieces: tuple[Piece, ...]
    width: int
    height: int
    dtype: np.dtype[Any]
    band_ids: tuple[str, ...]
    policies: tuple[PyramidingPolicy, ...]
    missing: float | None
    """Source pixels equal to this are masked, too."""
    nodata: float | None
    has_mask: bool
    has_alpha: bool = False
    """A band more, of opacity, is read, reduced and written behind those of `band_ids`."""
    found_classes: tuple[str, ...] = ()
    """Bands with MODE because their values are classes."""
    keeps_descriptions: bool = True
    """Whether the descriptions of sources stay, as no names of bands were given."""

    @property
    def count(self) -> int:
        """Bands that are written, alpha too."""
        return len(self.band_ids) + self.has_alpha

    @property
    def fill(self) -> Any:
        """The value of masked pixels."""
        return self.dtype.type(0 if self.nodata is None else self.nodata)

    @property
    def fills(self) -> Values:
        """The value of masked pixels in each band that is written, shape (count, 1, 1)."""
        fills = [self.fill] * len(self.band_ids) + [self.dtype.type(0)] * self.has_alpha
        return np.array(fills, self.dtype)[:, np.newaxis, np.newaxis]

    @property
    def shares_mask(self) -> bool:
        """Whether one mask or alpha band alone holds for all bands."""
        return self.has_mask or (self.has_alpha and self.nodata is None)


def plan(
    datasets: Sequence[DatasetReader],
    band_ids: Sequence[str] | None,
    nodata: float | None,
    policy: PyramidingPolicy | None,
    band_policies: Mapping[str, PyramidingPolicy],
    keeps_descriptions: bool = True,
) -> Mosaic:
    """Decide where each source goes, and the type, bands, policies and masking of the whole.

    Args:
        datasets: the sources, open.
        band_ids: a name for each band, or None to take those of the sources.
        nodata: the value that marks missing pixels, besides the sources' own masks.
        policy: how a pixel of the pyramid is made; None is MODE for bands of classes, else MEAN.
        band_policies: exceptions, by band id.
        keeps_descriptions: whether bands keep theirs beside their ids.

    Raises:
        InvalidRequest: a source is not georeferenced, or they do not fit together.
    """
    for dataset in datasets:
        check_source(dataset)
    pieces = _arrange(datasets)
    width = max(piece.column + piece.dataset.width for piece in pieces)
    height = max(piece.row + piece.dataset.height for piece in pieces)
    dtype = _common_dtype(pieces)
    ids = _band_ids(pieces, band_ids)
    if unknown := sorted(set(band_policies) - set(ids)):
        raise InvalidRequest(f"no band {unknown[0]!r} to set a policy for; there are {list(ids)}")
    has_gaps = any(piece.dataset.shape != (height, width) for piece in pieces)
    told = {**(dict.fromkeys(ids, policy) if policy else {}), **band_policies}
    classes = tuple(_classes(pieces, ids, told))
    policies = dict.fromkeys(classes, PyramidingPolicy.MODE) | told
    kept_nodata, has_mask = _masking(pieces, dtype, nodata, has_gaps)
    has_alpha = dtype == np.uint8 and any(map(has_partial_alpha, datasets))
    return Mosaic(
        pieces=pieces,
        width=width,
        height=height,
        dtype=dtype,
        band_ids=ids,
        policies=tuple(policies.get(each, PyramidingPolicy.MEAN) for each in ids),
        missing=nodata,
        nodata=kept_nodata,
        has_mask=has_mask and not has_alpha,
        has_alpha=has_alpha,
        found_classes=classes,
        keeps_descriptions=keeps_descriptions,
    )


def _arrange(datasets: Sequence[DatasetReader]) -> tuple[Piece, ...]:
    """Stack sources that share one grid; place others as a mosaic.

    Raises:
        InvalidRequest: another CRS, pixels that are not aligned, or another number of bands.
    """
    corners = [_offset(datasets[0], dataset) for dataset in datasets]
    counts = [len(color_bands(dataset)) for dataset in datasets]
    stacked = are_stacked(datasets)
    if not stacked and len(set(counts)) > 1:
        raise InvalidRequest(
            "sources with different bands must share one grid to be stacked, and sources on"
            f" different grids need as many bands each to become a mosaic; got {counts} bands"
        )
    left, top = min(column for column, _ in corners), min(row for _, row in corners)
    pieces = []
    for place, (dataset, (column, row)) in enumerate(zip(datasets, corners, strict=True)):
        first = sum(counts[:place]) if stacked else 0
        pieces.append(Piece(dataset, color_bands(dataset), first, column - left, row - top))
    return tuple(pieces)


def are_stacked(datasets: Sequence[DatasetReader]) -> bool:
    """Tell whether sources are on one and the same grid, so that their bands are one image's.

    Raises:
        InvalidRequest: another CRS, or pixels that are not aligned.
    """
    first = datasets[0]
    return len({(*_offset(first, each), each.shape) for each in datasets}) == 1


def _offset(first: DatasetReader, other: DatasetReader) -> tuple[int, int]:
    """Return (column, row) of the other's upper-left pixel, counted in the first's."""
    if other.crs != first.crs or _points(other) != _points(first):
        raise InvalidRequest(f"{other.name}: in {other.crs}, but {first.name} in {first.crs}")
    if first.crs is None and not is_placed(first):
        if other.shape == first.shape and not is_placed(other):
            return 0, 0
        raise InvalidRequest(
            f"{other.name}: sources without a place on Earth must be equally wide and high"
        )
    to_pixels, to_crs = transform_of(first).inverse(), transform_of(other)
    columns = np.array([0, other.width, 0, other.width])
    rows = np.array([0, 0, other.height, other.height])
    shifts = np.array(to_pixels.apply(*to_crs.apply(columns, rows))) - (columns, rows)
    offset = shifts[:, 0].round()
    if np.abs(shifts - offset[:, None]).max() > SNAP_PIXELS:
        raise InvalidRequest(f"{other.name}: its pixels are not aligned with {first.name}'s")
    return int(offset[0]), int(offset[1])


def _points(dataset: DatasetReader) -> list[tuple[float, ...]]:
    """Return the ground control points that give a source its place, if any do."""
    points = dataset.gcps[0] if dataset.crs is None else ()
    return [(each.row, each.col, each.x, each.y) for each in points]


def _common_dtype(pieces: Sequence[Piece]) -> np.dtype[Any]:
    dtypes = [np.dtype(name) for piece in pieces for name in piece.dataset.dtypes]
    common = np.result_type(*dtypes)
    if common.kind == "f" and any(t.kind != "f" and t.itemsize >= common.itemsize for t in dtypes):
        names = sorted({t.name for t in dtypes})
        raise InvalidRequest(f"no pixel type holds all the values of {' and '.join(names)}")
    return common


def _band_ids(pieces: Sequence[Piece], given: Sequence[str] | None) -> tuple[str, ...]:
    names: dict[int, str | None] = {}
    for piece in pieces:
        for place, index in enumerate(piece.indexes, piece.first_band):
            names.setdefault(place, piece.dataset.descriptions[index - 1])
    if given is None:
        described = tuple(name or "" for name in names.values())
        default = tuple(f"b{place}" for place in range(1, len(names) + 1))
        return described if are_ids(described) else default
    if len(given) != len(names) or not are_ids(given):
        raise InvalidRequest(
            f"expected {len(names)} band ids, all different, of letters, digits and _.-;"
            f" got {list(given)}"
        )
    return tuple(given)


def are_ids(names: Sequence[str]) -> bool:
    """Tell whether texts can be the ids of bands."""
    return len(set(names)) == len(names) and all(map(_ID.fullmatch, names))


def _classes(pieces: Sequence[Piece], ids: Sequence[str], told: Container[str]) -> Iterator[str]:
    """Yield the ids of the bands whose values are classes, but for those with a policy."""
    for place, band_id in enumerate(ids):
        if band_id not in told:
            piece = next(each for each in pieces if each.first_band <= place < each.bands.stop)
            if has_classes(piece.dataset, piece.indexes[place - piece.first_band], band_id):
                yield band_id


def _masking(
    pieces: Sequence[Piece], dtype: np.dtype[Any], given: float | None, has_gaps: bool
) -> tuple[float | None, bool]:
    """Return (nodata, has mask) of the result, by the rules at the top of the module."""
    if given is not None:
        if not _holds(dtype, given):
            raise InvalidRequest(f"nodata {given} is no {dtype.name} value")
        return given, False
    values = [_nodata(piece) for piece in pieces]
    if values[0] is not None and _holds(dtype, values[0]) and len(set(map(str, values))) == 1:
        return values[0], False
    if dtype.kind == "f":
        return math.nan, False
    flags = [set(piece.dataset.mask_flag_enums[i - 1]) for piece in pieces for i in piece.indexes]
    has_alpha = any(ColorInterp.alpha in piece.dataset.colorinterp for piece in pieces)
    return None, has_gaps or has_alpha or any(MaskFlags.all_valid not in each for each in flags)


def _nodata(piece: Piece) -> float | None:
    """Return the nodata value of a piece, if it alone masks every band; else None."""
    flags = [piece.dataset.mask_flag_enums[index - 1] for index in piece.indexes]
    number: float | None = piece.dataset.nodata
    return number if all(each == [MaskFlags.nodata] for each in flags) else None


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    if dtype.kind == "f":
        return not math.isfinite(number) or abs(number) <= np.finfo(dtype).max
    # Beyond 2**53 rasterio's float may differ from the integer in the file.
    limits = np.iinfo(dtype)
    small = math.isfinite(number) and abs(number) <= 2**53 and number == int(number)
    return small and limits.min <= number <= limits.max


def read_window(mosaic: Mosaic, window: Window) -> tuple[Values, Bools]:
    """Return values and validity of a window, shape (count, height, width), from all its pieces.

    Raises:
        InvalidRequest: the bands are masked in different places, and have one mask.
        UnreadableRaster: a source is damaged.
    """
    shape = (mosaic.count, window.height, window.width)
    values, valid = np.empty(shape, mosaic.dtype), np.zeros(shape, np.bool_)
    values[:] = mosaic.fills
    for piece in mosaic.pieces:
        for part, rows, columns in _overlap(piece, window):
            place = piece.bands, rows, columns
            found, there = _piece_pixels(piece, part, mosaic.missing)
            np.copyto(values[place], found, where=there)
            valid[place] |= there
            if mosaic.has_alpha:
                some: Any = there.any(axis=0)
                shown = opacity_of(piece.dataset, part, some)
                np.copyto(values[-1, rows, columns], shown, where=some)
                valid[-1, rows, columns] |= some
    if mosaic.shares_mask and (valid != valid[0]).any():
        raise InvalidRequest(
            "the bands are masked in different places, and a GeoTIFF of integers has one mask for"
            " all of them: give a nodata value that is no pixel's"
        )
    return values, valid


def _overlap(piece: Piece, window: Window) -> Iterator[tuple[Window, slice, slice]]:
    """Yield the part of a piece in a window, if any, and its rows and columns in the window."""
    left, top = max(window.col_off, piece.column), max(window.row_off, piece.row)
    right = min(window.col_off + window.width, piece.column + piece.dataset.width)
    bottom = min(window.row_off + window.height, piece.row + piece.dataset.height)
    if left < right and top < bottom:
        part = Window(left - piece.column, top - piece.row, right - left, bottom - top)
        rows = slice(top - window.row_off, bottom - window.row_off)
        yield part, rows, slice(left - window.col_off, right - window.col_off)


def _piece_pixels(piece: Piece, window: Window, missing: float | None) -> tuple[Values, Bools]:
    try:
        values: Values = piece.dataset.read(piece.indexes, window=window)
        valid: Bools = piece.dataset.read_masks(piece.indexes, window=window) > 0
        # GDAL itself knows an alpha band as a mask only behind one band or three, without nodata.
        valid &= shows(piece.dataset, window)
    except (RasterioError, CPLE_BaseError) as exc:
        raise damaged(piece.dataset, exc) from exc
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    if missing is not None and _holds(values.dtype, missing):
        valid &= values != values.dtype.type(missing)
    return values, valid
