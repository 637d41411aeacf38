from __future__ import annotations

import ipaddress

import pytest

from tileserver.rasters.remote.addresses import is_public, may_connect

NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.7",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2606:4700::5efe:a9fe:a9fe",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", NOT_PUBLIC)
def test_a_name_may_not_stand_for_an_address_that_is_not_public(text: str) -> None:
    address = ipaddress.ip_address(text)
    assert not is_public(address)
    assert not may_connect("tiles.example.org", address)


@pytest.mark.parametrize("text", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_a_name_may_stand_for_a_public_address(text: str) -> None:
    assert may_connect("tiles.example.org", ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "10.0.0.7", "169.254.169.254"])
def test_a_host_that_is_an_address_names_that_address_and_no_other(text: str) -> None:
    assert may_connect(text, ipaddress.ip_address(text))
    assert not may_connect(text, ipaddress.ip_address("192.168.7.7"))


def test_localhost_names_this_machine_only() -> None:
    assert may_connect("localhost", ipaddress.ip_address("127.0.0.1"))
    assert may_connect("LOCALHOST.", ipaddress.ip_address("::1"))
    assert not may_connect("localhost", ipaddress.ip_address("169.254.169.254"))
    assert not may_connect("localhost.example.org", ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"])
def test_other_spellings_of_an_address_are_names(host: str) -> None:
    assert not may_connect(host, ipaddress.ip_address("127.0.0.1"))


def test_a_private_host_may_have_private_addresses_but_not_those_of_metadata() -> None:
    hosts = {"minio.lan"}
    assert may_connect("minio.lan", ipaddress.ip_address("10.0.0.7"), hosts)
    assert may_connect("MINIO.lan.", ipaddress.ip_address("127.0.0.1"), hosts)
    assert not may_connect("other.lan", ipaddress.ip_address("10.0.0.7"), hosts)
    for text in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0"):
        assert not may_connect("minio.lan", ipaddress.ip_address(text), hosts)
