"""Where maps are cut and where they come round, against PROJ itself."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import Transformer

from tileserver.geo.crs import transform_point
from tileserver.geo.seams import seams
from tileserver.geo.turns import middle_longitude, period

CYLINDERS = {
    "EPSG:3395": 0,
    "EPSG:3832": 150,
    "EPSG:3994": 100,
    "EPSG:4087": 0,
    "EPSG:6933": 0,
    "ESRI:54003": 0,
    "ESRI:102113": 0,
}
CUT = {
    "EPSG:5641": [137],
    "ESRI:54009": [-180],
    "EPSG:8857": [-180],
    "ESRI:54030": [-180],
    "EPSG:8859": [-30],
    "EPSG:5070": [84],
    "EPSG:3034": [-170],
    "ESRI:54052": [-180, -100, -40, -20, 80],
}
NEITHER = ("EPSG:3413", "EPSG:3031", "EPSG:3571", "EPSG:32601", "EPSG:2193", "EPSG:3078")


@pytest.mark.parametrize("crs", CYLINDERS)
def test_cylindrical_maps_come_round(crs: str) -> None:
    turn, middle = period(crs), middle_longitude(crs)
    assert turn is not None
    assert middle == pytest.approx(CYLINDERS[crs])
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    lons = np.arange(-179.5, 180, 7.0)
    x, _ = to_map.transform(lons, np.full(lons.shape, 33.0))
    expected = (lons - middle) / 360 * turn
    assert np.allclose(np.mod(x - expected + 1, turn), 1, atol=1e-5)
    assert seams(crs) == ()


@pytest.mark.parametrize("crs", CUT)
def test_other_maps_are_cut_where_proj_puts_neighbours_far_apart(crs: str) -> None:
    assert period(crs) is None
    found = seams(crs)
    assert sorted({seam.longitude for seam in found}) == pytest.approx(CUT[crs])
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    for seam in found:
        beside = seam.longitude + np.array([-1e-6, 1e-6])
        x, y = to_map.transform(beside, np.full(2, 45.0 if seam.is_north else -45.0))
        assert np.hypot(np.diff(x), np.diff(y)) > 100_000


@pytest.mark.parametrize("crs", NEITHER)
def test_maps_around_a_place_have_no_seam(crs: str) -> None:
    assert period(crs) is None
    assert seams(crs) == ()


def test_the_middle_of_paris_is_paris() -> None:
    assert middle_longitude("EPSG:4807") == pytest.approx(2.3372, abs=0.01)
    assert transform_point("EPSG:4807", "EPSG:4326", 0, 0)[0] == middle_longitude("EPSG:4807")
