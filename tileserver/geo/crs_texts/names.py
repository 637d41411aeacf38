"""The strings in a CRS in which PROJ looks for more than a name.

PROJ reads some names and remarks as PROJ strings, and a PROJ string may name files to open.
"""

from __future__ import annotations

import re

from tileserver.geo.crs_texts.proj_strings import KNOWN, rewritten
from tileserver.geo.crs_texts.refusals import RefusedCrs

MAX_DEPTH = 16
"""Levels of a CRS within a CRS; PROJ's own limit for WKT."""
KEPT_AUTHORITIES = frozenset({"EPSG", "ESRI"})
"""Ids of others are left out: PROJ takes seconds to search operations for some of them."""
WGS84_NAME = "WGS 84"
"""What a shift may lead to."""

_NAMES_A_FILE = re.compile(r"(?:^|[\s+,;])(?:init|file|catalog|\w*grids)\s*=", re.IGNORECASE)
NO_GRID_FILE = "@null"
"""The one name of a grid that stands for none."""
_NO_GRID = re.compile(r"nadgrids=@null(?!\S)")
"""PROJ has it in the names that it makes itself."""
_REMARK = "proj crs string:"
_REMARK_END = ". "
_METHOD = "proj "
_PIPELINE = "proj-based"
_CONTROL = re.compile(r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]")


def check_name(text: str) -> None:
    """Refuse a name in which PROJ may find the name of a file.

    Raises:
        RefusedCrs: as said.
    """
    if _CONTROL.search(text):
        raise RefusedCrs("has control characters in a name")
    if _NAMES_A_FILE.search(_NO_GRID.sub("", text)) or _REMARK in text.lower():
        raise RefusedCrs("has PROJ parameters in a name")


def check_remark(text: str) -> None:
    """Refuse a remark, unless the PROJ string that PROJ reads out of it is one it may read.

    Raises:
        RefusedCrs: as said.
    """
    before, found, _ = text.lower().partition(_REMARK)
    if not found:
        check_name(text)
        return
    start = len(before) + len(found)
    check_name(text[: len(before)])
    proj, end, rest = text[start:].partition(_REMARK_END)
    rewritten(proj)
    if end:
        check_name(rest)


def check_method(text: str) -> bool:
    """Refuse a method that is a PROJ string of more than one projection.

    Returns:
        Whether PROJ makes a PROJ string of the method's name and of its parameters' names.

    Raises:
        RefusedCrs: as said, or the PROJ string has a parameter that no projection has.
    """
    check_name(text)
    if text.lower().startswith(_PIPELINE):
        raise RefusedCrs("has a PROJ pipeline for a method")
    if not text.lower().startswith(_METHOD):
        return False
    rewritten("proj=" + text[len(_METHOD) :].strip())
    return True


def check_parameter(text: str, is_of_proj: bool) -> None:
    """Refuse a parameter's name that would add another to a PROJ string.

    Args:
        text: the name.
        is_of_proj: what `check_method` returned for the method.

    Raises:
        RefusedCrs: as said.
    """
    check_name(text)
    if "=" in text or (is_of_proj and text not in KNOWN):
        raise RefusedCrs("has a parameter of a projection that is not known")


def check_geoid(text: str) -> None:
    """Refuse the name of a geoid model that PROJ takes for the name of a file.

    Raises:
        RefusedCrs: as said.
    """
    check_name(text)
    if text.lower().startswith(_METHOD):
        raise RefusedCrs("names a grid file as geoid model")
