from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.earth.workers import figure
from tests.support.commands import ROOT
from tileserver import metrics
from tileserver.errors import (
    AssetNotFound,
    DeadlineExceeded,
    InvalidName,
    RateLimited,
    TransientError,
    UpstreamError,
)

WORKER = """
import os, sys
from tileserver import metrics
metrics.RETRIES.inc(int(sys.argv[1]))
metrics.QUEUE.set(int(sys.argv[1]))
metrics.BREAKER_OPEN.set(int(sys.argv[1]) > 2)
sys.stdout.buffer.write(metrics.exposition())
sys.stdout.flush()
os.close(1)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (None, "ok"),
        (RateLimited("429"), "rate_limited"),
        (AssetNotFound("scene"), "not_found"),
        (InvalidName("scene"), "invalid"),
        (DeadlineExceeded("late"), "timeout"),
        (TransientError("503"), "failed"),
        (UpstreamError("html"), "bad_answer"),
        (KeyboardInterrupt(), "abandoned"),
    ],
)
def test_a_request_upstream_is_counted_by_what_became_of_it(
    failure: BaseException | None, outcome: str
) -> None:
    before = figure(metrics.exposition().decode(), "upstream_requests_total", "pixels", outcome)
    with suppress(BaseException), metrics.upstream("pixels"):
        if failure is not None:
            raise failure
    text = metrics.exposition().decode()
    assert figure(text, "upstream_requests_total", "pixels", outcome) == before + 1


def test_the_text_is_what_prometheus_reads() -> None:
    text = metrics.exposition().decode()
    for line in text.splitlines():
        sample = r'tileserver_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+-]+'
        assert re.fullmatch(rf"# (HELP|TYPE) tileserver_\w+ .+|{sample}", line), line


def worker(folder: Path, figure_of_its_own: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(figure_of_its_own)],
        env={**os.environ, "PYTHONPATH": str(ROOT), metrics.FOLDER: str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=120)


def test_the_figures_of_workers_are_added_up_and_the_dead_wait_for_nothing(tmp_path: Path) -> None:
    first = worker(tmp_path, 2)
    assert first.stdout is not None
    first.stdout.read()
    second = worker(tmp_path, 3)
    assert second.stdout is not None
    both = second.stdout.read().decode()
    assert figure(both, "retries_total") == 5
    assert figure(both, "queue_length") == 5
    assert figure(both, "breaker_open") == 1
    for each in (first, second):
        end(each)
    third = worker(tmp_path, 1)
    assert third.stdout is not None
    text = third.stdout.read().decode()
    end(third)
    assert figure(text, "retries_total") == 6
    assert figure(text, "queue_length") == 1
    assert figure(text, "breaker_open") == 0


def test_without_its_folder_a_worker_counts_for_itself(tmp_path: Path) -> None:
    alone = worker(tmp_path / "nothing", 4)
    assert alone.stdout is not None
    assert figure(alone.stdout.read().decode(), "retries_total") == 4
    end(alone)


def test_a_worker_takes_all_the_room_for_its_figures_at_once(tmp_path: Path) -> None:
    one = worker(tmp_path, 1)
    assert one.stdout is not None
    one.stdout.read()
    files = list(tmp_path.glob("*.db"))
    assert len(files) == 4
    for each in files:
        assert each.stat().st_blocks * 512 >= each.stat().st_size == 1 << 17
    end(one)
