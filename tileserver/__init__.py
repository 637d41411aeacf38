"""Earth Engine image assets and your own GeoTIFFs as map tiles whose URLs never expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tileserver.server.get_pixels import get_pixels

__all__ = ["get_pixels"]


def __getattr__(name: str) -> Any:
    """Return `get_pixels`, imported when it is used: a command needs other parts only."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tileserver.server.get_pixels import get_pixels

    return get_pixels
