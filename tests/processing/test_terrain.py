"""Algorithms of terrain in the URL, against `gdaldem` on the same pixels."""

from __future__ import annotations

import io
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.processing.conftest import Client
from tests.support.rasterfiles import affine, write_raster
from tileserver.config.config import Config
from tileserver.config.layers import LayerSettings
from tileserver.contract.grids import PixelGrid, Window
from tileserver.contract.names import LOCAL_PREFIX
from tileserver.contract.tiles import Tile, tile_grid

ZOOM, X, Y = 13, 4322, 3000
TILE = f"/tiles/dem/{ZOOM}/{X}/{Y}"
HOLE = -9999.0
needs_gdaldem = pytest.mark.skipif(not shutil.which("gdaldem"), reason="gdaldem is not installed")


def around(margin_px: int) -> PixelGrid:
    """The tile's own pixels, and those around it."""
    side = 256 + 2 * margin_px
    return tile_grid(Tile(X, Y, ZOOM)).window(Window(-margin_px, -margin_px, side, side))


def hills(side: int) -> NDArray[np.float32]:
    rows, columns = np.mgrid[0:side, 0:side]
    rough = np.random.default_rng(0).normal(0, 4, (side, side))
    smooth = 900 + 300 * np.sin(columns / 31) * np.cos(rows / 17) + 3 * columns
    values: NDArray[np.float32] = (smooth + rough).astype(np.float32)
    values[400:404, 420:425] = HOLE
    return values


@pytest.fixture(scope="module")
def dem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Elevations on the pixels of a tile and 300 pixels around it."""
    grid = around(300)
    path = tmp_path_factory.mktemp("scenes") / "dem.tif"
    place = affine(grid.transform)
    return write_raster(
        path, hills(grid.width)[None], "EPSG:3857", place, nodata=HOLE, overviews=()
    )


@pytest.fixture(scope="module")
def client(dem: Path, serving: Callable[..., Client]) -> Client:
    layer = LayerSettings("shaded", f"{LOCAL_PREFIX}/dem", algorithm="hillshade", azimuth=45.0)
    return serving(dem, Config(layers=(layer,)))


def ground_scale() -> float:
    """Metres on the ground for one of the map, in the middle of the tile."""
    box = tile_grid(Tile(X, Y, ZOOM)).box
    return 1 / math.cosh((box.north + box.south) / 2 / 6378137.0)


def by_gdaldem(dem: Path, folder: Path, *arguments: str) -> NDArray[Any]:
    """What gdaldem makes of the tile's pixels."""
    made = folder / "made.tif"
    subprocess.run(["gdaldem", arguments[0], str(dem), str(made), *arguments[1:], "-q"], check=True)
    with rasterio.open(made) as dataset:
        found: NDArray[Any] = dataset.read(1, masked=True).astype(np.float64).filled(np.nan)
    return found[300:556, 300:556]


def computed(client: Client, **parameters: Any) -> NDArray[np.float64]:
    bands = client.bands(f"{TILE}.npy", resampling="nearest", **parameters)
    (values,) = bands.values()
    return values.astype(np.float64)


@needs_gdaldem
@pytest.mark.parametrize(
    ("parameters", "arguments"),
    [
        ({}, []),
        ({"azimuth": 120, "altitude": 20}, ["-az", "120", "-alt", "20"]),
        ({"z_factor": 3}, ["-z", "3"]),
    ],
)
def test_a_hillshade_is_that_of_gdaldem(
    client: Client, dem: Path, tmp_path: Path, parameters: dict[str, Any], arguments: list[str]
) -> None:
    expected = by_gdaldem(dem, tmp_path, "hillshade", "-s", str(ground_scale()), *arguments)
    found = computed(client, algorithm="hillshade", **parameters)
    np.testing.assert_array_equal(found == 0, np.nan_to_num(expected) == 0)
    assert np.nanmax(np.abs(found - np.nan_to_num(expected))) <= 1


@needs_gdaldem
def test_slopes_are_those_of_gdaldem(client: Client, dem: Path, tmp_path: Path) -> None:
    expected = by_gdaldem(dem, tmp_path, "slope", "-s", str(ground_scale()))
    found = computed(client, algorithm="slope")
    at = np.isfinite(expected) & (expected > 0)
    assert at.sum() > 60_000
    # The scale of the tile's rows differs by a ten-thousandth from that of its middle.
    np.testing.assert_allclose(found[at], expected[at], atol=0.02)


@needs_gdaldem
def test_aspects_are_those_of_gdaldem(client: Client, dem: Path, tmp_path: Path) -> None:
    expected = by_gdaldem(dem, tmp_path, "aspect")
    found = computed(client, algorithm="aspect")
    # Of what is nearly flat, float32 tells the direction less well.
    at = np.isfinite(expected) & (expected >= 0) & (computed(client, algorithm="slope") > 2)
    turned = np.abs((found - expected + 180) % 360 - 180)[at]
    assert at.sum() > 50_000
    assert turned.max() < 0.05


def test_contours_run_between_pixels_on_two_sides_of_an_elevation(client: Client) -> None:
    values = hills(856)[300:558, 300:558].astype(np.float64)
    steps = np.floor(values / 50)
    here, east, south = steps[:-2, :-2], steps[:-2, 1:-1], steps[1:-1, :-2]
    is_line = (here != east) | (here != south)
    found = computed(client, algorithm="contours", interval=50)
    at = (values[:-2, :-2] > 0) & (values[:-2, 1:-1] > 0) & (values[1:-1, :-2] > 0)
    np.testing.assert_array_equal((found != 0)[at], is_line[at])
    highest = np.maximum(np.maximum(here, east), south) * 50
    np.testing.assert_array_equal(found[at & is_line], highest[at & is_line])


