"""Tables as layers: pictures of their features, drawn by the engine of expressions.

A table is read and drawn as `ee.FeatureCollection(id).style(...)` is, so each of its tiles is a
small plan over features near it. Nothing of it is kept beside the table and the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tileserver.contract.assets import ImageAsset
from tileserver.contract.drawn_tables import drawn_table
from tileserver.contract.engine import Engine
from tileserver.contract.mounts import Mounts
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import AssetNotFound
from tileserver.expressions.document import Computed, picture_of
from tileserver.layers.layers import LayerDefinition
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.server.late_computing import LateComputing
from tileserver.server.world import LocalImages, World
from tileserver.tables.store import Tables


class Pictures(Mapping[str, Computed]):
    """The pictures of tables by names: those of layers with a style, and of tables in their own."""

    def __init__(self, styled: Mapping[str, Computed], catalogue: Catalogue) -> None:
        """Offer pictures.

        Args:
            styled: those of layers by the names made up for them.
            catalogue: has the tables.
        """
        self._styled = styled
        self._catalogue = catalogue

    def __getitem__(self, name: str) -> Computed:
        """Return the picture of a layer, or of the table of a name in its default style."""
        return self._styled.get(name) or picture_of(drawn_table(name))

    def __iter__(self) -> Iterator[str]:
        """Yield the names of layers and of tables."""
        return iter({**self._styled, **self._catalogue.scanned().tables})

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._styled) + len(self._catalogue.scanned().tables)


class RastersAndTables:
    """An `Engine` of local rasters, and of pictures of the tables beside them."""

    resamples = LocalRasters.resamples

    def __init__(self, rasters: LocalRasters, drawing: Engine) -> None:
        """Serve both.

        Args:
            rasters: the rasters; its catalogue has the names of tables, too.
            drawing: draws the table of a name.
        """
        self.rasters = rasters
        self.drawing = drawing

    def _engine(self, name: str) -> Engine:
        return self.drawing if self.rasters.catalogue.has_table(name) else self.rasters

    async def get_pixels(self, request: PixelRequest) -> bytes:
        """Return the encoded pixels."""
        return await self._engine(request.asset_id).get_pixels(request)

    async def read_bands(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return await self._engine(request.asset_id).read_bands(request)

    async def get_asset(self, name: str) -> ImageAsset:
        """Return a raster, or the picture of a table; raises AssetNotFound if there is neither."""
        try:
            return await self._engine(name).get_asset(name)
        except AssetNotFound:
            # The last scan may be older than the table, or than a raster of its name.
            return await self._engine(name).get_asset(name)

    def known_asset(self, name: str) -> ImageAsset | None:
        """Return the asset that `get_asset` would return without waiting, else None."""
        return self._engine(name).known_asset(name)


def drawing_engine(
    rasters: LocalRasters, tables: Tables, styled: Mapping[str, Computed], deadline_s: float
) -> LateComputing:
    """Return the engine that draws the tables beside rasters.

    Args:
        rasters: has the catalogue.
        tables: have its tables.
        styled: the pictures of layers with a style, by the names made up for them.
        deadline_s: for one request.
    """
    images = LocalImages(rasters, Tree(rasters.catalogue), tables)
    return LateComputing(
        World(Mounts([("", images)])), deadline_s, Pictures(styled, rasters.catalogue)
    )


def pictures_apart(
    definitions: Iterable[LayerDefinition],
) -> tuple[dict[str, Computed], dict[str, Computed]]:
    """Return what is computed for layers by the names made up for them: pictures of tables last."""
    found = {each.asset_name: each.computed for each in definitions if each.computed}
    tables = {name: each for name, each in found.items() if each.table}
    return {name: each for name, each in found.items() if not each.table}, tables
