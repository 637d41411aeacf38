"""PROJ strings, such as "+proj=utm +zone=10 +datum=WGS84": only parameters that name no file."""

from __future__ import annotations

import re

from tileserver.geo.crs_texts.refusals import RefusedCrs

_MAX_PARAMETERS = 60
_NUMBER = re.compile(r"[-+]?[0-9.][-+0-9.eEdDrR'\"°nNsSwW]{0,60}")
_QUOTIENT = re.compile(r"[0-9.eE+-]{1,60}(?:/[0-9.eE+-]{1,60})?")
_NUMBERS = re.compile(r"[-+0-9.eE]{1,40}(?:,[-+0-9.eE]{1,40}){0,6}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,60}")
_WORD_OR_NUMBER = re.compile(f"{_WORD.pattern}|{_NUMBER.pattern}")
_FLAG = re.compile(r"(?:true|t)?", re.IGNORECASE)
_NO_GRID = re.compile(r"@?null")
_TYPE = re.compile(r"crs")

_KINDS = {
    _NUMBER: (
        "a b R rf f es k k_0 h x_0 y_0 z_0 zone lat_0 lat_1 lat_2 lat_3 lat_ts lat_b lat_t "
        "lon_0 lon_1 lon_2 lon_3 lon_wrap lonc alpha gamma azi tilt theta W M m n q r s "
        "o_alpha o_lat_p o_lon_p o_lat_c o_lon_c o_lat_1 o_lat_2 o_lon_1 o_lon_2 "
        "R_lat_a R_lat_g aperture resolution lsat path north_square south_square rot_xy "
        "scrollx scrolly nsat xc yc zc nx ny"
    ),
    _QUOTIENT: "to_meter vto_meter",
    _NUMBERS: "towgs84",
    _WORD: ("proj o_proj datum ellps axis sweep algo shape mode orient units vunits UVtoST"),
    _WORD_OR_NUMBER: "pm",
    _FLAG: (
        "south no_defs wktext over geoc no_uoff no_off no_rot no_cut guam ns czech bug approx "
        "hyperbolic rescale R_A R_V R_C R_a R_g R_h"
    ),
    _NO_GRID: "nadgrids",
    _TYPE: "type",
}
KNOWN = {name: kind for kind, names in _KINDS.items() for name in names.split()}
"""Parameters of a PROJ string that may be given, each with the values that it may have."""
_GRIDS = frozenset({"nadgrids", "geoidgrids", "grids", "xy_grids", "z_grids", "file", "catalog"})


def rewritten(text: str) -> str:
    """Return a PROJ string with one "+" before each parameter and one space between two.

    Raises:
        RefusedCrs: it has a parameter that is not known, twice, or with a value it cannot have.

    >>> rewritten(" proj=utm   +zone=10 +datum=WGS84 ")
    '+proj=utm +zone=10 +datum=WGS84'
    """
    found: dict[str, str] = {}
    for token in text.split():
        name, _, value = token.removeprefix("+").partition("=")
        _check(name, value)
        if found.get(name, token) != token or len(found) == _MAX_PARAMETERS:
            raise RefusedCrs(f"has {name[:20]!r} twice, or more than {_MAX_PARAMETERS} parameters")
        found[name] = token
    return " ".join("+" + token.removeprefix("+") for token in found.values())


def _check(name: str, value: str) -> None:
    kind = KNOWN.get(name)
    is_grid = name in _GRIDS and not (kind and kind.fullmatch(value))
    if is_grid or name == "init":
        raise RefusedCrs(f"names a file with +{name}; +towgs84 or an authority code does without")
    if kind is None:
        raise RefusedCrs(f"has the unknown PROJ parameter {name[:20]!r}")
    if not kind.fullmatch(value):
        raise RefusedCrs(f"has {value[:20]!r} as +{name}, which it cannot have")
