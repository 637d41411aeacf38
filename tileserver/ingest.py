"""GeoTIFFs in, one Cloud-Optimized GeoTIFF out, with the pyramid Earth Engine would make.

    sources ─► level 0 ─► level 1 ─► … ─► level n     temporary GeoTIFFs, a window at a time
                  └──────────┴─── VRT ──────┘  ─► COG ─► moved into place, after its sidecar

Masks. Earth Engine has one mask a band, a GeoTIFF has either a nodata value (masked band by band)
or one mask for all bands. So: a nodata value given, or one that all sources share, is kept;
otherwise floating point rasters get NaN; otherwise, when anything is masked, an internal mask.
NaN is always masked. A fraction of opacity counts as valid, and alpha bands become the mask.

Interruption. Everything is made in `.NAME.ingest.tmp/` beside the destination, whose files bear
no `.tif`. A failure or Ctrl-C removes the folder; after a kill the next ingest of that name does.
The two results are moved, never copied: first the sidecar, which is nothing without its raster,
then the raster, so that a new asset appears in one step and complete. When an asset is
overwritten, a kill between the two moves leaves the new sidecar beside the old raster.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from tileserver.errors import ConfigError, InvalidRequest, UnreadableRaster
from tileserver.pixels import AffineTransform
from tileserver.pyramids import TOP_SIDE, PyramidingPolicy, level_sizes, off_nodata, reduce_2x2

try:
    import fcntl
except ImportError:  # Windows has no flock; two ingests of one name at once are not noticed there.
    fcntl = None  # type: ignore[assignment]

SNAP_PIXELS = 1e-3
"""Two grids are aligned when the corners of their pixels lie this close, in pixels."""
CHUNK_BYTES = 24 * 2**20
"""Bytes of samples read at once, unless a window of 512 x 512 holds more."""

# Else GDAL caches five per cent of the machine's memory, and puts masks in files of their own.
_GDAL = {"GDAL_CACHEMAX": 96 * 2**20, "GDAL_TIFF_INTERNAL_MASK": True}
_TILED = {"blockxsize": TOP_SIDE, "blockysize": TOP_SIDE, "num_threads": "all_cpus"}
_ID = re.compile(r"[A-Za-z0-9_.-]+")
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?", flags=re.ASCII
)

Values = NDArray[Any]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What `ingest` has made."""

    path: Path
    """The Cloud-Optimized GeoTIFF."""
    sidecar: Path
    """Its metadata: the same name with `.json`."""
    width: int
    height: int
    band_ids: tuple[str, ...]
    levels: int
    """Overviews, not counting the image itself."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """One source and its place in the image."""

    dataset: DatasetReader
    indexes: tuple[int, ...]
    """Its bands but alpha, counted from 1."""
    first_band: int
    column: int
    row: int

    @property
    def bands(self) -> slice:
        return slice(self.first_band, self.first_band + len(self.indexes))


@dataclass(frozen=True, slots=True)
class _Image:
    """All that is decided before the first pixel is read."""

    pieces: tuple[_Piece, ...]
    width: int
    height: int
    dtype: np.dtype[Any]
    band_ids: tuple[str, ...]
    policies: tuple[PyramidingPolicy, ...]
    missing: float | None
    """Source pixels equal to this are masked, too."""
    nodata: float | None
    has_mask: bool

    @property
    def fill(self) -> Any:
        """What is stored where nothing is valid."""
        return self.dtype.type(0 if self.nodata is None else self.nodata)


def ingest(
    sources: Sequence[Path],
    destination: Path,
    *,
    policy: PyramidingPolicy = PyramidingPolicy.MEAN,
    band_policies: Mapping[str, PyramidingPolicy] = {},
    band_ids: Sequence[str] | None = None,
    nodata: float | None = None,
    start_time: str | None = None,
    end_time: str | None = None,
    properties: Mapping[str, object] = {},
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> IngestResult:
    """Make a Cloud-Optimized GeoTIFF with Earth Engine's pyramid, and its metadata beside it.

    Sources on one and the same grid are stacked, their bands following one another; others, with
    as many bands each and aligned pixels, become a mosaic, in which a valid pixel of a later
    source hides an earlier one's. Different types meet in one that holds them all.

    Args:
        sources: GeoTIFFs with a CRS and an affine transform, which may be rotated.
        destination: the `.tif` or `.tiff` to make; its folder exists.
        policy: how a pixel is made from those below it.
        band_policies: exceptions, by band id.
        band_ids: a name for each band; else the sources' descriptions when all are unique and
            of letters, digits and `_.-`; else b1, b2 ….
        nodata: the value that marks missing pixels in sources and result, besides their own masks.
        start_time: `YYYY-MM-DD` or RFC 3339.
        end_time: the same, exclusive, not before start_time.
        properties: anything that JSON can hold.
        overwrite: replace an asset or a sidecar that is there.
        progress: called with pixels done and in total, every level counted when made and when
            copied. The copy is one step, and Ctrl-C waits for its end.

    Raises:
        InvalidRequest: the arguments do not fit together, or the sources do not.
        UnreadableRaster: a source is missing, no GeoTIFF, or damaged.
        ConfigError: the destination cannot be written.
    """
    _check_destination(sources, destination, overwrite)
    sidecar = destination.with_suffix(".json")
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_GDAL))
        datasets = [stack.enter_context(_open(source)) for source in sources]
        image = _plan(datasets, band_ids, nodata, policy, band_policies)
        document = _document(image, start_time, end_time, properties)
        folder = stack.enter_context(_workshop(destination))
        with _write_errors(destination):
            raster = _make_raster(image, folder, progress or (lambda done, total: None))
        metadata = folder / "metadata"
        metadata.write_text(document, encoding="utf-8")
        _publish(raster, metadata, destination, sidecar)
    return IngestResult(
        path=destination,
        sidecar=sidecar,
        width=image.width,
        height=image.height,
        band_ids=image.band_ids,
        levels=len(level_sizes(image.width, image.height)) - 1,
    )


def _check_destination(sources: Sequence[Path], destination: Path, overwrite: bool) -> None:
    folder, sidecar = destination.parent, destination.with_suffix(".json")
    if not sources:
        raise InvalidRequest("there is nothing to ingest: name one source or more")
    if destination.suffix.lower() not in {".tif", ".tiff"}:
        raise InvalidRequest(f"{destination}: the destination must end in .tif or .tiff")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"{folder}: the destination's folder must exist and be writable")
    for source in sources:
        if destination.exists() and source.exists() and destination.samefile(source):
            raise InvalidRequest(f"{destination}: the destination is one of the sources")
    for present in (destination, sidecar):
        if present.is_dir() or (present.exists() and not overwrite):
            raise InvalidRequest(f"{present}: exists already, and overwriting was not asked for")


def _open(path: Path) -> DatasetReader:
    if not path.is_file():
        raise UnreadableRaster(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path, driver="GTiff")
    except RasterioError as exc:
        raise UnreadableRaster(f"{path}: not a readable GeoTIFF") from exc


def _check_source(dataset: DatasetReader) -> None:
    transform = _transform(dataset)
    if dataset.crs is None:
        raise InvalidRequest(f"{dataset.name}: has no coordinate reference system")
    if transform == AffineTransform(scale_x=1, scale_y=1) or not transform.determinant:
        raise InvalidRequest(f"{dataset.name}: has no affine transform to its CRS")
    if not _indexes(dataset):
        raise InvalidRequest(f"{dataset.name}: has no band but alpha")
    for name in dataset.dtypes:
        if np.dtype(name).kind not in "iuf":
            raise InvalidRequest(f"{dataset.name}: {name} pixels, expected integers or floats")


def _transform(dataset: DatasetReader) -> AffineTransform:
    a, b, c, d, e, f = dataset.transform[:6]
    return AffineTransform(a, b, c, d, e, f)


def _indexes(dataset: DatasetReader) -> tuple[int, ...]:
    colors = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return tuple(index for index, color in colors if color != ColorInterp.alpha)


def _plan(
    datasets: Sequence[DatasetReader],
    band_ids: Sequence[str] | None,
    nodata: float | None,
    policy: PyramidingPolicy,
    band_policies: Mapping[str, PyramidingPolicy],
) -> _Image:
    for dataset in datasets:
        _check_source(dataset)
    pieces = _arrange(datasets)
    width = max(piece.column + piece.dataset.width for piece in pieces)
    height = max(piece.row + piece.dataset.height for piece in pieces)
    dtype = _common_dtype(pieces)
    ids = _band_ids(pieces, band_ids)
    if unknown := sorted(set(band_policies) - set(ids)):
        raise InvalidRequest(f"no band {unknown[0]!r} to set a policy for; there are {list(ids)}")
    has_gaps = any(piece.dataset.shape != (height, width) for piece in pieces)
    kept_nodata, has_mask = _masking(pieces, dtype, nodata, has_gaps)
    return _Image(
        pieces=pieces,
        width=width,
        height=height,
        dtype=dtype,
        band_ids=ids,
        policies=tuple(band_policies.get(band_id, policy) for band_id in ids),
        missing=nodata,
        nodata=kept_nodata,
        has_mask=has_mask,
    )


def _arrange(datasets: Sequence[DatasetReader]) -> tuple[_Piece, ...]:
    """Stack what lies on one grid, make a mosaic of the rest.

    Raises:
        InvalidRequest: another CRS, pixels that are not aligned, or another number of bands.
    """
    corners = [_offset(datasets[0], dataset) for dataset in datasets]
    shapes = {(*corner, dataset.shape) for corner, dataset in zip(corners, datasets, strict=True)}
    counts = [len(_indexes(dataset)) for dataset in datasets]
    stacked = len(shapes) == 1
    if not stacked and len(set(counts)) > 1:
        raise InvalidRequest(
            "sources with different bands must share one grid to be stacked, and sources on"
            f" different grids need as many bands each to become a mosaic; got {counts} bands"
        )
    left, top = min(column for column, _ in corners), min(row for _, row in corners)
    return tuple(
        _Piece(
            dataset=dataset,
            indexes=_indexes(dataset),
            first_band=sum(counts[:place]) if stacked else 0,
            column=corner[0] - left,
            row=corner[1] - top,
        )
        for place, (dataset, corner) in enumerate(zip(datasets, corners, strict=True))
    )


def _offset(first: DatasetReader, other: DatasetReader) -> tuple[int, int]:
    """Return (column, row) of the other's upper-left pixel, counted in the first's."""
    if other.crs != first.crs:
        raise InvalidRequest(f"{other.name}: in {other.crs}, but {first.name} in {first.crs}")
    to_pixels, to_crs = _transform(first).inverse(), _transform(other)
    columns = np.array([0, other.width, 0, other.width])
    rows = np.array([0, 0, other.height, other.height])
    shifts = np.array(to_pixels.apply(*to_crs.apply(columns, rows))) - (columns, rows)
    offset = shifts[:, 0].round()
    if np.abs(shifts - offset[:, None]).max() > SNAP_PIXELS:
        raise InvalidRequest(f"{other.name}: its pixels are not aligned with {first.name}'s")
    return int(offset[0]), int(offset[1])


def _common_dtype(pieces: Sequence[_Piece]) -> np.dtype[Any]:
    dtypes = [np.dtype(name) for piece in pieces for name in piece.dataset.dtypes]
    common = np.result_type(*dtypes)
    if common.kind == "f" and any(t.kind != "f" and t.itemsize >= common.itemsize for t in dtypes):
        names = sorted({t.name for t in dtypes})
        raise InvalidRequest(f"no pixel type holds all the values of {' and '.join(names)}")
    return common


def _band_ids(pieces: Sequence[_Piece], given: Sequence[str] | None) -> tuple[str, ...]:
    names: dict[int, str | None] = {}
    for piece in pieces:
        for place, index in enumerate(piece.indexes, piece.first_band):
            names.setdefault(place, piece.dataset.descriptions[index - 1])
    if given is None:
        described = tuple(name or "" for name in names.values())
        default = tuple(f"b{place}" for place in range(1, len(names) + 1))
        return described if _are_ids(described) else default
    if len(given) != len(names) or not _are_ids(given):
        raise InvalidRequest(
            f"expected {len(names)} band ids, all different, of letters, digits and _.-;"
            f" got {list(given)}"
        )
    return tuple(given)


def _are_ids(names: Sequence[str]) -> bool:
    return len(set(names)) == len(names) and all(map(_ID.fullmatch, names))


def _masking(
    pieces: Sequence[_Piece], dtype: np.dtype[Any], given: float | None, has_gaps: bool
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
    return None, has_gaps or any(MaskFlags.all_valid not in each for each in flags)


def _nodata(piece: _Piece) -> float | None:
    """Return the value that masks every band of the piece, if that is what masks them."""
    flags = [piece.dataset.mask_flag_enums[index - 1] for index in piece.indexes]
    number: float | None = piece.dataset.nodata
    return number if all(each == [MaskFlags.nodata] for each in flags) else None


def _holds(dtype: np.dtype[Any], number: float) -> bool:
    if dtype.kind == "f":
        return not math.isfinite(number) or abs(number) <= np.finfo(dtype).max
    # Beyond 2**53 the float that rasterio tells may not be the integer that the file says.
    limits = np.iinfo(dtype)
    small = math.isfinite(number) and abs(number) <= 2**53 and number == int(number)
    return small and limits.min <= number <= limits.max


def _windows(width: int, height: int, pixel_bytes: int) -> Iterator[Window]:
    """Cover an image with windows that start at multiples of 512, full rows when they fit."""
    side = 2 * TOP_SIDE
    columns = max(CHUNK_BYTES // (pixel_bytes * side) // side, 1) * side
    for row in range(0, height, side):
        for column in range(0, width, columns):
            yield Window(column, row, min(columns, width - column), min(side, height - row))


def _source_pixels(image: _Image, window: Window) -> tuple[Values, Bools]:
    """Read a window of the image, shape (bands, height, width), from all its pieces."""
    shape = (len(image.band_ids), window.height, window.width)
    values, valid = np.full(shape, image.fill, image.dtype), np.zeros(shape, np.bool_)
    for piece in image.pieces:
        # Where the piece and the window overlap, counted in the image.
        left, top = max(window.col_off, piece.column), max(window.row_off, piece.row)
        right = min(window.col_off + window.width, piece.column + piece.dataset.width)
        bottom = min(window.row_off + window.height, piece.row + piece.dataset.height)
        if left >= right or top >= bottom:
            continue
        part = Window(left - piece.column, top - piece.row, right - left, bottom - top)
        rows = slice(top - window.row_off, bottom - window.row_off)
        place = piece.bands, rows, slice(left - window.col_off, right - window.col_off)
        found, there = _piece_pixels(piece, part, image.missing)
        np.copyto(values[place], found, where=there)
        valid[place] |= there
    if image.has_mask and (valid != valid[0]).any():
        raise InvalidRequest(
            "the bands are masked in different places, and a GeoTIFF of integers has one mask for"
            " all of them: give a nodata value that is no pixel's"
        )
    return values, valid


def _piece_pixels(piece: _Piece, window: Window, missing: float | None) -> tuple[Values, Bools]:
    try:
        values: Values = piece.dataset.read(piece.indexes, window=window)
        valid: Bools = piece.dataset.read_masks(piece.indexes, window=window) > 0
    except (RasterioError, CPLE_BaseError) as exc:
        raise UnreadableRaster(f"{piece.dataset.name}: damaged, {exc}") from exc
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    if missing is not None and _holds(values.dtype, missing):
        valid &= values != values.dtype.type(missing)
    return values, valid


# Levels


def _make_raster(image: _Image, folder: Path, progress: Callable[[int, int], None]) -> Path:
    sizes = level_sizes(image.width, image.height)
    total = 2 * sum(width * height for width, height in sizes)
    done = 0
    for level, (width, height) in enumerate(sizes):
        windows = _base_windows(image) if level == 0 else _halved(image, _level(folder, level - 1))
        with _create(image, _level(folder, level), width, height) as dataset:
            for window, values, valid in windows:
                dataset.write(values, window=window)
                if image.has_mask:
                    dataset.write_mask(valid[0], window=window)
                done += window.width * window.height
                progress(done, total)
    raster = _lay_out(image, folder, len(sizes))
    _check_end(raster)
    progress(total, total)
    return raster


def _level(folder: Path, level: int) -> Path:
    return folder / f"level-{level}"


def _create(image: _Image, path: Path, width: int, height: int) -> DatasetWriter:
    first = image.pieces[0].dataset
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=len(image.band_ids),
        dtype=image.dtype,
        # Only so that nothing complains of having none; the VRT has the true ones.
        crs=first.crs,
        transform=first.transform,
        tiled=True,
        interleave="band",
        compress="deflate",
        zlevel=1,
        bigtiff="yes",
        **_TILED,
    )


Blocks = Iterator[tuple[Window, Values, Bools]]


def _base_windows(image: _Image) -> Blocks:
    pixel_bytes = image.dtype.itemsize * len(image.band_ids)
    for window in _windows(image.width, image.height, pixel_bytes):
        yield window, *_source_pixels(image, window)


def _halved(image: _Image, path: Path) -> Blocks:
    pixel_bytes = image.dtype.itemsize * len(image.band_ids)
    with rasterio.open(path, driver="GTiff") as below:
        for window in _windows(below.width, below.height, pixel_bytes):
            values, valid = _reduce(image, *_level_pixels(image, below, window))
            height, width = values.shape[1:]
            yield Window(window.col_off // 2, window.row_off // 2, width, height), values, valid


def _level_pixels(image: _Image, dataset: DatasetReader, window: Window) -> tuple[Values, Bools]:
    values: Values = dataset.read(window=window)
    if image.has_mask:
        valid = np.broadcast_to(dataset.read_masks(1, window=window) > 0, values.shape)
    elif image.nodata is None:
        valid = np.ones(values.shape, np.bool_)
    else:
        valid = ~np.isnan(values) if math.isnan(image.nodata) else values != image.fill
    return values, valid


def _reduce(image: _Image, values: Values, valid: Bools) -> tuple[Values, Bools]:
    bands = zip(values, valid, image.policies, strict=True)
    halves = [reduce_2x2(*band) for band in bands]
    values, valid = np.stack([half for half, _ in halves]), np.stack([kept for _, kept in halves])
    if image.has_mask:
        # SAMPLE may mask what MEAN does not; the one mask keeps what is valid in every band.
        valid &= valid.all(axis=0)
    if image.nodata is not None:
        values = off_nodata(values, image.fill)
    if values.dtype.kind == "f":
        valid &= ~np.isnan(values)
    return np.where(valid, values, image.fill), valid


def _lay_out(image: _Image, folder: Path, levels: int) -> Path:
    """Copy the levels into one COG, its overviews being exactly those levels."""
    # GDAL takes the overviews of a VRT's bands from the files named there, and the masks of the
    # overviews from the masks inside those same files.
    sources = folder / "levels.vrt"
    sources.write_bytes(ElementTree.tostring(_vrt(image, levels)))
    raster = folder / "raster"
    rasterio.shutil.copy(
        sources,
        raster,
        driver="COG",
        overviews="force_use_existing" if levels > 1 else "none",
        blocksize=TOP_SIDE,
        compress="deflate",
        level=6,
        predictor="yes",
        bigtiff="if_safer",
        num_threads="all_cpus",
    )
    return raster


def _check_end(raster: Path) -> None:
    """Read the last block, for GDAL does not tell of a disk that is full when it closes a file."""
    with rasterio.open(raster, driver="GTiff") as dataset:
        corner = Window(dataset.width - 1, dataset.height - 1, 1, 1)
        dataset.read(window=corner)
        dataset.read_masks(window=corner)


def _vrt(image: _Image, levels: int) -> ElementTree.Element:
    first = image.pieces[0]
    root = ElementTree.Element(
        "VRTDataset", rasterXSize=str(image.width), rasterYSize=str(image.height)
    )
    _text(root, "SRS", first.dataset.crs.to_wkt(version="WKT2_2019"))
    grid = _transform(first.dataset)
    x, y = grid.apply(-first.column, -first.row)
    numbers = (x, grid.scale_x, grid.shear_x, y, grid.shear_y, grid.scale_y)
    _text(root, "GeoTransform", ",".join(repr(float(number)) for number in numbers))
    for place, band_id in enumerate(image.band_ids):
        band = _vrt_band(root, typename_fwd[dtype_rev[image.dtype.name]], str(place + 1))
        _text(band, "Description", band_id)
        if image.nodata is not None:
            is_float = image.dtype.kind == "f"
            _text(band, "NoDataValue", repr(image.nodata) if is_float else str(int(image.nodata)))
        _color(image, place, band)
        for level in range(1, levels):
            overview = ElementTree.SubElement(band, "Overview")
            _file(overview, f"level-{level}", str(place + 1))
    if image.has_mask:
        _vrt_band(ElementTree.SubElement(root, "MaskBand"), "Byte", "mask,1")
    return root


def _vrt_band(parent: ElementTree.Element, type_name: str, source: str) -> ElementTree.Element:
    band = ElementTree.SubElement(parent, "VRTRasterBand", dataType=type_name)
    _file(ElementTree.SubElement(band, "SimpleSource"), "level-0", source)
    return band


def _file(parent: ElementTree.Element, name: str, band: str) -> None:
    _text(parent, "SourceFilename", name, relativeToVRT="1")
    _text(parent, "SourceBand", band)


def _color(image: _Image, place: int, band: ElementTree.Element) -> None:
    """Keep what a band is drawn as: red, green, blue, or by a table of colours."""
    piece = next(piece for piece in image.pieces if piece.first_band <= place < piece.bands.stop)
    index = piece.indexes[place - piece.first_band]
    color = piece.dataset.colorinterp[index - 1]
    _text(band, "ColorInterp", color.name.capitalize())
    if color is ColorInterp.palette and image.dtype.name in {"uint8", "uint16"}:
        table = ElementTree.SubElement(band, "ColorTable")
        for _, channels in sorted(piece.dataset.colormap(index).items()):
            entry = dict(zip(("c1", "c2", "c3", "c4"), map(str, channels), strict=True))
            ElementTree.SubElement(table, "Entry", entry)


def _text(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = text


# Metadata


def _document(
    image: _Image, start_time: str | None, end_time: str | None, properties: Mapping[str, object]
) -> str:
    """Return the sidecar: what is known of the asset, as an EarthEngineAsset."""
    start, end = _moment("start_time", start_time), _moment("end_time", end_time)
    if start and end and start > end:
        raise InvalidRequest(f"start_time {start_time} is after end_time {end_time}")
    bands = zip(image.band_ids, image.policies, strict=True)
    asset: dict[str, Any] = {
        "type": "IMAGE",
        "bands": [{"id": band_id, "pyramidingPolicy": policy} for band_id, policy in bands],
    }
    if len(set(image.policies)) == 1:
        asset["pyramidingPolicy"] = image.policies[0]
    for name, moment in (("startTime", start), ("endTime", end)):
        if moment:
            asset[name] = moment.isoformat().replace("+00:00", "Z")
    if properties:
        asset["properties"] = dict(properties)
    try:
        return json.dumps(asset, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as exc:
        raise InvalidRequest(f"properties: not what JSON can hold, {exc}") from exc


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise InvalidRequest(
            f"{name} {text!r}: expected YYYY-MM-DD or RFC 3339, such as 2020-04-01T18:49:19Z"
        ) from exc


# Files


@contextmanager
def _workshop(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside the destination, which goes when we leave.

    Raises:
        InvalidRequest: another process is at work for the same destination.
        ConfigError: the disk refuses something, in here or in the body.
    """
    folder = destination.with_name(f".{destination.name}.ingest.tmp")
    try:
        folder.mkdir(exist_ok=True)
        with ExitStack() as stack:
            if fcntl is not None:
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                _lock(descriptor, destination)
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            for left_over in folder.iterdir():
                left_over.unlink()
            yield folder
    except OSError as exc:
        raise ConfigError(f"{destination}: cannot be written, {exc}") from exc


