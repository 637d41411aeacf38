"""Views of a GeoTIFF for GDAL: the file without metadata that names other files.

GDAL opens a file, or an address, with any of its drivers, when the metadata of a GeoTIFF has an
item OVERVIEW_FILE in the domain OVERVIEWS. An asset is one file: nothing else is ever opened on
its behalf.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from xml.sax.saxutils import escape

from rasterio.io import MemoryFile

from tileserver.errors import UnreadableRaster
from tileserver.rasters.tiff_directories import Directory, ReadAt, Text, read_directories

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
    # Directories may share a text.
    texts = dict.fromkeys(each.metadata for each in directories if each.metadata)
    found = (text for text in texts if _OTHER_FILE.search(text.content))
    return tuple(Text(text.offset, _DOMAIN.sub(_NO_DOMAIN, text.content)) for text in found)


def with_texts(body: bytes, at: int, texts: Iterable[Text]) -> bytes:
    """Return the bytes of a file from an offset on, with other texts in their places."""
    changed = bytearray(body)
    for text in texts:
        start, stop = max(text.offset, at), min(text.offset + len(text.content), at + len(body))
        if start < stop:
            changed[start - at : stop - at] = text.content[start - text.offset : stop - text.offset]
    return bytes(changed)


def check_view(read_at: ReadAt, directories: Sequence[Directory], name: str) -> None:
    """Raise unless GDAL will see these directories, with other texts and nothing else changed.

    A text may overlap a directory or another text, so that a change of the one changes the other.

    Args:
        read_at: the file.
        directories: as they are in the file.
        name: of the asset, for errors.

    Raises:
        UnreadableRaster: the other texts change more than themselves.
    """
    texts = replacements(directories)
    if not texts:
        return
    stretches = sorted((text.offset, text.offset + len(text.content)) for text in texts)
    is_laid_over = any(later[0] < earlier[1] for earlier, later in pairwise(stretches))
    seen = read_directories(
        lambda offset, size: with_texts(read_at(offset, size), offset, texts), name
    )
    if is_laid_over or seen != tuple(map(_with_replacement, directories)):
        raise UnreadableRaster(
            f"{name}: the GeoTIFF's metadata lies over other parts of the file; "
            "gdal_translate makes a copy where it does not."
        )


def _with_replacement(directory: Directory) -> Directory:
    return replace(directory, metadata=next(iter(replacements([directory])), directory.metadata))


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
