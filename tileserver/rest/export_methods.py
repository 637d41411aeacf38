"""The methods that export images and tables, to files below one folder.

Where Earth Engine writes to Drive, the folder there is a folder here; the bucket of Cloud Storage
is one, and so is each part of its objects' names. An asset's file has the asset's name. Decided
here: the file system keeps both of two files of one name, as Drive does, the second one with a
number; an asset that is there is kept unless the request says overwrite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from tileserver.contract.names import full_name
from tileserver.contract.wire import check_members
from tileserver.errors import InvalidRequest, shown
from tileserver.exports.destinations import Destination, parts_of
from tileserver.exports.exporter import Exporter, Job
from tileserver.exports.images import DEFAULT_TILE, MAX_PIXELS, ImageOptions
from tileserver.exports.tables import FORMATS, TableOptions
from tileserver.rest.call import Call, json_answer
from tileserver.rest.expression_methods import read_expression

_COMMON = ("expression", "description", "fileExportOptions", "assetExportOptions", "requestId")
_OTHERS = ("workloadTag", "priority", "batchSize")
_LEGACY = "projects/earthengine-legacy/assets/projects/"
_OFF = (
    'Exports are turned off. [exports] folder = "…" in the configuration names the folder that '
    "they are written to; getDownloadURL, computePixels and computeFeatures do without."
)
_MAX_DESCRIPTION = 1000
_TILES = range(16, 4097, 16)


def exporter_of(call: Call) -> Exporter:
    """Return what runs exports.

    Raises:
        InvalidRequest: they are turned off.
    """
    if call.api.exporter is None:
        raise InvalidRequest(_OFF)
    return call.api.exporter


async def export_image(call: Call) -> Response:
    """Answer POST {project}/image:export."""
    exporter = exporter_of(call)
    return await _started(call, exporter, "EXPORT_IMAGE", _image_job)


async def export_table(call: Call) -> Response:
    """Answer POST {project}/table:export."""
    exporter = exporter_of(call)
    return await _started(call, exporter, "EXPORT_TABLE", _table_job)


async def _started(call: Call, exporter: Exporter, kind: str, read: Any) -> Response:
    job, body = await call.json(lambda body: (read(body, exporter.prefix), body))
    project = call.path["project"].partition("/")[2]
    request_id = _text(body, "requestId")
    facts = {"description": _text(body, "description")[:_MAX_DESCRIPTION]}
    priority = _whole(body, "priority", 100)
    made = await call.api.in_thread(
        lambda: exporter.start(project, kind, request_id, {**facts, "priority": priority})
    )
    if made.is_new:
        exporter.add(made.task, job)
    return await call.api.in_thread(lambda: json_answer(made.task.to_json()))


def _image_job(body: Any, prefix: str | None) -> Job:
    check_members(body, "", (*_COMMON, *_OTHERS, "maxPixels", "grid"))
    if body.get("grid") is not None:
        raise InvalidRequest(
            "Invalid value at 'grid': expected region, scale and CRS in the expression, as the "
            "official client has them (Image.clipToBoundsAndScale, Image.reproject)."
        )
    options = body.get("fileExportOptions") or {}
    file_format = options.get("fileFormat", "GEO_TIFF") if isinstance(options, dict) else None
    if file_format not in ("GEO_TIFF", "IMAGE_FILE_FORMAT_UNSPECIFIED"):
        raise InvalidRequest(
            f"Invalid value at 'file_format', {shown(file_format)}; images are exported as "
            "GEO_TIFF here."
        )
    found = ImageOptions(max_pixels=_whole(body, "maxPixels", MAX_PIXELS))
    given = _object(options, "geoTiffOptions")
    return Job(read_expression(body), _destination(body, prefix), _geotiff_options(given, found))


def _geotiff_options(given: Mapping[str, Any], options: ImageOptions) -> ImageOptions:
    known = ("cloudOptimized", "noData", "tileDimensions", "skipEmptyFiles", "tileSize")
    check_members(given, "file_export_options.geo_tiff_options", known)
    tile = _whole(given, "tileSize", DEFAULT_TILE)
    if tile not in _TILES:
        raise InvalidRequest(f"shardSize must be a multiple of 16 up to 4096, got {tile}.")
    nodata = given.get("noData")
    if isinstance(nodata, Mapping):
        nodata = nodata.get("floatValue", nodata.get("value"))
    if nodata is not None:
        try:
            nodata = float(nodata)
        except (TypeError, ValueError):
            raise InvalidRequest(f"noData must be a number, got {shown(nodata)}.") from None
    files = _object(given, "tileDimensions")
    width, height = (_whole(files, name, 0) or None for name in ("width", "height"))
    for each in (width, height):
        if each is not None and (each % tile or each < 0):
            raise InvalidRequest(
                f"fileDimensions must be a multiple of shardSize, {tile}, got {each}."
            )
    return ImageOptions(
        options.max_pixels,
        given.get("cloudOptimized") is True,
        nodata,
        width,
        height,
        tile,
        given.get("skipEmptyFiles") is True,
    )


def _table_job(body: Any, prefix: str | None) -> Job:
    check_members(body, "", (*_COMMON, *_OTHERS, "selectors", "maxErrorMeters", "maxVertices"))
    is_asset = body.get("assetExportOptions") is not None
    options = body.get("fileExportOptions") or {}
    default = "GEO_JSON" if is_asset else "CSV"
    file_format = options.get("fileFormat", default) if isinstance(options, dict) else None
    if not isinstance(file_format, str) or file_format not in FORMATS:
        raise InvalidRequest(
            f"Invalid value at 'file_format', {shown(file_format)}; tables are exported as "
            f"{' or '.join(FORMATS)} here."
        )
    columns = body.get("selectors")
    if columns is not None and not (
        isinstance(columns, list) and all(isinstance(name, str) for name in columns)
    ):
        raise InvalidRequest(f"Invalid value at 'selectors', {shown(columns)}.")
    chosen = TableOptions(file_format, tuple(columns) if columns else None)
    return Job(read_expression(body), _destination(body, prefix), chosen)


def _destination(body: Mapping[str, Any], prefix: str | None) -> Destination:
    """Return where a file goes.

    Raises:
        InvalidRequest: the body names no place, or one that cannot be.
    """
    asset = _object(_object(body, "assetExportOptions"), "earthEngineDestination")
    if asset:
        return _of_asset(_text(asset, "name"), asset.get("overwrite") is True, prefix)
    options = _object(body, "fileExportOptions")
    drive, storage = (
        _object(options, "driveDestination"),
        _object(options, "cloudStorageDestination"),
    )
    if not drive and not storage:
        raise InvalidRequest(
            "Expected a driveDestination, a cloudStorageDestination or an earthEngineDestination."
        )
    named = _text(drive or storage, "filenamePrefix") or _text(body, "description") or "export"
    if storage:
        bucket = parts_of(_text(storage, "bucket") or "bucket", "bucket")[:1]
        return Destination((*bucket, *parts_of(named, "fileNamePrefix")))
    # A slash in a name is no folder in Drive.
    stem = parts_of(named.replace("/", "_"), "fileNamePrefix")
    folder = _text(drive, "folder").replace("/", "_")
    return Destination((*(parts_of(folder, "folder") if folder else ()), *stem))


def _of_asset(name: str, overwrites: bool, prefix: str | None) -> Destination:
    given = name
    if name.startswith(_LEGACY):
        # Clients put it before names that they do not take for those of a project.
        name = name.removeprefix("projects/earthengine-legacy/assets/")
    name = full_name(name)
    below = name.partition("/assets/")[2]
    if prefix is not None:
        if not name.startswith(f"{prefix}/"):
            raise InvalidRequest(
                f"assetId must begin with {prefix}/, where the files of exports are assets, got "
                f"{shown(given)}."
            )
        below = name.removeprefix(f"{prefix}/")
    return Destination(parts_of(below, "assetId"), overwrites, name)


def _object(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = members.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise InvalidRequest(f"Invalid value at '{name}': expected an object, got {shown(value)}.")
    return value or {}


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidRequest(f"Invalid value at '{name}': expected a string, got {shown(value)}.")
    return value or ""


def _whole(members: Mapping[str, Any], name: str, default: int) -> int:
    """Return a whole number, which may be a string, or in an object as `value`."""
    value = members.get(name)
    if isinstance(value, Mapping):
        value = value.get("value")
    if value is None:
        return default
    try:
        found = int(value) if not isinstance(value, bool) and len(str(value)) < 20 else -1
    except (TypeError, ValueError, OverflowError):
        found = -1
    if found < 0:
        raise InvalidRequest(f"{name} must be a whole number, got {shown(value)}.")
    return found
