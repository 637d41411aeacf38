"""Host names of the server, and requests from pages of other origins.

Any page in a browser can send requests to a server on loopback, with the host name of its URL as
Host. A name other than loopback's was resolved to loopback by foreign DNS ("DNS rebinding"): the
browser would take the response for one of the page's own origin.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from tileserver.http.parameters import check_host

_PORTS = {"http": 80, "https": 443}
_ELSEWHERE = frozenset({b"cross-site", b"same-site"})
"""Values of Sec-Fetch-Site for requests of other origins; another port is "same-site"."""
_FORWARDED = frozenset(
    b"""
    forwarded forwarded-for via x-via cdn-loop x-original-host x-original-forwarded-for
    x-real-ip x-client-ip x-cluster-client-ip x-proxyuser-ip client-ip x-remote-ip x-remote-addr
    true-client-ip cf-connecting-ip fastly-client-ip fly-client-ip x-envoy-external-address
    x-appengine-user-ip x-azure-clientip tailscale-user-login
    """.split()
)
"""Headers that proxies add, beside all `X-Forwarded-*`."""


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Return whether a host name or address is a loopback one.

    >>> [is_loopback(each) for each in ("localhost", "127.9.9.9", "::1", "0.0.0.0", "localhost.a")]
    [True, True, True, False, False]
    """
    if name.lower().removesuffix(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def name_in(host: str) -> str:
    """Return the host name in a Host header, in lower case, without port, brackets or final dot.

    >>> name_in("[::1]:8080"), name_in("Maps.Example.ORG.:443")
    ('::1', 'maps.example.org')

    Raises:
        InvalidRequest: it is not a host name.
    """
    host = check_host(host).lower()
    if host.startswith("["):
        return host[1 : host.index("]")]
    return host.partition(":")[0].removesuffix(".")


class HostNames:
    """The host names that a server on loopback accepts."""

    def __init__(self, public_url: str | None) -> None:
        """`public_url` is the URL of a proxy that forwards its Host header; None is no proxy."""
        self.public_url = public_url
        self.public_name = (urlsplit(public_url or "").hostname or "").removesuffix(".")
        self.allows = lru_cache(maxsize=256)(self._allows)

    def _allows(self, host: str) -> bool:
        """Return whether a Host header names this server.

        Raises:
            InvalidRequest: it is not a host name.
        """
        name = name_in(host)
        return is_loopback(name) or (bool(name) and name == self.public_name)


class Sender(NamedTuple):
    """The headers of a request that show its origin."""

    hosts: tuple[bytes, ...]
    origin: bytes | None = None
    site: bytes = b""
    mode: bytes = b""
    is_forwarded: bool = False
    """It came through a proxy, so the peer is not the client."""
    address: str | None = None
    """The server's own address as a trusted proxy has it, if that is known."""

    @property
    def host(self) -> str:
        """The Host header; two are joined by a comma, which no host name has."""
        return b", ".join(self.hosts).decode("latin-1")

    def is_foreign(self, public_url: str | None) -> bool:
        """Return whether a page of another origin sent it; programs and typed URLs do not count."""
        if self.origin is not None:
            return not self._is_own(self.origin.decode("latin-1"), public_url)
        return self.site in _ELSEWHERE

    def _is_own(self, origin: str, public_url: str | None) -> bool:
        own = _authority(origin)
        here = f"{origin.partition('://')[0]}://{self.host}"
        return own is not None and own in map(
            _authority, (here, public_url or "", self.address or "")
        )


def _authority(url: str) -> tuple[str, int | None] | None:
    """Return host and port of a URL, or None if it has none, as the origin "null"."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None


def sender_of(headers: list[tuple[bytes, bytes]]) -> Sender:
    """Return the origin of a request from its headers."""
    hosts: tuple[bytes, ...] = ()
    origin, site, mode, is_forwarded = None, b"", b"", False
    for name, value in headers:
        if name == b"host":
            hosts = (*hosts, value)
        elif name == b"sec-fetch-site":
            site = value
        elif name == b"sec-fetch-mode":
            mode = value
        elif name == b"origin":
            origin = value
        elif name in _FORWARDED or name.startswith(b"x-forwarded-"):
            is_forwarded = True
    return Sender(hosts, origin, site, mode, is_forwarded)
