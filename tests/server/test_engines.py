"""The engine that each name belongs to."""

from __future__ import annotations

import asyncio

import pytest

from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.mounts import Mounts
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import AssetNotFound
from tileserver.server.engines import Engines


class Named:
    """Answers with its own name."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    async def get_pixels(self, request: PixelRequest) -> bytes:
        return self.name

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        raise AssertionError("not asked")

    async def get_asset(self, name: str) -> ImageAsset:
        raise AssertionError("not asked")

    def known_asset(self, name: str) -> ImageAsset | None:
        raise AssertionError("not asked")


LOCAL: list[tuple[str, Engine]] = [
    ("projects/localhost/assets/", Named(b"local")),
    ("projects/localhost/expressions/", Named(b"of layers")),
    ("expressions/", Named(b"computing")),
]
REMOTE: tuple[str, Engine] = ("", Named(b"remote"))


def engine_of(name: str, *more: tuple[str, Engine]) -> bytes:
    engines = Engines(Mounts([*more, *LOCAL]))
    return asyncio.run(engines.get_pixels(PixelRequest(name)))


@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("projects/localhost/assets/scene", b"local"),
        ("projects/localhost/expressions/ndvi", b"of layers"),
        ("expressions/0123abcd", b"computing"),
        ("projects/p/assets/expressions/0123abcd", b"remote"),
        ("projects/p/assets/scene", b"remote"),
    ],
)
def test_each_name_goes_to_the_engine_of_its_longest_prefix(name: str, engine: bytes) -> None:
    assert engine_of(name, REMOTE) == engine


def test_a_longer_prefix_wins_in_whatever_order_they_are_listed() -> None:
    inner = ("projects/localhost/assets/cogs/", Named(b"inner"))
    assert engine_of("projects/localhost/assets/cogs/a", REMOTE, inner) == b"inner"
    assert engine_of("projects/localhost/assets/cog", REMOTE, inner) == b"local"


def test_a_name_below_no_prefix_is_not_found() -> None:
    with pytest.raises(AssetNotFound):
        engine_of("projects/p/assets/scene")


@pytest.mark.parametrize(
    ("parent", "engine"),
    [
        ("projects/localhost/assets", b"local"),
        ("projects/localhost/assets/deep", b"local"),
        ("projects/localhost/assetsx", b"remote"),
        ("projects/p/assets", b"remote"),
    ],
)
def test_a_folder_is_of_the_engine_whose_prefix_lies_below_it(parent: str, engine: bytes) -> None:
    found = Mounts([*LOCAL[:1], REMOTE]).find_parent(parent)
    assert asyncio.run(found.get_pixels(PixelRequest(parent))) == engine
