"""Events of the grand prix, run once with this checkout's server on a small scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio

from tests.benchmarks.grand_prix.client import Client
from tests.benchmarks.grand_prix.cold import Place, Race, race
from tests.benchmarks.grand_prix.environments import Environments
from tests.benchmarks.grand_prix.peers import Ours
from tests.benchmarks.grand_prix.scenes import SCENE, linked, tiles_within, write_bands, write_scene
from tests.benchmarks.grand_prix.screens import Screens, screens, screens_within

pytestmark = pytest.mark.slow
SMALL = replace(SCENE["three"], share=0.75)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_scene(SMALL, tmp_path, is_small=True)


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[tuple[Environments, Client]]:
    with Client() as client:
        yield Environments(tmp_path / "environments"), client


@pytest.mark.parametrize("is_first", [False, True])
def test_a_screen_counts_what_it_takes_from_the_server_of_the_file(
    scene: Path, tools: tuple[Environments, Client], is_first: bool
) -> None:
    event = Screens(SMALL, 13, is_first, rounds=2)
    result = screens("screen", event, scene, [Ours()], tools)
    assert result.notes == []
    assert result.differences == {"tileserver": 0.0}
    assert [each.answers for each in result.efforts["tileserver"]] == [24, 24]
    (requests, size), *_ = result.fetched["tileserver"]
    assert requests >= 1 + is_first
    assert 0 < size < 2 * scene.stat().st_size
    # No server is faster than the delay of the requests that it cannot do without.
    assert min(result.figures["tileserver"]) > 0.03 * (1 + is_first)
    assert result.cpu_ms("tileserver") > 0


def test_screens_have_24_tiles_and_do_not_overlap(scene: Path) -> None:
    found = screens_within(scene, 14, 4)
    assert [len(each) for each in found] == [24] * 4
    assert len({tile for each in found for tile in each}) == 4 * 24


def test_layers_of_one_file_are_drawn_alike(
    scene: Path, tools: tuple[Environments, Client]
) -> None:
    layers = linked(SMALL, scene, 5)
    tiles = tiles_within(scene, (13, 14))
    sources = list(layers.values())
    places = [
        Place(SMALL, sources[number % 5], tile, salt=number % 2)
        for number, tile in enumerate(tiles[:14])
    ]
    event = Race(layers, places, clients=2, rounds=2, tiles=5)
    result = race("layers", event, [Ours()], tools)
    assert result.notes == []
    assert len(result.figures["tileserver"]) == len(result.floor) == 2
    assert result.floor_tiles == 10
    assert 0 < result.floor_cpu_ms() < result.cpu_ms("tileserver") * 5


def test_the_file_of_a_band_has_the_pixels_and_overviews_of_its_scene(scene: Path) -> None:
    paths = write_bands(SMALL, scene)
    with rasterio.open(scene) as whole:
        for number, path in zip(SMALL.drawn, paths, strict=True):
            with rasterio.open(path) as band:
                assert band.count == 1
                assert band.transform == whole.transform
                assert band.overviews(1) == whole.overviews(number)
                for shape in ((band.height, band.width), (band.height // 4, band.width // 4)):
                    mine, theirs = (
                        band.read(1, out_shape=shape),
                        whole.read(number, out_shape=shape),
                    )
                    assert np.array_equal(mine, theirs)
