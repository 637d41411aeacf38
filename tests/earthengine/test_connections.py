import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import httpx
import pytest

from tests.support.loopback import Answer, Asked, Loopback
from tileserver.earthengine.connections import Connections, make_client


class Elsewhere(Loopback):
    """Sets cookies, and sends everybody on to another address."""

    async def honest(self, asked: Asked) -> Answer:
        status = 302 if asked.path == "/go" else 200 if asked.headers.get("token") else 401
        return Answer(b"body", status, {"set-cookie": "a=b", "location": "/elsewhere"})


class Signing(httpx.Auth):
    """Signs once it has been refused, as with a token that has run out."""

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        if (yield request).status_code == 401:
            request.headers["token"] = "t"
            yield request


def run(work: Callable[[Connections], Awaitable[None]], auth: httpx.Auth | None = None) -> None:
    async def connected() -> None:
        async with make_client(auth, 1) as client:
            await work(client)

    asyncio.run(connected())


async def read(response: httpx.Response) -> bytes:
    try:
        return await response.aread()
    finally:
        await response.aclose()


def test_no_cookie_goes_back_and_no_redirect_is_followed() -> None:
    with Elsewhere() as server:

        async def work(client: Connections) -> None:
            for _ in range(2):
                response = await client.send("GET", f"{server.url}/go", {"accept": "x"})
                assert response.status_code == 302
                assert await read(response) == b"body"

        run(work)
        assert [each.path for each in server.seen] == ["/go", "/go"]
        assert all("cookie" not in each.headers for each in server.seen)
        assert server.seen[0].headers["accept"] == "x"
        assert server.seen[0].headers["user-agent"].startswith("ee-tileserver/")


def test_what_is_refused_is_signed_anew_over_the_same_connection() -> None:
    with Elsewhere() as server:

        async def work(client: Connections) -> None:
            response = await client.send("POST", f"{server.url}/x", {}, content=b"{}")
            assert response.status_code == 200
            assert await read(response) == b"body"

        # With one connection, a second request hangs if the first answer is left open.
        run(work, Signing())
        assert [each.status for each in server.seen] == [401, 200]
        assert [each.body for each in server.seen] == [b"{}", b"{}"]


def test_parameters_go_into_the_address() -> None:
    with Elsewhere() as server:

        async def work(client: Connections) -> None:
            await read(await client.send("GET", f"{server.url}/x", {}, params={"a": "b c"}))

        run(work)
        assert server.seen[0].query == {"a": "b c"}


def test_an_answer_that_makes_signing_fail_is_closed() -> None:
    class Failing(httpx.Auth):
        async def async_auth_flow(
            self, request: httpx.Request
        ) -> AsyncGenerator[httpx.Request, httpx.Response]:
            yield request
            raise ValueError("no token")

    with Elsewhere() as server:

        async def work(client: Connections) -> None:
            for _ in range(2):
                with pytest.raises(ValueError, match="no token"):
                    await client.send("GET", f"{server.url}/x", {})

        run(work, Failing())
        assert len(server.seen) == 2
