"""The parameters of all routes, with their bounds, as OpenAPI describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tileserver.contract.drawn_tables import MAX_RADIUS_M
from tileserver.contract.matrix_sets import NAMES
from tileserver.contract.pixels import MAX_SIDE
from tileserver.contract.processing import Encoding, Resampling, Terrain
from tileserver.contract.tiles import MAX_ZOOM
from tileserver.http.parameters import TABLE_FORMATS
from tileserver.layers.ogc_tiles import PICTURES
from tileserver.layers.wmts import INFO_FORMATS, STYLE, VERSION
from tileserver.layers.wmts import PICTURES as MEDIA_TYPES

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string", "minLength": 1}
_NUMBER: Schema = {"type": "number"}
_PER_BAND: Schema = {"type": "array", "items": {"type": "number"}, "minItems": 1}
_SIDE: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
_TMS: Schema = {"type": "string", "enum": list(NAMES)}


def _numbers(count: int) -> Schema:
    return {"type": "array", "items": _NUMBER, "minItems": count, "maxItems": count}


def _number(low: float | None = None, high: float | None = None) -> Schema:
    bounds = {"minimum": low, "maximum": high}
    return {"type": "number", **{name: each for name, each in bounds.items() if each is not None}}


def _count(most: int | None = None, least: int = 0) -> Schema:
    top = {} if most is None else {"maximum": most}
    return {"type": "integer", "minimum": least, **top}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


QUERY: Mapping[str, tuple[Schema, str]] = {
    "bands": ({"type": "array", "items": _TEXT, "minItems": 1}, "ids of bands, in order"),
    "min": (_PER_BAND, "the value drawn darkest: one for all bands, or one each"),
    "max": (_PER_BAND, "the value drawn brightest: one for all bands, or one each"),
    "palette": (_TEXT, "colours as hex, or the name of a palette of /colormaps"),
    "gamma": ({"type": "number", "exclusiveMinimum": 0}, "above 1 brightens"),
    "opacity": (_number(0, 1), "multiplies the opacity of pixels"),
    "resampling": (_one_of(*Resampling), "how pixels are interpolated"),
    "nodata": (_TEXT, "a value that is masked; nan, or none"),
    "unscale": (_TEXT, "whether values are multiplied by the scale of their file"),
    "expression": (_TEXT, "a formula of bands, or none"),
    "algorithm": (_one_of(*Terrain, "none"), "a product of elevations"),
    "azimuth": (_NUMBER, "of the light of a hillshade, in degrees from north"),
    "altitude": (_NUMBER, "of the light of a hillshade, in degrees above the horizon"),
    "z_factor": (_NUMBER, "by which elevations are multiplied"),
    "interval": (_NUMBER, "between contours, in units of the band"),
    "like": (_TEXT, "longitude and latitude of a pixel to find similar ones of, or none"),
    "threshold": (_NUMBER, "of similarity"),
    "stretch": (_TEXT, "how a range is chosen: minmax, 2-98%, 2stddev, equalize, log …"),
    "colormap": (_TEXT, "colours of values or of ranges, as JSON, or none"),
    "relief": (_TEXT, "whether elevations are shaded"),
    "encoding": (_one_of(*Encoding), "elevations encoded as colours"),
    "time": (_TEXT, "a time such as 2025-06, or two with a slash between"),
    "tms": (_TMS, "the tile matrix set that z, x and y are of; WebMercatorQuad by default"),
    "v": (_TEXT, "a version, which documents put into their addresses; changes no answer"),
    "lon": (_number(-180, 180), "degrees"),
    "lat": (_number(-90, 90), "degrees"),
    "radius": (_number(0, MAX_RADIUS_M), "metres around the place within which features are"),
    "bbox": (_numbers(4), "west, south, east and north in degrees; west > east crosses 180"),
    "clip": (_TEXT, "an area as GeoJSON"),
    "width": (_SIDE, "columns; the other side follows"),
    "height": (_SIDE, "rows"),
    "pixels": (_count(least=1), "the most pixels a band that are read"),
    "bins": (_count(least=1), "of the histogram"),
    "percentiles": (_PER_BAND, "which percentiles"),
    "line": (_TEXT, "longitudes and latitudes of a line"),
    "points": (_count(least=1), "how many places along the line"),
    "step": (_TEXT, "day, month or year"),
    "scale": (_number(0), "pixels of the picture for one of the drawing"),
    "format": (_one_of(*TABLE_FORMATS), "of the table"),
    "layer": (_TEXT, "the name of a layer"),
    "maxzoom": (_count(MAX_ZOOM), "the deepest zoom"),
    "after": (_TEXT, "the name after which a page begins"),
    "limit": (_count(1000, 1), "the most entries of a page"),
    "q": (_TEXT, "a text in the name or the title"),
    "parent": (_TEXT, "the folder or collection whose content is listed"),
    "f": (_one_of("json", *PICTURES), "the format: json of documents, others of tiles"),
    "service": (_one_of("WMTS"), "the service"),
    "request": (_one_of("GetCapabilities", "GetTile", "GetFeatureInfo"), "the operation"),
    "version": (_one_of(VERSION), "of the service"),
    "style": (_one_of(STYLE), "of the layer"),
    "tilematrixset": (_TMS, "the tile matrix set"),
    "tilematrix": (_TEXT, "the zoom"),
    "tilerow": (_count(), "southward from the north edge"),
    "tilecol": (_count(), "eastward from the west edge"),
    "i": (_count(), "the column of the tile's pixel"),
    "j": (_count(), "the row of the tile's pixel"),
    "infoformat": (_one_of(*INFO_FORMATS), "of the values"),
}
"""Schema and meaning by name; names of WMTS are understood in upper case, too."""
MEDIA_TYPE: Schema = _one_of(*MEDIA_TYPES)
"""Of the parameter `format` of WMTS."""
SUFFIX: Schema = {"type": "string", "minLength": 1}
"""Of the parameter `format` of exports."""
PATH: Mapping[str, tuple[Schema, str]] = {
    "layer": (_TEXT, "the name of a layer or asset; its slashes may stand as they are"),
    "z": (_count(MAX_ZOOM), "zoom"),
    "x": (_count(), "column, eastward from the west edge"),
    "y": (_count(), "row, southward from the north edge"),
    "row": (_count(), "southward from the north edge"),
    "column": (_count(), "eastward from the west edge"),
    "tms": (_TMS, "a tile matrix set"),
    "ext": (_TEXT, "the format, as in the names of files"),
}
