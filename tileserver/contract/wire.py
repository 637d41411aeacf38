"""The contract in Earth Engine's JSON, both ways, strictly.

Reading follows proto3's JSON mapping as Earth Engine applies it: an unknown member is refused
by name, a missing number is zero, null is a missing member, and a number may be written as a
string. Writing leaves out what is zero or empty.

https://developers.google.com/earth-engine/reference/rest/v1/projects.assets/getPixels
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tileserver.contract.formats import CLIENT_ALIASES, EARTH_ENGINE_FORMATS, ImageFileFormat
from tileserver.contract.geojson import read_geometry, write_geometry
from tileserver.contract.grids import AffineTransform, PartialGrid, PixelGrid
from tileserver.contract.pixels import MAX_COLORS, PixelRequest, Range, VisualizationOptions
from tileserver.errors import InvalidRequest, shown

T = TypeVar("T")

_AUTHORITY_CODE = re.compile(r"[A-Za-z][A-Za-z-]*:[0-9A-Za-z.]+")
_WORKLOAD_TAG = re.compile(r"[a-z0-9]|[a-z0-9][-_a-z0-9]{0,61}[a-z0-9]")
_MAX_INT32 = 2**31 - 1
_TRANSFORM_NAMES = {
    "scaleX": "scale_x",
    "shearX": "shear_x",
    "translateX": "translate_x",
    "shearY": "shear_y",
    "scaleY": "scale_y",
    "translateY": "translate_y",
}


def request_from_json(asset_id: str, body: object) -> PixelRequest:
    """Return the request in the body of `POST /v1/{asset}:getPixels`.

    Raises:
        InvalidRequest: a member is unknown, of the wrong type or out of range; the message
            names it as Earth Engine does.
    """
    members = check_members(
        body,
        "",
        (
            "fileFormat",
            "grid",
            "region",
            "bandIds",
            "visualizationOptions",
            "workloadTag",
        ),
    )
    return PixelRequest(
        asset_id=asset_id,
        file_format=_file_format(members.get("fileFormat")),
        grid=_optional(members, "grid", _grid),
        region=_optional(members, "region", read_geometry),
        band_ids=_strings(members.get("bandIds"), "band_ids"),
        visualization_options=_optional(members, "visualizationOptions", _visualization),
        workload_tag=_workload_tag(members.get("workloadTag")),
    )


def request_from_params(params: Mapping[str, Any]) -> PixelRequest:
    """Return the request in the dictionary that `ee.data.getPixels` takes.

    It is the JSON body with `assetId` beside it, and the client's own names of formats.

    Raises:
        InvalidRequest: as `request_from_json`, or assetId is missing.
    """
    if not isinstance(params, Mapping):
        raise InvalidRequest(f"params must be a dictionary, got {type(params).__name__}.")
    body = dict(params)
    asset_id = body.pop("assetId", None)
    if not isinstance(asset_id, str) or not asset_id:
        raise InvalidRequest(f"assetId must be the name of an image asset, got {asset_id!r}.")
    file_format = body.get("fileFormat")
    if isinstance(file_format, str):
        upper = file_format.upper()
        body["fileFormat"] = CLIENT_ALIASES.get(upper, upper)
    return request_from_json(asset_id, body)


def request_to_json(request: PixelRequest) -> dict[str, Any]:
    """Return the body of `POST /v1/{asset}:getPixels` for a request."""
    body: dict[str, Any] = {"fileFormat": str(request.file_format)}
    if request.grid is not None:
        body["grid"] = grid_to_json(request.grid)
    if request.region is not None:
        body["region"] = write_geometry(request.region)
    if request.band_ids:
        body["bandIds"] = list(request.band_ids)
    if request.visualization_options is not None:
        body["visualizationOptions"] = _visualization_to_json(request.visualization_options)
    if request.workload_tag is not None:
        body["workloadTag"] = request.workload_tag
    return body


def grid_to_json(grid: PixelGrid | PartialGrid) -> dict[str, Any]:
    """Return Earth Engine's PixelGrid."""
    members: dict[str, Any] = {}
    if grid.width is not None and grid.height is not None:
        members["dimensions"] = {"width": grid.width, "height": grid.height}
    if grid.transform is not None:
        transform = grid.transform
        members["affineTransform"] = {
            name: value
            for name, attribute in _TRANSFORM_NAMES.items()
            if (value := getattr(transform, attribute))
        }
    if grid.crs_code is not None:
        has_code = _AUTHORITY_CODE.fullmatch(grid.crs_code)
        members["crsCode" if has_code else "crsWkt"] = grid.crs_code
    return members


