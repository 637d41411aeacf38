"""Features as KML 2.2 (OGC 07-147r2), plain or in a ZIP archive (KMZ).

Each feature is a Placemark: its index is the name, its other properties are ExtendedData.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>\n'
)
_TAIL = "</Document></kml>\n"
_INDEX = "system:index"
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def kml_parts(
    rows: Iterable[Mapping[str, Any]], names: Sequence[str], cell: Any
) -> Iterator[bytes]:
    """Yield the pieces of a KML file.

    Args:
        rows: of features, with `.geo` for the geometry as GeoJSON in degrees.
        names: of the columns but the geometry.
        cell: returns a value as text or number.
    """
    yield _HEAD.encode()
    for row in rows:
        yield _placemark(row, names, cell).encode()
    yield _TAIL.encode()


def kmz(parts: Iterable[bytes]) -> bytes:
    """Return the archive of a KML file."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("doc.kml"), b"".join(parts), zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _placemark(row: Mapping[str, Any], names: Sequence[str], cell: Any) -> str:
    data = "".join(
        f"<Data name={quoteattr(_clean(name))}><value>{_written(cell(row[name]))}</value></Data>"
        for name in names
        if row.get(name) is not None and name != _INDEX
    )
    extended = f"<ExtendedData>{data}</ExtendedData>" if data else ""
    geometry = row.get(".geo")
    shape = "" if geometry is None else _geometry(geometry)
    return f"<Placemark><name>{_written(row.get(_INDEX, ''))}</name>{extended}{shape}</Placemark>\n"


def _clean(text: str) -> str:
    return _NO_XML.sub(" ", text)


def _written(value: Any) -> str:
    return escape(_clean(str(value)))


def _geometry(geometry: Mapping[str, Any]) -> str:
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return _many(_geometry(each) for each in geometry["geometries"])
    given = geometry["coordinates"]
    if kind.startswith("Multi"):
        single = {"type": kind.removeprefix("Multi")}
        return _many(_geometry({**single, "coordinates": each}) for each in given)
    if kind == "Polygon":
        outer, *inner = given or [[]]
        rings = f"<outerBoundaryIs>{_line('LinearRing', outer)}</outerBoundaryIs>"
        holes = (f"<innerBoundaryIs>{_line('LinearRing', r)}</innerBoundaryIs>" for r in inner)
        return f"<Polygon>{rings}{''.join(holes)}</Polygon>"
    return _line(kind, [given] if kind == "Point" else given)


def _many(parts: Iterable[str]) -> str:
    return f"<MultiGeometry>{''.join(parts)}</MultiGeometry>"


def _line(kind: str, positions: Any) -> str:
    text = " ".join(f"{x!r},{y!r}" for x, y, *_ in positions)
    return f"<{kind}><coordinates>{text}</coordinates></{kind}>"
