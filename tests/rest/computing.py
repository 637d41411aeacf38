"""The few functions of the stand-in as what computes expressions."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

from tests.standin_expressions import Expression, describe, expression_pixels, first_asset_name
from tileserver.engines import Engine
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

    def __init__(self, engine: Engine, tree: Tree) -> None:
        self.rasters = LocalRasters(tree.catalogue)

    async def value(self, expression: str) -> Any:
        return await asyncio.to_thread(
            describe, self.rasters, Expression.of(json.loads(expression))
        )

    async def version(self, expression: str) -> str:
        name = first_asset_name(self.rasters, Expression.of(json.loads(expression)))
        return (await self.rasters.get_asset(name)).version

    def algorithms(self) -> list[dict[str, Any]]:
        return ALGORITHMS

    async def get_pixels(self, request: PixelRequest) -> bytes:
        expression = Expression.of(json.loads(request.expression or ""))
        asked = replace(request, asset_id=first_asset_name(self.rasters, expression))
        found = await asyncio.to_thread(expression_pixels, self.rasters, expression, asked)
        return found.body