def grid_from_json(value: object) -> PixelGrid | PartialGrid:
    """Return the grid that Earth Engine's PixelGrid describes.

    Raises:
        InvalidRequest: as `request_from_json`.
    """
    return _grid(value)


def _visualization_to_json(options: VisualizationOptions) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if options.ranges:
        members["ranges"] = [
            {name: v for name, v in (("min", r.min), ("max", r.max)) if v} for r in options.ranges
        ]
    if options.palette_colors:
        members["paletteColors"] = list(options.palette_colors)
    if options.gamma is not None:
        members["gamma"] = options.gamma
    if options.opacity is not None:
        members["opacity"] = options.opacity
    return members


def check_members(value: object, place: str, known: Sequence[str]) -> Mapping[str, Any]:
    """Return the members of a JSON object that are not null.

    Raises:
        InvalidRequest: it is no object, or has a member that is not `known`.
    """
    if not isinstance(value, Mapping):
        where = f"at '{place}' " if place else ""
        raise InvalidRequest(
            f"Invalid value {where}: expected a JSON object with {', '.join(known)}, "
            f"got {shown(value)}."
        )
    for name in value:
        if name not in known:
            name = str(name)[:80].replace("\n", " ")
            where = f" at '{place}'" if place else ""
            raise InvalidRequest(
                f'Invalid JSON payload received. Unknown name "{name}"{where}: '
                f"Cannot find field. Known here: {', '.join(known)}."
            )
    return {name: member for name, member in value.items() if member is not None}


def _optional(members: Mapping[str, Any], name: str, read: Callable[[object], T]) -> T | None:
    return read(members[name]) if name in members else None


def _file_format(value: object) -> ImageFileFormat:
    if value is None or value == "IMAGE_FILE_FORMAT_UNSPECIFIED":
        return ImageFileFormat.AUTO_JPEG_PNG
    if value in EARTH_ENGINE_FORMATS:
        return ImageFileFormat(str(value))
    raise InvalidRequest(
        f"Invalid value at 'file_format' "
        f"(type.googleapis.com/google.earthengine.v1.ImageFileFormat), {shown(value)}; "
        f"expected one of {', '.join(EARTH_ENGINE_FORMATS)}."
    )


def _grid(value: object) -> PixelGrid | PartialGrid:
    members = check_members(value, "grid", ("dimensions", "affineTransform", "crsCode", "crsWkt"))
    if "crsCode" in members and "crsWkt" in members:
        raise InvalidRequest("grid: crsCode and crsWkt are both given, give one of them.")
    width, height = _optional(members, "dimensions", _dimensions) or (None, None)
    transform = _optional(members, "affineTransform", _transform)
    crs_code = _optional(members, "crsCode", _crs_code) or _optional(members, "crsWkt", _crs_wkt)
    if width is None or height is None or transform is None or crs_code is None:
        return PartialGrid(width, height, transform, crs_code)
    return PixelGrid(width, height, transform, crs_code)


def _dimensions(value: object) -> tuple[int, int]:
    members = check_members(value, "grid.dimensions", ("width", "height"))
    width, height = (
        _integer(members.get(name, 0), f"grid.dimensions.{name}") for name in ("width", "height")
    )
    if width < 1 or height < 1:
        raise InvalidRequest(
            f"Pixel grid dimensions ({width}x{height}) must be greater than or equal to 1."
        )
    return width, height


