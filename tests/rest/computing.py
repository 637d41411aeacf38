"""The few functions of the stand-in as what computes expressions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.standin_expressions import Expression, describe, expression_pixels, first_asset_name
from tileserver.engines import Engine
from tileserver.errors import AssetNotFound
from tileserver.folders import Tree
from tileserver.pixels import PixelRequest
from tileserver.rasters import LocalRasters

ALGORITHMS = [
    {
        "name": "algorithms/Image.load",
        "returnType": "Image",
        "arguments": [
            {"argumentName": "id", "type": "String"},
            {"argumentName": "version", "type": "Long", "optional": True, "defaultValue": -1},
        ],
    }
]


class FewFunctions:
    """Loads images, draws and describes them."""

    def __init__(self, engine: Engine, tree: Tree, may_read: Callable[[str], bool]) -> None:
        self.rasters = LocalRasters(tree.catalogue)
        self.may_read = may_read

    async def value(self, expression: str) -> Any:
        return await asyncio.to_thread(
            describe, self.rasters, Expression.of(json.loads(expression))
        )

    async def version(self, expression: str) -> str:
        name = first_asset_name(self.rasters, Expression.of(json.loads(expression)))
        if not self.may_read(name):
            raise AssetNotFound(name)
        return (await self.rasters.get_asset(name)).version

    def algorithms(self) -> list[dict[str, Any]]:
        return ALGORITHMS

    async def get_pixels(self, request: PixelRequest) -> bytes:
        expression = Expression.of(json.loads(request.expression or ""))
        asked = replace(request, asset_id=first_asset_name(self.rasters, expression))
        found = await asyncio.to_thread(expression_pixels, self.rasters, expression, asked)
        return found.body
