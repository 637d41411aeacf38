from __future__ import annotations

import asyncio

from tileserver.pixels import PixelRequest
from tileserver.rest.computers import Computing


class Named:
    """Answers with its own name."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    async def get_pixels(self, request: PixelRequest) -> bytes:
        return self.name


def test_an_expression_goes_to_what_computes_it_unless_the_engine_does() -> None:
    computing = Computing(Named(b"engine"), Named(b"computer"), {"projects/p/expressions/ndvi"})
    asked = [
        PixelRequest("projects/p/assets/x"),
        PixelRequest("projects/p/expressions/0", expression="{}"),
        PixelRequest("projects/p/expressions/ndvi", expression="{}"),
    ]
    answers = [asyncio.run(computing.get_pixels(each)) for each in asked]
    assert answers == [b"engine", b"computer", b"engine"]