def _transform(value: object) -> AffineTransform:
    members = check_members(value, "grid.affine_transform", tuple(_TRANSFORM_NAMES))
    transform = AffineTransform(
        **{
            attribute: _number(members.get(name, 0), f"grid.affine_transform.{name}")
            for name, attribute in _TRANSFORM_NAMES.items()
        }
    )
    if transform.determinant == 0 or not math.isfinite(transform.determinant):
        raise InvalidRequest(
            "grid.affine_transform: a pixel has no area; scaleX and scaleY must not be zero, "
            f"got {grid_to_json(PartialGrid(transform=transform))['affineTransform']}."
        )
    return transform


def _crs_code(value: object) -> str:
    code = _string(value, "grid.crs_code")
    if not _AUTHORITY_CODE.fullmatch(code):
        raise InvalidRequest(
            f"grid.crs_code: expected authority and code, such as EPSG:4326, got {shown(code)}."
        )
    return code.upper()


def _crs_wkt(value: object) -> str:
    text = _string(value, "grid.crs_wkt")
    return text.upper() if _AUTHORITY_CODE.fullmatch(text) else text


def _visualization(value: object) -> VisualizationOptions | None:
    place = "visualization_options"
    members = check_members(value, place, ("ranges", "paletteColors", "gamma", "opacity"))
    options = VisualizationOptions(
        ranges=tuple(_range(r) for r in _list(members.get("ranges"), f"{place}.ranges")),
        palette_colors=_palette(members.get("paletteColors"), f"{place}.palette_colors"),
        gamma=_optional(members, "gamma", _gamma),
        opacity=_optional(members, "opacity", lambda v: _number(v, f"{place}.opacity")),
    )
    return None if options == VisualizationOptions() else options


def _range(value: object) -> Range:
    place = "visualization_options.ranges"
    members = check_members(value, place, ("min", "max"))
    return Range(*(_number(members.get(name, 0), f"{place}.{name}") for name in ("min", "max")))


def _gamma(value: object) -> float:
    place = "visualization_options.gamma"
    # ee.data.getMapId wraps the number, as protobuf's DoubleValue.
    if isinstance(value, Mapping):
        value = check_members(value, place, ("value",)).get("value", 0)
    return _number(value, place)


def _workload_tag(value: object) -> str | None:
    if value is None or value == "":
        return None
    tag = _string(value, "workload_tag")
    if not _WORKLOAD_TAG.fullmatch(tag):
        raise InvalidRequest(
            f"workload_tag: expected 1 to 63 of a-z, 0-9, - and _, beginning and ending with a "
            f"letter or digit, got {shown(tag)}."
        )
    return tag


def _list(value: object, place: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidRequest(f"Invalid value at '{place}': expected a list, got {shown(value)}.")
    return value


def _palette(value: object, place: str) -> tuple[str, ...]:
    colors = _strings(value, place)
    # Before they are part of a key that caches keep.
    if len(colors) > MAX_COLORS:
        raise InvalidRequest(
            f"Invalid value at '{place}': a palette has 1 to {MAX_COLORS} colors, "
            f"got {len(colors)}."
        )
    return colors


def _strings(value: object, place: str) -> tuple[str, ...]:
    return tuple(_string(item, place) for item in _list(value, place))


def _string(value: object, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"Invalid value at '{place}': expected a string, got {shown(value)}.")
    return value


def _number(value: Any, place: str) -> float:
    """Return a finite number; proto3 JSON has it as a number or as a string."""
    try:
        number = float(value) if _is_numeric(value) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(
            f"Invalid value at '{place}': expected a finite number, got {shown(value)}."
        )
    return number


def _integer(value: object, place: str) -> int:
    number = _number(value, place)
    if number != int(number) or abs(number) > _MAX_INT32:
        raise InvalidRequest(
            f"Invalid value at '{place}': expected a whole number up to {_MAX_INT32}, "
            f"got {shown(value)}."
        )
    return int(number)


def _is_numeric(value: Any) -> bool:
    # Python reads "1_000" and " 1 " as numbers; JSON does not.
    if isinstance(value, str):
        return bool(re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", value, re.ASCII))
    return isinstance(value, int | float) and not isinstance(value, bool)
