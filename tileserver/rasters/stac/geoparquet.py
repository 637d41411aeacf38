"""Items of STAC in a GeoParquet file: a row an item, as stac-geoparquet writes them.

https://github.com/radiantearth/stac-geoparquet-spec. Needs pyarrow, an extra of the package.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from tileserver.errors import UnreadableRaster

_ROWS_AT_ONCE = 200
_MAX_DECODED_BYTES = 1_000_000_000
"""That a file says its columns take."""
_MAX_COLUMNS = 5_000
_NOT_READ = frozenset({"geometry", "bbox", "links"})
_OF_ITEM = frozenset({"type", "id", "stac_version", "stac_extensions", "assets", "collection"})


def features(content: bytes, name: str, most: int) -> Iterator[dict[str, Any]]:
    """Yield the items of a file, as their JSON would be, without place and links.

    Args:
        content: of the file.
        name: what to call it in an error.
        most: items.

    Raises:
        UnreadableRaster: pyarrow is missing, or it is no such file.
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
        columns = _columns(file, name)
        left = most
        for batch in file.iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False):
            rows = batch.to_pylist()[:left]
            yield from map(_item, rows)
            left -= len(rows)
            if left <= 0:
                return
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as exc:
        raise UnreadableRaster(f"{name}: it cannot be read as GeoParquet.") from exc


def _columns(file: Any, name: str) -> list[str]:
    names = [each.name for each in file.schema_arrow]
    if missing := sorted({"id", "assets"} - set(names)):
        raise UnreadableRaster(f"{name}: expected items of STAC, with a column {missing[0]!r}.")
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    if size > _MAX_DECODED_BYTES or file.metadata.num_columns > _MAX_COLUMNS:
        raise UnreadableRaster(
            f"{name}: its columns take {size / 1e6:.0f} MB, {file.metadata.num_columns} columns; "
            f"expected at most {_MAX_DECODED_BYTES / 1e6:.0f} MB and {_MAX_COLUMNS} columns."
        )
    return [each for each in names if each not in _NOT_READ]


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = _plain(row)
    properties = {key: value for key, value in plain.items() if key not in _OF_ITEM}
    return {
        "type": "Feature",
        "stac_version": plain.get("stac_version") or "1.0.0",
        "id": plain.get("id"),
        "assets": plain.get("assets") or {},
        "properties": properties,
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; None for what it cannot have, which is left out of objects."""
    if isinstance(value, Mapping):
        members = ((str(key), _plain(each)) for key, each in value.items())
        return {key: each for key, each in members if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) else None
