"""What GDAL gets to see of a GeoTIFF: the file, without the texts that name other files.

GDAL opens a file, or an address, with any of its drivers, when the metadata of a GeoTIFF has an
item OVERVIEW_FILE in the domain OVERVIEWS. An asset is one file: nothing else is ever opened on
its behalf.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from xml.sax.saxutils import escape

from rasterio.io import MemoryFile

from tileserver.rasters.tiff_directories import Directory, Text

_DOMAIN = re.compile(rb"domain", re.IGNORECASE)
_NO_DOMAIN = b"d_main"
"""As long as the word it replaces. An item of no domain is one that GDAL makes no use of."""
# The name, or a way to spell it that only an XML reader understands.
_OTHER_FILE = re.compile(rb"overview_?file|&#|<!", re.IGNORECASE)


def replacements(directories: Iterable[Directory]) -> tuple[Text, ...]:
    """Return the texts to put in the place of metadata that names another file; mostly none.

    Items lose their domain and are kept otherwise: descriptions, scales and units of bands are
    items without one.
    """
    texts = (directory.metadata for directory in directories if directory.metadata)
    found = (text for text in texts if _OTHER_FILE.search(text.content))
    return tuple(Text(text.offset, _DOMAIN.sub(_NO_DOMAIN, text.content)) for text in found)


@contextmanager
def path_with(path: str, texts: Sequence[Text]) -> Iterator[str]:
    """Lend GDAL's path of a file as it would be with other texts; open it before it is gone.

    The file itself is not changed or copied: GDAL reads a list of its parts. Without other texts
    it is the path itself.
    """
    if not texts:
        yield path
        return
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
