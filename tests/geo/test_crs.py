from __future__ import annotations

import numpy as np
import pytest
from rasterio.crs import CRS

from tests.support.oracles import SINUSOIDAL
from tileserver.contract.tiles import HALF_WORLD_M
from tileserver.errors import InvalidRequest
from tileserver.geo.crs import (
    are_aligned,
    code_of,
    crs_of,
    nominal_scale_m,
    transform_point,
    transform_points,
)
from tileserver.geo.turns import period

DISK = CRS.from_proj4("+proj=ortho +lat_0=0 +lon_0=0").to_wkt()


@pytest.mark.parametrize("code", ["EPSG:4326", "EPSG:3857", "EPSG:32612", "EPSG:2154", "EPSG:3031"])
def test_a_code_survives(code: str) -> None:
    assert code_of(crs_of(code)) == code


@pytest.mark.parametrize("code", ["SR-ORG:6974", "SR-ORG:6842"])
def test_the_sinusoidal_grid_of_modis_is_known_by_its_old_codes(code: str) -> None:
    assert crs_of(code) == CRS.from_string(SINUSOIDAL)
    x, y = transform_point("EPSG:4326", code, 10.0, 50.0)
    radius = 6371007.181
    assert x == pytest.approx(radius * np.radians(10) * np.cos(np.radians(50)), rel=1e-9)
    assert y == pytest.approx(radius * np.radians(50), rel=1e-9)


def test_a_crs_without_a_code_is_its_wkt() -> None:
    code = code_of(CRS.from_string("+proj=lcc +lat_0=40 +lon_0=10 +lat_1=41 +lat_2=48"))
    assert code.startswith("PROJCS")
    assert crs_of(code) == CRS.from_wkt(code)


@pytest.mark.parametrize("code", ["", "EPSG:0", "nonsense", "EPSG:5703", "EPSG:4978", "x" * 500])
def test_what_is_no_map_is_refused_with_an_example(code: str) -> None:
    with pytest.raises(InvalidRequest, match="expected one such as EPSG:4326") as caught:
        crs_of(code)
    assert len(str(caught.value)) < 250


def test_x_comes_round_in_degrees_and_in_web_mercator() -> None:
    assert period("EPSG:4326") == period("EPSG:4267") == 360.0
    assert period("EPSG:3857") == 2 * HALF_WORLD_M
    assert period("EPSG:32612") is None


def test_only_degrees_and_web_mercator_lie_along_each_other() -> None:
    assert are_aligned("EPSG:4326", "EPSG:3857")
    assert are_aligned("EPSG:32612", "EPSG:32612")
    assert not are_aligned("EPSG:4267", "EPSG:3857")
    assert not are_aligned("EPSG:4326", "EPSG:32612")


def test_points_the_projection_does_not_show_are_infinite_and_the_others_exact() -> None:
    lon, lat = np.meshgrid(np.linspace(-180, 180, 37), np.linspace(-90, 90, 19))
    x, y = transform_points("EPSG:4326", DISK, lon.ravel(), lat.ravel())
    seen = np.isfinite(x) & np.isfinite(y)
    angle = np.cos(np.radians(lon)) * np.cos(np.radians(lat))
    assert seen[angle.ravel() > 0.01].all()
    assert not seen[angle.ravel() < -0.01].any()
    for i in np.flatnonzero(seen)[::10]:
        alone = transform_point("EPSG:4326", DISK, float(lon.ravel()[i]), float(lat.ravel()[i]))
        assert alone == (x[i], y[i])


@pytest.mark.parametrize("bad", range(9))
def test_one_point_outside_costs_none_of_its_neighbours(bad: int) -> None:
    lon = np.linspace(-40, 40, 9)
    lon[bad] = 180
    x, _ = transform_points("EPSG:4326", DISK, lon, np.zeros(9))
    assert np.flatnonzero(~np.isfinite(x)).tolist() == [bad]


def test_scales_are_in_metres() -> None:
    assert nominal_scale_m("EPSG:4326", -1 / 1200) == pytest.approx(92.766, abs=1e-3)
    assert nominal_scale_m("EPSG:32612", -30) == 30
    assert nominal_scale_m("EPSG:2229", 10) == pytest.approx(3.048006, abs=1e-6)
