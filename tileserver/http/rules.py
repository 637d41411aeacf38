"""Access rules, checked before a request is routed.

A server on loopback without keys trusts all programs of the machine. Browsers on it, however, send
requests for any page. So the server accepts only its own host names, and pages of other origins
get the configured layers only. From other machines, or through a proxy, `/v1` and `/metrics` need
a key or `[access] open`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from tileserver.contract.names import Access, check_asset_name
from tileserver.errors import AccessDenied, AssetNotFound, InvalidRequest, KeyRequired
from tileserver.http.hosts import HostNames, Sender
from tileserver.http.keys import Holder, Keys

_CUTS: Mapping[str, Callable[[str], str]] = {
    "tiles": lambda rest: rest.rsplit("/", 3)[0],
    "tilejson": lambda rest: rest.removesuffix(".json"),
    "legend": lambda rest: rest.removesuffix(".svg"),
    "preview": lambda rest: rest.rpartition(".")[0] or rest,
    "info": str,
    "point": str,
    "statistics": str,
}
"""How to take the layer's name from the rest of a path, by the path's first part."""
_SHOWN_BY_URL = re.compile(
    r"v1(?:alpha|beta)?/projects/[^/]+/(?:maps/[^/]+/tiles/.*|thumbnails/[^/]+:getPixels)",
    re.DOTALL,
)
_HOST_NAMES = (
    "is none of this server's names: it answers to localhost and 127.0.0.1, and to the host of "
    "[server] public_url, if that is set"
)
_KEY_NEEDED = (
    "an API key is needed, and none that is known came: send it as 'Authorization: Bearer KEY', "
    "'X-API-Key: KEY', the password of Basic authentication, or ?key=KEY"
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Part(Enum):
    """The kind of resource at a path, as the rules distinguish them."""

    LAYER = auto()
    """A configured layer, or the list of them."""
    ASSET = auto()
    """An asset by its name."""
    PICTURE = auto()
    """A map tile or thumbnail of the API, which notebooks embed by its URL."""
    API = auto()
    FIGURES = auto()
    PROBE = auto()
    """Health checks, and the page's files, which are the same on every server."""
    PAGE = auto()


def named_layer(path: str) -> str | None:
    """Return the name of the layer or asset in a path, or None if it has none.

    >>> named_layer("/tiles/USGS/SRTMGL1_003/0/0/0.png")
    'USGS/SRTMGL1_003'
    """
    first, _, rest = path[1:].partition("/")
    cut = _CUTS.get(first)
    return cut(rest) if cut else None


@dataclass(frozen=True)
class Rules:
    """The rules of one server."""

    layer_names: Container[str] = ()
    """The configured layers, or those made of rasters."""
    keys: Keys = Keys({})  # noqa: RUF009 - without keys there is nothing to change.
    is_loopback: bool = True
    """It listens on loopback only."""
    is_open: bool = False
    """`[access] open`: everything is public."""
    hosts: HostNames = HostNames(None)  # noqa: RUF009 - nor of these.
    beyond: Access | None = None
    """The assets readable by name through a proxy, if fewer than on this machine."""
    files: frozenset[str] = frozenset()
    """URL paths of the page's files."""

    @property
    def trusts_this_machine(self) -> bool:
        """Whether every local program has access without a key."""
        return self.is_loopback and not self.keys and not self.is_open

    @property
    def is_private(self) -> bool:
        """Whether it serves the users of this machine only."""
        return self.trusts_this_machine and self.hosts.public_url is None

    def part(self, path: str, rest_path: str | None) -> Part:
        """Return the kind of a path; `rest_path` is the path within the API, or None."""
        if rest_path is not None:
            return Part.PICTURE if _SHOWN_BY_URL.fullmatch(rest_path) else Part.API
        name = named_layer(path)
        if name is not None:
            # Without a key, the response must not depend on which names exist.
            is_layer = "/" not in name if self.keys else name in self.layer_names
            return Part.LAYER if is_layer else Part.ASSET
        if path == "/layers":
            return Part.LAYER
        if path == "/metrics":
            return Part.FIGURES
        is_probe = path in ("/healthz", "/readyz") or path in self.files
        return Part.PROBE if is_probe else Part.PAGE

    def check_host(self, part: Part, sender: Sender) -> None:
        """Refuse a Host header that does not name this server.

        Probes of load balancers may have none; browsers always send one.

        Raises:
            InvalidRequest: the Host header is missing, given twice or not a host name.
            AccessDenied: it names another host.
        """
        if not self.is_loopback or self.keys or (part is Part.PROBE and not sender.hosts):
            return
        if not self.hosts.allows(sender.host):
            raise AccessDenied(f"Host {sender.host[:80]!r} {_HOST_NAMES}")

    def check_sender(self, part: Part, method: str, sender: Sender, holder: Holder | None) -> None:
        """Refuse a request by its key, its origin and its network.

        Raises:
            KeyRequired: there are keys, and the request has none of them.
            AccessDenied: it comes from a page of another origin, or from another machine, without
                access to this kind of resource.
        """
        if self.keys and holder is None and part is not Part.PROBE:
            raise KeyRequired(_KEY_NEEDED)
        self._check_origin(part, method, sender, holder)
        if part in (Part.API, Part.PICTURE, Part.FIGURES):
            self._check_reach(part, sender)

    def _check_origin(self, part: Part, method: str, sender: Sender, holder: Holder | None) -> None:
        is_ambient = holder.is_ambient if holder else self.trusts_this_machine
        if not is_ambient or not sender.is_foreign(self.hosts.public_url):
            return
        if method not in _SAFE:
            raise AccessDenied(f"{method[:20]} from a page of another origin is refused")
        is_read = part in (Part.ASSET, Part.API, Part.FIGURES)
        if self.is_private and is_read and sender.mode != b"navigate":
            raise AccessDenied(
                "a page of another origin may show the layers that are configured, nothing else; "
                "give the asset a [layers.NAME], or set [access] keys"
            )

    def _check_reach(self, part: Part, sender: Sender) -> None:
        if self.is_open or (self.is_loopback and not sender.is_forwarded):
            return
        wanted = None
        if not self.keys:
            wanted = "[access] keys, or [access] open = true to serve it to everybody"
        elif sender.is_forwarded and self.beyond is not None and part is not Part.FIGURES:
            wanted = "[access] assets: which of Earth Engine's assets may be read through a proxy"
        if wanted:
            where = "/metrics" if part is Part.FIGURES else "/v1"
            raise AccessDenied(
                f"{where} is closed on a server that other machines reach; it needs {wanted}"
            )

    def check_asset(self, path: str, sender: Sender) -> None:
        """Refuse, through a proxy, an asset that is readable on this machine only.

        Raises:
            AssetNotFound: as for an asset that does not exist.
        """
        name = named_layer(path)
        if self.beyond is None or not sender.is_forwarded or not name or name in self.layer_names:
            return
        try:
            is_readable = self.beyond.may_read(check_asset_name(name))
        except InvalidRequest:
            is_readable = False
        if not is_readable:
            raise AssetNotFound(name)
