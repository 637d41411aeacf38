"""What a VRT says: bands, and rectangles of GeoTIFFs in its own folder that they are made of.

Only what a mosaic, a stack or a part of GeoTIFFs takes is allowed; any other element is refused by
its name, since it would change pixels in a way that is not computed here, or open other files.
https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from rasterio import Affine

from tileserver.rasters.sidecars.bounded_xml import Node, read_xml
from tileserver.rasters.sidecars.pam import PamBand, pam_band
from tileserver.rasters.vrt.paths import below_folder

MAX_BANDS = 1024
MAX_SOURCES = 20_000
"""Of all bands together."""
MAX_FILES = 500
_MAX_SIDE = 2**31 - 1
_DTYPES = {
    "Byte": "uint8",
    "Int8": "int8",
    "UInt16": "uint16",
    "Int16": "int16",
    "UInt32": "uint32",
    "Int32": "int32",
    "Float32": "float32",
    "Float64": "float64",
}
_OF_DATASET = {"SRS", "GeoTransform", "Metadata", "VRTRasterBand", "MaskBand", "OverviewList"}
_NOTES = {"Description", "UnitType", "Offset", "Scale", "ColorInterp", "ColorTable"}
_NOTES |= {"CategoryNames", "Metadata", "GDALRasterAttributeTable"}
_SOURCES = {"SimpleSource", "ComplexSource"}
_OF_BAND = {*_NOTES, *_SOURCES, "NoDataValue", "HideNoDataValue", "Histograms", "Overview"}
_OF_SIMPLE = {"SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect"}
_OF_COMPLEX = {*_OF_SIMPLE, "NODATA", "ScaleOffset", "ScaleRatio", "UseMaskBand"}
_NEAREST = {"", "near", "nearest"}

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of pixels, whose edges need not be whole."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """How pixels of a file are drawn, whichever its band is."""

    file: str
    """Path below the VRT's folder."""
    source: Rect | None
    """Which pixels of the file; None is all."""
    target: Rect | None
    """Where they are in the VRT; None is all of it."""
    is_mask: bool = False
    """Whether the validity of pixels is drawn, as 0 and 255, instead of them."""
    uses_mask: bool = False
    """Whether pixels that are masked in the file are not drawn."""
    nodata: float | None = None
    """A value that is not drawn."""
    ratio: float = 1.0
    offset: float = 0.0
    """What is drawn is value * ratio + offset."""


@dataclass(frozen=True, slots=True)
class VrtSource:
    """A band of a file that is drawn."""

    drawing: Drawing
    band: int
    """GDAL's index in the file, from 1."""


@dataclass(frozen=True)
class VrtBand:
    """A band, and what is drawn on it, one over the other."""

    dtype: np.dtype[Any]
    sources: tuple[VrtSource, ...]
    nodata: float | None = None
    """What pixels have on which nothing is drawn."""
    hides_nodata: bool = False
    """Whether pixels of that value are valid all the same."""
    notes: PamBand = field(default_factory=PamBand)


@dataclass(frozen=True)
class VrtDocument:
    """A virtual raster."""

    width: int
    height: int
    crs_text: str
    transform: Affine
    bands: tuple[VrtBand, ...]
    mask: VrtBand | None
    """Where it is not 0 all bands are valid; None where nodata values and alpha tell."""
    tags: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """Paths below the VRT's folder of the files that are drawn, each once."""
        bands = self.bands if self.mask is None else (*self.bands, self.mask)
        return tuple(dict.fromkeys(s.drawing.file for band in bands for s in band.sources))


def read_document(content: bytes, folder: str) -> VrtDocument:
    """Return what a VRT says.

    Args:
        content: of the file.
        folder: the absolute path of the file's folder.

    Raises:
        ValueError: it is no VRT, or says what is not allowed; the message names it.
    """
    root = read_xml(content)
    if root.tag != "VRTDataset":
        raise ValueError(f"its root element is {_shown(root.tag)}, expected VRTDataset")
    if kind := root.attributes.get("subClass"):
        raise ValueError(f"{_shown(kind)} is not read; a VRT may be made of bands of files alone")
    _check(root, _OF_DATASET)
    nodes = list(root.all("VRTRasterBand"))
    if not 1 <= len(nodes) <= MAX_BANDS:
        raise ValueError(f"it has {len(nodes)} bands, expected 1 to {MAX_BANDS}")
    document = VrtDocument(
        width=_side(root, "rasterXSize"),
        height=_side(root, "rasterYSize"),
        crs_text=root.text_of("SRS"),
        transform=_transform(root),
        bands=tuple(_band(node, folder) for node in nodes),
        mask=_mask(root, folder),
        tags=pam_band(root).tags,
    )
    _check_counts(document)
    return document


def _check_counts(document: VrtDocument) -> None:
    bands = document.bands if document.mask is None else (*document.bands, document.mask)
    count = sum(len(band.sources) for band in bands)
    if count > MAX_SOURCES:
        raise ValueError(f"its bands have {count} sources, at most {MAX_SOURCES} are read")
    if len(document.files) > MAX_FILES:
        raise ValueError(
            f"it is made of {len(document.files)} files, at most {MAX_FILES} are read; "
            "`mosaic = true` serves a folder of any number of files"
        )


