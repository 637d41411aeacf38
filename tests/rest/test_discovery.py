from __future__ import annotations

from typing import Any

import pytest
from googleapiclient.discovery import build_from_document

from tileserver.rest.discovery import discovery_document
from tileserver.rest.method import VERSIONS
from tileserver.rest.methods import METHODS


def methods_of(place: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [each for part in place.get("resources", {}).values() for each in methods_of(part)]
    return [*place.get("methods", {}).values(), *inner]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_document_has_every_method_and_what_clients_want_of_it(version: str) -> None:
    document = discovery_document(version, "http://127.0.0.1:8080")
    assert document["parameters"]["prettyPrint"] == {"type": "boolean", "location": "query"}
    methods = methods_of(document)
    assert {each["id"] for each in methods} == {f"earthengine.{each.id}" for each in METHODS}
    for method in methods:
        assert method["path"].startswith(f"{version}/")
        assert method["response"]["$ref"] in document["schemas"]
        assert ("request" in method) == (method["httpMethod"] in ("PATCH", "POST"))


def test_google_s_own_library_builds_a_client_of_it() -> None:
    document = discovery_document("v1", "http://127.0.0.1:8080")
    api = build_from_document(document, developerKey="x")
    request = api.projects().listAssets(parent="projects/demo", pageSize=2, view="BASIC")
    assert "/v1/projects/demo:listAssets?" in request.uri
    deep = api.projects().assets().get(name="projects/demo/assets/a/b")
    assert "/v1/projects/demo/assets/a/b?" in deep.uri
    assert api.projects().assets().listAssets_next
    api.close()
