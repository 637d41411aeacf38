"""Access rules, checked before a request is routed.

A server on loopback without keys trusts all programs of the machine. Browsers on it, however, send
requests for any page. So the server accepts only its own host names, and pages of other origins
get the configured layers only. From other machines, or through a proxy, `/v1` and `/metrics` need
a key or `[access] open`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

from tileserver.contract.names import Access, check_asset_name
from tileserver.errors import AccessDenied, AssetNotFound, InvalidRequest, KeyRequired, NotFound
from tileserver.http.hosts import HostNames, Sender
from tileserver.http.keys import Holder, Keys
from tileserver.http.routes import Resource, named_layer, no_such_page, row_of

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
_PAGE = frozenset({"/", "/index.html"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


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

    def resource(self, path: str, rest_path: str | None) -> Resource:
        """Return the kind of a path; `rest_path` is the path within the API, or None."""
        if rest_path is not None:
            return Resource.PICTURE if _SHOWN_BY_URL.fullmatch(rest_path) else Resource.API
        if path in _PAGE:
            return Resource.PAGE
        if path in self.files:
            return Resource.PROBE
        row, name = row_of(path), named_layer(path)
        if row is not None and row.resource is not None:
            return row.resource
        if name is None:
            return Resource.ASSET
        # Without a key, the response must not depend on which names exist.
        is_layer = "/" not in name if self.keys else name in self.layer_names
        return Resource.LAYER if is_layer else Resource.ASSET

    def check_host(self, resource: Resource, sender: Sender) -> None:
        """Refuse a Host header that does not name this server.

        Probes of load balancers may have none; browsers always send one.

        Raises:
            InvalidRequest: the Host header is missing, given twice or not a host name.
            AccessDenied: it names another host.
        """
        if not self.is_loopback or self.keys or (resource is Resource.PROBE and not sender.hosts):
            return
        if not self.hosts.allows(sender.host):
            raise AccessDenied(f"Host {sender.host[:80]!r} {_HOST_NAMES}")

    def check_sender(
        self, resource: Resource, method: str, sender: Sender, holder: Holder | None
    ) -> None:
        """Refuse a request by its key, its origin and its network.

        Raises:
            KeyRequired: there are keys, and the request has none of them.
            AccessDenied: it comes from a page of another origin, or from another machine, without
                access to this kind of resource.
        """
        if self.keys and holder is None and resource is not Resource.PROBE:
            raise KeyRequired(_KEY_NEEDED)
        self._check_origin(resource, method, sender, holder)
        if resource in (Resource.API, Resource.PICTURE, Resource.FIGURES):
            self._check_reach(resource, sender)

    def _check_origin(
        self, resource: Resource, method: str, sender: Sender, holder: Holder | None
    ) -> None:
        is_ambient = holder.is_ambient if holder else self.trusts_this_machine
        if not is_ambient or not sender.is_foreign(self.hosts.public_url):
            return
        if method not in _SAFE:
            raise AccessDenied(f"{method[:20]} from a page of another origin is refused")
        is_read = resource in (Resource.ASSET, Resource.API, Resource.FIGURES)
        if self.is_private and is_read and sender.mode != b"navigate":
            raise AccessDenied(
                "a page of another origin may show the layers that are configured, nothing else; "
                "give the asset a [layers.NAME], or set [access] keys"
            )

    def _check_reach(self, resource: Resource, sender: Sender) -> None:
        if self.is_open or (self.is_loopback and not sender.is_forwarded):
            return
        wanted = None
        if not self.keys:
            wanted = "[access] keys, or [access] open = true to serve it to everybody"
        elif sender.is_forwarded and self.beyond is not None and resource is not Resource.FIGURES:
            wanted = "[access] assets: which of Earth Engine's assets may be read through a proxy"
        if wanted:
            where = "/metrics" if resource is Resource.FIGURES else "/v1, with /assets,"
            raise AccessDenied(
                f"{where} is closed on a server that other machines reach; it needs {wanted}"
            )

    def check_asset(self, resource: Resource, path: str, sender: Sender) -> None:
        """Refuse, through a proxy, an asset that is readable on this machine only.

        Raises:
            AssetNotFound: as for an asset that does not exist.
            NotFound: no row has the path, so what it names cannot be checked.
        """
        name = named_layer(path)
        if self.beyond is None or not sender.is_forwarded or name in self.layer_names:
            return
        if not name:
            if resource is Resource.ASSET:
                raise NotFound(no_such_page(path))
            return
        try:
            is_readable = self.beyond.may_read(check_asset_name(name))
        except InvalidRequest:
            is_readable = False
        if not is_readable:
            raise AssetNotFound(name)
