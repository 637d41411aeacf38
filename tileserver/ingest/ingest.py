"""GeoTIFFs in, one Cloud-Optimized GeoTIFF out, and its metadata beside it.

    sources ─► mosaic ─► pyramid ─► COG  ─► moved into place, after its sidecar

Interruption. Work files lie in `.NAME.ingest.tmp/` beside the destination, without `.tif` in their
names. A failure or Ctrl-C removes the folder; after a kill the next ingest of that name does.
The two results are moved, never copied: first the sidecar, which is nothing without its raster,
then the raster, so that a new asset appears in one step and complete. When an asset is
overwritten, a kill between the two moves leaves the new sidecar beside the old raster.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tileserver.errors import ConfigError, InvalidRequest
from tileserver.ingest.cogs import CHUNK_BYTES, make_cog
from tileserver.ingest.mosaics import (
    Mosaic,
    are_ids,
    are_stacked,
    plan,
)
from tileserver.ingest.notes import missing, notes_of
from tileserver.ingest.pyramids import PyramidingPolicy, level_sizes
from tileserver.ingest.sidecars import Sidecar, read_sidecars
from tileserver.ingest.sources import check_source, color_bands, open_source
from tileserver.rasters.datasets import GDAL_OPTIONS

try:
    import fcntl
except ImportError:  # Windows has no flock; two ingests of one name at once are not noticed there.
    fcntl = None  # type: ignore[assignment]

# Else GDAL caches five per cent of the machine's memory, and puts masks in files of their own.
_GDAL = GDAL_OPTIONS | {"GDAL_CACHEMAX": 96 * 2**20, "GDAL_TIFF_INTERNAL_MASK": True}
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?", flags=re.ASCII
)


@dataclass(frozen=True, slots=True)
class IngestResult:
    """The files that `ingest` has written."""

    path: Path
    """The Cloud-Optimized GeoTIFF."""
    sidecar: Path
    """Its metadata: the same name with `.json`."""
    width: int
    height: int
    band_ids: tuple[str, ...]
    levels: int
    """Overviews, not counting the image itself."""
    found_classes: tuple[str, ...]
    """Bands whose overviews were made by MODE, without having been told to."""
    lost: tuple[str, ...] = ()
    """Notes of sources that the result does not have, in words."""


def ingest(
    sources: Sequence[Path],
    destination: Path,
    *,
    policy: PyramidingPolicy | None = None,
    band_policies: Mapping[str, PyramidingPolicy] = {},
    band_ids: Sequence[str] | None = None,
    nodata: float | None = None,
    start_time: str | None = None,
    end_time: str | None = None,
    properties: Mapping[str, object] = {},
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    chunk_bytes: int = CHUNK_BYTES,
) -> IngestResult:
    """Make a Cloud-Optimized GeoTIFF with Earth Engine's pyramid, and its metadata beside it.

    Sources on one and the same grid are stacked, their bands following one another; others, with
    as many bands each and aligned pixels, become a mosaic, in which a valid pixel of a later
    source hides an earlier one's. Different types meet in one that holds them all.

    Args:
        sources: GeoTIFFs with a CRS and an affine transform, which may be rotated, or with ground
            control points.
        destination: the `.tif` or `.tiff` to make; its folder exists.
        policy: how a pixel is made from those below it; None is MODE for bands of classes, whose
            mean would be another class, and MEAN for others.
        band_policies: exceptions, by band id.
        band_ids: a name for each band; else those of the sources' sidecars, or their descriptions
            when all are unique and of letters, digits and `_.-`; else b1, b2 ….
        nodata: the value that marks missing pixels in sources and result, besides their own masks.
        start_time: `YYYY-MM-DD` or RFC 3339; else the earliest of the sources' sidecars.
        end_time: the same, exclusive, not before start_time.
        properties: anything that JSON can hold.
        overwrite: replace an asset or a sidecar that is there.
        progress: called with pixels done and in total, every level counted when made and when
            copied. The copy is one step, and Ctrl-C waits for its end.
        chunk_bytes: samples read at once; a window of 512 x 512 pixels may hold more.

    Raises:
        InvalidRequest: the arguments do not fit together, or the sources do not.
        UnreadableRaster: a source is missing, no GeoTIFF, or damaged.
        ConfigError: the destination cannot be written.
    """
    _check_destination(sources, destination, overwrite)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_GDAL))
        datasets = [stack.enter_context(open_source(source)) for source in sources]
        sidecar = _sidecar(sources, datasets)
        ids = band_ids or _ids(sidecar.bands)
        told = _policies(sidecar.bands, policy, ids) | dict(band_policies)
        mosaic = plan(datasets, ids, nodata, policy, told, keeps_descriptions=band_ids is None)
        notes = notes_of(mosaic)
        merged = {**sidecar.properties, **properties}
        times = start_time or sidecar.start_time, end_time or sidecar.end_time
        document = _document(mosaic, *times, merged, sidecar.bands)
        folder = stack.enter_context(_work_folder(destination))
        with _write_errors(destination):
            tell = progress or (lambda done, total: None)
            raster = make_cog(mosaic, notes, folder, tell, chunk_bytes)
            lost = (*sidecar.lost, *missing(notes, raster))
        metadata = folder / "metadata"
        metadata.write_text(document, encoding="utf-8")
        _publish(raster, metadata, destination, destination.with_suffix(".json"))
    return _result(mosaic, destination, lost)


def _result(mosaic: Mosaic, destination: Path, lost: tuple[str, ...]) -> IngestResult:
    return IngestResult(
        path=destination,
        sidecar=destination.with_suffix(".json"),
        width=mosaic.width,
        height=mosaic.height,
        band_ids=mosaic.band_ids,
        levels=len(level_sizes(mosaic.width, mosaic.height)) - 1,
        found_classes=mosaic.found_classes,
        lost=lost,
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


# Metadata


def _sidecar(sources: Sequence[Path], datasets: Sequence[DatasetReader]) -> Sidecar:
    for dataset in datasets:
        check_source(dataset)
    counts = [len(color_bands(each)) for each in datasets]
    return read_sidecars(sources, counts, is_stacked=are_stacked(datasets))


def _ids(bands: Sequence[Mapping[str, Any]]) -> list[str] | None:
    ids = [str(each.get("id", "")) for each in bands]
    return ids if ids and are_ids(ids) else None


def _policies(
    bands: Sequence[Mapping[str, Any]], policy: PyramidingPolicy | None, ids: Sequence[str] | None
) -> dict[str, PyramidingPolicy]:
    """Return the policies that the sources' sidecars name, if none is given for all."""
    if policy is not None or ids is None or len(ids) != len(bands):
        return {}
    named = zip(ids, (str(band.get("pyramidingPolicy")) for band in bands), strict=True)
    known = PyramidingPolicy.__members__
    return {each: known[name] for each, name in named if name in known}


