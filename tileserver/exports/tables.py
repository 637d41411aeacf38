"""The features of a collection written to a file one at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from tileserver.exports.table_files import BINARY, GEOMETRY, INDEX, cell, parts_of, row_of
from tileserver.exports.tasks import Progress

_REPORT_EVERY = 200


@dataclass(frozen=True)
class TableOptions:
    """How a table is written."""

    file_format: str = "CSV"
    columns: tuple[str, ...] | None = None
    """None is all."""
    max_vertices: int | None = None


class PlannedTable(Protocol):
    """Features that are computed as they are read, each time anew."""

    def __len__(self) -> int:
        """Return how many there are."""
        ...

    def names(self) -> Sequence[str]:
        """Return the names of all properties but the index, in order."""
        ...

    def features(self) -> Iterator[Mapping[str, Any]]:
        """Yield them as GeoJSON."""
        ...


def write_table(table: PlannedTable, options: TableOptions, path: str, progress: Progress) -> None:
    """Write the features to a file."""
    if options.file_format in BINARY:
        _write_binary(table, options, path, lambda done: progress(done / max(len(table), 1)))
        return
    write, _ = FORMATS[options.file_format]
    with open(path, "w", encoding="utf-8", newline="") as file:
        write(table, options, file, lambda done: progress(done / max(len(table), 1)))


def _write_binary(
    table: PlannedTable, options: TableOptions, path: str, count: Callable[[int], None]
) -> None:
    rows = (row_of(feature) for _, feature in _counted(table, count))
    names = options.columns or (INDEX, *table.names())
    with open(path, "wb") as file:
        for part in parts_of(options.file_format, rows, names, "table"):
            file.write(part)


def _write_csv(
    table: PlannedTable, options: TableOptions, file: TextIO, count: Callable[[int], None]
) -> None:
    columns = options.columns or (INDEX, *table.names(), GEOMETRY)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for _, feature in _counted(table, count):
        row = row_of(feature)
        writer.writerow([cell(row.get(name)) for name in columns])


def _write_geojson(
    table: PlannedTable, options: TableOptions, file: TextIO, count: Callable[[int], None]
) -> None:
    file.write('{"type":"FeatureCollection","features":[')
    for number, feature in _counted(table, count):
        if options.columns is not None:
            kept = {k: v for k, v in feature["properties"].items() if k in options.columns}
            feature = {**feature, "properties": kept}
        file.write(",\n" if number else "\n")
        json.dump(feature, file, separators=(",", ":"))
    file.write("\n]}\n")


def _counted(
    table: PlannedTable, count: Callable[[int], None]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, feature in enumerate(table.features()):
        if number % _REPORT_EVERY == 0:
            count(number)
        yield number, feature
    count(len(table))


FORMATS: Mapping[str, tuple[Callable[..., None], str]] = {
    "CSV": (_write_csv, ".csv"),
    "GEO_JSON": (_write_geojson, ".geojson"),
    **{name: (_write_binary, f".{suffix}") for name, (suffix, _) in BINARY.items()},
}
"""By Earth Engine's name: the writer and the suffix of its files."""
