"""Metadata of assets as the REST API returns it: of local rasters, and of Earth Engine itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from tileserver.concurrency.limited_calls import ShortCalls
from tileserver.concurrency.threads import Threads
from tileserver.concurrency.time_limit import time_limit
from tileserver.contract.assets import ImageAsset
from tileserver.contract.engine import Engine
from tileserver.contract.names import is_root
from tileserver.errors import AssetNotFound, InvalidRequest
from tileserver.rasters.folders import Folder, Tree
from tileserver.rest.features import features_page
from tileserver.rest.filters import with_prefixes
from tileserver.rest.listing import Page, image_json, is_visible, list_page, table_json
from tileserver.tables.store import Tables

_THREADS = 4
_TABLE_S = 30.0

Query = Mapping[str, str]
T = TypeVar("T")


class AssetMetadata(Protocol):
    """Assets by full names; every method raises AssetNotFound for one that may not be read."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset of an image, a folder or a collection."""
        ...

    async def list_assets(self, parent: str, page: Page, query: Query) -> Mapping[str, Any]:
        """Return a page of the assets in a folder or a collection.

        Args:
            parent: full name of the folder or collection.
            page: the page that the query is for.
            query: parameters of listAssets or listImages.
        """
        ...

    async def find_image(self, name: str) -> ImageAsset:
        """Return an image whose version is the one of this moment.

        Raises:
            AssetNotFound: there is no such image.
            InvalidRequest: it is a folder or a collection.
        """
        ...