def _document(
    mosaic: Mosaic,
    start_time: str | None,
    end_time: str | None,
    properties: Mapping[str, object],
    listed: Sequence[Mapping[str, Any]],
) -> str:
    """Return the text of the sidecar: the asset's metadata as an EarthEngineAsset.

    `listed` are the bands of the sources' sidecars, whose other members are kept.
    """
    times = _times(start_time, end_time)
    bands = zip(
        mosaic.band_ids, mosaic.policies, listed or [{}] * len(mosaic.band_ids), strict=True
    )
    asset: dict[str, Any] = {
        "type": "IMAGE",
        "bands": [
            {**more, "id": band_id, "pyramidingPolicy": policy} for band_id, policy, more in bands
        ],
    }
    if len(set(mosaic.policies)) == 1:
        asset["pyramidingPolicy"] = mosaic.policies[0]
    asset |= times
    if properties:
        asset["properties"] = dict(properties)
    try:
        return json.dumps(asset, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except (TypeError, ValueError) as exc:
        raise InvalidRequest(f"properties: not what JSON can hold, {exc}") from exc


def _times(start_time: str | None, end_time: str | None) -> dict[str, str]:
    """Return the members startTime and endTime, each if it is given."""
    start, end = _moment("start_time", start_time), _moment("end_time", end_time)
    if start and end and start > end:
        raise InvalidRequest(f"start_time {start_time} is after end_time {end_time}")
    moments = {"startTime": start, "endTime": end}
    return {name: m.isoformat().replace("+00:00", "Z") for name, m in moments.items() if m}


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
def _work_folder(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside the destination, and remove it afterwards.

    Raises:
        InvalidRequest: another process is at work for the same destination.
        ConfigError: a file operation fails, here or in the body.
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
        # The last holder may have removed the folder before it released the lock.
        if os.fstat(descriptor).st_nlink:
            return
    except BlockingIOError:
        pass
    raise InvalidRequest(f"{destination}: is being ingested by another process")


@contextmanager
def _write_errors(destination: Path) -> Iterator[None]:
    """Raise ConfigError in place of write errors, such as a full disk."""
    try:
        yield
    except (RasterioError, CPLE_BaseError, OSError) as exc:
        raise ConfigError(f"{destination}: cannot be written, {exc}") from exc


def _publish(raster: Path, metadata: Path, destination: Path, sidecar: Path) -> None:
    """Move both into place, the sidecar first; put the old one back when the raster fails."""
    _sync(raster, metadata)
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


def _sync(*paths: Path) -> None:
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _put_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(content)
