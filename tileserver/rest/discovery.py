"""The discovery document, from which Google's clients build their methods.

The official client needs the members of https://developers.google.com/discovery/v1/reference/apis
and more: `prettyPrint` among the parameters, `response` with each JSON method, `request`
with each POST, and `nextPageToken` in the schema of what comes in pages.
"""

from __future__ import annotations

from typing import Any

from tileserver.rest.method import Method
from tileserver.rest.methods import METHODS

_EVERYWHERE = {
    "$.xgafv": "string",
    "access_token": "string",
    "alt": "string",
    "callback": "string",
    "fields": "string",
    "key": "string",
    "oauth_token": "string",
    "prettyPrint": "boolean",
    "quotaUser": "string",
    "uploadType": "string",
    "upload_protocol": "string",
}
_INTEGERS = frozenset({"pageSize", "zoom", "x", "y"})
_SCHEMAS = {
    "Any": {"id": "Any", "type": "object", "additionalProperties": {"type": "any"}},
    "Page": {
        "id": "Page",
        "type": "object",
        "properties": {
            "assets": {"type": "array", "items": {"$ref": "Any"}},
            "images": {"type": "array", "items": {"$ref": "Any"}},
            "type": {"type": "string"},
            "features": {"type": "array", "items": {"$ref": "Any"}},
            "operations": {"type": "array", "items": {"$ref": "Any"}},
            "nextPageToken": {"type": "string"},
        },
    },
}


def discovery_document(version: str, base_url: str) -> dict[str, Any]:
    """Return the document for one version of the API, served at `base_url`."""
    resources: dict[str, Any] = {}
    for method in METHODS:
        *owners, name = method.id.split(".")
        place: dict[str, Any] = {"resources": resources}
        for owner in owners:
            place = place.setdefault("resources", {}).setdefault(owner, {})
        place.setdefault("methods", {})[name] = _method(method, version)
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"earthengine:{version}",
        "name": "earthengine",
        "version": version,
        "title": "Earth Engine API",
        "protocol": "rest",
        "rootUrl": f"{base_url}/",
        "baseUrl": f"{base_url}/",
        "servicePath": "",
        "parameters": {
            name: {"type": kind, "location": "query"} for name, kind in _EVERYWHERE.items()
        },
        "schemas": _SCHEMAS,
        "resources": resources,
    }


def _method(method: Method, version: str) -> dict[str, Any]:
    parameters = {name: _path_parameter(name, each) for name, each in method.patterns.items()}
    for name in method.query:
        kind = "integer" if name in _INTEGERS else "string"
        parameters[name] = {"type": kind, "location": "query"}
    described = {
        "id": f"earthengine.{method.id}",
        "httpMethod": method.http_method,
        "path": f"{version}/{method.path}",
        "flatPath": f"{version}/{method.path}",
        "parameters": parameters,
        "parameterOrder": list(method.patterns),
        "response": {"$ref": method.response},
    }
    if method.http_method in ("PATCH", "POST"):
        described["request"] = {"$ref": "Any"}
    return described


def _path_parameter(name: str, pattern: str) -> dict[str, Any]:
    place = {"location": "path", "required": True}
    if name in _INTEGERS:
        return {"type": "integer", "format": "int32", **place}
    return {"type": "string", "pattern": f"^(?:{pattern})$", **place}
