"""Connections to addresses that are allowed, for httpcore.

A host is looked up once for each connection, its addresses are checked, and the connection is made
to a checked address: a second lookup could have another result (DNS rebinding).
TLS still verifies the host's name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpcore

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Returns the addresses of a host as text; raises OSError if there are none."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER_BY_NAME = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "168.63.129.16/32",  # the host of an Azure machine; a public address
        "192.0.0.192/32",  # metadata of Oracle Cloud
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # metadata of AWS over IPv6
        "fd20:ce::254/128",  # metadata of Google Cloud over IPv6
    )
]
"""Addresses that no host name may resolve to, not even that of a private host."""
_NOT_PUBLIC = [
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT
        "192.0.0.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "64:ff9b:1::/48",  # NAT64 of a local network
        "fec0::/10",
        "::/96",
        "2001::/23",
    )
]
"""Besides those that `ipaddress` lists, which differ between versions of Python."""


class RefusedAddress(httpcore.ConnectError):
    """The host has no address that a connection may be made to."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system has them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def literal(host: str) -> Address | None:
    """Return the address that a host's text is, or None if it is a name.

    >>> literal("[::1]")
    IPv6Address('::1')
    >>> literal("127.1")  # which resolvers take for 127.0.0.1
    """
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def may_connect(host: str, address: Address, private_hosts: Collection[str] = ()) -> bool:
    """Tell whether a host of the configuration may be reached at an address.

    A host that is written as an address names it. `localhost` names this machine. Any other name
    may stand for public addresses only, unless it is one of `private_hosts`.

    >>> may_connect("10.0.0.7", ipaddress.ip_address("10.0.0.7"))
    True
    >>> may_connect("example.org", ipaddress.ip_address("10.0.0.7"))
    False
    """
    named = literal(host)
    if named is not None:
        return named == address
    carried = _carried(address)
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return carried.is_loopback
    if carried.is_multicast or _lies_in(carried, _NEVER_BY_NAME):
        return False
    return name in private_hosts or is_public(carried)


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the Internet's.

    >>> [is_public(ipaddress.ip_address(text)) for text in ("1.1.1.1", "::ffff:10.0.0.1")]
    [True, False]
    """
    carried = _carried(address)
    return carried.is_global and not carried.is_multicast and not _lies_in(carried, _NOT_PUBLIC)


def _carried(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    is_isatap = (int(address) >> 32) & 0xFCFFFFFF == 0x00005EFE
    if address in _NAT64 or is_isatap:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _lies_in(address: Address, networks: Iterable[Any]) -> bool:
    return any(address.version == each.version and address in each for each in networks)


class Deadlines:
    """The deadline of the request of each thread, for all its reads, writes and connects."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound all reads, writes and connects of this thread."""
        self._local.end_s = time.monotonic() + seconds
        try:
            yield
        finally:
            self._local.end_s = None

    def left_s(self, at_most: float | None, late: type[Exception]) -> float | None:
        """Return how long a step may take; raises `late` when no time is left."""
        end_s = getattr(self._local, "end_s", None)
        if end_s is None:
            return at_most
        left_s = float(end_s - time.monotonic())
        if left_s <= 0:
            raise late("the deadline has passed")
        return left_s if at_most is None else min(at_most, left_s)

    def has_passed(self, in_s: float) -> bool:
        """Tell whether a request begun after a pause would be too late."""
        end_s = getattr(self._local, "end_s", None)
        return end_s is not None and time.monotonic() + in_s >= end_s


class Network(httpcore.NetworkBackend):
    """Makes connections to allowed addresses."""

    def __init__(
        self, deadlines: Deadlines, private_hosts: Collection[str] = (), resolve: Resolve = resolve
    ) -> None:
        self.deadlines = deadlines
        self.private_hosts = frozenset(name.lower() for name in private_hosts)
        self.resolve = resolve
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first allowed address that answers.

        Raises:
            RefusedAddress: the host has none that is allowed.
        """
        failure: Exception | None = None
        for address in self._allowed(host, port):
            left_s = self.deadlines.left_s(timeout, httpcore.ConnectTimeout)
            try:
                plain = self._plain.connect_tcp(
                    address, port, left_s, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return _Stream(plain, self.deadlines)
        raise failure or httpcore.ConnectError("the host has no address")

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def _allowed(self, host: str, port: int) -> list[str]:
        try:
            found = self.resolve(host, port)
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError("the host cannot be resolved") from exc
        parsed = [(text, literal(text)) for text in found]
        allowed = [
            text for text, each in parsed if each and may_connect(host, each, self.private_hosts)
        ]
        if found and not allowed:
            raise RefusedAddress(f"the host stands for {found[0]}, which is not public")
        return allowed


class _Stream(httpcore.NetworkStream):
    """A connection whose every step lies within the deadline of its request."""

    def __init__(self, plain: httpcore.NetworkStream, deadlines: Deadlines) -> None:
        self._plain = plain
        self._deadlines = deadlines

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left_s = self._deadlines.left_s(timeout, httpcore.ReadTimeout)
        return self._plain.read(max_bytes, left_s)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, self._deadlines.left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._deadlines.left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._plain.start_tls(ssl_context, server_hostname, left_s), self._deadlines)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)
