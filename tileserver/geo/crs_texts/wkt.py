"""WKT of a CRS, version 1 and 2: parsed into a tree, checked, and written from the tree.

PROJ sees only what is written here, so that it cannot read a text in another way than we do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tileserver.geo.crs_texts.names import (
    KEPT_AUTHORITIES,
    MAX_DEPTH,
    NO_GRID_FILE,
    WGS84_NAME,
    check_geoid,
    check_method,
    check_name,
    check_parameter,
    check_remark,
)
from tileserver.geo.crs_texts.proj_strings import rewritten
from tileserver.geo.crs_texts.refusals import RefusedCrs

_ROOTS = """
    GEOGCS PROJCS GEOCCS COMPD_CS LOCAL_CS VERT_CS VERTCS GEOGCRS GEOGRAPHICCRS GEODCRS
    GEODETICCRS PROJCRS PROJECTEDCRS BOUNDCRS COMPOUNDCRS DERIVEDPROJCRS ENGCRS
    ENGINEERINGCRS VERTCRS VERTICALCRS
"""
ROOTS = frozenset(_ROOTS.split())
"""Keywords a CRS may begin with; PROJ tells which are maps."""
_VERSION_1 = """
    DATUM VERT_DATUM VDATUM LOCAL_DATUM SPHEROID PRIMEM UNIT LINUNIT AXIS PROJECTION PARAMETER
    AUTHORITY TOWGS84 EXTENSION
"""
_VERSION_2 = """
    GEODETICDATUM TRF VRF VERTICALDATUM EDATUM ENGINEERINGDATUM ENSEMBLE MEMBER
    ENSEMBLEACCURACY DYNAMIC FRAMEEPOCH MODEL ANCHOR ANCHOREPOCH ELLIPSOID PRIMEMERIDIAN CS
    ORDER MERIDIAN BEARING AXISMINVALUE AXISMAXVALUE RANGEMEANING ANGLEUNIT LENGTHUNIT
    SCALEUNIT TIMEUNIT PARAMETRICUNIT TEMPORALQUANTITY CONVERSION DERIVINGCONVERSION METHOD
    BASEGEOGCRS BASEGEODCRS BASEPROJCRS BASEVERTCRS BASEENGCRS SOURCECRS TARGETCRS
    ABRIDGEDTRANSFORMATION PARAMETERFILE OPERATIONACCURACY VERSION GEOIDMODEL ID CITATION URI
    USAGE SCOPE AREA BBOX VERTICALEXTENT TIMEEXTENT REMARK DEFININGTRANSFORMATION
"""
_KEYWORDS = ROOTS | frozenset((_VERSION_1 + _VERSION_2).split())
_TOKEN = re.compile(
    r'\s*(?:(?P<quoted>"(?:[^"]|"")*")|(?P<word>[-+.:0-9A-Za-z_]{1,80})|(?P<mark>[\[\](),]))'
)
_OPENS = re.compile(r"\s*[\[(]")
_IS_TAIL = re.compile(r"[\s|\0]*")


@dataclass(frozen=True, slots=True)
class Quoted:
    """A string in quotes, without them."""

    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """A keyword with its members: nodes, strings, and words that are numbers or directions."""

    keyword: str
    members: tuple[Node | Quoted | str, ...]

    @property
    def name(self) -> str:
        """The string that comes first, or ""."""
        first = self.members[0] if self.members else None
        return first.text if isinstance(first, Quoted) else ""

    def children(self, *keywords: str) -> Iterator[Node]:
        """Yield the members that are nodes of these keywords."""
        for member in self.members:
            if isinstance(member, Node) and member.keyword in keywords:
                yield member


def is_wkt(text: str) -> bool:
    """Tell whether a text begins as WKT does, with a keyword and a bracket."""
    return re.match(r"\s*[A-Za-z_]{3,30}\s*[\[(]", text) is not None


def rewritten_wkt(text: str) -> str:
    """Return WKT that says the same, checked; ids of other authorities are left out.

    Raises:
        RefusedCrs: it is not WKT of a CRS, or PROJ would open a file for it.
    """
    return _written(_checked(parse(text), is_of_proj=False))


def parse(text: str) -> Node:
    """Return the tree of a text; the heights that ESRI writes after a map are left out.

    Raises:
        RefusedCrs: it is not WKT, is nested too deep, or has a keyword that no CRS has.
    """
    tokens = _Tokens(text)
    if tokens.value.upper() not in ROOTS:
        raise RefusedCrs(f"is WKT that begins with {tokens.value[:20]!r}, not with a CRS")
    root = _node(tokens, MAX_DEPTH)
    if tokens.value == "," and tokens.advance() and tokens.value.upper() in ("VERTCS", "VERT_CS"):
        _node(tokens, MAX_DEPTH)
    if tokens.kind:
        raise RefusedCrs("is WKT that goes on after its end")
    return root


class _Tokens:
    """The tokens of a text, one at a time."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self.kind = ""
        """What the token is: quoted, word, mark, or "" past the end."""
        self.value = ""
        self.advance()

    def is_before_bracket(self) -> bool:
        """Tell whether the next token opens a bracket."""
        return _OPENS.match(self._text, self._place) is not None

    def advance(self) -> str:
        """Go to the next token, and return the value of the one before."""
        before = self.value
        self.kind = self.value = ""
        if not _IS_TAIL.fullmatch(self._text, self._place):
            found = _TOKEN.match(self._text, self._place)
            if found is None or found.lastgroup is None:
                raise RefusedCrs(f"is not WKT at character {self._place + 1}")
            self._place = found.end()
            self.kind, self.value = found.lastgroup, found[found.lastgroup]
        return before


