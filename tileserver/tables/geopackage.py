"""GeoPackage: a table of features in a file of SQLite.

https://www.geopackage.org/spec. Python's own SQLite reads it: views, virtual tables and triggers,
by which a file could have anything computed, are not used, and the time limit stops a statement.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import TileserverError, UnreadableRaster
from tileserver.tables.geojson import Read
from tileserver.tables.wkb import shape_of

MAX_BYTES = 4_000_000_000
_MAX_VALUE_BYTES = 50_000_000
_CHECK_EVERY = 20_000
"""Steps of SQLite's machine."""
_ENVELOPES = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_UNDEFINED = (0, -1)
_ALLOWED = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ)


def features(location: str, name: str, found: dict[str, Any]) -> Iterator[Read]:
    """Yield the features of the only layer of a file.

    Args:
        location: a path that opens the file.
        name: what to call it in an error.
        found: gets `crs`, the text of the layer's CRS, if it has one.

    Raises:
        UnreadableRaster: it is no GeoPackage, or has several layers or none.
    """
    uri = f"file:{quote(location)}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as db:
            _lock_down(db)
            table, column, srs_id = _layer(db, name)
            found["crs"] = _crs(db, srs_id)
            yield from _rows(db, table, column, name)
    except (sqlite3.Error, ValueError, TypeError, OverflowError) as exc:
        # The limit of time shows as an interrupted statement.
        check_time()
        raise UnreadableRaster(f"{name}: it cannot be read as a GeoPackage.") from exc


def _lock_down(db: sqlite3.Connection) -> None:
    db.text_factory = lambda raw: raw.decode("utf-8", "replace")
    if hasattr(db, "setlimit"):
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    db.set_progress_handler(_is_over, _CHECK_EVERY)
    db.set_authorizer(_authorize)


def _is_over() -> int:
    try:
        check_time()
    except TileserverError:
        return 1
    return 0


def _authorize(action: int, *_: Any) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _layer(db: sqlite3.Connection, name: str) -> tuple[str, str, int]:
    """Return the name of the table, of its column of geometries, and the id of its CRS."""
    layers = db.execute(
        "SELECT c.table_name, g.column_name, g.srs_id FROM gpkg_contents c"
        " JOIN gpkg_geometry_columns g ON g.table_name = c.table_name"
        " WHERE c.data_type = 'features' LIMIT 20"
    ).fetchall()
    if len(layers) != 1:
        names = ", ".join(str(each[0])[:60] for each in layers[:5]) or "none"
        raise UnreadableRaster(
            f"{name}: expected a GeoPackage of one layer of features, got {len(layers)} ({names})."
        )
    table, column, srs_id = layers[0]
    stored = db.execute(
        "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND rootpage > 0 AND name = ?",
        (table,),
    ).fetchone()
    if stored is None:
        raise UnreadableRaster(f"{name}: its layer is a view; expected a table of features.")
    return str(table), str(column), int(srs_id)


def _crs(db: sqlite3.Connection, srs_id: int) -> str | None:
    if srs_id in _UNDEFINED:
        return None
    row = db.execute(
        "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys"
        " WHERE srs_id = ?",
        (srs_id,),
    ).fetchone()
    if row is None:
        return f"EPSG:{srs_id}"
    organization, code, definition = row
    is_epsg = str(organization).upper() == "EPSG"
    return f"EPSG:{code}" if is_epsg else str(definition)


def _rows(db: sqlite3.Connection, table: str, column: str, name: str) -> Iterator[Read]:
    quoted = table.replace('"', '""')
    rows = db.execute(f'SELECT * FROM "{quoted}"')
    names = [each[0] for each in rows.description]
    if column not in names:
        raise UnreadableRaster(f"{name}: its layer has no column {column[:60]!r}.")
    at = names.index(column)
    # The key, `fid`, numbers the features; it is no property of theirs.
    key = next((each for each in names if each.lower() == "fid"), None)
    kept = [(i, each) for i, each in enumerate(names) if i != at and each != key]
    for number, row in enumerate(rows):
        shape = _shape(row[at], f"{name}: feature {number}")
        yield Read(shape, {each: _value(row[i]) for i, each in kept})


def _value(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _shape(blob: Any, name: str) -> Any:
    """Return the geometry of a blob with GeoPackage's header."""
    if blob is None:
        return None
    if not isinstance(blob, bytes) or blob[:2] != b"GP" or len(blob) < 8:
        raise UnreadableRaster(f"{name} has no valid geometry.")
    size = _ENVELOPES.get((blob[3] >> 1) & 7)
    if size is None:
        raise UnreadableRaster(f"{name} has no valid geometry.")
    return shape_of(blob[8 + size :], name)
