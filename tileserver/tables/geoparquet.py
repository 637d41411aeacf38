"""GeoParquet: a column of WKB and the properties as others. Needs pyarrow, an extra.

https://geoparquet.org. Encodings other than WKB are refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from tileserver.concurrency.time_limit import check_time
from tileserver.errors import UnreadableRaster, shown
from tileserver.tables.geojson import Read
from tileserver.tables.wkb import shape_of

MAX_BYTES = 500_000_000
_MAX_DECODED_BYTES = 1_000_000_000
"""That a file says its columns take."""
_MAX_COLUMNS = 1000
_ROWS_AT_ONCE = 1000
_BBOX = "bbox"


def features(content: bytes, name: str, found: dict[str, Any]) -> Iterator[Read]:
    """Yield the features of a file.

    Args:
        content: of the file.
        name: what to call it in an error.
        found: gets `crs`, the text of its CRS, if that is not longitude and latitude.

    Raises:
        UnreadableRaster: pyarrow is missing, or it is no GeoParquet.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as exc:
        raise UnreadableRaster(
            f"{name}: GeoParquet needs pyarrow: pip install 'ee-tileserver[stac-geoparquet]'."
        ) from exc
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(content))
        column = _geometry_column(file, name, found)
        # A value that many rows share is kept once, until a row is made of it.
        file = parquet.ParquetFile(pyarrow.BufferReader(content), read_dictionary=_texts(file))
        left_out = {column, _BBOX}
        number = 0
        for batch in file.iter_batches(_ROWS_AT_ONCE, use_threads=False):
            for values in zip(*batch.columns, strict=True):
                check_time()
                row = {k: v.as_py() for k, v in zip(batch.schema.names, values, strict=True)}
                blob = row[column]
                shape = None if blob is None else shape_of(blob, f"{name}: feature {number}")
                number += 1
                yield Read(shape, {k: _plain(v) for k, v in row.items() if k not in left_out})
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as exc:
        raise UnreadableRaster(f"{name}: it cannot be read as GeoParquet.") from exc


def _texts(file: Any) -> list[str]:
    """Return the paths of columns of bytes and texts that are no lists."""
    schema = file.metadata.schema
    columns = [schema.column(i) for i in range(len(schema))]
    return [
        each.path
        for each in columns
        if each.physical_type == "BYTE_ARRAY" and each.path.count(".") == 0
    ]


def _geometry_column(file: Any, name: str, found: dict[str, Any]) -> str:
    """Return the name of the column of geometries; raise if the file is too large."""
    meta = file.metadata
    size = sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
    if size > _MAX_DECODED_BYTES or meta.num_columns > _MAX_COLUMNS:
        raise UnreadableRaster(
            f"{name}: its columns take {size / 1e6:.0f} MB, {meta.num_columns} columns; "
            f"expected at most {_MAX_DECODED_BYTES / 1e6:.0f} MB and {_MAX_COLUMNS} columns."
        )
    text = (file.schema_arrow.metadata or {}).get(b"geo")
    geo = json.loads(text) if text else {}
    column = geo.get("primary_column") if isinstance(geo, Mapping) else None
    described = (geo.get("columns") or {}).get(column) if column else None
    if not isinstance(column, str) or not isinstance(described, Mapping):
        raise UnreadableRaster(f"{name}: expected GeoParquet, whose metadata has a member geo.")
    if column not in file.schema_arrow.names:
        raise UnreadableRaster(f"{name}: it has no column {column[:60]!r}.")
    if described.get("encoding") != "WKB":
        encoding = shown(described.get("encoding"))
        raise UnreadableRaster(f"{name}: expected geometries as WKB, got {encoding}.")
    if described.get("crs"):
        found["crs"] = json.dumps(described["crs"])
    return column


def _plain(value: Any) -> Any:
    """Return a value as a property has it."""
    match value:
        case datetime() | date():
            return value.isoformat()
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case None | str() | bool() | int() | float():
            return value
    return str(value)
