"""The addresses that a host of the configuration may be reached at."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

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
