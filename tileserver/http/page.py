"""The map page: plain files, served as they are."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tileserver.errors import ConfigError

_PACKAGE = Path(__file__).parents[1]
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors *",
    )
)
"""No other origins, nothing inline; any page may frame it."""


_BUILD_ONLY = (".", "package", "node_modules")
"""Prefixes of files that only the build uses."""


def page_folder() -> Path:
    """Return the folder of the page: in the wheel, or beside the package in a checkout.

    Raises:
        ConfigError: Leaflet is missing: the package was not built.
    """
    for folder in (_PACKAGE / "web", _PACKAGE.parent / "web"):
        if (folder / "vendor" / "leaflet" / "leaflet.js").is_file():
            return folder
    raise ConfigError(
        "the page's Leaflet is missing; `pip install .` or `pip install -e .` brings it"
    )


def page_files() -> frozenset[str]:
    """Return the URL paths of the page's files, without index.html; the same on every server."""
    folder = page_folder()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    shown = (name for name in names if name != "index.html" and not name.startswith(_BUILD_ONLY))
    return frozenset(f"/{name}" for name in shown)


class Page(StaticFiles):
    """The files of the page, with a strict content security policy."""

    def __init__(self, directory: Path, html: bool) -> None:
        """Serve a folder; with `html`, its index.html for the folder itself."""
        super().__init__(directory=directory, html=html)
        # Reads the system's tables, which the first request would do otherwise.
        if not mimetypes.inited:
            mimetypes.init()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or 404 for one that only the build uses."""
        # "." is the folder itself.
        if path != "." and path.startswith(_BUILD_ONLY):
            path = "none"
        response = await super().get_response(path, scope)
        response.headers["content-security-policy"] = CONTENT_SECURITY_POLICY
        # OpenStreetMap requires a Referer.
        response.headers["referrer-policy"] = "strict-origin-when-cross-origin"
        response.headers["cache-control"] = "no-cache"
        return response
