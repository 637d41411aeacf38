"""Earth Engine image assets and your own GeoTIFFs as map tiles whose URLs never expire."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tileserver.notebook.maps import show
    from tileserver.server.get_pixels import get_pixels

__all__ = ["get_pixels", "show"]

_MODULES = {"get_pixels": "tileserver.server.get_pixels", "show": "tileserver.notebook.maps"}


def __getattr__(name: str) -> Any:
    """Return a function, imported when it is used: a command needs other parts only."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
