"""Tile matrix sets by name: pyramids of tiles in other CRSs than Web Mercator's.

The definitions are morecantile's, which are OGC's (17-083r4), and two for the poles that are made
with it. x before y always; `is_yx` tells whether documents have it the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tileserver.contract.grids import AffineTransform, Box, PixelGrid, Window
from tileserver.contract.tiles import MAX_LATITUDE, WEB_MERCATOR, tile_at, tile_grid
from tileserver.errors import InvalidRequest, TileOutOfRange, nearest

WEB_MERCATOR_QUAD = "WebMercatorQuad"
WORLD_CRS84_QUAD = "WorldCRS84Quad"
POLAR = {"EPSG3413": (3413, "north"), "EPSG3031": (3031, "south")}
"""Polar stereographic maps in metres, which morecantile has no definition of."""
NAMES = (
    WEB_MERCATOR_QUAD,
    WORLD_CRS84_QUAD,
    "WGS1984Quad",
    "WorldMercatorWGS84Quad",
    "EuropeanETRS89_LAEAQuad",
    "CanadianNAD83_LCC",
    "NZTM2000Quad",
    "UTM31WGS84Quad",
    "UPSArcticWGS84Quad",
    "UPSAntarcticWGS84Quad",
    "LINZAntarticaMapTilegrid",
    *POLAR,
)
"""The sets that tiles are served in. Those whose rows differ in width are left out: no client of
WMTS reads them."""
METRES_OF_DOT = 0.00028
"""The side of a pixel of the screen that scale denominators are told for."""
_POLAR_HALF_M = 4_194_304.0
"""Half the side of the polar maps, as NASA's GIBS has it: down to 53 degrees from the equator."""
_POLAR_ZOOMS = 19
_DEGREE_M = 6378137 * math.pi / 180
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, slots=True)
class TileMatrix:
    """One zoom of a set."""

    id: str
    """The number of the zoom."""
    scale_denominator: float
    cell: float
    """Side of a pixel in units of the CRS."""
    left: float
    """x of the outer corner of the first tile, in units of the CRS."""
    top: float
    tile_width: int
    tile_height: int
    width: int
    """Columns of tiles."""
    height: int
    """Rows of tiles."""

    @property
    def cell_m(self) -> float:
        """Side of a pixel in metres; degrees count as along the equator."""
        return self.scale_denominator * METRES_OF_DOT

    @property
    def box(self) -> Box:
        """All its tiles, in units of the CRS."""
        right = self.left + self.width * self.tile_width * self.cell
        bottom = self.top - self.height * self.tile_height * self.cell
        return Box(self.left, bottom, right, self.top)


@dataclass(frozen=True, slots=True)
class TileMatrixSet:
    """A pyramid of tiles in one CRS."""

    id: str
    title: str
    crs_code: str
    """For grids: authority and code; EPSG:4326 for CRS84, with x before y as everywhere."""
    crs_uri: str
    is_yx: bool
    """Whether the CRS has y, or latitude, first in documents."""
    area: Box
    """Degrees in which its CRS may be used; west > east across the antimeridian."""
    matrices: tuple[TileMatrix, ...]
    uri: str | None = None
    scale_set: str | None = None
    """URI of the well-known scale set that it follows."""
    document: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)
    """The definition as JSON of OGC's Two Dimensional Tile Matrix Set."""

    @property
    def crs_urn(self) -> str:
        """The name of the CRS in WMTS, which some clients read in no other form."""
        if self.crs_uri == CRS84:
            return "urn:ogc:def:crs:OGC:1.3:CRS84"
        return f"urn:ogc:def:crs:EPSG::{self.crs_code.removeprefix('EPSG:')}"

    @property
    def is_web_mercator(self) -> bool:
        """Whether its tiles are those of z, x and y."""
        return self.id == WEB_MERCATOR_QUAD

    def matrix(self, name: str) -> TileMatrix:
        """Return the matrix of a zoom.

        Raises:
            TileOutOfRange: there is none.
        """
        first, last = self.matrices[0], self.matrices[-1]
        for matrix in self.matrices:
            if matrix.id == name:
                return matrix
        raise TileOutOfRange(
            f"zoom must be {first.id} to {last.id} in {self.id}, got {name[:20]!r}"
        )

    def grid(self, matrix: TileMatrix, column: int, row: int, scale: int = 1) -> PixelGrid:
        """Return the grid of a tile of one of its matrices, with `scale` times as many pixels.

        Raises:
            TileOutOfRange: the matrix has no such column or row.
        """
        if not (0 <= column < matrix.width and 0 <= row < matrix.height):
            raise TileOutOfRange(
                f"zoom {matrix.id} of {self.id} has x in 0 to {matrix.width - 1} and y in 0 to "
                f"{matrix.height - 1}, got x={column} and y={row}"
            )
        if self.is_web_mercator:
            return tile_grid(tile_at(column, row, int(matrix.id)), matrix.tile_width * scale)
        width, height = matrix.tile_width * scale, matrix.tile_height * scale
        cell = matrix.cell / scale
        # From the corner of the matrix in one step: neighbours meet without a seam.
        pixels = AffineTransform.north_up(matrix.left, matrix.top, cell, cell)
        return pixels.grid(Window(column * width, row * height, width, height), self.crs_code)


