"""What GDAL gets to see of a GeoTIFF: the file, without the texts that name other files.

GDAL opens a file, or an address, with any of its drivers, when the metadata of a GeoTIFF has an
item OVERVIEW_FILE in the domain OVERVIEWS; PROJ opens one when the definition of a CRS names a
grid. An asset is one file: nothing else is ever opened on its behalf.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from xml.sax.saxutils import escape

from rasterio.io import MemoryFile

from tileserver.errors import UnreadableRaster
from tileserver.tiff_directories import Directory, Text

_DOMAIN = re.compile(rb"domain", re.IGNORECASE)
_NO_DOMAIN = b"d_main"
"""As long as the word it replaces. An item of no domain is one that GDAL makes no use of."""
# The name, or a way to spell it that only an XML reader understands.
_OTHER_FILE = re.compile(rb"overview_?file|&#|<!", re.IGNORECASE)
# Words of WKT, and of the PROJ strings in it, that are followed by the name of a file.
_CRS_FILE = re.compile(
    rb"grids|parameterfile|(?:file|model|init|catalog)\s*=|pipeline|abridgedtransformation",
    re.IGNORECASE,
)
_NO_GRID = re.compile(rb"\+nadgrids=@null(?=[\s\"])")
"""What Web Mercator has: no file."""


def check_crs_text(directories: Iterable[Directory], name: str) -> None:
    """Raise if the CRS of a GeoTIFF is defined by a file elsewhere.

    Raises:
        UnreadableRaster: it is; says what would help.
    """
    for directory in directories:
        text = directory.geo_text
        if text and b"[" in text.content and _CRS_FILE.search(_NO_GRID.sub(b"", text.content)):
            raise UnreadableRaster(
                f"{name}: the GeoTIFF's CRS is defined by another file, such as a grid of shifts, "
                "which is not opened; gdalwarp -t_srs EPSG:4326 brings it to one that needs none."
            )


def replacements(directories: Iterable[Directory]) -> tuple[Text, ...]:
    """Return the texts to put in the place of metadata that names another file; mostly none.

    Items lose their domain and are kept otherwise: descriptions, scales and units of bands are
    items without one.
    """
    texts = (directory.metadata for directory in directories if directory.metadata)
    found = (text for text in texts if _OTHER_FILE.search(text.content))
    return tuple(Text(text.offset, _DOMAIN.sub(_NO_DOMAIN, text.content)) for text in found)


@contextmanager
def path_with(path: str, texts: Iterable[Text]) -> Iterator[str]:
    """Lend GDAL's path of a file as it would be with other texts; open it before it is gone.

    The file itself is not changed or copied: GDAL reads a list of its parts.
    """
    with ExitStack() as stack:
        parts = [
            (stack.enter_context(MemoryFile(text.content)).name, 0, text.offset, len(text.content))
            for text in texts
        ]
        parts = sorted(parts, key=lambda part: part[2])
        size = os.stat(path).st_size
        edges = [0, *(edge for _, _, at, length in parts for edge in (at, at + length)), size]
        between = zip(edges[::2], edges[1::2], strict=True)
        parts += [(path, start, start, stop - start) for start, stop in between if start < stop]
        listed = stack.enter_context(MemoryFile(_listing(parts, size)))
        yield f"/vsisparse/{listed.name}"


def _listing(parts: Iterable[tuple[str, int, int, int]], size: int) -> bytes:
    """Return https://gdal.org/user/virtual_file_systems.html#vsisparse-sparse-files."""
    regions = (
        f"<SubfileRegion><Filename>{escape(path)}</Filename>"
        f"<DestinationOffset>{at}</DestinationOffset><SourceOffset>{start}</SourceOffset>"
        f"<RegionLength>{length}</RegionLength></SubfileRegion>"
        for path, start, at, length in parts
    )
    return os.fsencode(f"<VSISparseFile><Length>{size}</Length>{''.join(regions)}</VSISparseFile>")
