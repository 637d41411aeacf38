"""What the grand prix measures with: processes' CPU time, and files that come slowly."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.benchmarks.grand_prix.client import Client, Target
from tests.benchmarks.grand_prix.measuring import measured
from tests.benchmarks.grand_prix.servers import Server
from tests.benchmarks.grand_prix.slowfiles import slow_files
from tests.support.waiting import until

_BURN = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\n"
_PARENT = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {_BURN!r}])  # It has ended, and its time is known.
other = subprocess.Popen([sys.executable, "-c", {_BURN + "input()"!r}], stdin=subprocess.PIPE)
other.wait()
"""


def test_the_cpu_time_of_a_server_includes_children_that_run_and_that_ended() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    server = Server(Target(), [process], time.perf_counter())
    try:
        for _ in range(2):
            process.stdout.readline()
        until(lambda: server.cpu_s() >= 0.95)
        assert server.cpu_s() < 5
    finally:
        server.end()
        process.stdout.close()


def test_slow_files_sends_ranges_late_and_counts_them(tmp_path: Path) -> None:
    (tmp_path / "file.tif").write_bytes(bytes(range(100)))
    delay_s = 0.05
    with (
        slow_files(tmp_path, delay_s) as files,
        httpx.Client(base_url=files.url, timeout=60) as client,
    ):
        started = time.monotonic()
        whole = client.get("/file.tif")
        assert time.monotonic() - started >= delay_s
        assert (whole.status_code, whole.content) == (200, bytes(range(100)))
        for text, part, place in (
            ("bytes=10-19", range(10, 20), "10-19"),
            ("bytes=90-200", range(90, 100), "90-99"),
            ("bytes=95-", range(95, 100), "95-99"),
            ("bytes=-3", range(97, 100), "97-99"),
        ):
            answer = client.get("/file.tif", headers={"range": text})
            assert (answer.status_code, answer.content) == (206, bytes(part))
            assert answer.headers["content-range"] == f"bytes {place}/100"
        head = client.head("/file.tif")
        assert (head.headers["content-length"], head.content) == ("100", b"")
        assert client.get("/none.tif").status_code == 404
        assert files.sent() == (7, 100 + 10 + 10 + 5 + 3)
        assert files.sent() == (0, 0)


@pytest.mark.slow
def test_a_round_says_what_the_server_and_the_client_took(tmp_path: Path) -> None:
    (tmp_path / "file.tif").write_bytes(bytes(1000))
    with slow_files(tmp_path, 0.0) as files, Client() as client:
        target = Target(port=int(files.url.rpartition(":")[2]))
        # Not in a group of its own, as servers are; only what it answers counts here.
        server = Server(target, [], time.perf_counter())
        load, effort = measured(client, server, ["/file.tif"] * 50, 4)
    assert load.statuses == {"200": 50}
    assert (effort.answers, effort.body_bytes, effort.seconds) == (50, 50_000, load.seconds)
    assert effort.cpu_s == 0
    assert 0 < effort.client_share <= 1.5
    assert 0 <= effort.others_share <= 1
