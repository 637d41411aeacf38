"""The engine of expressions, imported with the first expression.

It takes 0.1 s and 5 MB, which a server of rasters alone does without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import anyio

from tileserver.contract.assets import ImageAsset
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.expressions.document import Computed
from tileserver.server.world import World

if TYPE_CHECKING:
    from tileserver.compute.engine import Computing
    from tileserver.compute.planned import PlannedImage, PlannedTable


log = logging.getLogger(__name__)


class LateComputing:
    """An `Engine` and a `Computer`; all it is asked for is answered by one `Computing`."""

    def __init__(
        self, world: World, deadline_s: float, computed: Mapping[str, Computed] | None = None
    ) -> None:
        """Compute expressions.

        Args:
            world: the assets they may read.
            deadline_s: for one request.
            computed: the expressions of layers, by the names of their virtual assets.
        """
        self.world = world
        self.deadline_s = deadline_s
        self.computed = computed
        self._made: Computing | None = None
        self._making = Lock()

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels of the image of a request's expression."""
        return await (await self._computing()).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return await (await self._computing()).read_bands(request)

    async def value(self, expression: str) -> Any:
        """Return the `getInfo` JSON of an expression's value."""
        return await (await self._computing()).value(expression)

    async def features(self, expression: str) -> list[dict[str, Any]]:
        """Return the features that a collection has, as GeoJSON."""
        return await (await self._computing()).features(expression)

    async def version(self, expression: str) -> str:
        """Return a token that changes when any asset changes that an expression names."""
        return await (await self._computing()).version(expression)

    async def algorithms(self) -> bytes:
        """Return the list of algorithms as JSON."""
        return await (await self._computing()).algorithms()

    async def get_asset(self, name: str) -> ImageAsset:
        """Return the image of a layer's expression as an asset."""
        return await (await self._computing()).get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        return None if self._made is None else self._made.known_asset(name)

    def planned_image(self, expression: str) -> PlannedImage:
        """Return an image to be written a piece at a time; blocks."""
        return self._make().planned_image(expression)

    def planned_table(self, expression: str) -> PlannedTable:
        """Return a collection to be written a feature at a time; blocks."""
        return self._make().planned_table(expression)

    async def _computing(self) -> Computing:
        """Return the engine; a thread imports it, since an import holds up the event loop."""
        if self._made is not None:
            return self._made
        return await anyio.to_thread.run_sync(self._make)

    def _make(self) -> Computing:
        from tileserver.compute.engine import Computing

        with self._making:
            if self._made is None:
                self._made = Computing(
                    self.world, deadline_s=self.deadline_s, computed=self.computed
                )
            return self._made

    @asynccontextmanager
    async def imported_early(self) -> AsyncIterator[None]:
        """Import it in the background while inside, if any layer has an expression."""
        task = asyncio.create_task(self._import_if_needed())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()):
                log.error("expressions cannot be computed: %r", error)

    async def _import_if_needed(self) -> None:
        if self.computed is None:
            return
        # A thread counts them: tables are looked for on the disk.
        count: int = await anyio.to_thread.run_sync(len, self.computed)
        if count:
            await self._computing()
