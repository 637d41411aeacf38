from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import httpcore
import pytest

from tests.rasters.remote.origin import Stored, serve
from tests.support.standin_tls import make_authority
from tileserver.rasters.remote.network import Deadlines, Network, RefusedAddress


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