def _lock(descriptor: int, destination: Path) -> None:
    """Lock a folder; the system takes the lock back when the process dies, however it dies."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held the lock before may have removed the folder before letting go.
        if os.fstat(descriptor).st_nlink:
            return
    except BlockingIOError:
        pass
    raise InvalidRequest(f"{destination}: is being ingested by another process")


@contextmanager
def _write_errors(destination: Path) -> Iterator[None]:
    """Raise ConfigError for what goes wrong on the way to the disk, a full one first of all."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as exc:
        raise ConfigError(f"{destination}: cannot be written, {exc}") from exc


def _publish(raster: Path, metadata: Path, destination: Path, sidecar: Path) -> None:
    """Move both into place, the sidecar first; put the old one back when the raster fails."""
    for made in (raster, metadata):
        with made.open("rb") as file:
            os.fsync(file.fileno())
    # They belong to the raster that is replaced, and GDAL would apply them to the new one.
    for companion in (".aux.xml", ".msk", ".ovr"):
        destination.with_name(destination.name + companion).unlink(missing_ok=True)
    before = sidecar.read_bytes() if sidecar.exists() else None
    try:
        os.replace(metadata, sidecar)
        os.replace(raster, destination)
    except BaseException:
        # An interruption may also come just after the second move.
        if raster.exists():
            _put_back(sidecar, before)
        raise


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
