"""PROJJSON, PROJ's own form of a CRS: only members that name no file.

https://proj.org/schemas/v0.7/projjson.schema.json
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
from tileserver.geo.crs_texts.refusals import RefusedCrs

_TYPES = """
    GeographicCRS GeodeticCRS ProjectedCRS CompoundCRS BoundCRS DerivedGeographicCRS
    DerivedGeodeticCRS
"""
TYPES = frozenset(_TYPES.split())
"""What a map, or a map with heights, may be; GDAL knows PROJJSON by them."""
_MEMBERS = """
    $schema type name id ids scope area bbox usages remarks south_latitude west_longitude
    north_latitude east_longitude vertical_extent minimum maximum temporal_extent start end
    authority code version authority_citation uri components source_crs target_crs base_crs
    transformation conversion method parameters value unit conversion_factor datum
    datum_ensemble members accuracy ellipsoid semi_major_axis semi_minor_axis
    inverse_flattening radius prime_meridian longitude anchor anchor_epoch
    frame_reference_epoch deformation_models geoid_model geoid_models coordinate_system
    subtype axis abbreviation direction meridian minimum_value maximum_value range_meaning
    coordinate_epoch epoch
"""
_KNOWN = frozenset(_MEMBERS.split())


def rewritten_projjson(text: str) -> str:
    """Return PROJJSON that says the same, checked; ids of other authorities are left out.

    Raises:
        RefusedCrs: it is not PROJJSON of a map, or PROJ would open a file for it.
    """
    try:
        members = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise RefusedCrs("is not JSON") from exc
    if not isinstance(members, dict) or members.get("type") not in TYPES:
        raise RefusedCrs("is no PROJJSON of a geographic or projected CRS")
    return json.dumps(checked(members), allow_nan=False)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def checked(members: Mapping[str, Any], left: int = MAX_DEPTH) -> dict[str, Any]:
    """Return the members of a PROJJSON object that PROJ may see.

    Raises:
        RefusedCrs: one is not known, or names a file.
    """
    if left == 0:
        raise RefusedCrs(f"is nested more than {MAX_DEPTH} deep")
    unknown = next((name for name in members if name not in _KNOWN), None)
    if unknown is not None:
        raise RefusedCrs(
            f"has the PROJJSON member {unknown[:20]!r}, which no CRS without files has"
        )
    _check_conversion(members)
    _check_target(members)
    found = ((name, _checked_member(name, value, left - 1)) for name, value in members.items())
    return {name: value for name, value in found if value is not None}


def _checked_member(name: str, value: Any, left: int) -> Any:
    match value:
        case dict() if name == "id":
            is_kept = str(value.get("authority")).upper() in KEPT_AUTHORITIES
            return checked(value, left) if is_kept else None
        case dict():
            return checked(value, left)
        case list() if name == "ids":
            return None
        case list() if left > 0:
            return [_checked_member(name, each, left - 1) for each in value]
        case list():
            raise RefusedCrs(f"is nested more than {MAX_DEPTH} deep")
        case str() if name == "remarks":
            check_remark(value)
        case str():
            check_name(value)
    return None if name == "$schema" else value


def _check_conversion(members: Mapping[str, Any]) -> None:
    method = members.get("method")
    is_of_proj = isinstance(method, dict) and check_method(str(method.get("name")))
    for parameter in _dicts(members.get("parameters")):
        check_parameter(str(parameter.get("name")), is_of_proj)
        if isinstance(value := parameter.get("value"), str) and value != NO_GRID_FILE:
            raise RefusedCrs("has a parameter that is no number")
    for name in ("geoid_model", "geoid_models", "deformation_models"):
        for model in _dicts(members.get(name)):
            check_geoid(str(model.get("name")))


def _check_target(members: Mapping[str, Any]) -> None:
    if "target_crs" in members and members.get("type") != "AbridgedTransformation":
        target = members["target_crs"]
        name = str(target.get("name")) if isinstance(target, dict) else ""
        if not name.upper().startswith(WGS84_NAME):
            raise RefusedCrs("is bound to another CRS than WGS 84")


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    each = value if isinstance(value, list) else [value]
    return (member for member in each if isinstance(member, dict))
