from __future__ import annotations

import json
import re
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.commands import log_of, run, serving, wait_until_ended
from tileserver.errors import ConfigError
from tileserver.server.serving import listen, page_url

TILE = "/tiles/great-salt-lake/9/95/192.png"


def test_two_workers_both_serve(tmp_path: Path) -> None:
    with serving("--port", "0", "--workers", "2", cwd=tmp_path) as server:
        # Each worker has a cache of its own, so each misses a tile once.
        statuses: Counter[str] = Counter()
        patience_ends = time.monotonic() + 60
        alone = {"connection": "close"}
        with ThreadPoolExecutor(8) as pool, httpx.Client(timeout=60, headers=alone) as client:
            while statuses["tileserver; fwd=miss; stored"] < 2:
                assert time.monotonic() < patience_ends, statuses
                # A connection each, for a worker keeps the connections that it took.
                answers = list(pool.map(client.get, [server.url + TILE] * 16))
                assert {answer.status_code for answer in answers} == {200}
                assert len({answer.content for answer in answers}) == 1
                statuses.update(answer.headers["cache-status"] for answer in answers)
        server.process.send_signal(signal.SIGTERM)
        assert wait_until_ended(server.process) in (0, -signal.SIGTERM)
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url, timeout=60)


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_the_end(
    tmp_path: Path, signal_number: signal.Signals
) -> None:
    body = json.dumps({"expression": {"result": "0", "values": {"0": {"constantValue": 3}}}})
    head = (
        "POST /v1/projects/p/value:compute HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    )
    with serving("--port", "0", cwd=tmp_path) as server:
        port = urlsplit(server.url).port or 0
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(head.encode())
            assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
            server.process.send_signal(signal_number)
            # Half a second is for the signal to come before the body.
            time.sleep(0.5)
            client.sendall(body.encode())
            received = b""
            while chunk := client.recv(65536):
                received += chunk
        assert received.startswith(b"HTTP/1.1 200 ")
        assert json.loads(received.partition(b"\r\n\r\n")[2]) == {"result": 3}
        assert wait_until_ended(server.process) in (0, -signal_number)
        assert log_of(server) == ""


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, b"")
    (line,) = ended.stderr.decode().splitlines()
    assert line.startswith(f"tileserver: cannot listen on 127.0.0.1:{port}: ")
    assert "--port 0" in line


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on {re.escape(host)}:0"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", r"127\.0\.0\.1|\[::1\]")],
)
def test_the_page_has_an_address_that_a_browser_opens(host: str, shown: str) -> None:
    with listen(host, 0) as listening:
        url = page_url(listening)
        assert re.fullmatch(rf"http://({shown}):\d+/", url)
        assert listening.get_inheritable()
        with socket.create_connection(("localhost", listening.getsockname()[1]), timeout=60):
            pass


def test_an_address_of_ipv6_is_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        listening = listen("::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 on loopback")
    with listening:
        assert re.fullmatch(r"http://\[::1\]:\d+/", page_url(listening))
