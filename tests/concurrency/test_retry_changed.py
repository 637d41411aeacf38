from __future__ import annotations

import asyncio

import pytest

from tileserver.concurrency.retry_changed import ask_again, asked_again, read_again
from tileserver.errors import AssetChanged, AssetNotFound


class Changing:
    """What raises AssetChanged so many times, and then returns "read"."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.calls = 0

    def read(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise AssetChanged("a")
        return "read"

    async def ask(self) -> str:
        return self.read()


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_changes_a_few_times_is_read_in_the_end(times: int) -> None:
    assert read_again(Changing(times).read) == "read"
    assert asyncio.run(ask_again(Changing(times).ask)) == "read"


def test_what_changes_all_the_time_is_given_up() -> None:
    changing = Changing(99)
    with pytest.raises(AssetChanged, match="Asset 'a' changed while it was read; ask again"):
        read_again(changing.read)
    assert changing.calls == 3
    with pytest.raises(AssetChanged):
        asyncio.run(ask_again(changing.ask))
    assert changing.calls == 6


def test_a_handler_is_called_again_with_the_same_request() -> None:
    changing, requests = Changing(1), []

    @asked_again
    async def handler(request: str) -> str:
        requests.append(request)
        return changing.read()

    assert asyncio.run(handler("x")) == "read"  # type: ignore[arg-type]
    assert requests == ["x", "x"]


def test_other_errors_are_not_tried_again() -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise AssetNotFound("a")

    with pytest.raises(AssetNotFound):
        read_again(fail)
    assert calls == [1]
