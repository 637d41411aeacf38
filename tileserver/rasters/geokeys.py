"""Checks the citation of a GeoTIFF before GDAL reads a CRS from it.

If the GeoKeys name no model of a CRS, GDAL reads the text after "ESRI PE String = " in the
citation as WKT, while it opens the file; WKT may name files for PROJ to open.
"""

from __future__ import annotations

from collections.abc import Iterator

from tileserver.errors import UnreadableRaster
from tileserver.geo.crs_texts.refusals import RefusedCrs
from tileserver.geo.crs_texts.wkt import rewritten_wkt
from tileserver.rasters.tiff_directories import Directory

_MARKER = b"ESRI PE String = "
_CITATION_OF_PROJECTION = 3073


def check_citation(directory: Directory, name: str) -> None:
    """Refuse a GeoTIFF whose citation has WKT that PROJ may not see.

    Args:
        directory: of the image.
        name: of the asset, for errors.

    Raises:
        UnreadableRaster: it has.
    """
    for citation in _citations(directory):
        if _MARKER in citation:
            _check(citation, name)


def _check(citation: bytes, name: str) -> None:
    try:
        if not citation.startswith(_MARKER):
            raise RefusedCrs("does not begin with the WKT that it has")
        text = citation[len(_MARKER) :].rstrip(b"|\0")
        rewritten_wkt(text.decode("utf-8", "replace"))
    except RefusedCrs as exc:
        raise UnreadableRaster(f"{name}: the GeoTIFF's citation of its CRS {exc}.") from exc


def _citations(directory: Directory) -> Iterator[bytes]:
    """Yield the citations of a projection, of which there should be one."""
    keys, texts = directory.geo_keys, directory.geo_text
    if texts is None:
        return
    for place in range(4, len(keys) - 3, 4):
        key, _, length, offset = keys[place : place + 4]
        if key == _CITATION_OF_PROJECTION:
            yield texts.content[offset : offset + length]
