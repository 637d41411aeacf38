from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from tests.support.rasterfiles import noise, write_raster
from tileserver.contract.assets import ImageAsset
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.names import Access
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.contract.tiles import Tile, pixel_m, tile_grid
from tileserver.errors import AssetNotFound, InvalidRequest, UnreadableRaster
from tileserver.layers.automatic_layers import automatic_layers
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import AssetMetadata, Layer, LayerDefinition, Layers
from tileserver.layers.styles import Style
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root

PREFIX = "projects/localhost/assets"
SCENE = f"{PREFIX}/scene"


def layers_of(
    folder: Path,
    *definitions: LayerDefinition,
    allowed: Sequence[str] | None = None,
    prefix: str = PREFIX,
) -> Layers:
    source = LocalRasters(Catalogue([Root(str(folder), prefix)]))
    return Layers(definitions, source, Access(allowed))


def find(layers: Layers, name: str, style: Style | None = None) -> Layer:
    return asyncio.run(layers.find(name, style))


def bell(count: int, height: int, width: int, dtype: str = "int16") -> Any:
    """Values whose tails are thin, each band elsewhere."""
    values = np.random.default_rng(3).normal(1000, 200, (count, height, width))
    return (values * np.arange(1, count + 1)[:, None, None]).astype(dtype)


# Automatic styles


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_a_layer_without_a_style_is_stretched_from_percentile_2_to_98(
    tmp_path: Path, dtype: str
) -> None:
    values = bell(4, 300, 400, dtype)
    mask = np.random.default_rng(4).random((300, 400)) < 0.7
    write_raster(tmp_path / "scene.tif", values, mask=mask)
    style = find(layers_of(tmp_path), SCENE).style
    assert style.bands == ("b1", "b2", "b3")
    for band, (low, high) in enumerate(zip(style.min, style.max, strict=True)):
        expected = np.percentile(values[band][mask], (2, 98))
        assert (low, high) == pytest.approx(expected, rel=1e-5)


def test_a_large_raster_is_stretched_from_its_overviews(tmp_path: Path) -> None:
    values = bell(1, 1500, 1400, "float32")
    write_raster(tmp_path / "scene.tif", values, overviews=(2, 4), resampling="nearest")
    style = find(layers_of(tmp_path), SCENE).style
    assert (*style.min, *style.max) == pytest.approx(np.percentile(values, (2, 98)), rel=0.02)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_bands_are_drawn_grey(tmp_path: Path, count: int) -> None:
    write_raster(tmp_path / "scene.tif", bell(count, 60, 70))
    style = find(layers_of(tmp_path), SCENE).style
    assert style.bands == ("b1",)
    assert (len(style.min), len(style.max), style.palette) == (1, 1, ())
    assert style.options() is not None


def test_a_raster_with_a_table_of_colours_is_drawn_by_it(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 3, (1, 60, 70), dtype=np.uint8)
    path = write_raster(tmp_path / "scene.tif", values, overviews=())
    colors = {0: (0, 0, 0, 255), 1: (10, 20, 30, 255), 2: (255, 0, 128, 255)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colors)
        dataset.colorinterp = [ColorInterp.palette]
    style = find(layers_of(tmp_path), SCENE).style
    assert style.palette[:3] == ("000000", "0a141e", "ff0080")
    assert (style.min, style.max) == ((0,), (len(style.palette) - 1,))


@pytest.mark.parametrize("fill", [7, 0, -5])
def test_a_raster_of_one_value_still_has_a_range(tmp_path: Path, fill: int) -> None:
    write_raster(tmp_path / "scene.tif", np.full((1, 50, 50), fill, np.int16))
    style = find(layers_of(tmp_path), SCENE).style
    assert style.min == (fill,)
    assert style.max[0] > fill


