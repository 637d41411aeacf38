from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import httpcore
import pytest

from tests.rasters.remote.origin import Stored, serve
from tests.support.standin_tls import make_authority
from tileserver.rasters.remote.addresses import (
    Deadlines,
    Network,
    RefusedAddress,
    is_public,
    may_connect,
)

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


def test_a_name_that_resolves_to_this_machine_is_not_connected_to() -> None:
    with serve(Stored(b"a")) as origin:
        network = Network(Deadlines(), resolve=lambda host, port: ["127.0.0.1"])
        with pytest.raises(RefusedAddress, match=r"127\.0\.0\.1, which is not public"):
            network.connect_tcp("tiles.example.org", origin.port, 1.0)
        assert origin.requests == []


def test_each_connection_checks_the_addresses_it_is_made_to() -> None:
    """The first lookup is harmless and the second is not: the attack called DNS rebinding."""
    answers = iter([["192.0.2.1"], ["127.0.0.1"], ["127.0.0.1"]])
    with serve(Stored(b"a")) as origin:
        network = Network(Deadlines(), resolve=lambda host, port: next(answers))
        for _ in range(3):
            with pytest.raises(httpcore.ConnectError):
                network.connect_tcp("tiles.example.org", origin.port, 0.2)
        assert origin.requests == []
    assert next(answers, None) is None


def test_of_several_addresses_only_the_allowed_are_tried() -> None:
    lookups = []

    def resolve(host: str, port: int) -> list[str]:
        lookups.append(host)
        return ["169.254.169.254", "127.0.0.1"]

    with serve(Stored(b"a")) as origin:
        network = Network(Deadlines(), ["tiles.example.org"], resolve)
        network.connect_tcp("tiles.example.org", origin.port, 1.0).close()
    assert lookups == ["tiles.example.org"]


def test_tls_asks_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    """A connection to a checked address is still one to the host, whose certificate it wants."""
    asked_for: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sni_callback = lambda of, name, context: asked_for.append(name)
    trust = ssl.create_default_context(cafile=str(make_authority(tmp_path).file))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            plain, _ = listening.accept()
            with plain, suppress(OSError):
                server.wrap_socket(plain, server_side=True)

        thread = threading.Thread(target=answer)
        thread.start()
        network = Network(Deadlines(), ["tiles.example.org"], lambda host, port: ["127.0.0.1"])
        stream = network.connect_tcp("tiles.example.org", listening.getsockname()[1], 1.0)
        with pytest.raises(httpcore.ConnectError):
            stream.start_tls(trust, "tiles.example.org", 2.0)
        stream.close()
        thread.join()
    assert asked_for == ["tiles.example.org"]
