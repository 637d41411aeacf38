"""The picture of elevations that nobody has styled: a palette, shaded as `gdaldem` has it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from tests.processing.conftest import Client
from tests.processing.test_terrain import (
    TILE,
    around,
    by_gdaldem,
    ground_scale,
    hills,
    needs_gdaldem,
)
from tests.support.rasterfiles import affine, write_raster
from tileserver.config.config import Config

MARGIN = 300


@pytest.fixture(scope="module")
def dem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Elevations on the pixels of a tile and around it, with a hole in the tile."""
    grid = around(MARGIN)
    path = tmp_path_factory.mktemp("scenes") / "dem.tif"
    place = affine(grid.transform)
    return write_raster(
        path, hills(grid.width)[None], "EPSG:3857", place, nodata=-9999.0, overviews=()
    )


@pytest.fixture(scope="module")
def client(dem: Path, serving: Callable[..., Client]) -> Client:
    return serving(dem, Config())


def picture(client: Client, **parameters: Any) -> NDArray[np.uint8]:
    found = client.get(f"{TILE}.png", params=parameters).content
    return np.asarray(Image.open(io.BytesIO(found)).convert("RGBA"))


def style_of(client: Client) -> dict[str, Any]:
    (layer,) = client.get("/layers").json()["layers"]
    found: dict[str, Any] = layer["style"]
    return found


def flat(client: Client) -> NDArray[np.uint8]:
    """The same picture without light: its palette is in the URL."""
    style = style_of(client)
    palette = ",".join(style["palette"])
    return picture(client, min=style["min"], max=style["max"], palette=palette)


@needs_gdaldem
def test_elevations_are_shaded_by_the_hillshade_of_gdaldem(
    client: Client, dem: Path, tmp_path: Path
) -> None:
    shades = by_gdaldem(dem, tmp_path, "hillshade", "-s", str(ground_scale()))
    plain, shaded = flat(client), picture(client)
    assert np.array_equal(shaded[..., 3], plain[..., 3])
    assert (shaded[..., 3] == 0).sum() == 20
    light = np.maximum(shades / 181, 0.35)[..., np.newaxis]
    expected = np.minimum(plain[..., :3] * light, 255)
    # Next to the hole gdaldem has nothing; the light is that on flat ground there.
    inside = np.isfinite(shades) & (shades > 0)
    assert inside.sum() > 65_000
    assert np.abs(shaded[..., :3] - expected)[inside].max() <= 2
    edge = ~inside & (plain[..., 3] > 0)
    assert edge.any()
    assert np.array_equal(shaded[edge], plain[edge])
    assert np.std(shaded[..., :3].astype(float) - plain[..., :3]) > 10


def test_what_is_chosen_in_the_url_is_not_shaded(client: Client) -> None:
    plain = picture(client, palette="000000,ffffff")
    assert np.array_equal(plain[..., 0], plain[..., 1])
    assert np.array_equal(picture(client, bands="b1"), picture(client, bands="b1", gamma=1))
    # A gamma alone changes the palette's colours, under the same light.
    assert not np.array_equal(picture(client, gamma=2), flat(client))


def test_tiles_of_a_relief_meet_without_a_seam(client: Client) -> None:
    zoom, x, y = map(int, TILE.split("/")[-3:])
    wide = picture(client)
    half = np.asarray(
        Image.open(io.BytesIO(client.get(f"/tiles/dem/{zoom + 1}/{2 * x}/{2 * y}@2x.png").content))
    )
    other = np.asarray(
        Image.open(
            io.BytesIO(client.get(f"/tiles/dem/{zoom + 1}/{2 * x + 1}/{2 * y}@2x.png").content)
        )
    )
    across = np.abs(half[:, -1, :3].astype(int) - other[:, 0, :3]).mean()
    within = np.abs(half[:, -1, :3].astype(int) - half[:, -2, :3]).mean()
    assert across < 3 * within + 1
    assert wide.shape == (256, 256, 4)


def test_values_are_as_stored(client: Client, dem: Path) -> None:
    (values,) = client.bands(f"{TILE}.npy").values()
    with rasterio.open(dem) as dataset:
        stored = dataset.read(1, masked=True)[MARGIN : MARGIN + 256, MARGIN : MARGIN + 256]
    assert np.array_equal(values, stored.filled(0))
    found = client.get("/statistics/dem").json()["b1"]
    assert found["max"] == pytest.approx(float(hills(256 + 2 * MARGIN).max()))


def test_elevations_in_feet_are_no_steeper_than_in_metres(
    tmp_path: Path, serving: Callable[..., Client], client: Client
) -> None:
    grid = around(MARGIN)
    values = hills(grid.width)[None]
    feet = np.where(values == -9999, values, values / 0.3048).astype(np.float32)
    path = write_raster(
        tmp_path / "dem.tif", feet, "EPSG:3857", affine(grid.transform), nodata=-9999, overviews=()
    )
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ["US survey foot"]
    found = picture(serving(path, Config())).astype(int)
    assert np.abs(found - picture(client)).max() <= 3