def test_a_raster_of_nothing_still_has_a_range(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", np.zeros((1, 50, 50), np.int16), nodata=0)
    style = find(layers_of(tmp_path), SCENE).style
    assert (style.min, style.max) == ((0,), (1,))


def test_what_the_style_says_is_not_measured(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(4, 60, 70))
    layers = layers_of(tmp_path, LayerDefinition("mine", SCENE, style=Style(("b4",), (1,), (2,))))
    assert find(layers, "mine").style == Style(("b4",), (1,), (2,))
    assert find(layers, "mine", Style(max=(9,))).style == Style(("b4",), (1,), (9,))
    only_range = find(layers, SCENE, Style(min=(0,), max=(5,))).style
    assert only_range == Style(("b1", "b2", "b3"), (0,), (5,))
    only_gamma = find(layers, SCENE, Style(("b2",), gamma=2.0)).style
    assert only_gamma.gamma == 2.0
    assert only_gamma.min == find(layers, SCENE, Style(("b2",))).style.min != ()


def test_a_stretch_is_measured_once_however_many_ask(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    reads: list[str] = []

    class Counting(LocalRasters):
        async def read_bands(self, request: Any) -> Any:
            reads.append(request.asset_id)
            return await super().read_bands(request)

    async def scenario() -> None:
        layers = Layers([], Counting(Catalogue([Root(str(tmp_path))])))
        found = await asyncio.gather(*(layers.find(SCENE) for _ in range(50)))
        assert len({layer.style for layer in found}) == 1
        await layers.find(SCENE)

    asyncio.run(scenario())
    assert reads == [SCENE]


def test_an_unknown_band_is_refused_with_those_there_are(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(2, 60, 70))
    with pytest.raises(InvalidRequest, match=r"'B9' did not match any bands\. Bands: b1, b2"):
        find(layers_of(tmp_path), SCENE, Style(("B9",)))


# Names and access


def test_a_name_is_a_layers_first_and_an_assets_else(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    definition = LayerDefinition("pretty", SCENE, title="Pretty scene", style=Style(("b1",)))
    layers = layers_of(tmp_path, definition)
    assert find(layers, "pretty").title == "Pretty scene"
    by_asset = find(layers, SCENE)
    assert (by_asset.name, by_asset.title) == (SCENE, "scene")


@pytest.mark.parametrize(
    "name",
    [
        "COPERNICUS/S2/scene",
        "projects/earthengine-public/assets/COPERNICUS/S2/scene",
        "projects/earthengine-legacy/assets/COPERNICUS/S2/scene",
        "projects/earthengine-legacy/assets/projects/earthengine-public/assets/COPERNICUS/S2/scene",
    ],
)
def test_every_spelling_of_a_public_asset_is_understood(tmp_path: Path, name: str) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    public = "projects/earthengine-public/assets/COPERNICUS/S2"
    layers = layers_of(tmp_path, prefix=public, allowed=["COPERNICUS/**"])
    assert find(layers, name).asset.name == f"{public}/scene"


@pytest.mark.parametrize(
    "name", ["", "scene", "../scene", f"{PREFIX}/../scene", f"{SCENE}/", "a" * 1001, f"{PREFIX}/x"]
)
def test_names_of_nothing_are_not_found(tmp_path: Path, name: str) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    with pytest.raises(AssetNotFound):
        find(layers_of(tmp_path), name)


@pytest.mark.parametrize(
    ("patterns", "readable"),
    [
        (None, {"a/b/c", "a/b", "x"}),
        ([], set()),
        (["projects/p-one/assets/**"], {"a/b/c", "a/b", "x"}),
        (["projects/p-one/assets/*"], {"x"}),
        (["projects/p-one/assets/a/*"], {"a/b"}),
        (["projects/p-one/assets/*/b"], {"a/b"}),
        (["projects/p-one/assets/**/c"], {"a/b/c"}),
        (["projects/p-one/assets/a/b", "**/x"], {"a/b", "x"}),
        (["projects/p.one/assets/**"], set()),
        (["projects/p-one/assets/"], set()),
        (["*"], set()),
        (["**"], {"a/b/c", "a/b", "x"}),
    ],
)
def test_one_star_stays_within_a_folder_and_two_go_below(
    tmp_path: Path, patterns: list[str] | None, readable: set[str]
) -> None:
    layers = layers_of(tmp_path, allowed=patterns)
    names = ("a/b/c", "a/b", "x")
    assert {name for name in names if layers.may_read(f"projects/p-one/assets/{name}")} == readable


def test_a_pattern_may_give_the_short_form_of_a_public_asset(tmp_path: Path) -> None:
    layers = layers_of(tmp_path, allowed=["USGS/*"])
    assert layers.may_read("projects/earthengine-public/assets/USGS/SRTMGL1_003")
    assert not layers.may_read("projects/earthengine-public/assets/NASA/SRTM")


def test_an_asset_that_may_not_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    layers = layers_of(tmp_path, LayerDefinition("shown", SCENE), allowed=["other/**"])
    messages = []
    for name in (SCENE, f"{PREFIX}/none"):
        with pytest.raises(AssetNotFound) as refused:
            find(layers, name)
        messages.append(str(refused.value).replace(name, "NAME"))
    assert messages[0] == messages[1]
    assert find(layers, "shown").asset.name == SCENE


def test_a_layer_whose_asset_is_gone_is_missed_under_its_own_name(tmp_path: Path) -> None:
    with pytest.raises(AssetNotFound, match="'shown'"):
        find(layers_of(tmp_path, LayerDefinition("shown", SCENE)), "shown")


def test_layers_made_from_files_are_named_after_them_where_no_other_has_the_name() -> None:
    names = [f"{PREFIX}/{each}" for each in ("S2A_1/B4", "S2A_2/B4", "a/other", "b/alone")]
    found = automatic_layers(names, taken={"other"})
    assert [each.asset_name for each in found] == names
    assert [each.name for each in found] == ["S2A_1/B4", "S2A_2/B4", "a/other", "alone"]


def test_files_of_one_name_have_titles_that_tell_them_apart() -> None:
    names = [f"{PREFIX}/{each}" for each in ("cut", "raw/cut", "a/B4", "b/B4", "c/alone")]
    titles = {each.asset_name: each.display_title for each in automatic_layers(names, ())}
    assert list(titles.values()) == ["cut", "raw/cut", "a/B4", "b/B4", "alone"]
    elsewhere = names[0].replace("localhost", "elsewhere")
    both = automatic_layers([names[0], elsewhere], ())
    assert [each.display_title for each in both] == [names[0], elsewhere]


@pytest.mark.parametrize("added", ["S2A_0/B4", "B4", "S2A_1/a/B4", "S2A_3/B4"])
def test_no_name_leads_to_another_file_when_one_is_added(added: str) -> None:
    names = [f"{PREFIX}/S2A_1/B4"]
    assert [each.name for each in automatic_layers(names, ())] == ["B4"]
    before = {each.name: each.asset_name for each in automatic_layers(names, ())}
    after = {
        each.name: each.asset_name for each in automatic_layers([f"{PREFIX}/{added}", *names], ())
    }
    assert len(after) == 2
    assert all(after.get(name, asset) == asset for name, asset in before.items())


def test_the_prefix_of_a_root_is_no_part_of_the_name() -> None:
    names = [f"{PREFIX}/s2/a/scene", f"{PREFIX}/s2/b/scene", f"{PREFIX}/s2/other"]
    found = automatic_layers(names, (), (f"{PREFIX}/", f"{PREFIX}/s2/"))
    assert [each.name for each in found] == ["a/scene", "b/scene", "other"]


def test_files_of_one_path_below_two_prefixes_are_layers_by_their_full_names() -> None:
    names = ["projects/first/assets/scene", "projects/other/assets/scene"]
    assert [each.name for each in automatic_layers(names, ())] == names
    assert [each.name for each in automatic_layers(names[1:], ())] == ["scene"]


def test_a_name_that_several_files_share_is_refused_with_their_names(tmp_path: Path) -> None:
    names = [f"{PREFIX}/S2A_1/B4", f"{PREFIX}/S2A_2/B4"]
    layers = layers_of(tmp_path, *automatic_layers(names, ()))
    with pytest.raises(AssetNotFound, match="'B4' not found; expected one of S2A_1/B4, S2A_2/B4"):
        find(layers, "B4")


# Pages


def test_layers_are_listed_page_by_page_in_their_order(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    names = ["c", "a", "d", "b", "e"]
    layers = layers_of(tmp_path, *(LayerDefinition(name, SCENE) for name in names))
    seen: list[str] = []
    after: str | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = asyncio.run(LayerList(layers).page(after, 2))
        seen += [layer.name for layer in page.layers]
        after = page.after
        pages += 1
    assert (seen, pages) == (names, 3)
    assert asyncio.run(LayerList(layers).page(None, 5)).after is None
    with pytest.raises(InvalidRequest, match="after: there is no layer named 'z'"):
        asyncio.run(LayerList(layers).page("z", 2))


def test_a_layer_over_a_broken_asset_is_left_out_and_told_with_its_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    (tmp_path / "broken.tif").write_bytes(b"II*\0 and nothing more")
    definitions = [
        LayerDefinition("good", SCENE),
        LayerDefinition("bad", f"{PREFIX}/broken"),
        LayerDefinition("gone", f"{PREFIX}/none"),
        LayerDefinition("odd", SCENE, style=Style(("B9",))),
        LayerDefinition("last", SCENE),
    ]
    layers = layers_of(tmp_path, *definitions)
    with caplog.at_level(logging.WARNING, "tileserver"):
        page = asyncio.run(LayerList(layers).page(None, 100))
    assert [layer.name for layer in page.layers] == ["good", "last"]
    assert page.after is None
    assert [(each.name, each.title) for each in page.failures] == [
        ("bad", "bad"),
        ("gone", "gone"),
        ("odd", "odd"),
    ]
    reasons = ["not a readable GeoTIFF", "'gone' not found", "Pattern 'B9' did not match"]
    for each, said in zip(page.failures, reasons, strict=True):
        assert said in each.reason
    told = [record.getMessage() for record in caplog.records]
    assert [name for name in ("bad", "gone", "odd") if any(f"layer {name}" in t for t in told)] == [
        "bad",
        "gone",
        "odd",
    ]
    with pytest.raises(UnreadableRaster):
        find(layers, "bad")


@dataclass
class Moody:
    """An engine that has nothing while it has a complaint."""

    source: AssetMetadata
    complaint: str = ""

    async def get_asset(self, name: str) -> ImageAsset:
        if self.complaint:
            raise UnreadableRaster(self.complaint)
        return await self.source.get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        return self.source.known_asset(name)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        return await self.source.read_bands(request)


def test_why_a_layer_is_left_out_is_logged_once_however_often_the_page_is_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    layers = layers_of(tmp_path, LayerDefinition("mine", SCENE))
    layers.source = moody = Moody(layers.source)
    listed = LayerList(layers)

    def told(complaint: str) -> int:
        moody.complaint = complaint
        caplog.clear()
        for _ in range(3):
            asyncio.run(listed.page(None, 9))
        return sum("layer mine is left out" in text for text in caplog.messages)

    with caplog.at_level(logging.WARNING, "tileserver"):
        assert [told(each) for each in ("no CRS", "damaged", "", "damaged")] == [1, 1, 0, 1]


# Version, zooms, requests


def test_the_version_changes_with_the_file_its_sidecar_and_the_style(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    definition = LayerDefinition("mine", SCENE, style=Style(("b1",), (0,), (9,)))
    versions = [find(layers_of(tmp_path, definition), "mine").version]
    assert find(layers_of(tmp_path, definition), "mine").version == versions[0]
    write_raster(path, noise(1, 60, 70))
    versions.append(find(layers_of(tmp_path, definition), "mine").version)
    (tmp_path / "scene.json").write_text(json.dumps({"properties": {"a": 1}}))
    versions.append(find(layers_of(tmp_path, definition), "mine").version)
    os.utime(path, (1, 1))
    versions.append(find(layers_of(tmp_path, definition), "mine").version)
    brighter = replace(definition, style=Style(("b1",), (0,), (8,)))
    versions.append(find(layers_of(tmp_path, brighter), "mine").version)
    assert len(set(versions)) == 5
    assert all(version.isalnum() for version in versions)


def test_the_deepest_zoom_shows_every_pixel_and_may_be_configured(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    layers = layers_of(tmp_path, LayerDefinition("mine", SCENE, minzoom=3, maxzoom=7))
    assert (find(layers, "mine").minzoom, find(layers, "mine").maxzoom) == (3, 7)
    automatic = find(layers, SCENE)
    # Web Mercator stretches by 1 / cos(latitude), here of 40.6 degrees.
    stretched_m = 30 / np.cos(np.radians(40.6))
    assert automatic.minzoom == 0
    assert pixel_m(automatic.maxzoom) <= stretched_m * 1.01 < 2 * pixel_m(automatic.maxzoom) * 1.01


def test_a_minzoom_deeper_than_the_asset_moves_the_maxzoom_along(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    layer = find(layers_of(tmp_path, LayerDefinition("mine", SCENE, minzoom=20)), "mine")
    assert (layer.minzoom, layer.maxzoom) == (20, 20)


def test_a_picture_is_asked_for_in_the_style_and_raw_values_without(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(4, 60, 70))
    layer = find(layers_of(tmp_path), SCENE, Style(("b2",), (0,), (9,)))
    grid = tile_grid(Tile(0, 0, 0))
    picture = layer.request(grid, ImageFileFormat.PNG)
    raw = layer.request(grid, ImageFileFormat.NPY)
    assert (picture.band_ids, picture.visualization_options) == (("b2",), layer.style.options())
    assert (raw.band_ids, raw.visualization_options) == ((), None)
    assert layer.request(grid, ImageFileFormat.NPY, ("b4", "b1")).band_ids == ("b4", "b1")
    assert (picture.asset_version, picture.grid) == (layer.asset.version, grid)


def test_a_layer_tells_which_tiles_show_any_of_it(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(1, 60, 70))
    layer = find(layers_of(tmp_path), SCENE)
    shown = [x for x in range(4) for y in range(4) if layer.shows(tile_grid(Tile(x, y, 2)))]
    assert shown == [0]
    assert layer.shows(tile_grid(Tile(0, 0, 0)))


def test_two_bands_asked_for_a_picture_are_refused(tmp_path: Path) -> None:
    write_raster(tmp_path / "scene.tif", bell(4, 60, 70))
    layers = layers_of(tmp_path)
    layer = find(layers, SCENE, Style(("b2", "b1"), (0,), (1,)))
    with pytest.raises(InvalidRequest):
        asyncio.run(_png(layers, layer))


async def _png(layers: Layers, layer: Layer) -> bytes:
    assert isinstance(layers.source, LocalRasters)
    return await layers.source.get_pixels(
        layer.request(tile_grid(Tile(0, 0, 0)), ImageFileFormat.PNG)
    )
