"""The forms in which a CRS may be given: a code, WKT, PROJJSON or a PROJ string."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tileserver.geo.crs_texts.proj_strings import rewritten
from tileserver.geo.crs_texts.projjson import rewritten_projjson
from tileserver.geo.crs_texts.refusals import RefusedCrs
from tileserver.geo.crs_texts.wkt import is_wkt, rewritten_wkt

MAX_CHARACTERS = 20_000
"""The longest that PROJ itself writes, of all that its registry has, has 5,000."""

_MAX_CODE = 200
_CODE = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,15}):([0-9A-Za-z][0-9A-Za-z._-]{0,31})")
_WITH_HEIGHT = re.compile(r"(EPSG:[0-9]{1,6})\+[0-9]{1,6}", re.IGNORECASE)
_URN = re.compile(
    r"(?:urn:(?:x-)?ogc:def:crs:([A-Za-z-]{1,15}):[0-9.]{0,10}:"
    r"|https?://www\.opengis\.net/def/crs/([A-Za-z-]{1,15})/[0-9.]{1,10}/)([0-9A-Za-z]{1,20})"
)
_INIT = re.compile(r"\s*\+?init=epsg:([0-9]{1,6})((?:\s+\+(?:no_defs|wktext|type=crs))*)\s*")
_EPSG_CODE = re.compile(r"[0-9]{1,9}")
_MODIS = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
_AS_PROJ_HAS_THEM = {
    # Codes that Earth Engine takes and hands out and PROJ does not know.
    "SR-ORG:6627": "EPSG:3857",
    "SR-ORG:6842": _MODIS,
    "SR-ORG:6974": _MODIS,
    # x before y always, and so the same as these, between which PROJ finds its way at once.
    "OGC:CRS84": "EPSG:4326",
    "OGC:CRS83": "EPSG:4269",
    "OGC:CRS27": "EPSG:4267",
    "OGC:CRS84H": "EPSG:4326",
    "CRS:84": "EPSG:4326",
    "CRS:83": "EPSG:4269",
    "CRS:27": "EPSG:4267",
    "CRS84": "EPSG:4326",
    "CRS83": "EPSG:4269",
    "CRS27": "EPSG:4267",
    "WGS84": "EPSG:4326",
    "WGS72": "EPSG:4322",
    "NAD27": "EPSG:4267",
    "NAD83": "EPSG:4269",
}
AUTHORITIES = frozenset({"EPSG", "ESRI", "IGNF", "IAU_2015"})
"""Whose codes are looked up in PROJ's registry."""


class Form(Enum):
    """What a text is, and so which of PROJ's parsers may read it."""

    CODE = "code"
    WKT = "WKT"
    PROJJSON = "PROJJSON"
    PROJ = "PROJ string"


@dataclass(frozen=True, slots=True)
class CrsText:
    """A text that PROJ may read, of one form."""

    form: Form
    text: str
    """A code has its authority in capitals, such as "EPSG:3857"."""


def read_crs(text: str) -> CrsText:
    """Return what a text means, checked and written anew.

    Nothing is opened or looked up: a code that it returns may not exist.

    Raises:
        RefusedCrs: it has none of the forms, or PROJ would open a file for it; with the reason.

    >>> read_crs("epsg:4326").text
    'EPSG:4326'
    """
    if len(text) > MAX_CHARACTERS:
        raise RefusedCrs(f"has {len(text)} characters, more than {MAX_CHARACTERS}")
    plain = code_of_text(text)
    found = _AS_PROJ_HAS_THEM.get(plain, plain)
    if code := _CODE.fullmatch(found):
        return CrsText(Form.CODE, _known(code[1], code[2]))
    if is_wkt(found):
        return CrsText(Form.WKT, rewritten_wkt(found))
    if found.lstrip().startswith("{"):
        return CrsText(Form.PROJJSON, rewritten_projjson(found))
    if "=" in found:
        return CrsText(Form.PROJ, _of_map(rewritten(found)))
    raise RefusedCrs("is no code, WKT, PROJJSON or PROJ string")


def code_of_text(text: str) -> str:
    """Return the code that a short text stands for, as Earth Engine writes it, or else the text.

    >>> code_of_text("urn:ogc:def:crs:OGC:1.3:CRS84")
    'OGC:CRS84'
    """
    if len(text) > _MAX_CODE:
        return text
    text = text.strip()
    if init := _INIT.fullmatch(text):
        return f"EPSG:{init[1]}"
    if urn := _URN.fullmatch(text):
        return f"{urn[1] or urn[2]}:{urn[3]}".upper()
    if height := _WITH_HEIGHT.fullmatch(text):
        return height[1].upper()
    bare = text.upper().replace(" ", "")
    return bare if _CODE.fullmatch(text) or bare in _AS_PROJ_HAS_THEM else text


def _known(authority: str, code: str) -> str:
    if authority not in AUTHORITIES or (authority == "EPSG" and not _EPSG_CODE.fullmatch(code)):
        raise RefusedCrs(f"is no code of {', '.join(sorted(AUTHORITIES))}, SR-ORG or OGC")
    return f"{authority}:{code}"


def _of_map(text: str) -> str:
    if "+proj=" not in text:
        raise RefusedCrs("is a PROJ string without +proj")
    return text
