"""File formats of tables of features, by the suffixes of their files."""

from __future__ import annotations

import os

SUFFIXES = (".geojson", ".csv", ".gpkg", ".shp", ".shp.zip", ".shz", ".parquet", ".geoparquet")
"""A file is read as what its suffix says, and as nothing else."""


def is_table(path: str) -> bool:
    """Tell whether a file is named as a table."""
    name = os.path.basename(path)
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def suffix_of(path: str) -> str:
    """Return the suffix of a table's file, in lower case.

    >>> suffix_of("a/roads.SHP.zip")
    '.shp.zip'
    """
    name = os.path.basename(path).lower()
    return max((each for each in SUFFIXES if name.endswith(each)), key=len, default="")
