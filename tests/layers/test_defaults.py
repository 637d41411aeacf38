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
from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.tiles import Tile, tile_grid
from tileserver.layers.styles import Style
from tileserver.rasters.engine import LocalRasters
from tileserver.rendering.colormaps import named_palette


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


# Elevations


def hills(low: float, high: float, dtype: str = "float32") -> Any:
    """A slope from low to high, with a little noise."""
    slope = np.linspace(low, high, 400 * 300).reshape(1, 300, 400)
    return (slope + np.random.default_rng(1).normal(0, 3, slope.shape)).astype(dtype)


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("srtm_n37", {}),
        ("Copernicus_DSM_COG_10_N37_00_W119_00_DEM", {}),
        ("scene", {"descriptions": ["elevation"]}),
        ("scene", {"descriptions": ["Ground height above EGM96"]}),
        ("scene", {"unit": "metre"}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_elevations_get_the_colours_of_land(
    tmp_path: Path, file: str, extra: dict[str, Any], dtype: str
) -> None:
    extra = dict(extra)
    unit = extra.pop("unit", None)
    path = write_raster(tmp_path / f"{file}.tif", hills(200, 3000, dtype), **extra)
    if unit:
        with rasterio.open(path, "r+") as dataset:
            dataset.units = [unit]
    style = find(layers_of(tmp_path), f"{PREFIX}/{file}").style
    assert style.palette == named_palette("terrain")[5:]  # type: ignore[index]
    assert (*style.min, *style.max) == pytest.approx((256, 2944), rel=0.01)


@pytest.mark.parametrize(
    ("file", "extra", "values"),
    [
        ("srtm_slope", {}, hills(0, 90)),
        ("canopy_height", {}, hills(0, 60)),
        ("dem", {}, hills(0, 1e6)),
        ("dem", {"unit": "kelvin"}, hills(200, 300)),
        ("dem", {}, noise(1, 300, 400, "uint8")),
        ("dem", {}, np.concatenate([hills(0, 900)] * 2)),
        ("red", {"unit": "metre", "descriptions": ["red"]}, hills(0, 90)),
        ("scene", {}, hills(0, 3000)),
    ],
)
def test_what_is_no_elevation_stays_grey(
    tmp_path: Path, file: str, extra: dict[str, Any], values: Any
) -> None:
    extra = dict(extra)
    unit = extra.pop("unit", None)
    path = write_raster(tmp_path / f"{file}.tif", values, **extra)
    if unit:
        with rasterio.open(path, "r+") as dataset:
            dataset.units = [unit]
    assert find(layers_of(tmp_path), f"{PREFIX}/{file}").style.palette == ()


def test_the_sea_is_blue_and_land_is_green_at_the_shore(tmp_path: Path) -> None:
    write_raster(tmp_path / "gebco.tif", hills(-3000, 2000))
    style = find(layers_of(tmp_path), f"{PREFIX}/gebco").style
    at = np.linspace(style.min[0], style.max[0], len(style.palette))
    for value, color in zip(at, style.palette, strict=True):
        red, green, blue = bytes.fromhex(color)
        assert (blue > max(red, green)) == (value < 0), (value, color)


def test_an_elevation_is_drawn_as_the_url_says(tmp_path: Path) -> None:
    write_raster(tmp_path / "dem.tif", hills(200, 3000))
    layers, name = layers_of(tmp_path), f"{PREFIX}/dem"
    assert find(layers, name, Style(palette=("000000", "ffffff"))).style.palette[0] == "000000"
    assert find(layers, name, Style(("b1",))).style.palette == ()
    assert find(layers, name, Style(gamma=2.0)).style.palette


# Classes


def fields(values: list[int], dtype: str = "uint8") -> Any:
    """Square fields of 10 pixels, each of a random class."""
    few = np.random.default_rng(6).choice(values, (1, 30, 40))
    return np.kron(few, np.ones((1, 10, 10), int)).astype(dtype)


def test_few_integers_are_classes_with_a_colour_each(tmp_path: Path) -> None:
    values = [10, 20, 30, 95, 100]
    path = write_raster(tmp_path / "scene.tif", fields(values), overviews=(), nodata=30)
    layer = find(layers_of(tmp_path), SCENE)
    assert [value for value, _ in layer.style.classes] == [10, 20, 95, 100]
    colors = {value: layer.style.palette[value - 10] for value, _ in layer.style.classes}
    assert len(set(colors.values())) == 4
    drawn, expected = picture_of(tmp_path), pixels_of(path, _grid(layer.bounds))
    shown = drawn[..., 3] == 255
    assert np.array_equal(shown, expected.valid[0])
    for value, color in colors.items():
        here = drawn[shown & (expected.values[0] == value)][:, :3]
        assert here.size
        assert (here == tuple(bytes.fromhex(color))).all()


def test_many_classes_need_a_name_that_says_so(tmp_path: Path) -> None:
    values = fields([*range(0, 240, 3)])
    write_raster(tmp_path / "nlcd_2021.tif", values, overviews=())
    write_raster(tmp_path / "scene.tif", values, overviews=())
    layers = layers_of(tmp_path)
    assert len(find(layers, f"{PREFIX}/nlcd_2021").style.classes) == 80
    assert find(layers, SCENE).style.classes == ()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("float", fields([1, 2, 3], "float32")),
        ("ramp", np.tile(np.arange(400) // 20, (300, 1))[None].astype(np.uint8)),
        ("dem", fields([100, 120, 130], "int16")),
        ("wide", fields([0, 1, 1000], "int16")),
        ("small", np.arange(16, dtype=np.uint8).reshape(1, 4, 4)),
        ("bands", np.concatenate([fields([1, 2])] * 2)),
        ("same", fields([7])),
        ("many", noise(1, 300, 400, "uint8")),
    ],
)
def test_other_values_are_no_classes(tmp_path: Path, name: str, values: Any) -> None:
    write_raster(tmp_path / f"{name}.tif", values, overviews=())
    assert find(layers_of(tmp_path), f"{PREFIX}/{name}").style.classes == ()


def test_a_table_of_colours_is_a_legend_of_its_classes(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", fields([10, 20, 80, 200]), overviews=())
    colors = {10: (0, 100, 0), 20: (255, 187, 34), 80: (0, 100, 200)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colors)
    layer = find(layers_of(tmp_path), SCENE)
    assert layer.style.classes == ((10, "10"), (20, "20"), (80, "80"))
    assert [each["color"] for each in layer.style.to_json()["classes"]] == [
        "#006400",
        "#ffbb22",
        "#0064c8",
    ]
    # GDAL's table is black where nothing was written.
    drawn, expected = picture_of(tmp_path), pixels_of(path, _grid(layer.bounds))
    for value, color in {**colors, 200: (0, 0, 0)}.items():
        here = drawn[expected.valid[0] & (expected.values[0] == value)]
        assert here.size
        assert (here[:, :3] == color).all()


def test_classes_of_earth_engines_properties_have_their_names_and_colours(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", fields([10, 20, 80]), overviews=())
    properties = {
        "b1_class_values": [10, 20, 80],
        "b1_class_names": ["Tree cover", "Shrubland", "Water"],
        "b1_class_palette": ["006400", "ffbb22", "0064c8"],
    }
    (tmp_path / "scene.json").write_text(json.dumps({"properties": properties}))
    style = find(layers_of(tmp_path), SCENE).style
    assert style.classes == ((10, "Tree cover"), (20, "Shrubland"), (80, "Water"))
    assert (style.min, style.max) == ((10,), (80,))
    assert (style.palette[0], style.palette[10], style.palette[-1]) == (
        "006400",
        "ffbb22",
        "0064c8",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"b1_class_values": [10, 20]},
        {"b1_class_values": [10, 20, 10**9]},
        {"b1_class_values": [10, 20, "80"]},
        {"b1_class_values": {"a": 1}},
        {"b1_class_palette": ["006400", "nocolor", "0064c8"]},
        {"b1_class_palette": [1, 2, 3]},
    ],
)
def test_properties_that_do_not_fit_each_other_are_passed_over(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    write_raster(tmp_path / "scene.tif", fields([10, 20, 80]), overviews=())
    right = {"b1_class_values": [10, 20, 80], "b1_class_palette": ["006400", "ffbb22", "0064c8"]}
    (tmp_path / "scene.json").write_text(json.dumps({"properties": right | wrong}))
    style = find(layers_of(tmp_path), SCENE).style
    assert style.classes == ((10, "10"), (20, "20"), (80, "80"))
    assert style.palette[0] != "006400"


def test_classes_go_with_their_own_colours_only(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", fields([10, 20, 80]), overviews=())
    layers = layers_of(tmp_path)
    for style in (Style(palette=("000000", "ffffff")), Style(min=(0,)), Style(("b1",))):
        assert find(layers, SCENE, style).style.classes == ()
    assert find(layers, SCENE, Style(opacity=0.5)).style.classes
