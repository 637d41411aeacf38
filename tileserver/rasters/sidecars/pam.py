"""Reads `.aux.xml`, as GDAL writes it (PAM, the persistent auxiliary metadata).

https://gdal.org/en/stable/user/pam.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rasterio import Affine
from rasterio.enums import ColorInterp

from tileserver.rasters.sidecars.bounded_xml import Node, read_xml

_MAX_BANDS = 20_000
_MAX_CLASSES = 4096
_INTERPRETATIONS = {each.name.lower(): each for each in ColorInterp} | {
    "undefined": ColorInterp.undefined,
    "ycbcr_y": ColorInterp.Y,
}
_VALUE, _NAME, _COUNT = "value", "name", "count"
_RED, _GREEN, _BLUE, _MIN = "red", "green", "blue", "min"
_USAGES = {"1": _COUNT, "2": _NAME, "3": _MIN, "5": _VALUE, "6": _RED, "7": _GREEN, "8": _BLUE}
"""Of the columns of a table of attributes that are read: GDALRATFieldUsage."""

Color = tuple[int, int, int, int]


@dataclass(frozen=True)
class PamBand:
    """What it says of a band; None or nothing where it says nothing."""

    description: str | None = None
    nodata: float | None = None
    unit: str | None = None
    scale: float | None = None
    offset: float | None = None
    color: ColorInterp | None = None
    color_table: Mapping[int, Color] = field(default_factory=dict)
    class_names: Mapping[int, str] = field(default_factory=dict)
    """By the value of the class."""
    class_colors: Mapping[int, Color] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    """Those of statistics among them, as STATISTICS_MINIMUM."""


@dataclass(frozen=True)
class Pam:
    """The metadata of a raster."""

    crs_text: str = ""
    transform: Affine | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    bands: Mapping[int, PamBand] = field(default_factory=dict)
    """By GDAL's index, from 1."""


def read_pam(content: bytes) -> Pam:
    """Return what a file says.

    Raises:
        ValueError: it is no such file, or too large.
    """
    root = read_xml(content)
    if root.tag != "PAMDataset":
        raise ValueError("its root element is not PAMDataset")
    bands = {}
    for node in root.all("PAMRasterBand"):
        index = _integer(node.attributes.get("band"))
        if index is not None and 1 <= index <= _MAX_BANDS:
            bands[index] = pam_band(node)
    return Pam(root.text_of("SRS"), _transform(root), _tags(root), bands)


def pam_band(node: Node) -> PamBand:
    """Return what an element says of a band, that of a VRT too."""
    table = _color_table(node)
    names, colors = _classes(node)
    categories = node.first("CategoryNames")
    if categories and not names:
        listed = list(categories.all("Category"))[:_MAX_CLASSES]
        names = {value: each.text for value, each in enumerate(listed) if each.text}
    return PamBand(
        description=node.text_of("Description") or None,
        nodata=_nodata(node),
        unit=node.text_of("UnitType") or None,
        scale=_finite(node.text_of("Scale")),
        offset=_finite(node.text_of("Offset")),
        color=_INTERPRETATIONS.get(node.text_of("ColorInterp").lower()),
        color_table=table,
        class_names=names,
        class_colors=colors,
        tags=_tags(node),
    )


def _transform(root: Node) -> Affine | None:
    numbers = [_finite(each) for each in root.text_of("GeoTransform").split(",")]
    known = [each for each in numbers if each is not None]
    return Affine.from_gdal(*known) if len(known) == len(numbers) == 6 else None


def _nodata(node: Node) -> float | None:
    found = node.first("NoDataValue")
    if found is None:
        return None
    try:
        return float(found.text)
    except ValueError:
        return None


def _tags(node: Node) -> dict[str, str]:
    """Return the metadata of the default domain."""
    found: dict[str, str] = {}
    for each in node.all("Metadata"):
        if not each.attributes.get("domain"):
            found.update({m.attributes.get("key", ""): m.text for m in each.all("MDI")})
    found.pop("", None)
    return found


def _color_table(node: Node) -> dict[int, Color]:
    table = node.first("ColorTable")
    entries = list(table.all("Entry"))[:65_536] if table else []
    found = {}
    for value, entry in enumerate(entries):
        channels = [
            _integer(entry.attributes.get(f"c{i}", "255" if i == 4 else None)) for i in range(1, 5)
        ]
        color = _color(channels)
        if color:
            found[value] = color
    return found


def _classes(node: Node) -> tuple[dict[int, str], dict[int, Color]]:
    """Return names and colours of classes, of the table of attributes if there is one."""
    table = node.first("GDALRasterAttributeTable")
    if table is None:
        return {}, {}
    columns: dict[str, int] = {}
    for place, definition in enumerate(table.all("FieldDefn")):
        usage = _usage(definition)
        if usage is not None:
            columns.setdefault(usage, place)
    first, step = (_finite(table.attributes.get(k, "")) for k in ("Row0Min", "BinSize"))
    names, colors = {}, {}
    for number, row in enumerate(table.all("Row")):
        if number >= _MAX_CLASSES:
            break
        cells = [each.text for each in row.all("F")]
        value = _class_value(cells, columns, number, first, step)
        if value is None:
            continue
        if name := _cell(cells, columns, _NAME):
            names[value] = name
        channels = [_integer(_cell(cells, columns, each)) for each in (_RED, _GREEN, _BLUE)]
        if color := _color([*channels, 255]):
            colors[value] = color
    return names, colors


def _usage(definition: Node) -> str | None:
    usage = _USAGES.get(definition.text_of("Usage"))
    # ArcGIS gives usages to none of its columns.
    title = definition.text_of("Name").lower()
    by_name = {"value": _VALUE, "class_name": _NAME, "classname": _NAME, "class": _NAME}
    by_name |= {"red": _RED, "green": _GREEN, "blue": _BLUE}
    return usage or by_name.get(title)


def _class_value(
    cells: list[str],
    columns: Mapping[str, int],
    row: int,
    first: float | None,
    step: float | None,
) -> int | None:
    """Return the value of the class of a row: of its column, or else by the rows' number."""
    for usage in (_VALUE, _MIN):
        if usage in columns:
            return _integer(_cell(cells, columns, usage))
    if first is not None and step is not None:
        value = first + row * step
        return int(value) if value == int(value) else None
    return row


def _cell(cells: list[str], columns: Mapping[str, int], usage: str) -> str | None:
    place = columns.get(usage)
    return cells[place] if place is not None and place < len(cells) else None


def _color(channels: list[int | None]) -> Color | None:
    known = [each for each in channels if each is not None and 0 <= each <= 255]
    return (known[0], known[1], known[2], known[3]) if len(known) == 4 else None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _integer(text: str | None) -> int | None:
    value = _finite(text or "")
    return int(value) if value is not None and value == int(value) and abs(value) < 2**53 else None
