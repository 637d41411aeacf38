"""Clients that stay, and clients that hang up."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from tileserver.concurrency.deadline import deadline
from tileserver.errors import DeadlineExceeded
from tileserver.http.disconnects import ClientGone, while_connected


async def stays() -> Message:
    await asyncio.sleep(60)
    return {"type": "http.disconnect"}


async def leaves() -> Message:
    await asyncio.sleep(0.01)
    return {"type": "http.disconnect"}


def test_a_call_ends_as_it_would_while_the_client_stays() -> None:
    async def call() -> int:
        return 7

    assert asyncio.run(while_connected(stays, call())) == 7


def test_an_error_of_the_call_is_the_clients_to_see() -> None:
    async def call() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(while_connected(stays, call()))


def test_a_client_that_hangs_up_cancels_the_call() -> None:
    ended: list[str] = []

    async def call() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def scenario() -> None:
        with pytest.raises(ClientGone):
            await while_connected(leaves, call())
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert ended == ["cancelled"]


def test_who_cancels_the_whole_is_no_client_that_hung_up() -> None:
    async def scenario() -> None:
        whole = asyncio.create_task(while_connected(stays, asyncio.sleep(60)))
        await asyncio.sleep(0)
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            await whole

    asyncio.run(scenario())


def test_a_deadline_around_it_is_told_from_a_client_that_hung_up() -> None:
    async def scenario() -> None:
        with pytest.raises(DeadlineExceeded):
            async with deadline(0.01, "it"):
                await while_connected(stays, asyncio.sleep(60))
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(scenario())


def test_who_hangs_up_in_the_moment_of_the_answer_disturbs_nothing_later() -> None:
    """Whichever of the two comes first in that turn of the loop."""

    async def scenario(turns: int) -> str:
        gone = asyncio.get_running_loop().create_future()

        async def receive() -> Message:
            await gone
            return {"type": "http.disconnect"}

        async def call() -> str:
            for _ in range(turns):
                await asyncio.sleep(0)
            gone.set_result(None)
            await asyncio.sleep(0)
            return "answer"

        try:
            came = await while_connected(receive, call())
        except ClientGone:
            came = "gone"
        await asyncio.sleep(0.01)
        return came

    assert {asyncio.run(scenario(turns)) for turns in range(3)} <= {"answer", "gone"}
