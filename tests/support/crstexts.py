"""Texts in which GDAL or PROJ would find the name of a file to open, or a host to ask."""

from __future__ import annotations

import json

_DATUM = 'DATUM["d",SPHEROID["s",6378137,298.25]{datum}]'
_GEOGCS = f'GEOGCS["g",{_DATUM},PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]{{geog}}]'
_PROJCS = f'PROJCS["p",{_GEOGCS},PROJECTION["{{method}}"]{{parameter}},UNIT["metre",1]{{more}}]'
_CS = 'CS[ellipsoidal,2],AXIS["lat",north],AXIS["lon",east],ANGLEUNIT["degree",0.0174532925199433]'
_GEOG2 = f'GEODCRS["a",DATUM["b",ELLIPSOID["c",6378137,298]],{_CS}]'
_WGS84 = f'GEODCRS["WGS 84",DATUM["World Geodetic System 1984",ELLIPSOID["w",6378137,298]],{_CS}]'
_BASE = 'BASEGEOGCRS["a",DATUM["b",ELLIPSOID["c",6378137,298]]]'
_PLANE = 'CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]'
_AXES = [
    {"name": "lat", "abbreviation": "lat", "direction": "north", "unit": "degree"},
    {"name": "lon", "abbreviation": "lon", "direction": "east", "unit": "degree"},
]
_JSON = {
    "type": "GeographicCRS",
    "name": "a",
    "datum": {
        "type": "GeodeticReferenceFrame",
        "name": "b",
        "ellipsoid": {"name": "c", "semi_major_axis": 6378137, "inverse_flattening": 298},
    },
    "coordinate_system": {"subtype": "ellipsoidal", "axis": _AXES},
}
_JSON_WGS84 = {**_JSON, "name": "WGS 84"}


def _wkt1(
    method: str = "Mercator_1SP",
    datum: str = "",
    geog: str = "",
    more: str = "",
    parameter: str = "",
) -> str:
    return _PROJCS.format(method=method, datum=datum, geog=geog, more=more, parameter=parameter)


def _extension(text: str) -> str:
    return f',EXTENSION["PROJ4","{text}"]'


def _bound(target: str, method: str, parameter: str) -> str:
    return (
        f"BOUNDCRS[SOURCECRS[{_GEOG2}],TARGETCRS[{target}],"
        f'ABRIDGEDTRANSFORMATION["t",METHOD["{method}"]{parameter}]]'
    )


def _projected(method: str, parameter: str = "", more: str = "") -> str:
    conversion = f'CONVERSION["c",METHOD["{method}"]{parameter}]'
    return f'PROJCRS["p",{_BASE},{conversion},{_PLANE}{more}]'


def _bound_json(path: str) -> dict[str, object]:
    parameters = [{"name": "Latitude and longitude difference file", "value": path}]
    return {
        "type": "BoundCRS",
        "source_crs": _JSON,
        "target_crs": _JSON_WGS84,
        "transformation": {
            "name": "t",
            "method": {"name": "NTv2", "id": {"authority": "EPSG", "code": 9615}},
            "parameters": parameters,
        },
    }


def texts_with_files(path: str, url: str) -> dict[str, str]:
    """Return CRSs, by what they try, that name a readable file or a host on loopback."""
    ntv2 = f',PARAMETERFILE["Latitude and longitude difference file","{path}",ID["EPSG",8656]]'
    init = f"+init={path}:key"
    return {
        "file": path,
        "file of ESRI's": f"ESRI::{path}",
        "file in ESRI's authority": f"ESRI:{path}",
        "dictionary": f"DICT:{path},key",
        "url": url,
        "url in capitals": url.replace("http", "HTTP"),
        "vsicurl": f"/vsicurl/{url}",
        "+init": init,
        "init among others": f"+proj=longlat +ellps=WGS84 {init}",
        "init in capitals": f"+proj=longlat +INIT={path}:key",
        "pipeline": f"+proj=pipeline +step {init}",
        "nadgrids": f"+proj=longlat +ellps=bessel +nadgrids={path}",
        "optional nadgrids": f"+proj=utm +zone=3 +ellps=intl +nadgrids=@{path},null",
        "nadgrids of a url": f"+proj=longlat +ellps=bessel +nadgrids={url}",
        "geoidgrids": f"+proj=longlat +ellps=bessel +geoidgrids={path}",
        "hgridshift": f"+proj=hgridshift +grids={path}",
        "xyzgridshift": f"+proj=xyzgridshift +grids={path}",
        "defmodel": f"+proj=defmodel +model={path}",
        "tinshift": f"+proj=tinshift +file={path}",
        "deformation": f"+proj=deformation +xy_grids={path} +z_grids={path} +t_epoch=2000",
        "catalog": f"+proj=longlat +R=6371000 +catalog={path}",
        "oblique pipeline": f"+proj=ob_tran +o_proj=pipeline +step +init={path}:key",
        "extension of a projection": _wkt1(more=_extension(init)),
        "extension of PROJ's own": _wkt1("custom_proj4", more=_extension(init)),
        "extension of degrees": _GEOGCS.format(datum="", geog=_extension(init)),
        "extension of degrees within": _wkt1(geog=_extension(f"+proj=longlat +nadgrids={path}")),
        "grids of a datum": _wkt1(datum=f',EXTENSION["PROJ4_GRIDS","{path}"]'),
        "shift of WKT2": _bound(_WGS84, "NTv2", ntv2),
        "shift of a pipeline": _bound(
            _WGS84, f"PROJ-based operation method: +proj=hgridshift +grids={path}", ""
        ),
        "method of PROJ's": _projected(f"PROJ hgridshift grids={path}"),
        "method of PROJ's, version 1": _wkt1(f"PROJ hgridshift grids={path}"),
        "method that is a pipeline": _projected(f"PROJ-based operation method: {init}"),
        "parameter of PROJ's": _projected(
            "PROJ utm", f',PARAMETER["zone=3 +init={path}:key",1,SCALEUNIT["unity",1]]'
        ),
        "remark": _projected("Mercator (variant A)", more=f',REMARK["PROJ CRS string: {init}"]'),
        "remark after others": _projected(
            "Mercator (variant A)", more=f',REMARK["a. proj crs STRING: {init}. b"]'
        ),
        "brackets that are round": _wkt1("custom_proj4", more=_extension(init))
        .replace("[", "(")
        .replace("]", ")"),
        "geoid": (
            f'COMPOUNDCRS["c",{_GEOG2},VERTCRS["v",VDATUM["w"],CS[vertical,1],AXIS["h",up],'
            f'LENGTHUNIT["metre",1],GEOIDMODEL["PROJ {path}"]]]'
        ),
        "shift of PROJJSON": json.dumps(_bound_json(path)),
        "remark of PROJJSON": json.dumps({**_JSON, "remarks": f"PROJ CRS string: {init}"}),
        "escaped remark": json.dumps({**_JSON, "remarks": "x"}).replace(
            '"x"', '"\\u0050ROJ CRS string: ' + init + '"'
        ),
    }
