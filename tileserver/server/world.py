"""The assets that expressions may read, from the providers that have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import anyio

from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.formats import ImageFileFormat
from tileserver.contract.grids import PixelGrid
from tileserver.contract.mounts import Mounts
from tileserver.contract.names import full_name
from tileserver.contract.pixels import BandArrays, PixelRequest
from tileserver.errors import AssetNotFound
from tileserver.mosaics.engine import Mosaics
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree
from tileserver.tables.store import Tables

if TYPE_CHECKING:
    from tileserver.geo.tables import Table

Collection = tuple[str, Sequence[str], dict[str, object]]
"""An id, the names of the images in it, and its properties."""


class ImageReader(Protocol):
    """Images by their full names; the methods block, and raise AssetNotFound."""

    def find_image(self, name: str) -> ImageAsset:
        """Return an image."""
        ...

    def find_collection(self, name: str) -> Collection:
        """Return a collection."""
        ...

    def find_table(self, name: str) -> Table:
        """Return a table."""
        ...

    def state(self, name: str, max_age_s: float | None) -> str:
        """Return a token that changes when an image or one of a collection does."""
        ...

    def read(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        ...


class LocalImages:
    """Local rasters as an `ImageReader`."""

    def __init__(self, rasters: LocalRasters, tree: Tree, tables: Tables | None = None) -> None:
        """Offer the assets of `rasters`; `tree` has the folders they are in."""
        self.rasters = rasters
        self.tree = tree
        self.tables = tables or Tables(rasters.catalogue)

    def find_image(self, name: str) -> ImageAsset:
        """Return an image."""
        return self.rasters.catalogue.find(name).asset

    def find_collection(self, name: str) -> Collection:
        """Return a collection, or as one a folder of images, which has no collection.json.

        Raises:
            AssetNotFound: there is no such folder.
            UnreadableRaster: its collection.json is broken.
        """
        folder = self.tree.folder(name).to_json()
        children = [child for child in self.tree.children(name) if isinstance(child, str)]
        # Items of STAC that cannot be read; the list of layers says why.
        names = [child for child in children if not self.rasters.catalogue.is_broken(child)]
        return folder["id"], names, folder.get("properties") or {}

    def find_table(self, name: str) -> Table:
        """Return a table."""
        return self.tables.find(name)

    def state(self, name: str, max_age_s: float | None) -> str:
        """Return a token that changes when an image does, or anything below a folder."""
        return self.rasters.catalogue.state(name, max_age_s)

    def read(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return self.rasters.bands(request)


class MosaicImages:
    """Mosaics as an `ImageReader`, each as one image; their files are those of `LocalImages`."""

    def __init__(self, mosaics: Mosaics) -> None:
        self.mosaics = mosaics

    def find_image(self, name: str) -> ImageAsset:
        """Return a mosaic."""
        return self.mosaics.find(name)

    def find_collection(self, name: str) -> Collection:
        """Raise AssetNotFound: the collection is that of the local rasters."""
        raise AssetNotFound(name)

    def find_table(self, name: str) -> Table:
        """Raise AssetNotFound: a mosaic is no table."""
        raise AssetNotFound(name)

    def state(self, name: str, max_age_s: float | None) -> str:
        """Return the version of a mosaic."""
        return self.find_image(name).version

    def read(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return self.mosaics.bands(request)


class EngineImages:
    """The images of an engine, called on the event loop that this thread was started from."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def find_image(self, name: str) -> ImageAsset:
        """Return an image."""
        return anyio.from_thread.run(self.engine.get_asset, name)

    def find_collection(self, name: str) -> Collection:
        """Raise AssetNotFound: an engine has images only."""
        raise AssetNotFound(name)

    def find_table(self, name: str) -> Table:
        """Raise AssetNotFound: an engine has images only."""
        raise AssetNotFound(name)

    def state(self, name: str, max_age_s: float | None) -> str:
        """Return the version of an image."""
        return self.find_image(name).version

    def read(self, request: PixelRequest) -> BandArrays:
        """Return values and validity on the request's grid."""
        return anyio.from_thread.run(self.engine.read_bands, request)


class World:
    """The images and collections of several providers that may be read; methods block."""

    def __init__(
        self, readers: Mounts[ImageReader], may_read: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Offer assets to expressions.

        Args:
            readers: by the prefixes of the names of their assets.
            may_read: whether the asset of a full name may be read.
        """
        self.readers = readers
        self.may_read = may_read

    def find_image(self, asset_id: str) -> ImageAsset:
        """Return an image by any spelling of its name, or raise AssetNotFound."""
        name = self._readable(asset_id)
        return self.readers.find(name).find_image(name)

    def find_collection(self, asset_id: str) -> Collection:
        """Return a collection by any spelling of its name, with the images that may be read.

        Raises:
            AssetNotFound: there is none, or it may not be read.
            UnreadableRaster: its collection.json is broken.
        """
        name = self._readable(asset_id)
        found_id, names, properties = self.readers.find(f"{name}/").find_collection(name)
        return found_id, [each for each in names if self.may_read(each)], properties

    def find_table(self, asset_id: str) -> Table:
        """Return a table by any spelling of its name.

        Raises:
            AssetNotFound: there is none, or it may not be read.
            UnreadableRaster: its file is damaged, or too large.
        """
        name = self._readable(asset_id)
        return self.readers.find(name).find_table(name)

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image or one of a collection does; "" for none."""
        try:
            name = self._readable(asset_id)
            return self.readers.find(f"{name}/").state(name, max_age_s)
        except AssetNotFound:
            return ""

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        """Return bands of an image on a grid."""
        request = PixelRequest(
            asset.name, ImageFileFormat.NPY, grid, band_ids=band_ids, asset_version=asset.version
        )
        return self.readers.find(asset.name).read(request)

    def _readable(self, asset_id: str) -> str:
        name = full_name(asset_id)
        if not self.may_read(name):
            raise AssetNotFound(asset_id)
        return name
