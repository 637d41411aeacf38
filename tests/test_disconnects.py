"""Clients that stay, and clients that hang up."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from tileserver.disconnects import ClientGone, while_connected


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
