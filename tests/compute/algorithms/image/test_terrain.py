"""Terrain: gdaldem's four-neighbour formulas, and NumPy over sides measured with pyproj."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Geod
from scipy import ndimage
from skimage.morphology import reconstruction

from tests.compute.conftest import GRID, HOME, SCENE, SIDE, Evaluator, world_of
from tests.support.rasterfiles import noise, write_raster
from tileserver.compute.pixels import plan
from tileserver.contract.grids import AffineTransform, PixelGrid, Window
from tileserver.errors import InvalidRequest

DEM = f"{HOME}/dem"
BOWLS = f"{HOME}/bowls"
HOLE = (slice(30, 33), slice(20, 22))


def heights() -> NDArray[np.int16]:
    """Return hills of some hundred metres, level in a corner."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = 1500 + 300 * np.sin(x / 9) * np.cos(y / 7) + 2 * x + 5 * y
    found[:8, :8] = 1500
    whole: NDArray[np.int16] = found.astype(np.int16)
    return whole


def bowls() -> NDArray[np.int16]:
    """Return rough ground with many hollows."""
    rough = noise(1, SIDE, SIDE, "uint8", seed=7)[0].astype(float)
    found: NDArray[np.int16] = ndimage.gaussian_filter(rough, 1.5).astype(np.int16)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("terrain")
    shown = np.ones((SIDE, SIDE), bool)
    shown[HOLE] = False
    write_raster(folder / "dem.tif", heights()[None], mask=shown, descriptions=("elevation",))
    write_raster(folder / "whole.tif", heights()[None], descriptions=("elevation",))
    write_raster(folder / "bowls.tif", bowls()[None])
    return folder


@pytest.fixture(scope="module")
def terrain(folder: Path) -> Evaluator:
    return Evaluator(world_of(folder))


def beside_masked() -> NDArray[np.bool_]:
    """Return the pixels without a value, or with a neighbour without one."""
    shown = np.ones((SIDE, SIDE), bool)
    shown[HOLE] = False
    plus = ndimage.generate_binary_structure(2, 1)
    return ~ndimage.binary_erosion(shown, plus, border_value=0)


def rises(values: NDArray[Any], across_m: float, down_m: float) -> tuple[Any, Any]:
    z = values.astype(float)
    east, north = np.zeros(z.shape), np.zeros(z.shape)
    east[:, 1:-1] = (z[:, 2:] - z[:, :-2]) / (2 * across_m)
    north[1:-1] = (z[:-2] - z[2:]) / (2 * down_m)
    return east, north


def test_slope_aspect_and_shade_follow_from_four_neighbours(
    ee: ModuleType, terrain: Evaluator
) -> None:
    found = terrain.masked(ee.Terrain.products(ee.Image(DEM)))
    assert list(found) == ["elevation", "slope", "aspect", "hillshade"]
    # UTM's pixels of 30 m are 0.9996 to 1.0 as long on the ground there.
    east, north = rises(heights(), 30, 30)
    slope = np.degrees(np.arctan(np.hypot(east, north)))
    aspect = np.degrees(np.arctan2(-east, -north)) % 360
    hidden = beside_masked()
    for band in ("slope", "aspect", "hillshade"):
        assert (np.ma.getmaskarray(found[band]) == hidden).all()
    np.testing.assert_allclose(found["slope"][~hidden], slope[~hidden], rtol=2e-3, atol=1e-6)
    # The grid's north is up to a degree off.
    turned = (found["aspect"] - aspect + 180) % 360 - 180
    sloped = ~hidden & (slope > 1)
    assert np.abs(turned[sloped]).max() < 1
    assert (found["aspect"][1:7, 1:7] == 0).all()
    lit = np.cos(np.radians(45)) * np.cos(np.radians(slope)) + np.sin(np.radians(45)) * np.sin(
        np.radians(slope)
    ) * np.cos(np.radians(270 - aspect))
    assert np.abs(found["hillshade"] - 255 * np.clip(lit, 0, 1))[~hidden].max() < 4
    assert (found["hillshade"][1:7, 1:7] == 180).all()


