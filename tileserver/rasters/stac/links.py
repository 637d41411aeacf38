"""Links of STAC documents: where they lead, and which of them are followed.

Below the folder of the document that the configuration names, to the host that it names, and to
those of `[remote] hosts`; nowhere else, whatever a document says.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import unquote, urljoin, urlsplit

from tileserver.errors import UnreadableRaster
from tileserver.rasters.files import Place
from tileserver.rasters.remote.addresses import literal
from tileserver.rasters.remote.objects import SCHEMES, is_remote

_MAX_LENGTH = 4000
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


@dataclass(frozen=True)
class Base:
    """A document, and where its links may lead."""

    location: Place | str
    """Where it lies, or its URL."""
    root: Place | str
    """Of the document that the configuration names."""
    hosts: Collection[str] = ()
    """Names of hosts, with a port if it is not the usual one; `*` stands for any letters."""

    def at(self, location: Place | str) -> Base:
        """Return the base of another document of the same tree."""
        return replace(self, location=location)

    def locate(self, href: str) -> Place | str:
        """Return where a link leads.

        Raises:
            UnreadableRaster: it leads to where none may lead.
        """
        if len(href) > _MAX_LENGTH or _UNSAFE.search(href) or not href.strip():
            raise UnreadableRaster("the STAC document has a link that is no address.")
        if is_remote(href):
            return self._allowed(href)
        if isinstance(self.location, str):
            return self._allowed(_joined(self.location, href))
        if href.lower().startswith("file:///"):
            return _inside(self.location, unquote(href[len("file://") :]))
        if _OTHER_SCHEME.match(href):
            scheme = href.partition(":")[0]
            raise UnreadableRaster(
                f"the STAC document has a link of the kind {scheme[:20]!r}; expected a path or one "
                f"of {', '.join(SCHEMES)}."
            )
        return _inside(self.location, unquote(href))

    def _is_named(self, host: str, name: str) -> bool:
        """Tell whether the configuration names a host, which may have a port."""
        hosts = {each.lower() for each in self.hosts}
        if host in hosts or _is_address(name):
            return host in hosts
        return any(fnmatch.fnmatchcase(host, pattern) for pattern in hosts)

    def _allowed(self, url: str) -> str:
        parts = urlsplit(url)
        host = parts.netloc.lower()
        if "@" in host or not host:
            raise UnreadableRaster("the STAC document has a link with a user in it, or no host.")
        if isinstance(self.root, str) and host == urlsplit(self.root).netloc.lower():
            first = urlsplit(self.root).scheme.lower()
            if parts.scheme.lower() in (first, "https"):
                return url
        if self._is_named(host, parts.hostname or ""):
            return url
        raise UnreadableRaster(
            f"its files are on {host[:200]}, which the configuration does not name; "
            f'[remote] hosts = ["{host[:200]}"] allows it.'
        )


def _is_address(name: str) -> bool:
    """Tell whether a host is an address, or this machine: what only an exact entry may allow."""
    return literal(name) is not None or name == "localhost" or name.endswith(".localhost")


def _joined(base: str, href: str) -> str:
    """Return a link relative to a URL, also to one of s3:// or gs://, as an absolute URL."""
    scheme, _, rest = base.partition("://")
    joined = urljoin(f"https://{rest}", href)
    if not joined.lower().startswith("https://"):
        raise UnreadableRaster("the STAC document has a link that is no address.")
    return f"{scheme}://{joined[len('https://') :]}"


def _inside(document: Place, path: str) -> Place:
    """Return the place of a path relative to a document, or absolute, below the document's root."""
    if _UNSAFE.search(path):
        raise UnreadableRaster("the STAC document has a link that is no address.")
    if path.startswith("/"):
        below = os.path.relpath(os.path.normpath(path), document.root).replace(os.sep, "/")
    else:
        below = posixpath.normpath(posixpath.join(posixpath.dirname(document.below), path))
    if below.split("/")[0] in ("..", ".") or below.startswith("/"):
        raise UnreadableRaster(
            "the STAC document leads out of its folder; expected files in that folder or below."
        )
    return Place(document.root, below, document.is_root_link)
