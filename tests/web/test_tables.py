"""A folder of a raster and of tables on the page, as a person sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
from playwright.sync_api import BrowserContext, expect

from tests.support.commands import ROOT, serving
from tests.support.rasterfiles import noise, write_raster
from tests.tables.files import geojson_text, write_features
from tests.web.conftest import Visitor, link

AREA = shapely.box(10, 40, 12, 42)
POINT = shapely.Point(14, 41)


@pytest.fixture
def person(context: BrowserContext, tmp_path: Path) -> Iterator[Visitor]:
    """A page on a server of such a folder, which must not note an error."""
    if not (ROOT / "web" / "vendor" / "leaflet").is_dir():
        pytest.skip("web/vendor/leaflet is not there: pip install -e . puts it there")
    write_features(tmp_path / "areas.gpkg", [AREA], {"name": ["field"], "hectares": [2.5]})
    (tmp_path / "sites.geojson").write_text(geojson_text([POINT, POINT], {"site": ["x", "y"]}))
    write_raster(tmp_path / "scene.tif", noise(1, 50, 50), overviews=())
    with serving(str(tmp_path), "--port", "0", cwd=tmp_path) as server:
        visitor = Visitor(context.new_page(), f"{server.url}/")
        visitor.watch()
        yield visitor
        assert visitor.outside == []
        assert visitor.errors == []


def test_features_are_drawn_and_tell_their_properties(person: Visitor) -> None:
    person.open(link(7, 41, 11, "areas", "sites"))
    page = person.page
    expect(page.locator("li[data-name='areas'] .classes")).to_have_text("areas")
    expect(page.get_by_role("button", name="Style: areas")).to_have_count(0)
    person.wait_for_tiles()
    # An area has one translucent colour away from its edges.
    assert len(np.unique(person.picture(40, 40).reshape(-1, 3), axis=0)) == 1
    page.mouse.click(512, 320)
    values = page.locator(".values")
    expect(values.filter(has_text="areas")).to_contain_text("field")
    expect(values.filter(has_text="areas")).to_contain_text("2.5")
    expect(values.filter(has_text="sites")).to_contain_text("No feature here.")