def test_terrain_of_degrees_takes_the_sides_on_the_ground(
    ee: ModuleType, terrain: Evaluator
) -> None:
    degree = 0.0004
    grid = PixelGrid(40, 30, AffineTransform(degree, 0, -112.182, 0, -degree, 40.648), "EPSG:4326")
    read = terrain.pixels(ee.Image(DEM), grid)["elevation"]
    geod = Geod(ellps="WGS84")
    lat = 40.648 - degree * 15
    across = geod.inv(-112, lat, -112 + degree, lat)[2]
    down = geod.inv(-112, lat - degree / 2, -112, lat + degree / 2)[2]
    east, north = rises(read, across, down)
    found = terrain.masked(ee.Terrain.slope(ee.Image(DEM)), grid)["slope"]
    expected = np.degrees(np.arctan(np.hypot(east, north)))
    inner = np.zeros(found.shape, bool)
    inner[1:-1, 1:-1] = True
    inner &= ~np.ma.getmaskarray(found)
    assert inner.sum() > 500
    np.testing.assert_allclose(found[inner], expected[inner], rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(not shutil.which("gdaldem"), reason="gdaldem is not installed")
@pytest.mark.parametrize(
    ("mode", "options"), [("slope", []), ("aspect", ["-zero_for_flat"]), ("hillshade", [])]
)
def test_terrain_is_gdaldems(
    ee: ModuleType,
    terrain: Evaluator,
    folder: Path,
    tmp_path: Path,
    mode: str,
    options: list[str],
) -> None:
    path = tmp_path / "found.tif"
    command = ["gdaldem", mode, str(folder / "whole.tif"), str(path), *options]
    command += ["-alg", "ZevenbergenThorne"]
    if mode == "hillshade":
        command += ["-az", "200", "-alt", "30"]
    subprocess.run(command, check=True, capture_output=True)
    with rasterio.open(path) as made:
        expected = made.read(1)[1:-1, 1:-1].astype(float)
    image = ee.Image(f"{HOME}/whole")
    built = ee.Terrain.hillshade(image, 200, 30) if mode == "hillshade" else None
    built = built or getattr(ee.Terrain, mode)(image)
    found = terrain.pixels(built)[mode][1:-1, 1:-1].astype(float)
    off = (found - expected + 180) % 360 - 180
    # Its north is the grid's, a degree off.
    tolerance = {"slope": 0.02, "aspect": 1.0, "hillshade": 5.0}[mode]
    sloped = terrain.pixels(ee.Terrain.slope(image))["slope"][1:-1, 1:-1] > 1
    assert np.abs(off)[sloped].max() < tolerance


def test_types_of_terrain(ee: ModuleType, terrain: Evaluator) -> None:
    found = terrain.value(ee.Terrain.products(ee.Image(DEM)))["bands"]
    types = {band["id"]: band["data_type"] for band in found}
    assert types["slope"]["precision"] == types["aspect"]["precision"] == "float"
    assert types["hillshade"] == {"type": "PixelType", "precision": "int", "min": 0, "max": 255}
    assert terrain.value(ee.Terrain.slope(ee.Image(DEM)).bandNames()) == ["slope"]


@pytest.mark.parametrize("azimuth", [90, 180, 270, 45])
def test_a_wall_casts_a_shadow_as_long_as_the_light_is_low(
    ee: ModuleType, tmp_path: Path, azimuth: int
) -> None:
    ground = np.zeros((SIDE, SIDE), np.int16)
    ground[32, 32] = 10_000 if azimuth == 45 else 0
    if azimuth in (90, 270):
        ground[:, 32] = 150
    elif azimuth == 180:
        ground[32] = 150
    write_raster(tmp_path / "wall.tif", ground[None])
    found = Evaluator(world_of(tmp_path)).pixels(
        ee.Terrain.hillShadow(ee.Image(f"{HOME}/wall"), azimuth, 45, 20)
    )["shadow"]
    # 150 m high in light of 45 degrees: less than five pixels of 30 m and a bit on the ground.
    row = {90: found[10, ::-1], 270: found[10], 180: found[::-1, 10]}.get(azimuth)
    if row is None:
        dark = np.argwhere(found == 0)
        assert len(dark) >= 14
        # The light comes from the north-east.
        assert (dark[:, 0] - 32 == 32 - dark[:, 1]).all()
        assert (dark[:, 0] > 32).all()
        return
    wall = 32 if azimuth == 270 else 31
    assert np.flatnonzero(row == 0).tolist() in (
        list(range(wall + 1, wall + 5)),
        list(range(wall + 1, wall + 6)),
    )


def test_hollows_are_filled_as_morphology_has_it(ee: ModuleType, terrain: Evaluator) -> None:
    ground = bowls()
    found = terrain.pixels(ee.Terrain.fillMinima(ee.Image(BOWLS), 0, 40))["b1"]
    assert found.dtype == np.int16
    # Beyond the raster the ground is 0: water leaves over its edges.
    padded = np.pad(ground.astype(float), 1)
    seed = np.where(padded == 0, 0, padded.max())
    filled = reconstruction(seed, padded, method="erosion")  # type: ignore[no-untyped-call]
    expected = filled[1:-1, 1:-1]
    assert (found == expected).all()
    assert (found > ground).sum() > 100


@pytest.mark.parametrize(
    "make",
    [
        lambda ee, dem: ee.Terrain.products(dem),
        lambda ee, dem: ee.Terrain.hillShadow(dem, 123, 70, 25, True),
        lambda ee, dem: ee.Terrain.fillMinima(dem, None, 10),
    ],
    ids=["products", "shadow", "filled"],
)
def test_sixteen_tiles_are_one_picture(
    ee: ModuleType, terrain: Evaluator, monkeypatch: pytest.MonkeyPatch, make: Any
) -> None:
    built = make(ee, ee.Image(DEM))
    whole = terrain.masked(built)
    side = SIDE // 4
    for place in range(16):
        window = Window(place % 4 * side, place // 4 * side, side, side)
        for band, found in terrain.masked(built, GRID.window(window)).items():
            expected = whole[band][window.slices]
            assert (np.ma.getmaskarray(found) == np.ma.getmaskarray(expected)).all()
            np.testing.assert_allclose(found.filled(0), expected.filled(0), rtol=1e-6)
    monkeypatch.setattr(plan, "PIECE_PX", 700)
    for band, found in terrain.masked(built).items():
        np.testing.assert_allclose(found.filled(0), whole[band].filled(0), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda ee, i: ee.Terrain.slope(i.addBands(i)), "one band of elevations, or a band named"),
        (lambda ee, i: ee.Terrain.fillMinima(i.toFloat()), "expected whole numbers"),
        (lambda ee, i: ee.Terrain.fillMinima(i, 0, 1000), "neighborhood must be from 0 to 256"),
        (lambda ee, i: ee.Terrain.hillShadow(i, 0, 45, 10**6), "neighborhood, at most 1024"),
        (lambda ee, i: ee.Terrain.hillShadow(i, 0, 45, -1), "neighborhoodSize must be 0 or more"),
    ],
)
def test_terrain_that_cannot_be_is_refused(
    ee: ModuleType, evaluator: Evaluator, make: Any, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        evaluator.pixels(make(ee, ee.Image(SCENE).select("B1")))
