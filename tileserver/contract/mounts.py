"""What has the assets of each prefix of names, the longest prefix first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from tileserver.errors import AssetNotFound

T = TypeVar("T")


class Mounts(Generic[T]):
    """A list of (prefix, value), searched as Starlette searches mounted applications.

    A prefix ends in a slash, or is empty; one that does not is a name, and stands for it alone.

    >>> mounts = Mounts([("", "Earth Engine"), ("projects/localhost/assets/", "GeoTIFFs")])
    >>> mounts.find("projects/localhost/assets/scene")
    'GeoTIFFs'
    """

    def __init__(self, mounts: Iterable[tuple[str, T]]) -> None:
        self._mounts = sorted(mounts, key=lambda mount: len(mount[0]), reverse=True)

    def find(self, name: str) -> T:
        """Return the value of the longest prefix that a name begins with.

        Raises:
            AssetNotFound: it begins with none.
        """
        for prefix, value in self._mounts:
            if name == prefix or (name.startswith(prefix) and _is_open(prefix)):
                return value
        raise AssetNotFound(name)

    def find_parent(self, name: str) -> T:
        """Return the value of the longest prefix that lies below a folder, or that it lies below.

        Raises:
            AssetNotFound: there is none.
        """
        below = f"{name}/"
        for prefix, value in self._mounts:
            if not _is_open(prefix):
                continue
            if below.startswith(prefix) or prefix.startswith(below):
                return value
        raise AssetNotFound(name)


def _is_open(prefix: str) -> bool:
    return prefix[-1:] in ("", "/")
