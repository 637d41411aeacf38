from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import rasterio

from tests.support.rasterfiles import noise
from tileserver.contract.grids import Box
from tileserver.layers import layer_list
from tileserver.layers.automatic_layers import automatic_layers
from tileserver.layers.layer_list import LayerList
from tileserver.layers.layers import Layers
from tileserver.layers.listed import LayerPage, ListedLayer, Search
from tileserver.rasters import datasets, scenes
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.roots import Root


def write_scenes(folder: Path, count: int) -> None:
    """Write tiny rasters, each 1 degree east of the one before it, from 170 degrees west on."""
    values = noise(1, 16, 16)
    for i in range(count):
        west = -170 + i % 340
        profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "crs": "EPSG:4326"}
        transform = rasterio.Affine(0.01, 0, west, 0, -0.01, 10)
        path = folder / f"scene{i:05}.tif"
        with rasterio.open(path, "w", dtype=values.dtype, transform=transform, **profile) as file:
            file.write(values)


def list_of(folder: Path) -> LayerList:
    catalogue = Catalogue([Root(str(folder))])
    layers = Layers(automatic_layers(catalogue.names(), ()), LocalRasters(catalogue))
    return LayerList(layers, files=catalogue)


@asynccontextmanager
async def filling(listed: LayerList) -> AsyncIterator[None]:
    """Fill the index during the block, which may take long, but not for ever."""
    task = asyncio.create_task(listed.fill())
    try:
        async with asyncio.timeout(300):
            yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def filled(listed: LayerList, is_filled: int) -> None:
    """Fill the index until it has so many entries, and nothing that was asked for is missing."""
    async with filling(listed):
        # The index is read last: all its entries at once, on the loop.
        while (  # noqa: ASYNC110
            listed._unread or listed._wanted.is_set() or len(listed.index.places()) < is_filled
        ):
            await asyncio.sleep(0.02)


def test_the_index_is_filled_from_a_catalogue_that_nothing_has_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_list, "LONG", 3)
    write_scenes(tmp_path, 5)
    roots = [Root(str(tmp_path))]
    definitions = automatic_layers(Catalogue(roots).names(), ())
    unused = Catalogue(roots)
    listed = LayerList(Layers(definitions, LocalRasters(unused)), files=unused)
    asyncio.run(asyncio.wait_for(filled(listed, 5), 60))
    assert len(listed.index.places()) == 5


def names(page: LayerPage) -> list[str]:
    return [layer.name for layer in page.layers]


@pytest.mark.parametrize("is_long", [True, False])
def test_a_list_is_searched_by_text_and_by_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    monkeypatch.setattr(layer_list, "LONG", 3 if is_long else 100)
    write_scenes(tmp_path, 12)
    (tmp_path / "broken.tif").write_bytes(b"II*\0 and nothing more")
    listed = list_of(tmp_path)

    async def run() -> None:
        if is_long:
            await filled(listed, 12)
        every = await listed.page(None, 100)
        assert (len(every.layers), [each.name for each in every.failures]) == (12, ["broken"])
        assert names(await listed.page(None, 9, Search("SCENE0001"))) == [
            "scene00010",
            "scene00011",
        ]
        near = Search(bbox=Box(-168.5, 0, -165.5, 20))
        page = await listed.page(None, 2, near)
        assert (names(page), page.after) == (["scene00002", "scene00003"], "scene00003")
        page = await listed.page(page.after, 2, near)
        assert (names(page), page.after, page.unread) == (["scene00004"], None, 0)
        across = Search(bbox=Box(179, 0, -169.5, 20))
        assert names(await listed.page(None, 9, across)) == ["scene00000"]

    asyncio.run(run())


def test_a_long_list_shows_unread_layers_at_once_and_changed_ones_as_they_become(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_list, "LONG", 3)
    write_scenes(tmp_path, 5)
    listed = list_of(tmp_path)

    def pending(page: LayerPage) -> list[bool]:
        return [isinstance(each, ListedLayer) and each.entry is None for each in page.layers]

    async def run() -> None:
        before = await listed.page(None, 9)
        assert pending(before) == [True] * 5
        searched = await listed.page(None, 9, Search(bbox=Box(-180, -80, 180, 80)))
        assert (searched.layers, searched.unread) == ([], 5)
        await filled(listed, 5)
        after = await listed.page(None, 9)
        assert pending(after) == [False] * 5
        shutil.copy(tmp_path / "scene00004.tif", tmp_path / "new")
        os.replace(tmp_path / "new", tmp_path / "scene00000.tif")
        assert pending(await listed.page(None, 9)) == [True, False, False, False, False]
        async with filling(listed):
            # The file is looked at again after two seconds.
            while any(pending(page := await listed.page(None, 9))):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert page.layers[0].bounds == page.layers[4].bounds
        found = await listed.layers.find("scene00000")
        assert page.layers[0].version == found.version

    asyncio.run(run())


FILES = 1200


@pytest.mark.slow
def test_of_thousands_of_files_a_list_opens_none_and_filling_opens_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenes(tmp_path, FILES)
    opened: Counter[str] = Counter()
    read = datasets.open_raster

    def counted(location: object, name: str, **options: object) -> object:
        opened[name] += 1
        return read(location, name, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scenes, "open_raster", counted)
    listed = list_of(tmp_path)

    async def run() -> None:
        assert len((await listed.page(None, 1000)).layers) == 1000
        assert (await listed.page(None, 9, Search(bbox=Box(0, 0, 9, 20)))).unread == FILES
        assert sum(opened.values()) == 0
        await filled(listed, FILES)
        assert (len(opened), max(opened.values())) == (FILES, 1)
        page = await listed.page(None, 1000)
        assert all(isinstance(each, ListedLayer) and each.entry for each in page.layers)
        assert sum(opened.values()) == FILES

    asyncio.run(run())