class LocalAssets:
    """The assets of a tree of local rasters."""

    def __init__(
        self, tree: Tree, may_read: Callable[[str], bool], tables: Tables | None = None
    ) -> None:
        self.tree = tree
        self.tables = tables or Tables(tree.catalogue)
        self.may_read = may_read
        # Separate from the threads that read pixels, which a listing must not delay.
        self._threads = Threads(_THREADS)
        self._geometry = ShortCalls()

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return the result of a function that reads the tree."""
        return await self._threads.run(function, *arguments)

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset of an image, a folder or a collection."""
        # An image that may not be read is answered as a folder that does not exist.
        if self.may_read(name) and await self._threads.run(self.tree.is_image, name):
            return await self._geometry.call(image_json, await self._current(name))
        return await self._threads.run(self._other_json, name)

    def _other_json(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset of a table, a folder or a collection."""
        if self.may_read(name) and self.tree.is_table(name):
            with time_limit(_TABLE_S):
                return table_json(self.tables.find(name))
        return self._folder_json(name)

    def _folder_json(self, name: str) -> dict[str, Any]:
        return self.visible_folder(name).to_json()

    def visible_folder(self, name: str) -> Folder:
        """Return a folder or a collection; reads the disk.

        Raises:
            AssetNotFound: there is none of that name, or neither it nor an image in it may be read.
        """
        folder = self.tree.folder(name)
        if not is_visible(self.tree, folder, self.may_read):
            raise AssetNotFound(name)
        return folder

    async def list_assets(self, parent: str, page: Page, query: Query) -> Mapping[str, Any]:
        """Return a page of the assets in a folder or a collection."""
        page_of = partial(list_page, tables=self.tables)
        return await self._threads.run(page_of, self.tree, parent, page, self.may_read)

    async def list_features(self, name: str, query: Query) -> Mapping[str, Any]:
        """Return a page of the features of a table.

        Raises:
            AssetNotFound: there is none of that name.
            InvalidRequest: it is none, or a parameter is malformed.
        """
        return await self._threads.run(self._features, name, query)

    def _features(self, name: str, query: Query) -> dict[str, Any]:
        if not self.may_read(name):
            raise AssetNotFound(name)
        if not self.tree.is_table(name):
            is_image = self.tree.is_image(name)
            kind = "IMAGE" if is_image else self.visible_folder(name).to_json()["type"]
            raise InvalidRequest(f"Asset {name!r} is not a TABLE but a {kind}.")
        with time_limit(_TABLE_S):
            return features_page(self.tables.find(name), query)

    async def find_image(self, name: str) -> ImageAsset:
        """Return an image as its file is at this moment."""
        if not self.may_read(name):
            raise AssetNotFound(name)
        try:
            return await self._current(name)
        except AssetNotFound:
            await self._threads.run(self._refuse_folder, name)
            raise

    async def _current(self, name: str) -> ImageAsset:
        return (await self._threads.run(self.tree.catalogue.find, name, 0.0)).asset

    def _refuse_folder(self, name: str) -> None:
        is_table = self.tree.is_table(name)
        kind = "TABLE" if is_table else self.tree.folder(name).to_json()["type"]
        raise InvalidRequest(f"Asset {name!r} is not an IMAGE but a {kind}, which has no pixels.")


class MosaicAssets:
    """Mosaics: to clients each is a collection of its files, but has pixels as an image has."""

    def __init__(self, local: LocalAssets, engine: Engine) -> None:
        """Offer mosaics.

        Args:
            local: has the files and the folders they are in.
            engine: has the mosaics themselves.
        """
        self.local = local
        self.engine = engine

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset of the collection."""
        return await self.local.get_asset(name)

    async def list_assets(self, parent: str, page: Page, query: Query) -> Mapping[str, Any]:
        """Return a page of the files."""
        return await self.local.list_assets(parent, page, query)

    async def find_image(self, name: str) -> ImageAsset:
        """Return a mosaic as one image."""
        if not self.local.may_read(name):
            raise AssetNotFound(name)
        return await self.engine.get_asset(name)


class RemoteMetadata(Protocol):
    """Earth Engine's own metadata, asked within its quota and with the server's credentials."""

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset, or raise AssetNotFound."""
        ...

    async def list_assets(self, parent: str, query: Query) -> Mapping[str, Any]:
        """Return a page of assets; the query is that of `listAssets`."""
        ...


class RemoteAssets:
    """Earth Engine's assets, those of them that may be read."""

    def __init__(
        self, metadata: RemoteMetadata, engine: Engine, may_read: Callable[[str], bool]
    ) -> None:
        """Pass metadata on.

        Args:
            metadata: has the metadata as Earth Engine sends it.
            engine: has the same images, for pixels.
            may_read: whether the asset of a full name may be read.
        """
        self.metadata = metadata
        self.engine = engine
        self.may_read = may_read

    async def get_asset(self, name: str) -> Mapping[str, Any]:
        """Return the EarthEngineAsset of an image, a folder or a collection."""
        if not self.may_read(name):
            raise AssetNotFound(name)
        return await self.metadata.get_asset(name)

    async def list_assets(self, parent: str, page: Page, query: Query) -> Mapping[str, Any]:
        """Return a page of Earth Engine's without the assets that may not be read here."""
        if not self._may_list(parent):
            if is_root(parent):
                return {}
            raise AssetNotFound(parent)
        upstream = _list_assets_query(query) if page.only_images else query
        return self._readable(await self.metadata.list_assets(parent, upstream), page.only_images)

    async def find_image(self, name: str) -> ImageAsset:
        """Return an image as it was at most a moment ago."""
        if not self.may_read(name):
            raise AssetNotFound(name)
        return await self.engine.get_asset(name)

    def _may_list(self, name: str) -> bool:
        # A pattern "folder/**" allows the folder itself to be listed, too.
        return self.may_read(name) or self.may_read(f"{name}/")

    def _readable(self, page: Mapping[str, Any], only_images: bool) -> dict[str, Any]:
        found = [
            asset
            for asset in page.get("assets") or []
            if self._may_list(str(asset.get("name", "")))
            and (not only_images or asset.get("type") == "IMAGE")
        ]
        kept = {"images" if only_images else "assets": found} if found else {}
        token = page.get("nextPageToken")
        return {**kept, "nextPageToken": token} if token else kept


def _list_assets_query(query: Query) -> dict[str, str]:
    """Return the query of listAssets for one of listImages, which Earth Engine's v1 lacks."""
    parts = [
        f'{name} {sign} "{query[name]}"'
        for name, sign in (("startTime", ">="), ("endTime", "<"))
        if query.get(name)
    ]
    if query.get("region"):
        region = json.dumps(json.loads(query["region"].replace("'", '"'))).replace('"', "'")
        parts.append(f'intersects("{region}")')
    if query.get("filter"):
        parts.append(f"({with_prefixes(query['filter'])})")
    kept = {name: query[name] for name in ("pageSize", "pageToken", "view") if query.get(name)}
    return {**kept, "filter": " AND ".join(parts)} if parts else kept