def check_name(name: str) -> str:
    """Return the name of a set.

    Raises:
        InvalidRequest: there is none of that name.
    """
    if name in NAMES:
        return name
    close = nearest(name, NAMES)
    hint = f", did you mean {close}?" if close else "."
    raise InvalidRequest(
        f"tms: unknown tile matrix set {name[:40]!r}{hint} Known are {', '.join(NAMES)}"
    )


def matrix_set(name: str) -> TileMatrixSet:
    """Return a set; imports morecantile the first time, so call it from a thread.

    Raises:
        InvalidRequest: there is none of that name.
    """
    return _matrix_set(check_name(name))


@lru_cache(maxsize=len(NAMES))
def _matrix_set(name: str) -> TileMatrixSet:
    # Imports pyproj and pydantic, which tiles of Web Mercator do without.
    import morecantile

    if name in POLAR:
        return _converted(_polar(name))
    return _converted(morecantile.tms.get(name))


def _polar(name: str) -> Any:
    import morecantile
    from pyproj import CRS

    code, pole = POLAR[name]
    half = _POLAR_HALF_M
    return morecantile.TileMatrixSet.custom(
        [-half, -half, half, half],
        CRS.from_epsg(code),
        maxzoom=_POLAR_ZOOMS - 1,
        id=name,
        title=f"Polar stereographic, {pole} (EPSG:{code})",
    )


def _converted(made: Any) -> TileMatrixSet:
    document = made.model_dump(mode="json", exclude_none=True, by_alias=True)
    code = made.crs.to_epsg()
    crs_uri = CRS84 if code is None else f"http://www.opengis.net/def/crs/EPSG/0/{code}"
    document["crs"] = crs_uri
    crs_code = "EPSG:4326" if code is None else f"EPSG:{code}"
    for each in document["tileMatrices"]:
        # Clients of WMTS work out pixels from the denominators. Those of CanadianNAD83_LCC are
        # for another size of dots, and those of the poles are rounded.
        unit_m = _DEGREE_M if crs_code == "EPSG:4326" else 1.0
        each["scaleDenominator"] = each["cellSize"] * unit_m / METRES_OF_DOT
    corner = made.xy_bounds(0, 0, made.minzoom)
    is_yx = made.tileMatrices[0].pointOfOrigin[0] != corner.left
    return TileMatrixSet(
        id=made.id,
        title=made.title or made.id,
        crs_code=crs_code,
        crs_uri=crs_uri,
        is_yx=is_yx,
        area=_area(crs_code),
        matrices=tuple(_matrix(each, is_yx) for each in document["tileMatrices"]),
        uri=document.get("uri"),
        scale_set=document.get("wellKnownScaleSet"),
        document=document,
    )


def _matrix(each: Mapping[str, Any], is_yx: bool) -> TileMatrix:
    origin = each["pointOfOrigin"]
    left, top = reversed(origin) if is_yx else origin
    return TileMatrix(
        id=each["id"],
        scale_denominator=each["scaleDenominator"],
        cell=each["cellSize"],
        left=left,
        top=top,
        tile_width=each["tileWidth"],
        tile_height=each["tileHeight"],
        width=each["matrixWidth"],
        height=each["matrixHeight"],
    )


def _area(crs_code: str) -> Box:
    from pyproj import CRS

    if crs_code == WEB_MERCATOR:
        return Box(-180.0, -MAX_LATITUDE, 180.0, MAX_LATITUDE)
    area = CRS.from_user_input(crs_code).area_of_use
    if area is None:
        return Box(-180.0, -90.0, 180.0, 90.0)
    return Box(area.west, area.south, area.east, area.north)