def picture(client: Client, algorithm: str, suffix: str = "png") -> NDArray[np.float64]:
    params = {"algorithm": algorithm}
    answer = client.get(f"{TILE}.{suffix}", params=params)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(np.float64)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_terrain_colours_hold_the_elevations(client: Client, suffix: str) -> None:
    values = hills(856)[300:556, 300:556].astype(np.float64)
    shown = values != HOLE
    red, green, blue, alpha = np.moveaxis(picture(client, "terrarium", suffix), -1, 0)
    np.testing.assert_array_equal(alpha > 0, shown)
    decoded = red * 256 + green + blue / 256 - 32768
    np.testing.assert_array_equal(decoded[shown], np.floor(values[shown] * 256) / 256)
    red, green, blue, _ = np.moveaxis(picture(client, "mapbox", suffix), -1, 0)
    decoded = -10000 + (red * 65536 + green * 256 + blue) * 0.1
    assert np.abs(decoded - values)[shown].max() < 0.0501


def test_terrain_colours_are_refused_where_they_would_be_changed(client: Client) -> None:
    assert "png or webp" in client.refused(f"{TILE}.jpg", algorithm="terrarium")
    assert "colours" in client.refused(f"{TILE}.png", algorithm="mapbox", palette="viridis")


@pytest.mark.parametrize("algorithm", ["hillshade", "slope", "contours"])
def test_tiles_meet_without_a_seam(client: Client, algorithm: str) -> None:
    """A tile of four times the pixels has the same pixels as the four tiles that it covers."""
    large = tile_grid(Tile(X // 2, Y // 2, ZOOM - 1), 512)
    big = client.bands(
        f"/tiles/dem/{ZOOM - 1}/{X // 2}/{Y // 2}@2x.npy", algorithm=algorithm, resampling="nearest"
    )[algorithm]
    assert large.width == 512
    row, column = Y % 2 * 256, X % 2 * 256
    found = client.bands(f"{TILE}.npy", algorithm=algorithm, resampling="nearest")[algorithm]
    np.testing.assert_allclose(big[row : row + 256, column : column + 256], found, atol=1e-4)


def test_metres_of_degrees_shrink_with_the_latitude(
    tmp_path: Path, serving: Callable[..., Client]
) -> None:
    """A plane that rises by a metre a metre towards the east, at 60 degrees north."""
    side = 1 / 3600
    metres = side * math.pi / 180 * 6378137.0 * math.cos(math.radians(60 - 50 * side))
    values = np.tile((np.arange(100) * metres).astype("float32"), (100, 1))[None]
    place = rasterio.Affine(side, 0, 10, 0, -side, 60)
    write_raster(tmp_path / "plane.tif", values, "EPSG:4326", place, overviews=())
    client = serving(tmp_path)
    where: dict[str, Any] = {"lon": 10 + 50 * side, "lat": 60 - 50 * side, "algorithm": "slope"}
    assert client.get("/point/plane", params=where).json()["values"]["slope"] == pytest.approx(
        45, abs=0.01
    )
    tile = client.get("/statistics/plane", params={"algorithm": "slope"}).json()["slope"]
    assert tile["mean"] == pytest.approx(45, abs=0.05)


def test_terrain_between_pixels_is_interpolated_unless_told_otherwise(
    tmp_path: Path, serving: Callable[..., Client]
) -> None:
    """Of whole metres too: a plane's slope is the same everywhere, however large its pixels."""
    values = np.tile(np.arange(200, dtype="int16") * 7, (200, 1))[None]
    place = rasterio.Affine(100, 0, 0, 0, -100, 10_000)
    write_raster(tmp_path / "plane.tif", values, "EPSG:3857", place, overviews=())
    client = serving(tmp_path)
    tile = "/tiles/plane/15/16388/16383.npy"
    slopes = client.bands(tile, algorithm="slope")["slope"]
    assert slopes.max() == pytest.approx(math.degrees(math.atan(0.07)), abs=0.01)
    assert np.ptp(slopes[slopes > 0]) < 0.01
    stairs = client.bands(tile, algorithm="slope", resampling="nearest")["slope"]
    assert stairs.max() > 2 * slopes.max()


def test_the_algorithm_is_a_setting_and_goes_into_tilejson(client: Client) -> None:
    by_url = client.get(f"{TILE}.png", params={"algorithm": "hillshade", "azimuth": 45})
    assert client.get(TILE.replace("dem", "shaded") + ".png").content == by_url.content
    document = client.get("/tilejson/dem.json", params={"algorithm": "slope"}).json()
    assert document["bands"] == ["slope"]
    assert "algorithm=slope" in document["tiles"][0]
    other = client.get(TILE.replace("dem", "shaded") + ".png", params={"azimuth": 90})
    assert other.status_code == 200
    assert other.content != by_url.content


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"algorithm": "hilshade"}, "did you mean hillshade"),
        ({"algorithm": "hillshade", "interval": 5}, "interval: goes with algorithm=contours"),
        ({"azimuth": 5}, "azimuth: goes with algorithm=hillshade"),
        ({"algorithm": "hillshade", "altitude": 91}, "altitude: expected a number from 0 to 90"),
        ({"algorithm": "contours", "interval": 0}, "interval"),
        ({"algorithm": "slope", "expression": "b1"}, "goes not with"),
        ({"algorithm": "slope", "bands": "b7"}, "b7"),
    ],
)
def test_what_does_not_fit_is_refused(
    client: Client, parameters: dict[str, Any], told: str
) -> None:
    assert told in client.refused(f"{TILE}.png", **parameters)
