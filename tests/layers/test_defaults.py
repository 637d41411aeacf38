"""What is drawn of files whose layers say nothing of their looks."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

from tests.layers.test_layers import PREFIX, SCENE, bell, find, layers_of
from tests.support.oracles import pixels_of
from tests.support.rasterfiles import write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.layers.styles import Style
from tileserver.rasters.engine import LocalRasters


def photo(count: int = 3) -> Any:
    """Channels with few values each, far from the ends of the range."""
    values = np.random.default_rng(2).integers(0, 40, (count, 500, 600))
    return (values + np.array([180, 100, 20, 60])[:count, None, None]).astype(np.uint8)


def picture_of(folder: Path, name: str = SCENE, style: Style | None = None) -> Any:
    """Return a layer's picture of its own extent in EPSG:3857, shape (256, 256, 3 or 4)."""
    layers = layers_of(folder)
    layer = find(layers, name, style)
    request = layer.request(_grid(layer.bounds), ImageFileFormat.PNG)
    assert isinstance(layers.source, LocalRasters)
    return np.asarray(Image.open(io.BytesIO(layers.source.pixels(request))).convert("RGBA"))


def _grid(bounds: Any) -> Any:
    lon, lat = (bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2
    zoom = 11
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
    return tile_grid(Tile(x, y, zoom))


@pytest.mark.parametrize("extra", [{}, {"alpha": True}], ids=["rgb", "rgba"])
def test_a_photograph_is_shown_as_it_is(tmp_path: Path, extra: dict[str, Any]) -> None:
    mask = np.ones((500, 600), bool) if extra else None
    path = write_raster(tmp_path / "scene.tif", photo(), mask=mask, photometric="rgb", **extra)
    layer = find(layers_of(tmp_path), SCENE)
    assert layer.style == Style(("b1", "b2", "b3"), (0,), (255,))
    drawn = picture_of(tmp_path)
    expected = pixels_of(path, _grid(layer.bounds))
    assert expected.valid[:3].all(axis=0).any()
    shown = drawn[..., 3] == 255
    assert np.array_equal(shown, expected.valid[:3].all(axis=0))
    assert np.array_equal(drawn[shown][:, :3], np.moveaxis(expected.values[:3], 0, -1)[shown])


def test_a_photograph_with_a_fourth_band_is_shown_as_it_is(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", photo(4), photometric="minisblack")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined,
        ]  # fmt: skip
    style = find(layers_of(tmp_path), SCENE).style
    assert style == Style(("b1", "b2", "b3"), (0,), (255,))


def test_eight_bits_without_colours_and_sixteen_with_them_are_stretched(tmp_path: Path) -> None:
    write_raster(tmp_path / "grey.tif", photo(), photometric="minisblack")
    write_raster(tmp_path / "deep.tif", photo().astype(np.uint16) * 20, photometric="rgb")
    for name in ("grey", "deep"):
        style = find(layers_of(tmp_path), f"{PREFIX}/{name}").style
        assert len(style.min) == 3
        assert style.max[0] != 255
    # So is one channel of a photograph, which is drawn grey.
    write_raster(tmp_path / "scene.tif", photo(), photometric="rgb")
    assert find(layers_of(tmp_path), SCENE, Style(("b1",))).style.min == (180,)


def test_the_bands_of_sentinel_2_are_drawn_in_natural_colour(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "scene.tif",
        bell(5, 300, 300, "uint16"),
        descriptions=(["B2", "B3", "B4", "B8", "B11"]),
    )
    layer = find(layers_of(tmp_path), SCENE)
    assert layer.style.bands == ("B4", "B3", "B2")
    with rasterio.open(path) as dataset:
        values = dataset.read([3, 2, 1]).reshape(3, -1)
    low, high = np.percentile(values, (2, 98), axis=1)
    assert layer.style.min == pytest.approx(low)
    assert layer.style.max == pytest.approx(high)
    grid = _grid(layer.bounds)
    raw = pixels_of(path, grid).values[[2, 1, 0]].astype(float)
    stretched = (raw - low[:, None, None]) / (high - low)[:, None, None]
    expected = np.floor(np.clip(stretched, 0, 1) * 255 + 0.5)
    drawn = picture_of(tmp_path)
    shown = drawn[..., 3] == 255
    assert shown.any()
    found = np.moveaxis(drawn[..., :3].astype(float), -1, 0)
    assert np.abs(found - expected)[:, shown].max() <= 1


def test_colours_are_found_in_the_files_own_notes(tmp_path: Path) -> None:
    wavelengths = ["479.9", "560.0", "665.1", "842"]
    path = write_raster(tmp_path / "scene.tif", bell(4, 60, 70))
    with rasterio.open(path, "r+") as dataset:
        for index, text in enumerate(wavelengths, 1):
            dataset.update_tags(index, wavelength=text, wavelength_units="Nanometers")
    assert find(layers_of(tmp_path), SCENE).style.bands == ("b3", "b2", "b1")
    other = write_raster(tmp_path / "other.tif", bell(4, 60, 70))
    with rasterio.open(other, "r+") as dataset:
        for index, text in enumerate(("0.48", "0.56", "0.665", "0.84"), 1):
            dataset.update_tags(index, ns="IMAGERY", CENTRAL_WAVELENGTH_UM=text)
    assert find(layers_of(tmp_path), f"{PREFIX}/other").style.bands == ("b3", "b2", "b1")


@pytest.mark.parametrize("where", ["bands", "properties"])
def test_colours_are_found_by_the_common_names_of_a_sidecar(tmp_path: Path, where: str) -> None:
    write_raster(tmp_path / "scene.tif", bell(3, 60, 70))
    named = [{"id": f"x{color}x", "eo:common_name": color} for color in ("blue", "red", "green")]
    bands = named if where == "bands" else [{"id": each["id"]} for each in named]
    sidecar: dict[str, Any] = {"bands": bands}
    if where == "properties":
        sidecar["properties"] = {"eo:bands": [{"common_name": e["eo:common_name"]} for e in named]}
    (tmp_path / "scene.json").write_text(json.dumps(sidecar))
    assert find(layers_of(tmp_path), SCENE).style.bands == ("xredx", "xgreenx", "xbluex")


@pytest.mark.parametrize("text", ["nan", "-1", "1e400", "", "a", "479,9"])
def test_a_wavelength_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    path = write_raster(tmp_path / "scene.tif", bell(3, 60, 70))
    with rasterio.open(path, "r+") as dataset:
        for index in (1, 2, 3):
            dataset.update_tags(index, wavelength=text)
    (tmp_path / "scene.json").write_text(json.dumps({"properties": {"eo:bands": [1, None, {}]}}))
    assert find(layers_of(tmp_path), SCENE).style.bands == ("b1", "b2", "b3")
