"""Assets to choose from: those below a parent, or those that have a text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from tileserver.contract.browsing import Shelf
from tileserver.contract.mounts import Mounts
from tileserver.contract.names import parent_name, root_name, short_name
from tileserver.errors import InvalidRequest
from tileserver.rest.asset_metadata import AssetMetadata, LocalAssets, MosaicAssets
from tileserver.rest.listing import Page, is_visible

MAX_TEXT = 200
_MAX_EXAMINED = 200_000
"""Names that one search looks at."""


class Browser:
    """The assets that may be read, by parent and by text."""

    def __init__(
        self, local: LocalAssets, mounts: Mounts[AssetMetadata], roots: Sequence[str]
    ) -> None:
        """Browse assets.

        Args:
            local: the local rasters.
            mounts: the assets of all providers, by the prefixes of their names.
            roots: full names of the folders to begin with.
        """
        self.local = local
        self.mounts = mounts
        self.roots = tuple(sorted(set(roots)))

    async def page(self, parent: str, text: str, after: str, limit: int) -> Shelf:
        """Return at most `limit` assets, as `AssetBrowser` says."""
        if len(text) > MAX_TEXT:
            raise InvalidRequest(f"q: expected at most {MAX_TEXT} characters, got {len(text)}")
        words = text.lower().split()
        if not parent:
            return await self.local.run(self._of_roots, words, after, limit)
        name = parent_name(parent)
        provider = self.mounts.find_parent(name)
        if isinstance(provider, LocalAssets | MosaicAssets):
            return await self.local.run(self._below, [name], words, after, limit)
        query = {"pageSize": str(limit), "view": "BASIC"} | ({"pageToken": after} if after else {})
        page = Page(limit, after, is_basic=True)
        found = await provider.list_assets(name, page, query)
        assets = [_listed(each) for each in found.get("assets") or []]
        return Shelf(_fitting(assets, words), found.get("nextPageToken"))

    def _of_roots(self, words: Sequence[str], after: str, limit: int) -> Shelf:
        if words:
            return self._below(self.roots, words, after, limit)
        roots = [name for name in self.roots if name > after and self._leads_on(name)]
        assets = [_item("FOLDER", name) for name in roots]
        return _shelf(iter(assets), limit)

    def _leads_on(self, name: str) -> bool:
        """Return whether a root has something to show; Earth Engine's is not asked."""
        if not isinstance(self.mounts.find_parent(name), LocalAssets | MosaicAssets):
            return True
        return any(map(self.local.may_read, self.local.tree.images_below(name)))

    def _below(self, parents: Sequence[str], words: Sequence[str], after: str, limit: int) -> Shelf:
        if words:
            fitting = (
                name
                for name in sorted(self._images(parents))
                if name > after and _fits(name, words)
            )
            return _shelf((self._image(name) for name in fitting), limit)
        (parent,) = parents
        self.local.visible_folder(parent)
        return _shelf((each for each in self._children(parent) if each["name"] > after), limit)

    def _images(self, parents: Sequence[str]) -> Iterator[str]:
        """Yield the names of readable images and mosaics below folders."""
        tree = self.local.tree
        every = (name for parent in parents for name in tree.images_below(parent))
        yield from filter(self.local.may_read, islice(every, _MAX_EXAMINED))

    def _children(self, parent: str) -> Iterator[dict[str, Any]]:
        for child in self.local.tree.children(parent):
            if isinstance(child, str):
                if self.local.may_read(child):
                    yield self._image(child)
            elif is_visible(self.local.tree, child, self.local.may_read):
                kind = "IMAGE_COLLECTION" if child.is_collection else "FOLDER"
                is_drawn = child.is_mosaic and self.local.may_read(child.name)
                yield _item(kind, child.name, is_drawn)

    @staticmethod
    def _image(name: str) -> dict[str, Any]:
        return _item("IMAGE", name, is_drawn=True)


def _shelf(items: Iterator[dict[str, Any]], limit: int) -> Shelf:
    found = list(islice(items, limit + 1))
    after = found[limit - 1]["name"] if len(found) > limit else None
    return Shelf([_public(each) for each in found[:limit]], after)


def _item(kind: str, name: str, is_drawn: bool = False) -> dict[str, Any]:
    return {"type": kind, "name": name, "drawn": is_drawn}


def _public(item: Mapping[str, Any]) -> dict[str, Any]:
    return {**item, "name": short_name(item["name"]), "title": item["name"].rpartition("/")[2]}


def _listed(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Return an asset as Earth Engine lists it."""
    kind, name = str(asset.get("type", "")), str(asset.get("name", ""))
    return _public(_item(kind, name, is_drawn=kind == "IMAGE"))


def _fitting(assets: Sequence[dict[str, Any]], words: Sequence[str]) -> list[dict[str, Any]]:
    return [asset for asset in assets if _fits(asset["name"], words)]


def _fits(name: str, words: Sequence[str]) -> bool:
    # Not in the root's name, which all have.
    text = name.removeprefix(f"{root_name(name)}/" if name.startswith("projects/") else "").lower()
    return all(word in text for word in words)
