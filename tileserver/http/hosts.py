"""By which names the server is reached, and whether a page of another origin asks.

A browser sends to a server on loopback whatever any page wants of it, with the name that the page
used as Host. A name that is none of loopback's was pointed there by somebody else's DNS, so that
the browser takes the answers for the page's own ("DNS rebinding").
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from tileserver.http.parameters import check_host

_PORTS = {"http": 80, "https": 443}
_ELSEWHERE = frozenset({b"cross-site", b"same-site"})
"""Values of Sec-Fetch-Site for what another origin asks; another port is a "same-site" one."""
_FORWARDED = frozenset(
    b"""
    forwarded forwarded-for via x-via cdn-loop x-original-host x-original-forwarded-for
    x-real-ip x-client-ip x-cluster-client-ip x-proxyuser-ip client-ip x-remote-ip x-remote-addr
    true-client-ip cf-connecting-ip fastly-client-ip fly-client-ip x-envoy-external-address
    x-appengine-user-ip x-azure-clientip tailscale-user-login
    """.split()
)
"""Headers of proxies, beside all `X-Forwarded-*`; no client on this machine sends them."""
_TELLING = _FORWARDED | {b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode"}


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Tell whether a host name or address can only mean this machine.

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
    """Return the name in a Host header, in lower case, without port, brackets or final dot.

    >>> name_in("[::1]:8080"), name_in("Maps.Example.ORG.:443")
    ('::1', 'maps.example.org')

    Raises:
        InvalidRequest: it is none.
    """
    host = check_host(host).lower()
    if host.startswith("["):
        return host[1 : host.index("]")]
    return host.partition(":")[0].removesuffix(".")


class HostNames:
    """The names that a server on loopback answers to."""

    def __init__(self, public_url: str | None) -> None:
        """`public_url` is how a proxy is reached that passes its name on; None is no proxy."""
        self.public_url = public_url
        self.public_name = (urlsplit(public_url or "").hostname or "").removesuffix(".")
        self.allows = lru_cache(maxsize=256)(self._allows)

    def _allows(self, host: str) -> bool:
        """Tell whether a Host header names this server.

        Raises:
            InvalidRequest: it is no host name.
        """
        name = name_in(host)
        return is_loopback(name) or (bool(name) and name == self.public_name)


@dataclass(slots=True)
class Sender:
    """What the headers of a request tell of where it comes from."""

    hosts: list[bytes]
    origin: bytes | None = None
    site: bytes = b""
    mode: bytes = b""
    is_forwarded: bool = False
    """A proxy passed it on, so the peer is not who asks."""

    @property
    def host(self) -> str:
        """The Host header; two are shown as one that is no name."""
        return b", ".join(self.hosts).decode("latin-1")

    def is_foreign(self, public_url: str | None) -> bool:
        """Tell whether a page of another origin asks; programs and typed addresses do not."""
        if self.origin is not None:
            return not self._is_own(self.origin.decode("latin-1"), public_url)
        return self.site in _ELSEWHERE

    def _is_own(self, origin: str, public_url: str | None) -> bool:
        own = _authority(origin)
        here = f"{origin.partition('://')[0]}://{self.host}"
        return own is not None and own in (_authority(here), _authority(public_url or ""))


def _authority(url: str) -> tuple[str, int | None] | None:
    """Return host and port of a URL, or None if it has none; "null" is one such origin."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS.get(parts.scheme)) if parts.hostname else None
    except ValueError:
        return None


def sender_of(headers: list[tuple[bytes, bytes]]) -> Sender:
    """Return what the headers tell."""
    sender = Sender([])
    for name, value in headers:
        if name in _TELLING:
            if name == b"host":
                sender.hosts.append(value)
            elif name == b"origin":
                sender.origin = value
            elif name == b"sec-fetch-site":
                sender.site = value
            elif name == b"sec-fetch-mode":
                sender.mode = value
            else:
                sender.is_forwarded = True
        elif name.startswith(b"x-forwarded-"):
            sender.is_forwarded = True
    return sender
