"""The assets an expression may read: those of an engine that a name may be asked of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio

from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.names import check_asset_name
from tileserver.contract.pixels import BandArrays, ImageFileFormat, PixelGrid, PixelRequest
from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.rasters.catalogue import Catalogue
from tileserver.rasters.engine import LocalRasters
from tileserver.rasters.folders import Tree


def _request(asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> PixelRequest:
    return PixelRequest(
        asset.name, ImageFileFormat.NPY, grid, band_ids=band_ids, asset_version=asset.version
    )


def everything(name: str) -> bool:
    """Tell that an asset may be read."""
    return True


class LocalWorld:
    """Local rasters, as far as they may be read."""

    def __init__(
        self, rasters: LocalRasters, tree: Tree, may_read: Callable[[str], bool] = everything
    ) -> None:
        """Offer the assets of `rasters`, of which `tree` has the folders."""
        self.rasters = rasters
        self.tree = tree
        self.may_read = may_read

    @property
    def catalogue(self) -> Catalogue:
        """The assets there are."""
        return self.rasters.catalogue

    def find_image(self, asset_id: str) -> ImageAsset:
        """Return an image by any spelling of its name, or raise AssetNotFound."""
        return self.catalogue.find(self._checked(asset_id)).asset

    def find_collection(self, asset_id: str) -> tuple[str, Sequence[str], dict[str, object]]:
        """Return a collection's id, the names of the images in it, and its properties.

        A folder of images will do too, though it is told as a FOLDER where it has no
        collection.json.

        Raises:
            AssetNotFound: there is no such folder, or none that may be read.
            UnreadableRaster: its collection.json is broken.
        """
        name = self._checked(asset_id).rstrip("/")
        folder = self.tree.folder(name).to_json()
        names = [each for each in self.tree.children(name) if isinstance(each, str)]
        return folder["id"], [n for n in names if self.may_read(n)], folder.get("properties") or {}

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image or one of a collection does; "" for none."""
        try:
            return self.catalogue.state(self._checked(asset_id), max_age_s)
        except AssetNotFound:
            return ""

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        """Return bands of an image on a grid."""
        return self.rasters.bands(_request(asset, band_ids, grid))

    def _checked(self, asset_id: str) -> str:
        try:
            name = check_asset_name(asset_id)
        except InvalidRequest as exc:
            raise AssetNotFound(asset_id) from exc
        if not self.may_read(name):
            raise AssetNotFound(asset_id)
        return name


class WiderWorld(LocalWorld):
    """Local rasters and, beyond their prefixes, the images of another engine.

    That engine is asked on the event loop that the thread here was started from.
    """

    def __init__(
        self,
        rasters: LocalRasters,
        tree: Tree,
        remote: Engine,
        may_read: Callable[[str], bool] = everything,
    ) -> None:
        super().__init__(rasters, tree, may_read)
        self.remote = remote

    def find_image(self, asset_id: str) -> ImageAsset:
        """Return an image by any spelling of its name, or raise AssetNotFound."""
        name = self._checked(asset_id)
        if self._is_local(name):
            return self.catalogue.find(name).asset
        return anyio.from_thread.run(self.remote.get_asset, name)

    def state(self, asset_id: str, max_age_s: float | None = None) -> str:
        """Return a token that changes when an image or one of a collection does; "" for none."""
        try:
            name = self._checked(asset_id)
            if self._is_local(name):
                return super().state(name, max_age_s)
            return self.find_image(name).version
        except AssetNotFound:
            return ""

    def read(self, asset: ImageAsset, band_ids: tuple[str, ...], grid: PixelGrid) -> BandArrays:
        """Return bands of an image on a grid."""
        if self._is_local(asset.name):
            return super().read(asset, band_ids, grid)
        return anyio.from_thread.run(self.remote.read_bands, _request(asset, band_ids, grid))

    def _is_local(self, name: str) -> bool:
        return name.startswith(self.catalogue.prefixes)
