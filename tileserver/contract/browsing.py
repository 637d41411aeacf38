"""Assets to choose from, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Shelf:
    """A page of assets."""

    assets: Sequence[Mapping[str, Any]]
    """Each has `type`, `name`, `title` and `drawn`: whether it has pixels."""
    after: str | None
    """What `after` is on the next page; None on the last one."""


class AssetBrowser(Protocol):
    """All assets that may be read, by parent and by text."""

    async def page(self, parent: str, text: str, after: str, limit: int) -> Shelf:
        """Return at most `limit` assets.

        Args:
            parent: name of a folder or a collection; empty for the folders to begin with.
            text: words, all of which are in the names; with some, local images at any depth.
            after: that of the page before; empty for the first page.
            limit: at least 1.

        Raises:
            AssetNotFound: there is no such folder, or it may not be read.
            InvalidRequest: the text is too long.
        """
        ...
