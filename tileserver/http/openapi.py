"""The description of the API in OpenAPI 3.1, from the routes."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Protocol

import anyio
from starlette.requests import Request
from starlette.responses import Response

from tileserver.contract.formats import TILE_FORMATS
from tileserver.http import api_parameters, wmts
from tileserver.http.addresses import document_cache_control
from tileserver.http.endpoints import base_url, services_of
from tileserver.http.keys import PARAMETER as KEY_PARAMETER
from tileserver.http.responses import bytes_response
from tileserver.layers.encodings import ENCODING_PARAMETER
from tileserver.layers.steps import STEP_PARAMETERS, VALUE_PARAMETERS
from tileserver.layers.styles import STYLE_PARAMETERS
from tileserver.layers.wmts import INFO_FORMATS

OPENAPI_VERSION = "3.1.0"
MEDIA_TYPE = "application/vnd.oai.openapi+json;version=3.1"
_ANSWER = re.compile(r"Answer GET (\S+): (.+?)\.(?:\n|$)", re.DOTALL)
_JSON, _XML, _TEXT = "application/json", "application/xml", "text/plain"
_GEOJSON = "application/geo+json"
_LOOK = (*STYLE_PARAMETERS, *STEP_PARAMETERS, ENCODING_PARAMETER)
_DRAWN = (*STYLE_PARAMETERS, *STEP_PARAMETERS)
_VALUES = VALUE_PARAMETERS
_TILES = tuple(dict.fromkeys(each.media_type for each in TILE_FORMATS.values()))
_PICTURES = tuple(
    dict.fromkeys(each.media_type for each in TILE_FORMATS.values() if each.is_picture)
)
_OF_WMTS = (*wmts.OF_SERVICE, *wmts.OF_TILES, *wmts.OF_INFO)


class Described(Protocol):
    """The part of a route that its description needs."""

    @property
    def path(self) -> str:
        """The pattern, as Starlette writes it."""
        ...

    @property
    def endpoint(self) -> Callable[..., Any]:
        """The handler, whose docstring says what it answers."""
        ...

    @property
    def methods(self) -> tuple[str, ...]:
        """GET, and POST if areas are posted."""
        ...

    @property
    def has_text_errors(self) -> bool:
        """True if errors are a line of text."""
        ...

    @property
    def has_xml_errors(self) -> bool:
        """True if errors are exception reports."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """What the pattern of a route does not tell of it."""

    query: tuple[str, ...] = ()
    """The parameters of its query, without `v`, which all with any understand."""
    media_types: tuple[str, ...] = (_JSON,)
    path: str | None = None
    """As it is shown; None is the pattern."""


_COLLECTION = "/ogc/collections/{layer}"
_TILE_OF_SET = "/map/tiles/{tms}/{z}/{row}/{column}"
FORMS: dict[str, tuple[Form, ...]] = {
    "/tiles/{layer:path}/{z}/{x}/{name}": (
        Form((*_LOOK, "time", "tms"), _TILES, "/tiles/{layer}/{z}/{x}/{y}.{ext}"),
    ),
    "/layers": (Form(("after", "limit", "q", "bbox")),),
    "/assets": (Form(("parent", "q", "after", "limit")),),
    "/tilejson/{layer:path}.json": (Form((*_LOOK, "time")),),
    "/info/{layer:path}": (Form(_LOOK),),
    "/point/{layer:path}": (Form(("lon", "lat", "bands", "radius", "time", *_VALUES)),),
    "/timeseries/{layer:path}": (
        Form(("lon", "lat", "bands", "time", "format"), (_JSON, "text/csv")),
    ),
    "/times/{layer:path}": (Form(("bbox", "step")),),
    "/profile/{layer:path}": (
        Form(("line", "points", "bands", "format", "time", *_VALUES), (_JSON, "text/csv")),
    ),
    "/statistics/{layer:path}": (
        Form(("bands", "bbox", "clip", "pixels", "bins", "percentiles", "time", *_VALUES)),
    ),
    "/crop/{layer:path}.tif": (
        Form(
            ("bbox", "bands", "width", "height", "clip", "resampling", "time", *_VALUES),
            ("image/tiff",),
        ),
    ),
    "/preview/{name:path}": (
        Form((*_LOOK, "bbox", "width", "height", "clip", "time"), _TILES, "/preview/{layer}.{ext}"),
    ),
    "/legend/{name:path}": (
        Form((*_LOOK, "scale"), ("image/svg+xml", "image/png", _JSON), "/legend/{layer}.{ext}"),
    ),
    "/qgis.xml": (Form((*_DRAWN, "time", "layer"), (_XML,)),),
    "/qgis/{layer:path}.qlr": (Form((*_LOOK, "time"), ("application/x-qgis-layer-definition",)),),
    "/wmts": (Form((*_OF_WMTS, *wmts.LIST_PARAMETERS, "time"), (_XML, *_PICTURES, *INFO_FORMATS)),),
    "/wmts/1.0.0/WMTSCapabilities.xml": (Form(wmts.LIST_PARAMETERS, (_XML,)),),
    "/wmts/{layer:path}": (
        Form((*_OF_WMTS, *wmts.LAYER_PARAMETERS), (_XML, *_PICTURES, *INFO_FORMATS)),
    ),
    "/ogc": (Form(("f",)),),
    "/ogc/conformance": (Form(("f",)),),
    "/ogc/tileMatrixSets": (Form(("f",)),),
    "/ogc/tileMatrixSets/{tms}": (Form(("f",)),),
    "/ogc/collections": (Form(("q", "bbox", "limit", "after", "f")),),
    "/ogc/collections/{layer:path}": (
        *(
            Form((*_LOOK, "time", "f"), (_JSON,), f"{_COLLECTION}{rest}")
            for rest in ("", "/map/tiles", "/map/tiles/{tms}")
        ),
        Form((*_LOOK, "time", "f"), _PICTURES, f"{_COLLECTION}{_TILE_OF_SET}"),
    ),
    "/export/{name:path}": (
        Form(
            (*_LOOK, "bbox", "maxzoom", "format", "time"),
            ("application/vnd.pmtiles", "text/html"),
            "/export/{layer}.{ext}",
        ),
    ),
    "/metrics": (Form((), (_TEXT,)),),
    "/openapi.json": (Form((), (MEDIA_TYPE,)),),
}
"""By the pattern of the route; one that is not here has no parameters, and answers JSON."""


async def response(request: Request, rows: Iterable[Described]) -> Response:
    """Return the description of the API as JSON."""
    servers = _json([{"url": base_url(request)}])
    rest = await anyio.to_thread.run_sync(_without_servers, tuple(rows))
    body = f'{{"servers":{servers},{rest}'
    cache_control = document_cache_control(services_of(request).public_url)
    return bytes_response(request, body.encode(), MEDIA_TYPE, cache_control)


@lru_cache(maxsize=1)
def _without_servers(rows: tuple[Described, ...]) -> str:
    """Return the JSON of the description but for `servers`, which requests decide, and its brace.

    It takes long to make, and is the same for every request.
    """
    described = document("", rows)
    del described["servers"]
    return _json(described)[1:]


def _json(part: Any) -> str:
    return json.dumps(part, ensure_ascii=False, separators=(",", ":"))


def document(server_url: str, rows: Iterable[Described]) -> dict[str, Any]:
    """Return the description of the API.

    Args:
        server_url: without a final slash.
        rows: the routes.
    """
    paths: dict[str, Any] = {}
    for row in rows:
        for number, form in enumerate(FORMS.get(row.path, (Form(),))):
            shown = form.path or row.path.replace(":path}", "}")
            methods = {
                method.lower(): _operation(row, method, replace(form, path=shown), number)
                for method in row.methods
            }
            paths[shown] = {**methods, "parameters": _of_path(shown)}
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "tileserver",
            "version": version("ee-tileserver"),
            "description": "Map tiles, values and statistics of rasters. Earth Engine's API, if it "
            "is served, describes itself at /$discovery/rest.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "parameters": {
                name: _parameter(name, *each) for name, each in api_parameters.QUERY.items()
            },
            "responses": _REFUSALS,
            "securitySchemes": _SECURITY,
        },
        # Without [access] keys, none is needed.
        "security": [{}, *({name: []} for name in _SECURITY)],
    }


def _operation(row: Described, method: str, form: Form, number: int) -> dict[str, Any]:
    name = getattr(row.endpoint, "__name__", "operation")
    told = _ANSWER.match(inspect.getdoc(row.endpoint) or "")
    is_posted = method == "POST"
    names = dict.fromkeys((*form.query, "v") if form.query else ())
    operation: dict[str, Any] = {
        "operationId": "_".join([name, *([str(number)] if number else []), method.lower()]),
        "summary": " ".join(told[2].split()) if told else name,
        "parameters": list(_of_query(row, names)),
        "responses": _responses(row, form.media_types),
    }
    if is_posted:
        content = {_GEOJSON: {"schema": {"$ref": "#/components/schemas/Area"}}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _of_query(row: Described, names: Iterable[str]) -> Iterator[dict[str, Any]]:
    for name in names:
        if name == "format" and row.has_xml_errors:
            yield _parameter(name, api_parameters.MEDIA_TYPE, "of the tile")
        elif name == "format" and row.path.startswith("/export"):
            yield _parameter(name, api_parameters.SUFFIX, "of the tiles")
        elif name in api_parameters.QUERY:
            # Written once: the same are on many routes.
            yield {"$ref": f"#/components/parameters/{name}"}
        else:
            yield _parameter(name, {"type": "string"}, name)


def _parameter(name: str, schema: api_parameters.Schema, meaning: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": "query", "description": meaning}
    parameter["schema"] = schema
    is_list = schema["type"] == "array"
    return parameter | ({"style": "form", "explode": False} if is_list else {})


def _of_path(path: str) -> list[dict[str, Any]]:
    found = []
    for name in re.findall(r"{(\w+)}", path):
        schema, meaning = api_parameters.PATH.get(name, ({"type": "string"}, name))
        found.append(
            {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}
        )
    return found


def _responses(row: Described, media_types: Sequence[str]) -> dict[str, Any]:
    content: dict[str, Any] = {each: {} for each in media_types}
    form = "Report" if row.has_xml_errors else "Line" if row.has_text_errors else "Error"
    refused = {"$ref": f"#/components/responses/{form}"}
    statuses = ("400", "401", "403", "404", "503", "504")
    return {
        "200": {"description": "OK", "content": content},
        "304": {"description": "The client has it: If-None-Match has its ETag"},
        **dict.fromkeys(statuses, refused),
    }


_SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["status", "message"],
                "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
            }
        },
    },
    "Area": {
        "type": "object",
        "description": "A geometry, feature or collection of features in degrees",
        "required": ["type"],
        "properties": {"type": {"type": "string"}},
    },
}
_REFUSALS: dict[str, Any] = {
    "Error": {
        "description": "What is wrong, and what would be right",
        "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
    },
    "Line": {
        "description": "What is wrong, and what would be right, as a line of text",
        "content": {_TEXT: {"schema": {"type": "string"}}},
    },
    "Report": {
        "description": "What is wrong, as an exception report of OGC",
        "content": {_XML: {"schema": {"type": "string"}}},
    },
}
_SECURITY: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "query": {"type": "apiKey", "in": "query", "name": KEY_PARAMETER},
}