def _mask(root: Node, folder: str) -> VrtBand | None:
    mask = root.first("MaskBand")
    if mask is None:
        return None
    _check(mask, {"VRTRasterBand"})
    node = mask.first("VRTRasterBand")
    return _band(node, folder) if node else None


def _band(node: Node, folder: str) -> VrtBand:
    if kind := node.attributes.get("subClass"):
        raise ValueError(f"{_shown(kind)} is not read; a band may have {_listed(_SOURCES)} alone")
    _check(node, _OF_BAND)
    name = node.attributes.get("dataType", "Byte")
    if name not in _DTYPES:
        raise ValueError(f"dataType {_shown(name)} is not read, expected {_listed(_DTYPES)}")
    sources = tuple(_source(each, folder) for each in node.children if each.tag in _SOURCES)
    return VrtBand(
        np.dtype(_DTYPES[name]),
        sources,
        _number_in(node, "NoDataValue"),
        _is_set(node, "HideNoDataValue"),
        pam_band(node),
    )


def _source(node: Node, folder: str) -> VrtSource:
    is_complex = node.tag == "ComplexSource"
    _check(node, _OF_COMPLEX if is_complex else _OF_SIMPLE)
    band, is_mask = _source_band(node)
    source, target = _rect(node, "SrcRect"), _rect(node, "DstRect")
    resampling = node.attributes.get("resampling", "").lower()
    is_scaled = bool(source and target) and _sides(source) != _sides(target)
    if is_scaled and resampling not in _NEAREST:
        raise ValueError(f"resampling={_shown(resampling)} is not read, expected nearest")
    name = node.first("SourceFilename")
    if name is None:
        raise ValueError(f"a {node.tag} has no SourceFilename")
    drawing = Drawing(
        file=below_folder(name.text, name.attributes.get("relativeToVRT", "0"), folder),
        source=source,
        target=target,
        is_mask=is_mask,
        uses_mask=_is_set(node, "UseMaskBand"),
        nodata=_number_in(node, "NODATA"),
        ratio=_finite_in(node, "ScaleRatio", 1.0),
        offset=_finite_in(node, "ScaleOffset", 0.0),
    )
    return VrtSource(drawing, band)


def _source_band(node: Node) -> tuple[int, bool]:
    text = node.text_of("SourceBand") or "1"
    kind, comma, index = text.rpartition(",")
    if comma and kind != "mask":
        raise ValueError(f"SourceBand {_shown(text)}: expected a number from 1, or mask,1")
    return _number(index, "SourceBand", int, 1, 2**31), bool(comma)


def _rect(node: Node, tag: str) -> Rect | None:
    found = node.first(tag)
    if found is None:
        return None
    members = [found.attributes.get(each, "") for each in ("xOff", "yOff", "xSize", "ySize")]
    left, top = (_number(each, tag, float, -_MAX_SIDE, _MAX_SIDE) for each in members[:2])
    # GDAL writes a rectangle that it does not know with sides of -1.
    width, height = (_number(each, tag, float, 1e-6, _MAX_SIDE) for each in members[2:])
    return Rect(left, top, width, height)


def _sides(rect: Rect | None) -> tuple[float, float] | None:
    # Of files that do not lie on one raster of pixels the sides differ by rounding.
    return (round(rect.width, 3), round(rect.height, 3)) if rect else None


def _transform(root: Node) -> Affine:
    text = root.text_of("GeoTransform")
    if not text:
        return Affine.identity()
    parts = text.split(",")
    if len(parts) != 6:
        raise ValueError(f"GeoTransform has {len(parts)} numbers, expected 6")
    numbers = [_number(each, "GeoTransform", float, -1e300, 1e300) for each in parts]
    return Affine.from_gdal(*numbers)


def _side(root: Node, attribute: str) -> int:
    return _number(root.attributes.get(attribute, ""), attribute, int, 1, _MAX_SIDE)


def _number(text: str, name: str, kind: Callable[[str], N], low: float, high: float) -> N:
    try:
        value = kind(text[:100])
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} is {_shown(text)}, expected a number from {low:g} to {high:g}")
    return value


def _number_in(node: Node, tag: str) -> float | None:
    """Return the number in a child, which may be NaN or infinite; None if there is none."""
    found = node.first(tag)
    if found is None:
        return None
    try:
        return float(found.text[:100])
    except ValueError as exc:
        raise ValueError(f"{tag} is {_shown(found.text)}, expected a number") from exc


def _is_set(node: Node, tag: str) -> bool:
    return node.text_of(tag).lower() in ("true", "1", "yes", "on")


def _finite_in(node: Node, tag: str, default: float) -> float:
    value = _number_in(node, tag)
    if value is not None and not math.isfinite(value):
        raise ValueError(f"{tag} is {value}, expected a finite number")
    return default if value is None else value


def _check(node: Node, allowed: set[str]) -> None:
    """Raise ValueError if an element has one in it that is not allowed."""
    for each in node.children:
        if each.tag not in allowed:
            raise ValueError(
                f"{_shown(each.tag)} in {node.tag} is not read, expected {_listed(allowed)}"
            )


def _listed(names: set[str] | Mapping[str, object]) -> str:
    first = sorted(names)
    return f"{', '.join(first[:-1])} or {first[-1]}" if len(first) > 1 else first[0]


def _shown(text: str) -> str:
    return repr(text[:60])
