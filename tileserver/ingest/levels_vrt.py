"""The VRT of an image and its overviews, from which GDAL writes a COG."""

from __future__ import annotations

from xml.etree import ElementTree

from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import ColorInterp

from tileserver.ingest.mosaics import Mosaic
from tileserver.ingest.notes import BandNotes, Notes, Tags
from tileserver.ingest.sources import transform_of

_COLORS = {
    "Y": "YCbCr_Y",
    "Cb": "YCbCr_Cb",
    "Cr": "YCbCr_Cr",
    "rededge": "RedEdge",
    "other_ir": "OtherIR",
    **{name: name.upper() for name in ("nir", "swir", "mwir", "lwir", "tir")},
    **{f"sar_{band}": f"SAR_{band.capitalize()}" for band in ("ka", "k", "ku", *"xcslp")},
}
"""GDAL's names of colour interpretations, where they are not rasterio's with a capital."""


def levels_vrt(mosaic: Mosaic, notes: Notes, levels: int) -> ElementTree.Element:
    """Return the VRT of the files `level-0`, `level-1` … in its folder.

    Args:
        mosaic: the image.
        notes: what is said of it beside its pixels.
        levels: how many files there are.
    """
    root = ElementTree.Element(
        "VRTDataset", rasterXSize=str(mosaic.width), rasterYSize=str(mosaic.height)
    )
    _add_place(mosaic, notes, root)
    _add_tags(notes.tags, root)
    for place, band in enumerate(notes.bands):
        _add_described(mosaic, band, levels, place, root)
    if mosaic.has_alpha:
        _text(_add_levelled(mosaic, levels, mosaic.count, root), "ColorInterp", "Alpha")
    if mosaic.has_mask:
        _add_band(ElementTree.SubElement(root, "MaskBand"), "Byte", "mask,1")
    return root


def _add_place(mosaic: Mosaic, notes: Notes, root: ElementTree.Element) -> None:
    first = mosaic.pieces[0]
    if notes.gcps:
        projection = notes.gcps_crs.to_wkt(version="WKT2_2019") if notes.gcps_crs else ""
        listed = ElementTree.SubElement(root, "GCPList", Projection=projection)
        for number, point in enumerate(notes.gcps, 1):
            place = {"Pixel": point.col, "Line": point.row, "X": point.x, "Y": point.y}
            place |= {} if point.z is None else {"Z": point.z}
            texts = {name: repr(float(value)) for name, value in place.items()}
            ElementTree.SubElement(listed, "GCP", texts | {"Id": point.id or str(number)})
        return
    if first.dataset.crs is not None:
        _text(root, "SRS", first.dataset.crs.to_wkt(version="WKT2_2019"))
    elif rpcs := first.dataset.tags(ns="RPC"):
        _add_tags({"RPC": rpcs}, root)
    if first.dataset.transform.is_identity:
        # A scan or a photograph has none.
        return
    grid = transform_of(first.dataset)
    x, y = grid.apply(-first.column, -first.row)
    numbers = (x, grid.scale_x, grid.shear_x, y, grid.shear_y, grid.scale_y)
    _text(root, "GeoTransform", ",".join(repr(float(number)) for number in numbers))


def _add_tags(tags: Tags, parent: ElementTree.Element) -> None:
    for domain, items in tags.items():
        named = {"domain": domain} if domain else {}
        metadata = ElementTree.SubElement(parent, "Metadata", named)
        for name, text in items.items():
            _text(metadata, "MDI", text, key=name)


def _add_described(
    mosaic: Mosaic, notes: BandNotes, levels: int, place: int, root: ElementTree.Element
) -> None:
    band = _add_levelled(mosaic, levels, place + 1, root)
    _add_tags(notes.tags, band)
    _text(band, "Description", notes.description)
    if mosaic.nodata is not None:
        is_float = mosaic.dtype.kind == "f"
        _text(band, "NoDataValue", repr(mosaic.nodata) if is_float else str(int(mosaic.nodata)))
    if notes.unit:
        _text(band, "UnitType", notes.unit)
    if (notes.scale, notes.offset) != (1.0, 0.0):
        _text(band, "Offset", repr(notes.offset))
        _text(band, "Scale", repr(notes.scale))
    _text(band, "ColorInterp", _COLORS.get(notes.color.name, notes.color.name.capitalize()))
    if notes.color is ColorInterp.palette:
        table = ElementTree.SubElement(band, "ColorTable")
        for _, channels in notes.color_table:
            entry = dict(zip(("c1", "c2", "c3", "c4"), map(str, channels), strict=True))
            ElementTree.SubElement(table, "Entry", entry)


def _add_levelled(
    mosaic: Mosaic, levels: int, index: int, root: ElementTree.Element
) -> ElementTree.Element:
    """Add a band, counted from 1, with its overviews."""
    band = _add_band(root, typename_fwd[dtype_rev[mosaic.dtype.name]], str(index))
    for level in range(1, levels):
        overview = ElementTree.SubElement(band, "Overview")
        _file(overview, f"level-{level}", str(index))
    return band


def _add_band(parent: ElementTree.Element, type_name: str, source: str) -> ElementTree.Element:
    band = ElementTree.SubElement(parent, "VRTRasterBand", dataType=type_name)
    _file(ElementTree.SubElement(band, "SimpleSource"), "level-0", source)
    return band


def _file(parent: ElementTree.Element, name: str, band: str) -> None:
    _text(parent, "SourceFilename", name, relativeToVRT="1")
    _text(parent, "SourceBand", band)


def _text(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = text