def _node(tokens: _Tokens, left: int) -> Node:
    keyword = tokens.advance().upper()
    if keyword not in _KEYWORDS:
        raise RefusedCrs(f"has the WKT keyword {keyword[:20]!r}, which no CRS without files has")
    closing = {"[": "]", "(": ")"}.get(tokens.advance())
    if closing is None or left == 0:
        raise RefusedCrs(f"is WKT without a bracket after {keyword}, or nested {MAX_DEPTH} deep")
    members = [_member(tokens, left)]
    while tokens.value == ",":
        tokens.advance()
        members.append(_member(tokens, left))
    if tokens.advance() != closing:
        raise RefusedCrs(f"is WKT whose {keyword} does not end")
    return Node(keyword, tuple(members))


def _member(tokens: _Tokens, left: int) -> Node | Quoted | str:
    if tokens.kind == "quoted":
        return Quoted(tokens.advance()[1:-1].replace('""', '"'))
    if tokens.kind != "word":
        raise RefusedCrs(f"is WKT with {tokens.value[:20]!r} where a name or a number should be")
    if tokens.is_before_bracket():
        return _node(tokens, left - 1)
    return tokens.advance()


def _checked(node: Node, is_of_proj: bool) -> Node:
    """Return a node with its PROJ strings rewritten, and without the ids that are left out.

    Args:
        node: what to check.
        is_of_proj: whether a method beside it is a PROJ string.
    """
    match node.keyword:
        case "EXTENSION":
            return _checked_extension(node)
        case "PARAMETER":
            check_parameter(node.name, is_of_proj)
            if len(node.members) < 2 or not isinstance(node.members[1], str):
                raise RefusedCrs("has a parameter that is no number")
        case "PARAMETERFILE":
            if node.members[1:2] != (Quoted(NO_GRID_FILE),):
                raise RefusedCrs("has a parameter that is a file")
        case "REMARK":
            check_remark(node.name)
        case "GEOIDMODEL":
            check_geoid(node.name)
        case "BOUNDCRS":
            _check_bound(node)
    for member in node.members:
        if isinstance(member, Quoted) and node.keyword != "REMARK":
            check_name(member.text)
    methods = [check_method(each.name) for each in node.children("METHOD", "PROJECTION")]
    kept = (
        _checked(member, any(methods)) if isinstance(member, Node) else member
        for member in node.members
        if not _is_left_out(member)
    )
    return replace(node, members=tuple(kept))


def _is_left_out(member: Node | Quoted | str) -> bool:
    if not isinstance(member, Node) or member.keyword not in ("ID", "AUTHORITY"):
        return False
    return member.name.upper() not in KEPT_AUTHORITIES


def _checked_extension(node: Node) -> Node:
    match node.members:
        case [Quoted(key), Quoted(text)] if key.upper() == "PROJ4":
            return replace(node, members=(Quoted("PROJ4"), Quoted(rewritten(text))))
        case [Quoted("PROJ4_GRIDS"), Quoted(text)] if text == NO_GRID_FILE:
            return node
    raise RefusedCrs(f"has the WKT extension {node.name[:20]!r}; the only one known is PROJ4")


def _check_bound(node: Node) -> None:
    """Refuse a shift to another CRS than WGS 84, from which PROJ would search for long."""
    targets = [crs for each in node.children("TARGETCRS") for crs in each.members]
    is_wgs84 = [
        isinstance(crs, Node) and crs.name.replace("_", " ").upper().startswith(WGS84_NAME)
        for crs in targets
    ]
    if not (is_wgs84 and all(is_wgs84)):
        raise RefusedCrs("is bound to another CRS than WGS 84")


def _written(member: Node | Quoted | str) -> str:
    match member:
        case Node(keyword, members):
            return f"{keyword}[{','.join(map(_written, members))}]"
        case Quoted(text):
            return '"' + text.replace('"', '""') + '"'
    return member
