"""A table's file read beneath its root, as one version, whatever its format.

The format is that of the suffix. Nothing else is opened for a file than, of a shapefile, the
files of its own name beside it.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tileserver.concurrency.retry_changed import read_again
from tileserver.concurrency.time_limit import check_time
from tileserver.contract.table_formats import suffix_of
from tileserver.errors import AssetChanged, UnreadableRaster, shown
from tileserver.geo.tables import Table
from tileserver.rasters.files import Place, file_errors, open_beneath
from tileserver.rasters.scenes import read_file, update_time
from tileserver.rasters.table_files import SHAPEFILE, TableFiles, find_table_files
from tileserver.tables import csv_files, geojson, geopackage, geoparquet, shapefile
from tileserver.tables.builder import Builder
from tileserver.tables.degrees import in_degrees

_ZIPPED = (".shp.zip", ".shz")
_MAX_MEMBERS = 1000
_ENTRY = b"PK\1\2"
"""What an entry of an archive's list begins with."""
_PIECE_BYTES = 1_000_000


def read_table(place: Place, name: str) -> Table | None:
    """Return the table in a file, or None if there is none.

    Args:
        place: of the file.
        name: of the asset.

    Raises:
        AssetChanged: it changed each time that it was read.
        UnreadableRaster: it is damaged, or too large; says why.
    """
    return read_again(lambda: _read_once(place, name))


def _read_once(place: Place, name: str) -> Table | None:
    files = find_table_files(place, name)
    if files is None:
        return None
    builder, found = Builder(name), dict[str, Any]()
    for each in _features(files, name, found):
        builder.add(each.geometry, each.properties, each.id)
    if find_table_files(place, name) != files:
        raise AssetChanged(name)
    return Table(
        name=name,
        version=files.version,
        update_time=update_time(files.state, *files.others.values()),
        size_bytes=files.state.size_bytes,
        geometries=in_degrees(builder.shapes(), _crs_text(found.get("crs"), name), name),
        columns=builder.columns(has_texts=suffix_of(place.below) == ".csv"),
        ids=builder.unique_ids(),
    )


def _crs_text(crs: Any, name: str) -> str | None:
    """Return the text of a CRS; of the member of older GeoJSON, the name in it."""
    if isinstance(crs, dict):
        crs = (crs.get("properties") or {}).get("name")
        if crs is None:
            raise UnreadableRaster(f"{name}: its crs has no name.")
    if crs is not None and not isinstance(crs, str):
        raise UnreadableRaster(f"{name}: its CRS is not known: {shown(crs)}.")
    return crs


def _features(files: TableFiles, name: str, found: dict[str, Any]) -> Iterator[geojson.Read]:
    suffix = suffix_of(files.place.below)
    if suffix == ".gpkg":
        return _of_geopackage(files, name, found)
    if suffix == ".geojson":
        return geojson.features(_content(files, name, geojson.MAX_BYTES), name, found)
    if suffix == ".csv":
        return csv_files.features(_content(files, name, csv_files.MAX_BYTES), name)
    if suffix in (".parquet", ".geoparquet"):
        content = _content(files, name, geoparquet.MAX_BYTES)
        return geoparquet.features(content, name, found)
    content = _content(files, name, shapefile.MAX_BYTES)
    parts = _unzipped(content, name) if suffix in _ZIPPED else _parts(files, content, name)
    return shapefile.features(parts, name, found)


def _content(files: TableFiles, name: str, max_bytes: int) -> bytes:
    return _content_of(files.place, name, max_bytes)


def _content_of(place: Place, name: str, max_bytes: int) -> bytes:
    found = read_file(place, name, "its file", max_bytes)
    if found is None:
        raise AssetChanged(name)
    return found[0]


def _of_geopackage(files: TableFiles, name: str, found: dict[str, Any]) -> Iterator[geojson.Read]:
    with file_errors(name):
        file = open_beneath(files.place)
    if file is None:
        raise AssetChanged(name)
    with file:
        if files.state.size_bytes > geopackage.MAX_BYTES:
            limit = geopackage.MAX_BYTES / 1e9
            raise UnreadableRaster(f"{name}: it is larger than {limit:g} GB.")
        yield from geopackage.features(file.location, name, found)


def _parts(files: TableFiles, content: bytes, name: str) -> dict[str, bytes]:
    """Return the contents of the files of a shapefile by suffix."""
    found = {SHAPEFILE: content}
    for each in files.others:
        suffix = os.path.splitext(each)[1].lower()
        found.setdefault(suffix, _content_of(files.place.beside(each), name, shapefile.MAX_BYTES))
    return found


def _unzipped(content: bytes, name: str) -> dict[str, bytes]:
    """Return the contents of the files of the only shapefile in an archive.

    Raises:
        UnreadableRaster: it has several or none, is damaged, or too large unpacked.
    """
    try:
        # The archive's list is made as a whole when it is opened.
        if content.count(_ENTRY) > _MAX_MEMBERS:
            raise UnreadableRaster(f"{name}: its archive has more than {_MAX_MEMBERS} files.")
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [each for each in archive.infolist() if _is_part(each)]
            stems = {_stem(each) for each in members if _suffix(each) == SHAPEFILE}
            if len(stems) != 1:
                raise UnreadableRaster(
                    f"{name}: expected an archive of one shapefile, got {len(stems)}."
                )
            own = {_suffix(each): each for each in members if _stem(each) in stems}
            return _members(archive, own, name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as exc:
        raise UnreadableRaster(f"{name}: it cannot be read as a zipped shapefile.") from exc


def _is_part(member: zipfile.ZipInfo) -> bool:
    return _suffix(member) in shapefile.PARTS and not member.filename.startswith("__MACOSX")


def _stem(member: zipfile.ZipInfo) -> str:
    return os.path.splitext(member.filename)[0]


def _suffix(member: zipfile.ZipInfo) -> str:
    return os.path.splitext(member.filename)[1].lower()


def _members(
    archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str
) -> dict[str, bytes]:
    """Return the contents of files, which are unpacked as long as all take no more than one may."""
    found, left = {}, shapefile.MAX_BYTES
    for suffix, member in members.items():
        content = bytearray()
        with archive.open(member) as file:
            while piece := file.read(_PIECE_BYTES):
                check_time()
                left -= len(piece)
                if left < 0:
                    raise UnreadableRaster(f"{name}: it is larger than 1 GB unpacked.")
                content += piece
        found[suffix] = bytes(content)
    return found
