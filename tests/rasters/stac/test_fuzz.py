"""Documents of STAC with anything in them: images, or a clear refusal."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.stacfiles import item, scene_assets
from tileserver.errors import TileserverError
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.roots import Root

KEYS = st.sampled_from(
    [
        "type",
        "stac_version",
        "id",
        "assets",
        "properties",
        "links",
        "href",
        "rel",
        "features",
        "eo:bands",
        "raster:bands",
        "bands",
        "name",
        "nodata",
        "scale",
        "renders",
        "rescale",
        "colormap",
        "datetime",
        "roles",
        "extent",
        "temporal",
        "interval",
        "method",
        "title",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["Feature", "Catalog", "Collection", "FeatureCollection", "1.0.0", "item"])
    | st.sampled_from(["a.tif", "../x.tif", "/etc/passwd", "doc.json", "https://x.example/a.tif"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)


def look_at(path: Path) -> None:
    catalogue = Catalogue([Root(str(path))])
    for name in catalogue.names():
        with suppress(TileserverError):
            catalogue.find(name)


def changed(document: Any, values: list[Any], at: list[int]) -> Any:
    """Return a document with some of its members replaced."""
    for value, place in zip(values, at, strict=False):
        held = document
        while isinstance(held, dict | list) and held:
            keys = list(held) if isinstance(held, dict) else list(range(len(held)))
            key = keys[place % len(keys)]
            if place % 3 == 0 or not isinstance(held[key], dict | list):
                held[key] = json.loads(json.dumps(value))
                break
            held, place = held[key], place // 3
    return document


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "doc.json"


@settings(
    max_examples=int(os.environ.get("FUZZ_CASES", "600")) // 15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(VALUES, st.lists(VALUES, max_size=3), st.lists(st.integers(0, 1000), max_size=3))
def test_any_document_is_images_or_refused(
    path: Path, whole: Any, values: list[Any], at: list[int]
) -> None:
    path.write_text(json.dumps(whole))
    look_at(path)
    features = [item("a", scene_assets()), item("b", scene_assets("https://x.example/"))]
    for document in (features[0], {"type": "FeatureCollection", "features": features}):
        path.write_text(json.dumps(changed(json.loads(json.dumps(document)), values, at)))
        look_at(path)
