"""Which engine has what."""

from __future__ import annotations

import asyncio

import pytest

from tileserver.contract.assets import ImageAsset
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


def engine_of(name: str, remote: Named | None = None) -> bytes:
    engines = Engines(
        ("projects/localhost/assets/",),
        Named(b"local"),
        Named(b"computing"),
        remote,
        {"projects/localhost/expressions/ndvi": Named(b"of the layer")},
    )
    return asyncio.run(engines.get_pixels(PixelRequest(name)))


def test_each_name_goes_to_the_engine_that_has_it() -> None:
    remote = Named(b"remote")
    assert engine_of("projects/localhost/assets/scene", remote) == b"local"
    assert engine_of("projects/localhost/expressions/ndvi", remote) == b"of the layer"
    assert engine_of("projects/p/expressions/0123abcd", remote) == b"computing"
    assert engine_of("projects/p/assets/scene", remote) == b"remote"


def test_what_no_engine_has_is_not_there() -> None:
    with pytest.raises(AssetNotFound):
        engine_of("projects/p/assets/scene")
