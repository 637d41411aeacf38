"""What is computed from a file that changes hands is of one version, and says of which."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.compute.conftest import HOME, world_of
from tests.rasters.test_changing_hands import TILES, WAYS, Map, Tile, flat, swap_files
from tests.support.serving import serve
from tileserver.compute.engine import Computing
from tileserver.config.config import Config, RasterFolder
from tileserver.config.layers import LayerSettings
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.pixels import PixelRequest
from tileserver.contract.tiles import Tile as XYZ
from tileserver.contract.tiles import tile_grid
from tileserver.errors import AssetChanged
from tileserver.expressions.document import call, constant, loaded, to_text
from tileserver.server.app import create_app

pytestmark = pytest.mark.slow  # Waits until a catalogue looks again.

SCENE = to_text(loaded(f"{HOME}/scenes/scene"))
MOSAIC = to_text(
    {
        "result": "0",
        "values": {
            "0": call(
                "ImageCollection.mosaic",
                collection=call("ImageCollection.load", id=constant(f"{HOME}/series")),
            )
        },
    }
)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return flat(tmp_path / "served/scenes/scene.tif", 1)


@pytest.fixture
def computing(scene: Path) -> Iterator[Computing]:
    world = world_of(scene.parent.parent)
    yield Computing(world)
    world.rasters.close()


def version_of(computing: Computing, expression: str) -> str:
    return asyncio.run(computing.version(expression))


def request(expression: str, version: str) -> PixelRequest:
    return PixelRequest(
        f"{HOME}/expressions/x",
        ImageFileFormat.NPY,
        tile_grid(XYZ(386, 771, 11), 64),
        expression=expression,
        asset_version=version,
    )


def value_of(computing: Computing, expression: str, version: str) -> int:
    """Return the one value of all pixels of an image that are not masked."""
    bands = computing.bands(request(expression, version))
    (value,) = np.unique(bands.values[bands.valid]).tolist()
    return int(value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_evaluated", [False, True])
def test_a_version_told_before_a_change_never_gets_the_pixels_after_it(
    computing: Computing, scene: Path, way: str, is_evaluated: bool
) -> None:
    before = version_of(computing, SCENE)
    if is_evaluated:
        assert value_of(computing, SCENE, before) == 1
    WAYS[way](scene, 2)
    values = []
    for _ in range(3):
        with suppress(AssetChanged):
            values.append(value_of(computing, SCENE, before))
    assert set(values) <= {1}
    computing.world.state(f"{HOME}/scenes/scene", 0.0)
    computing.world.rasters.catalogue.expire(f"{HOME}/scenes/scene")  # type: ignore[attr-defined]
    after = version_of(computing, SCENE)
    assert after != before
    assert value_of(computing, SCENE, after) == 2


def test_an_image_that_joins_a_collection_changes_its_version_first(
    computing: Computing, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = scene.parent.parent / "series"
    flat(series / "a.tif", 1)
    before = version_of(computing, MOSAIC)
    flat(series / "b.tif", 2)
    monkeypatch.setattr("tileserver.rasters.catalogue._RECHECK_S", 0)
    with pytest.raises(AssetChanged):
        value_of(computing, MOSAIC, before)
    after = version_of(computing, MOSAIC)
    assert after != before
    assert value_of(computing, MOSAIC, after) == 2


def test_the_collection_file_is_part_of_the_version(
    computing: Computing, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tileserver.rasters.catalogue._RECHECK_S", 0)
    series = scene.parent.parent / "series"
    flat(series / "a.tif", 1)
    versions = [version_of(computing, MOSAIC)]
    for text in ('{"properties": {"a": 1}}', '{"properties": {"a": 2}}'):
        (series / "collection.json").write_text(text)
        versions.append(version_of(computing, MOSAIC))
    assert len(set(versions)) == 3


@pytest.fixture
def shown(scene: Path, tmp_path: Path) -> Iterator[Map]:
    (tmp_path / "twice.json").write_text(SCENE)
    config = Config(
        rasters=(RasterFolder(str(scene.parent.parent)),),
        layers=(LayerSettings("twice", expression=str(tmp_path / "twice.json")),),
    )
    with serve(create_app(config)) as url:
        client = Map(url, "twice")
        yield client
        client.client.close()


@pytest.mark.parametrize("way", WAYS)
def test_computed_tiles_that_are_kept_for_ever_are_those_of_their_version(
    shown: Map, scene: Path, way: str
) -> None:
    before = shown.version()
    assert shown.tile(TILES[0], before) == Tile(1, is_immutable=True)
    WAYS[way](scene, 2)
    for tile in TILES[1:]:
        answer = shown.tile(tile, before)
        assert answer.value == 1 or not answer.is_immutable


def test_a_call_with_a_body_is_answered_anew_when_a_file_has_changed(
    shown: Map, scene: Path
) -> None:
    def computed(width: int) -> list[Any]:
        body = {
            "expression": loaded(f"{HOME}/scenes/scene"),
            "fileFormat": "NPY",
            "grid": {"dimensions": {"width": width, "height": 5}},
        }
        answer: httpx.Response = shown.client.post(
            "/v1/projects/localhost/image:computePixels", json=body
        )
        assert answer.status_code == 200, answer.text
        values: list[Any] = np.unique(np.load(io.BytesIO(answer.content))["b1"]).tolist()
        return values

    assert computed(5) == [1]
    swap_files(scene, 2)
    assert computed(6) == [2]
